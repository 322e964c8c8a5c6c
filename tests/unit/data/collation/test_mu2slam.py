# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import TINY_LANGUAGES, TINY_TEXTS, make_tiny_processor
from pretraining_batches import build_item
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

from mu2slam_hf import ConformerEncoderConfig, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.data.collation.mu2slam import NON_MODEL_KEYS, Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.collation.packing import padding_share
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.task_types import PRETRAINING_TASKS, PRETRAINING_VIEWS
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

SEED = 11
SHAPES = {
    **{"input_features": "UTM", "attention_mask": "UT", "text_ids": "P", "source_language_labels": "RS"},
    **dict.fromkeys(("encoder_units", "sequence_ids", "position_ids", "language_ids", "modality_ids"), "RL"),
    **dict.fromkeys(("decoder_units", "decoder_sequence_ids", "decoder_source_ids", "decoder_position_ids"), "RD"),
    **dict.fromkeys(("decoder_language_ids", "decoder_modality_ids"), "RD"),
    **dict.fromkeys(("mlm_positions", "mlm_labels", "mlm_view_ids"), "J"),
    **dict.fromkeys(("decoder_label_positions", "decoder_labels", "decoder_view_ids"), "K"),
    **{"ctc_positions": "CF", "ctc_labels": "CQ"},
}


def item(name, frames=None, **given):
    """Speech of so many feature frames, or text."""
    return build_item(name, samples=frames and 160 * frames, **given)


def make_items(prefix=""):
    """Two of each task, one of them as short as can be, one not told its language, with unknown characters."""
    return [
        item(f"{prefix}s1", frames=101),
        item(f"{prefix}s2", frames=1, lang="ru", told="und"),
        item(f"{prefix}t1", text="press one to qleave a message"),
        item(f"{prefix}t2", text="a", lang="fr", told="und"),
        item(f"{prefix}r1", frames=90, targets=(("asr", "en", "press one"),), told="und"),
        item(f"{prefix}r2", frames=3, targets=(("asr", "it", "pi\u00f9"),), lang="it"),
        item(f"{prefix}a1", frames=62, targets=(("ast", "fr", "appuyez \u4e16 la touche"),)),
        item(f"{prefix}a2", frames=2, targets=(("ast", "en", "e"),), lang="es", told="und"),
        item(f"{prefix}m1", text="marque cinco para", targets=(("mt", "en", "press five to"),), lang="es"),
        item(f"{prefix}m2", text="o", targets=(("mt", "ru", "\u043d\u0430"),), lang="it", told="und"),
    ]


@pytest.fixture(scope="module", params=["char", "unigram"])
def processor(request):
    if request.param == "char":
        return make_tiny_processor()
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(TINY_TEXTS * 2, vocab_size=120, kind="unigram")
    return SimpleNamespace(
        feature_extractor=Mu2SLAMFeatureExtractor(), tokenizer=tokenizer, languages=list(TINY_LANGUAGES)
    )


@pytest.fixture
def build(processor):
    def build_collator(**kwargs):
        return Mu2SLAMPreTrainingCollator(processor, **{"seed": SEED, **kwargs})

    return build_collator


# -- the contract: keys, shapes, types and ranges


