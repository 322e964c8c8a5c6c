# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pretraining_batches import PROCESSOR, make_items
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

from mu2slam_hf import ConformerEncoderConfig
from mu2slam_hf.data.collation.mslam import MSLAMCollator
from mu2slam_hf.data.masking import draw_frame_mask, expected_frame_mask_ratio
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig

TOKENIZER = PROCESSOR.tokenizer
MIXED = "speech text asr text speech asr asr speech"
KEYS = {
    "input_features",
    "attention_mask",
    "speech_mask",
    "negative_frames",
    "noise_seed",
    "text_ids",
    "text_attention_mask",
    "text_labels",
    "pair_speech_rows",
    "pair_text_rows",
    "ctc_labels",
    "record_ids",
}


def make_collator(processor=PROCESSOR, **options) -> MSLAMCollator:
    options.setdefault("num_negatives", 7)
    return MSLAMCollator(processor, seed=3, **options)


def assert_equal_batches(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key], key


def frames_of(samples: int) -> int:
    frames = max(1, (samples + 159) // 160)
    return (frames + 3) // 4


@pytest.mark.parametrize("seed", range(4))
def test_shapes_and_meanings_of_a_mixed_batch(seed):
    items = make_items(MIXED, seed)
    batch = make_collator()(items)
    assert batch.keys() == KEYS
    assert batch["record_ids"] == [item.drawn.example.id for item in items]
    speech = [item for item in items if item.waveform is not None]
    longest = batch["speech_mask"].shape[1]
    assert batch["input_features"].shape[0] == len(speech) == 6 and batch["input_features"].dtype == torch.float32
    assert batch["negative_frames"].shape == (6, longest, 7)
    assert longest == (batch["input_features"].shape[1] + 3) // 4
    for name in KEYS - {"input_features", "speech_mask", "record_ids"}:
        assert batch[name].dtype == torch.int64, name
    for row, item in enumerate(speech):
        num_frames = frames_of(len(item.waveform))
        mask, negatives = batch["speech_mask"][row], batch["negative_frames"][row]
        assert mask[:num_frames].any() and not mask[num_frames:].any()
        if item.drawn.targets or mask.sum() < 2:
            assert (negatives == -1).all()
        else:
            assert (negatives[~mask] == -1).all()
            for frame in torch.nonzero(mask)[:, 0].tolist():
                assert mask[negatives[frame]].all() and (negatives[frame] != frame).all()
    assert len(set(batch["noise_seed"].tolist())) == 6 and (batch["noise_seed"] > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_texts_and_their_labels(seed):
    items = make_items(MIXED, seed)
    batch = make_collator()(items)
    texts = [item for item in items if item.drawn.targets or item.waveform is None]
    assert batch["text_ids"].shape == batch["text_labels"].shape == batch["text_attention_mask"].shape
    for row, item in enumerate(texts):
        text = item.drawn.targets[0].text if item.drawn.targets else item.drawn.example.source_text
        ids = torch.tensor(TOKENIZER(text, add_special_tokens=False).input_ids)
        shown, labels = batch["text_ids"][row], batch["text_labels"][row]
        length = len(ids) + 1
        assert batch["text_attention_mask"][row].tolist() == [1] * length + [0] * (len(shown) - length)
        assert shown[length - 1] == TOKENIZER.eos_token_id and (shown[length:] == TOKENIZER.pad_token_id).all()
        asked = labels[: length - 1] != -100
        assert (labels[length - 1 :] == -100).all()
        assert (
            torch.equal(labels[: length - 1][asked], ids[asked]) and not (ids[asked] == TOKENIZER.unk_token_id).any()
        )
        kept = ~asked & (ids != TOKENIZER.unk_token_id)
        assert torch.equal(shown[: length - 1][kept], ids[kept]), "what is not asked is shown as it is"
        if not (ids == TOKENIZER.unk_token_id).any():
            exact = len(ids) * (0.5 if item.drawn.targets else 0.15)
            assert int(asked.sum()) in (max(1, int(exact)), max(1, int(exact) + 1))
        random = shown[: length - 1][asked & (shown[: length - 1] != TOKENIZER.mask_token_id)]
        assert (random >= TOKENIZER.text_token_offset).all()


def test_pairs_are_rows_of_the_same_example():
    items = make_items(MIXED, 1)
    batch = make_collator()(items)
    speech = [item.drawn.example.id for item in items if item.waveform is not None]
    texts = [item.drawn.example.id for item in items if item.drawn.targets or item.waveform is None]
    pairs = zip(batch["pair_speech_rows"].tolist(), batch["pair_text_rows"].tolist(), strict=True)
    assert [(speech[one], texts[other]) for one, other in pairs] == [(f"asr:{n}",) * 2 for n in (2, 5, 6)]


def test_transcripts_are_asked_of_pairs_that_have_room_for_them():
    items = make_items("asr asr speech asr", 0, samples=9600)  # 15 frames
    texts = ["acd", "acdeilmnoprstacd", "", "aacc"]  # of the last: 4 labels and 2 blanks
    for number, (item, text) in enumerate(zip(items, texts, strict=True)):
        targets = tuple(replace(target, text=text) for target in item.drawn.targets)
        items[number] = replace(item, drawn=replace(item.drawn, targets=targets))
    collator = make_collator()
    labels = collator(items)["ctc_labels"]
    ids = [TOKENIZER(text, add_special_tokens=False).input_ids for text in texts]
    assert labels.shape == (4, 4)
    assert [row[row != -100].tolist() for row in labels] == [ids[0], [], [], ids[3]]
    assert collator.num_ctc_too_long == 1
    item = replace(items[3], waveform=items[3].waveform[:3840])  # 6 frames: just enough; 5 are not
    assert (collator([item])["ctc_labels"] != -100).sum() == 4
    item = replace(item, waveform=item.waveform[:3200])
    assert (collator([item])["ctc_labels"] == -100).all() and collator.num_ctc_too_long == 2


def test_unknown_characters_are_read_and_never_asked():
    items = make_items("text asr", 0, source_text="\u4e00\u4e01", target_text="a\u4e00c", samples=3200)
    batch = make_collator(masking=MSLAMMaskingConfig(text_ratio=1.0, tlm_text_ratio=1.0))(items)
    known = TOKENIZER("ac", add_special_tokens=False).input_ids
    assert (batch["text_labels"][0] == -100).all()
    assert batch["text_labels"][1].tolist() == [known[0], -100, known[1], -100]
    assert batch["ctc_labels"][0].tolist()[:2] == known


def test_masks_do_not_depend_on_neighbours_order_or_padding():
    items = make_items(MIXED, 2)
    together = make_collator(pad_to_multiple_of=8, pad_frames_to_multiple_of=32)(items)
    assert together["text_ids"].shape[1] % 8 == 0 and together["input_features"].shape[1] % 32 == 0
    assert_equal_batches(together, make_collator(pad_to_multiple_of=8, pad_frames_to_multiple_of=32)(items))
    speech = text = 0
    for item in items:
        alone = make_collator()([item])
        if item.waveform is not None:
            frames = alone["speech_mask"].shape[1]
            for name in ("speech_mask", "negative_frames"):
                assert torch.equal(together[name][speech, :frames], alone[name][0])
            assert torch.equal(together["noise_seed"][speech], alone["noise_seed"][0])
            assert not together["speech_mask"][speech, frames:].any()
            speech += 1
        if item.waveform is None or item.drawn.targets:
            length = alone["text_ids"].shape[1]
            for name in ("text_ids", "text_labels", "text_attention_mask"):
                assert torch.equal(together[name][text, :length], alone[name][0])
            text += 1


def test_masks_are_drawn_anew_for_every_epoch_and_seed():
    item = make_items("asr", 4, samples=64_000)[0]
    later = replace(item, drawn=replace(item.drawn, key=item.drawn.key._replace(epoch=9)))
    first, other = make_collator()([item]), make_collator()([later])
    reseeded = MSLAMCollator(PROCESSOR, seed=4)([item])
    for batch in (other, reseeded):
        for name in ("speech_mask", "noise_seed", "text_labels"):
            assert not torch.equal(first[name], batch[name]), name
    drawn = draw_generator(3, item.drawn.key, "asr:0", "mask:asr:0")
    expected = draw_frame_mask(100, MSLAMMaskingConfig().tlm_speech, drawn)
    np.testing.assert_array_equal(first["speech_mask"][0].numpy(), expected)


def test_ratios_over_many_examples():
    """The stated shares: half and three quarters of the frames, 15 % and half of the tokens, 80/10/10."""
    collator, counts = make_collator(), np.zeros((4, 2))
    text, shown_masked, shown_true = "acdeilmnoprstu" * 6, 0, 0
    ids = torch.tensor(TOKENIZER(text, add_special_tokens=False).input_ids)
    for seed in range(6):
        items = make_items("speech text asr " * 8, seed, samples=64_000, source_text=text, target_text=text)
        items = [replace(item, drawn=replace(item.drawn, key=item.drawn.key._replace(copy=seed))) for item in items]
        batch = collator(items)
        pairs, paired_texts = batch["pair_speech_rows"], batch["pair_text_rows"]
        for number, (rows, values) in enumerate(
            ((pairs, batch["speech_mask"]), (paired_texts, batch["text_labels"][:, :-1] != -100))
        ):
            in_pair = torch.zeros(len(values), dtype=torch.bool)
            in_pair[rows] = True
            for offset, chosen in enumerate((values[~in_pair], values[in_pair])):
                counts[2 * number + offset] += [int(chosen.sum()), chosen.numel()]
        asked = batch["text_labels"] != -100
        shown_masked += int((batch["text_ids"][asked] == TOKENIZER.mask_token_id).sum())
        shown_true += int((batch["text_ids"][asked] == batch["text_labels"][asked]).sum())
    rules = (MSLAMMaskingConfig().speech, MSLAMMaskingConfig().tlm_speech)
    frames = [np.mean([expected_frame_mask_ratio(i, rule, 100) for i in range(100)]) for rule in rules]
    assert frames == pytest.approx([0.47, 0.72], abs=0.01), "a little less than the stated half and 75 %: clips begin"
    assert counts[:, 0] / counts[:, 1] == pytest.approx([*frames, 0.15, 0.5], abs=0.03)
    total = counts[2:, 0].sum()
    assert shown_masked / total == pytest.approx(0.8, abs=0.03)
    by_chance = 0.1 / len(set(TOKENIZER.get_vocab().values()) - set(TOKENIZER.all_special_ids))
    assert shown_true / total == pytest.approx(0.1 + by_chance, abs=0.03) and len(ids) == 84


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 640, 641, 1281])
def test_shortest_utterances_and_texts(samples):
    items = make_items("speech asr text", 0, samples=samples, source_text="a", target_text="e")
    batch = make_collator()(items)
    assert batch["speech_mask"].shape[1] == frames_of(samples)
    assert batch["speech_mask"].any(dim=1).all(), "something is asked of each"
    assert ((batch["text_labels"] != -100).sum(dim=1) == 1).all()
    if samples <= 640:
        assert (batch["negative_frames"] == -1).all(), "a frame has nothing to be told from"
    assert (batch["ctc_labels"][1] != -100).sum() == 1


