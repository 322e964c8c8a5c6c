# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace

import numpy as np
import pytest
import torch
from masking_chances import frame_mask_chance
from pretraining_batches import PROCESSOR, make_items

from mu2slam_hf.data.collation.mslam import MaestroCollator, MSLAMCollator
from mu2slam_hf.data.masking import draw_frame_mask
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig

TOKENIZER = PROCESSOR.tokenizer
MIXED = "speech text asr text speech asr asr speech"
KEYS = {
    *("input_features", "attention_mask", "mask_time_indices", "negative_frames", "noise_seed", "text_ids"),
    *("text_attention_mask", "text_labels", "pair_speech_rows", "pair_text_rows", "ctc_labels", "record_ids"),
    *("speech_language_ids", "text_language_ids"),
}


def make_collator(**options) -> MSLAMCollator:
    return MSLAMCollator(PROCESSOR, **{"seed": 3, "num_negatives": 7, **options})


def encode(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False).input_ids


def frames_of(samples: int) -> int:
    return (max(1, (samples + 159) // 160) + 3) // 4


def redraw(item, **key):
    return replace(item, drawn=replace(item.drawn, key=item.drawn.key._replace(**key)))


@pytest.mark.parametrize("seed", range(4))
def test_shapes_and_meanings_of_a_mixed_batch(seed):
    items = make_items(MIXED, seed)
    batch = make_collator()(items)
    assert batch.keys() == KEYS
    assert batch["record_ids"] == [item.drawn.example.id for item in items]
    speech = [item for item in items if item.waveform is not None]
    longest = batch["mask_time_indices"].shape[1]
    assert batch["input_features"].shape[0] == len(speech) == 6 and batch["input_features"].dtype == torch.float32
    assert batch["negative_frames"].shape == (6, longest, 7)
    assert longest == (batch["input_features"].shape[1] + 3) // 4
    for name in KEYS - {"input_features", "mask_time_indices", "record_ids"}:
        assert batch[name].dtype == torch.int64, name
    for item, mask, negatives in zip(speech, batch["mask_time_indices"], batch["negative_frames"], strict=True):
        num_frames = frames_of(len(item.waveform))
        assert mask[:num_frames].any() and not mask[num_frames:].any()
        if item.drawn.targets or mask.sum() < 2:
            assert (negatives == -1).all()
        else:
            assert (negatives[~mask] == -1).all()
            for frame in torch.nonzero(mask)[:, 0].tolist():
                assert mask[negatives[frame]].all() and (negatives[frame] != frame).all()
    assert len(set(batch["noise_seed"].tolist())) == 6 and (batch["noise_seed"] > 0).all()
    texts = [item.drawn.example.id for item in items if item.drawn.targets or item.waveform is None]
    pairs = zip(batch["pair_speech_rows"].tolist(), batch["pair_text_rows"].tolist(), strict=True)
    ids = [item.drawn.example.id for item in speech]
    assert [(ids[one], texts[other]) for one, other in pairs] == [(f"asr:{n}",) * 2 for n in (2, 5, 6)]


def test_rows_have_the_languages_that_were_drawn_and_those_unknown_to_the_processor_have_none():
    items = make_items(MIXED, 0)
    languages = ["und", "en", "fr", "xx"]
    drawn = [replace(item.drawn, source_lang=languages[n % 4]) for n, item in enumerate(items)]
    items = [replace(item, drawn=one) for item, one in zip(items, drawn, strict=True)]
    batch, rows = make_collator()(items), list(PROCESSOR.languages)
    expected = [rows.index(item.drawn.source_lang) if item.drawn.source_lang in rows else 0 for item in items]
    assert {0} < set(expected)
    is_speech = [item.waveform is not None for item in items]
    has_text = [bool(item.drawn.targets) or item.waveform is None for item in items]
    assert batch["speech_language_ids"].tolist() == [
        row for row, kept in zip(expected, is_speech, strict=True) if kept
    ]
    assert batch["text_language_ids"].tolist() == [row for row, kept in zip(expected, has_text, strict=True) if kept]
    alone = make_collator()([item for item, one in zip(items, is_speech, strict=True) if not one])
    assert alone["speech_language_ids"].tolist() == [0], "one silent row"


@pytest.mark.parametrize("seed", range(4))
def test_texts_and_their_labels(seed):
    items = make_items(MIXED, seed)
    batch = make_collator()(items)
    texts = [item for item in items if item.drawn.targets or item.waveform is None]
    assert batch["text_ids"].shape == batch["text_labels"].shape == batch["text_attention_mask"].shape
    for row, item in enumerate(texts):
        text = item.drawn.targets[0].text if item.drawn.targets else item.drawn.example.source_text
        ids, shown, labels = torch.tensor(encode(text)), batch["text_ids"][row], batch["text_labels"][row]
        length = len(ids) + 1
        assert batch["text_attention_mask"][row].tolist() == [1] * length + [0] * (len(shown) - length)
        assert shown[length - 1] == TOKENIZER.eos_token_id and (shown[length:] == TOKENIZER.pad_token_id).all()
        assert (labels[length - 1 :] == -100).all()
        shown, labels, is_unknown = shown[: length - 1], labels[: length - 1], ids == TOKENIZER.unk_token_id
        asked = labels != -100
        assert torch.equal(labels[asked], ids[asked]) and not is_unknown[asked].any()
        kept = ~asked & ~is_unknown
        assert torch.equal(shown[kept], ids[kept]), "what is not asked is shown as it is"
        if not is_unknown.any():
            exact = len(ids) * (0.5 if item.drawn.targets else 0.15)
            assert int(asked.sum()) in (max(1, int(exact)), max(1, int(exact) + 1))
        assert (shown[asked & (shown != TOKENIZER.mask_token_id)] >= TOKENIZER.text_token_offset).all()


def test_transcripts_are_asked_of_pairs_that_have_room_for_them():
    items = make_items("asr asr speech asr", 0, samples=9600)  # 15 frames
    texts = ["acd", "acdeilmnoprstacd", "", "aacc"]  # of the last: 4 labels and 2 blanks
    for number, (item, text) in enumerate(zip(items, texts, strict=True)):
        targets = tuple(replace(target, text=text) for target in item.drawn.targets)
        items[number] = replace(item, drawn=replace(item.drawn, targets=targets))
    collator = make_collator()
    labels = collator(items)["ctc_labels"]
    assert labels.shape == (4, 4)
    assert [row[row != -100].tolist() for row in labels] == [encode(texts[0]), [], [], encode(texts[3])]
    assert collator.num_ctc_too_long == 1


def test_unknown_characters_are_read_and_never_asked():
    items = make_items("text asr", 0, source_text="\u4e00\u4e01", target_text="a\u4e00c", samples=3200)
    batch = make_collator(masking=MSLAMMaskingConfig(text_ratio=1.0, tlm_text_ratio=1.0))(items)
    a, c = encode("ac")
    assert (batch["text_labels"][0] == -100).all()
    assert batch["text_labels"][1].tolist() == [a, -100, c, -100]
    assert batch["ctc_labels"][0].tolist()[:2] == [a, c]


def test_masks_do_not_depend_on_neighbours_order_or_padding():
    items = make_items(MIXED, 2)
    together = make_collator(pad_to_multiple_of=8, pad_frames_to_multiple_of=32)(items)
    assert together["text_ids"].shape[1] % 8 == 0 and together["input_features"].shape[1] % 32 == 0
    speech = text = 0
    for item in items:
        alone = make_collator()([item])
        if item.waveform is not None:
            frames = alone["mask_time_indices"].shape[1]
            for name in ("mask_time_indices", "negative_frames"):
                assert torch.equal(together[name][speech, :frames], alone[name][0])
            assert torch.equal(together["noise_seed"][speech], alone["noise_seed"][0])
            assert not together["mask_time_indices"][speech, frames:].any()
            speech += 1
        if item.waveform is None or item.drawn.targets:
            length = alone["text_ids"].shape[1]
            for name in ("text_ids", "text_labels", "text_attention_mask"):
                assert torch.equal(together[name][text, :length], alone[name][0])
            text += 1


def test_masks_are_drawn_anew_for_every_epoch_and_seed():
    item = make_items("asr", 4, samples=64_000)[0]
    first = make_collator()([item])
    for batch in (make_collator()([redraw(item, epoch=9)]), make_collator(seed=4)([item])):
        for name in ("mask_time_indices", "noise_seed", "text_labels"):
            assert not torch.equal(first[name], batch[name]), name
    rule, generator = MSLAMMaskingConfig(), draw_generator(3, item.drawn.key, "asr:0", "mask:asr:0")
    expected = draw_frame_mask(100, rule, generator, rule.tlm_start_prob)
    np.testing.assert_array_equal(first["mask_time_indices"][0].numpy(), expected)


def count_masked(collator) -> tuple[np.ndarray, np.ndarray]:
    """Shares of masked frames alone and in pairs, of masked tokens alone and in pairs; of the latter what is shown:
    [MASK], and the token itself."""
    counts, shown = np.zeros((4, 2)), np.zeros(2)
    text = "acdeilmnoprstu" * 6
    for seed in range(6):
        items = make_items("speech text asr " * 8, seed, samples=64_000, source_text=text, target_text=text)
        batch = collator([redraw(item, copy=seed) for item in items])
        asked = batch["text_labels"] != -100
        sides = (batch["pair_speech_rows"], batch["mask_time_indices"]), (batch["pair_text_rows"], asked[:, :-1])
        for number, (rows, values) in enumerate(sides):
            in_pair = torch.zeros(len(values), dtype=torch.bool).index_fill(0, rows, True)
            for offset, chosen in enumerate((values[~in_pair], values[in_pair])):
                counts[2 * number + offset] += [int(chosen.sum()), chosen.numel()]
        ids, labels = batch["text_ids"][asked], batch["text_labels"][asked]
        shown += [int((ids == TOKENIZER.mask_token_id).sum()), int((ids == labels).sum())]
    return counts[:, 0] / counts[:, 1], shown / counts[2:, 0].sum()


def test_ratios_over_many_examples():
    """The stated shares: half and three quarters of the frames, 15 % and half of the tokens, 80/10/10."""
    shares, shown = count_masked(make_collator())
    rule = MSLAMMaskingConfig()
    frames = [
        np.mean([frame_mask_chance(i, start_prob, 10, 100) for i in range(100)])
        for start_prob in (rule.span_start_prob, rule.tlm_start_prob)
    ]
    assert frames == pytest.approx([0.47, 0.72], abs=0.01), "a little less than the stated half and 75 %: clips begin"
    assert shares == pytest.approx([*frames, 0.15, 0.5], abs=0.03)
    by_chance = 0.1 / len(set(TOKENIZER.get_vocab().values()) - set(TOKENIZER.all_special_ids))
    assert shown == pytest.approx([0.8, 0.1 + by_chance], abs=0.03)


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 640, 641, 1281])
def test_shortest_utterances_and_texts(samples):
    items = make_items("speech asr text", 0, samples=samples, source_text="a", target_text="e")
    batch = make_collator()(items)
    assert batch["mask_time_indices"].shape[1] == frames_of(samples)
    assert batch["mask_time_indices"].any(dim=1).all(), "something is asked of each"
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
    batch = make_collator()(items)
    if "speech" not in tasks:
        assert batch["input_features"].shape == (1, 4, 80) and not batch["mask_time_indices"].any()
        assert (batch["negative_frames"] == -1).all() and (batch["attention_mask"] == 1).all()
    if "text" not in tasks:
        assert batch["text_ids"].tolist() == [[TOKENIZER.pad_token_id]]
        assert (batch["text_labels"] == -100).all() and not batch["text_attention_mask"].any()
    assert len(batch["pair_speech_rows"]) == len(batch["pair_text_rows"]) == 0
    assert (batch["ctc_labels"] == -100).all()
    assert batch["record_ids"] == [item.drawn.example.id for item in items]