def check_contract(batch):
    assert set(batch) == set(SHAPES) | {"record_ids"}
    sizes = {}
    for name, letters in SHAPES.items():
        values = batch[name]
        assert values.dtype == (torch.float32 if name == "input_features" else torch.int64), name
        assert values.ndim == len(letters), name
        for letter, size in zip(letters, values.shape, strict=True):
            assert sizes.setdefault(letter, size) == size, (name, letter)
    assert sizes["M"] == 80 and min(sizes[letter] for letter in "UTPRLDCFQS") >= 1
    num_frames = -(-sizes["T"] // 4)
    num_units = 1 + sizes["U"] * num_frames + sizes["P"]
    for name in ("encoder_units", "mlm_labels", "decoder_units", "decoder_labels"):
        assert ((batch[name] >= 0) & (batch[name] < num_units)).all(), name
    for name, bound in (
        ("mlm_positions", sizes["R"] * sizes["L"]),
        ("decoder_label_positions", sizes["R"] * sizes["D"]),
        ("mlm_view_ids", len(PRETRAINING_VIEWS)),
        ("decoder_view_ids", len(PRETRAINING_VIEWS)),
        ("modality_ids", 2),
        ("decoder_modality_ids", 2),
        ("language_ids", len(TINY_LANGUAGES)),
        ("decoder_language_ids", len(TINY_LANGUAGES)),
    ):
        assert ((batch[name] >= 0) & (batch[name] < bound)).all(), name
    for name in ("mlm_positions", "decoder_label_positions"):
        assert len(set(batch[name].tolist())) == len(batch[name]), f"{name}: one question per position"
    first_text = 1 + sizes["U"] * num_frames
    pad, start = first_text, first_text + 1
    assert not torch.isin(batch["mlm_labels"], torch.tensor([0, pad, start, start + 1])).any()
    assert not torch.isin(batch["decoder_labels"], torch.tensor([0, pad, start])).any()
    assert not (batch["encoder_units"] == start).any() and not (batch["decoder_units"] == start + 1).any()
    assert batch["ctc_positions"].max() < sizes["R"] * sizes["L"]
    # No unit is a frame of padding.
    frames = batch["encoder_units"][(batch["encoder_units"] > 0) & (batch["encoder_units"] < first_text)] - 1
    real = -(-batch["attention_mask"].sum(dim=1) // 4)
    assert (frames % num_frames < real[frames // num_frames]).all()
    assert (batch["attention_mask"][:, 1:] <= batch["attention_mask"][:, :-1]).all()
    check_rows(batch, pad)


def check_rows(batch, pad):
    for side in ("", "decoder_"):
        units = batch[f"{side}units" if side else "encoder_units"]
        padding = batch[f"{side}sequence_ids"] == 0
        assert (units[padding] == pad).all() and not (units[~padding] == pad).any()
        for row in batch[f"{side}sequence_ids"].tolist():
            assert row == sorted(row, key=lambda number: number or len(row) + 1), "from left to right, padding last"
            assert set(row) - {0} == set(range(1, max(row) + 1))
    for row, sources, own in zip(
        batch["sequence_ids"].tolist(),
        batch["decoder_source_ids"].tolist(),
        batch["decoder_sequence_ids"].tolist(),
        strict=True,
    ):
        assert {source for source, number in zip(sources, own, strict=True) if number} == set(row) - {0}
        assert set(sources) <= set(row), "every decoder position has a source"


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("tasks", [*([task] for task in PRETRAINING_TASKS), list(PRETRAINING_TASKS), []], ids=str)
def test_contract(build, tasks, layout):
    items = [one for one in make_items() if one.drawn.task in tasks]
    batches = build(layout=layout)(items)
    names = [name for task in tasks for name in PRETRAINING_VIEWS if name.split("_")[0] == task]
    if layout == "packed":
        batches = [batches]
    else:
        assert len(batches) == max(1, len(names))
    for batch in batches:
        check_contract(batch)
        assert set(batch) - set(SHAPES) == {"record_ids"}
    seen = {number for batch in batches for number in batch["decoder_view_ids"].tolist()}
    assert [name for number, name in enumerate(PRETRAINING_VIEWS) if number in seen] == names


def test_plain_batches_hold_one_view_of_one_task(build):
    batches = build(layout="plain")(make_items())
    for name, batch in zip(PRETRAINING_VIEWS, batches, strict=True):
        task = name.split("_")[0]
        assert set(batch["decoder_view_ids"].tolist()) == {PRETRAINING_VIEWS.index(name)}
        assert batch["encoder_units"].shape[0] == 2 and batch["sequence_ids"].max() == 1
        assert batch["decoder_sequence_ids"].max() == (2 if name.endswith("alignment") else 1)
        assert batch["input_features"].shape[0] == (2 if task in ("speech", "asr", "ast") else 1)
        assert batch["record_ids"] == [one.drawn.example.id for one in make_items() if one.drawn.task == task]


# -- what the units say; tests/contract/test_pretraining_parity.py compares it with views written by loops


def decode(batch, items):
    """Every view of a batch in words: what is read, written and asked, without units, rows and places."""
    speakers = [one.drawn.example.id for one in items if one.error is None and one.waveform is not None]
    num_frames = -(-batch["input_features"].shape[1] // 4)

    def say(unit):
        if unit == 0:
            return "MASK"
        if unit <= len(speakers) * num_frames:
            return f"{speakers[(unit - 1) // num_frames]}/{(unit - 1) % num_frames}"
        return int(batch["text_ids"][unit - 1 - batch["input_features"].shape[0] * num_frames])

    def side(prefix, labels, row, sequence):
        units = batch[f"{prefix}units" if prefix else "encoder_units"]
        asked = dict(zip(batch[labels[0]].tolist(), map(say, batch[labels[1]].tolist()), strict=True))
        width = units.shape[1]
        return [
            (
                say(units[row, place].item()),
                batch[f"{prefix}modality_ids"][row, place].item(),
                batch[f"{prefix}language_ids"][row, place].item(),
                batch[f"{prefix}position_ids"][row, place].item(),
                asked.get(row * width + place),
            )
            for place in range(width)
            if batch[f"{prefix}sequence_ids"][row, place] == sequence
        ]

    views = []
    width = batch["decoder_units"].shape[1]
    names = dict(zip(batch["decoder_label_positions"].tolist(), batch["decoder_view_ids"].tolist(), strict=True))
    ctc = {}
    for positions, labels in zip(batch["ctc_positions"].tolist(), batch["ctc_labels"].tolist(), strict=True):
        if any(label != -100 for label in labels):
            ctc[tuple(one for one in positions if one >= 0)] = [label for label in labels if label != -100]
    for row in range(len(batch["sequence_ids"])):
        for sequence in range(1, int(batch["sequence_ids"][row].max()) + 1):
            read = side("", ("mlm_positions", "mlm_labels"), row, sequence)
            places = (batch["sequence_ids"][row] == sequence).nonzero().flatten() + row * batch["sequence_ids"].shape[
                1
            ]
            written, kinds = [], set()
            for own in range(1, int(batch["decoder_sequence_ids"][row].max()) + 1):
                where = (batch["decoder_sequence_ids"][row] == own).nonzero().flatten()
                if batch["decoder_source_ids"][row, where[0]] == sequence:
                    written.append(side("decoder_", ("decoder_label_positions", "decoder_labels"), row, own))
                    kinds |= {names[row * width + i] for i in where.tolist() if row * width + i in names}
            assert len(kinds) <= 1
            name = PRETRAINING_VIEWS[kinds.pop()] if kinds else "?"
            label = batch["source_language_labels"][row, sequence].item()
            views.append((name, read, written, label, ctc.pop(tuple(places.tolist()), None)))
    assert not ctc, "CTC stands on whole views"
    return sorted(views, key=repr)


def test_views_depend_on_their_example_alone(build):
    items = make_items()
    together = decode(build()(items), items)
    shuffled = [items[number] for number in np.random.default_rng(0).permutation(len(items))]
    assert decode(build()(shuffled), shuffled) == together
    assert decode(build(max_row_length=30, pad_to_multiple_of=8)(items), items) == together
    alone = [view for one in items for view in decode(build()([one]), [one])]
    assert sorted(alone, key=repr) == together
    for other in (
        build(seed=SEED + 1)(items),
        build()([item("s1", frames=101, key=DrawKey(0, epoch=1)), *items[1:]]),
        build()([item("s1", frames=101, key=DrawKey(0, copy=1)), *items[1:]]),
    ):
        assert decode(other, items) != together


def test_the_language_is_asked_where_it_is_known_and_not_told(build):
    for lang, told, asked in (("fr", "und", {3}), ("fr", None, set()), ("und", None, set())):
        labels = build()([item("t", text="a", lang=lang, told=told)])["source_language_labels"]
        assert set(labels.flatten().tolist()) - {-100} == asked


# -- speech, padding and limits


def test_every_utterance_goes_in_once(build):
    items = make_items()
    batch = build(pad_frames_to_multiple_of=16)(items)
    assert batch["input_features"].shape == (6, 112, 80)
    assert batch["attention_mask"].sum(dim=1).tolist() == [101, 1, 90, 3, 62, 2]
    assert batch["record_ids"] == [one.drawn.example.id for one in items]


def test_without_speech_there_is_a_silent_utterance_that_nothing_points_to(build):
    texts = [one for one in make_items() if one.waveform is None]
    for batch in (build()(texts), *build(layout="plain")(texts)):
        assert batch["input_features"].tolist() == torch.zeros(1, 4, 80).tolist()
        assert batch["attention_mask"].tolist() == [[1] * 4]
        for name in ("encoder_units", "decoder_units", "mlm_labels", "decoder_labels"):
            assert not (batch[name] == 1).any()
    assert build(pad_frames_to_multiple_of=32)(texts)["attention_mask"].sum(dim=1).tolist() == [4]


@pytest.mark.parametrize("extractor", [SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor])
def test_a_speech_tokenizer_that_reads_something_else_gets_waveforms(extractor):
    tiny, frontend = make_tiny_processor(), "waveform" if extractor is Wav2Vec2FeatureExtractor else "stacked_frames"
    processor = SimpleNamespace(feature_extractor=extractor(), tokenizer=tiny.tokenizer, languages=tiny.languages)
    config = ConformerEncoderConfig(frontend=frontend)
    record = SpeechTextRecord(id="0", corpus="test", lang="fr", audio="x.wav")
    speech, text = build_item("s", samples=16_000, lang="fr"), item("t", text="a")
    speech = replace(speech, drawn=replace(speech.drawn, example=replace(speech.drawn.example, record=record)))
    alone = Mu2SLAMPreTrainingCollator(processor, seed=0, encoder_config=config)([speech])
    assert not set(NON_MODEL_KEYS[1:]) & set(alone)
    processor.speech_tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    collator = Mu2SLAMPreTrainingCollator(processor, seed=0, encoder_config=config)
    batch = collator([speech, text])
    assert set(batch) - set(alone) == set(NON_MODEL_KEYS[1:])
    assert [len(waveform) for waveform in batch["speech_tokenizer_waveforms"]] == [16_000]
    assert batch["speech_tokenizer_keys"] == ["test/fr/0/16000"]
    frames = encoder_length(batch["attention_mask"].sum(dim=1), config).tolist()
    assert frames == [49] == [int((batch["sequence_ids"][batch["modality_ids"] == 0] > 0).sum())]
    silent = collator([text])
    assert silent["speech_tokenizer_keys"] == ["silence"] and not silent[collator.speech.name].any()


def test_row_lengths(build):
    items = [item(f"m{i}", text="a message " * 6, targets=(("mt", "fr", "la touche " * 6),)) for i in range(6)]
    together = build()(items)
    # The two longest views alone are a pair of texts and its closing tokens.
    longest = max(int((together["sequence_ids"] == number).sum(dim=1).max()) for number in range(1, 20))
    batch = build(max_row_length=longest, pad_to_multiple_of=8)(items)
    assert batch["encoder_units"].shape[1] <= longest + 8 and batch["encoder_units"].shape[1] % 8 == 0
    assert batch["decoder_units"].shape[1] <= longest + 8 and batch["decoder_units"].shape[1] % 8 == 0
    small = build(max_row_length=10)(items)
    assert small["encoder_units"].shape[1] == longest, "a view is never cut"
    assert padding_share(together).encoder <= 0.08 and padding_share(together).decoder <= 0.08


def test_faults(build):
    for example, message in (
        (item("x", frames=5, targets=(("asr", "en", "a"), ("ast", "fr", "b"))), r"x.*speech with .*\['asr', 'ast'\]"),
        (item("x", text="a", targets=(("asr", "en", "a"),)), r"x.*text with .*\['asr'\]"),
        (item("x", frames=5, targets=(("mt", "en", "a"),)), r"x.*speech with .*\['mt'\]"),
        (item("x", text="a", lang="pt"), "'pt'"),
    ):
        with pytest.raises(ValueError, match=message):
            build()([example])
    for options, message in (
        ({"layout": "rows"}, "`layout` must be one of packed, plain; got 'rows'"),
        ({"ctc_input": "dirty"}, "`ctc_input` must be one of masked, clean; got 'dirty'"),
        ({"max_row_length": 0}, "`max_row_length` must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            build(**options)