def test_an_empty_text_asks_nothing():
    batch = make_collator()(make_items("text", 0, source_text=""))
    assert batch["text_ids"].tolist() == [[TOKENIZER.eos_token_id]] and batch["text_labels"].tolist() == [[-100]]


@pytest.mark.parametrize("tasks", ["", "text text", "speech"])
def test_batches_without_speech_or_text_have_one_row_that_asks_nothing(tasks):
    items = make_items(tasks, 0)
    for number, item in enumerate(make_items("speech asr text", 5)):
        items.insert(number, replace(item, error="cannot be read", waveform=None))
    batch = make_collator()(items)
    if "speech" not in tasks:
        assert batch["input_features"].shape == (1, 4, 80) and not batch["speech_mask"].any()
        assert (batch["negative_frames"] == -1).all() and (batch["attention_mask"] == 1).all()
    if "text" not in tasks:
        assert batch["text_ids"].tolist() == [[TOKENIZER.pad_token_id]]
        assert (batch["text_labels"] == -100).all() and not batch["text_attention_mask"].any()
    assert len(batch["pair_speech_rows"]) == len(batch["pair_text_rows"]) == 0
    assert (batch["ctc_labels"] == -100).all()
    assert batch["record_ids"] == [item.drawn.example.id for item in items if item.error is None]