@pytest.mark.parametrize("task", ["ast", "mt"])
def test_other_tasks_are_refused(task):
    with pytest.raises(ValueError, match=f"{task}:0: mSLAM is trained on speech, text, asr"):
        make_collator()(make_items(task, 0))


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="num_negatives must be at least 0, got -1"):
        make_collator(num_negatives=-1)


@pytest.mark.parametrize("seed", range(4))
def test_batches_of_maestro(seed):
    """Only speech without text is masked; texts are whole, without `</s>`, and have seeds of their own."""
    items = make_items(MIXED, seed)
    collator = MaestroCollator(PROCESSOR, seed=3, num_negatives=7)
    batch, theirs = collator(items), make_collator()(items)
    assert batch.keys() == (KEYS - {"text_labels"}) | {"text_seed"}
    pairs = batch["pair_speech_rows"]
    assert not batch["mask_time_indices"][pairs].any() and (batch["negative_frames"][pairs] == -1).all()
    alone = [row for row in range(6) if row not in pairs.tolist()]
    for name in ("mask_time_indices", "negative_frames", "noise_seed"):
        assert torch.equal(batch[name][alone], theirs[name][alone])
    for name in ("input_features", "attention_mask", "pair_speech_rows", "pair_text_rows", "ctc_labels"):
        assert torch.equal(batch[name], theirs[name])
    texts = [item for item in items if item.drawn.targets or item.waveform is None]
    for row, item in enumerate(texts):
        text = item.drawn.targets[0].text if item.drawn.targets else item.drawn.example.source_text
        known = [token for token in encode(text) if token != TOKENIZER.unk_token_id]
        length = int(batch["text_attention_mask"][row].sum())
        assert batch["text_ids"][row, :length].tolist() == known
        assert (batch["text_ids"][row, length:] == TOKENIZER.pad_token_id).all()
    assert len(set(batch["text_seed"].tolist())) == len(texts)
    # The seeds belong to the example and the epoch.
    again, later = collator(items[:3]), collator([redraw(item, epoch=5) for item in items[:3]])
    assert again["text_seed"].tolist() == batch["text_seed"][:2].tolist()
    assert not set(later["text_seed"].tolist()) & set(again["text_seed"].tolist())


def test_maestro_without_texts_or_speech():
    items = make_items(MIXED, 0)
    for task, missing in (("speech", "text_attention_mask"), ("text", "mask_time_indices")):
        chosen = [item for item in items if item.drawn.example.id.startswith(f"{task}:")]
        batch = MaestroCollator(PROCESSOR, seed=3, num_negatives=7)(chosen)
        assert len(batch[missing]) == 1 and not batch[missing].any()
        assert len(batch["text_ids"]) == len(batch["text_seed"])