def test_stacked_frames():
    """As w2v-BERT 2.0 reads: two 10 ms frames in one, and an encoder frame for each."""
    processor = SimpleNamespace(feature_extractor=SeamlessM4TFeatureExtractor(), tokenizer=TOKENIZER)
    config = ConformerEncoderConfig(frontend="stacked_frames")
    batch = make_collator(processor, encoder_config=config, pad_frames_to_multiple_of=3)(
        make_items("speech asr text", 0, samples=9_999)
    )
    length = int(batch["attention_mask"][0].sum())
    assert batch["input_features"].shape == (2, 30 + -length % 3, 160) or length == 30
    assert batch["speech_mask"].shape[1] == batch["attention_mask"].shape[1] == batch["input_features"].shape[1]
    assert not batch["speech_mask"][:, length:].any()
    assert make_collator(processor, encoder_config=config)(make_items("text", 0))["input_features"].shape[2] == 160


@pytest.mark.parametrize("normalize", [True, False])
def test_waveforms(normalize):
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalize)
    processor = SimpleNamespace(feature_extractor=extractor, tokenizer=TOKENIZER)
    config = ConformerEncoderConfig(frontend="waveform")
    items = [*make_items("speech", 0, samples=400 + 3 * 320), *make_items("asr", 1, samples=401)]
    batch = make_collator(processor, encoder_config=config, pad_frames_to_multiple_of=1000)(items)
    assert batch["input_features"].shape == batch["attention_mask"].shape == (2, 2000)
    assert batch["attention_mask"].sum(dim=1).tolist() == [1360, 560], "filled up to 35 ms"
    assert batch["speech_mask"].shape == (2, 6)
    assert not batch["speech_mask"][0, 4:].any() and batch["speech_mask"][1].tolist() == [True] + [False] * 5
    if not normalize:
        np.testing.assert_allclose(batch["input_features"][0, :1360], items[0].waveform)
    silent = make_collator(processor, encoder_config=config)(make_items("text", 0))
    assert silent["input_features"].shape == (1, 640) and silent["speech_mask"].shape == (1, 1)


@pytest.mark.parametrize("task", ["ast", "mt"])
def test_other_tasks_are_refused(task):
    with pytest.raises(ValueError, match=f"{task}:0: mSLAM is trained on speech, text, asr"):
        make_collator()(make_items(task, 0))


def test_speech_without_a_waveform_is_refused():
    item = replace(make_items("speech", 0)[0], waveform=None)
    with pytest.raises(ValueError, match="speech:0: a speech item needs a waveform"):
        make_collator()([item])


@pytest.mark.parametrize("name", ["pad_to_multiple_of", "pad_frames_to_multiple_of", "num_negatives"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=name):
        make_collator(**{name: 0})
