# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""CTC outside `generate`: what reads a model's CTC head sees no token that was added for another language."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import make_tiny_config, make_tiny_processor
from mslam_batches import make_config as make_mslam_config

from mu2slam_hf import (
    MSLAMForCTC,
    MSLAMForPreTraining,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMForPreTraining,
    add_language,
)
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.tasks.heads import measure_head
from mu2slam_hf.hub.card_examples import make_card_examples
from mu2slam_hf.inference.alignment import align
from mu2slam_hf.recipes.data.head_data import build_head_example
from mu2slam_hf.recipes.runs.development import build_generation_metrics

NEW = "\u0254\u025b"
CTC_MODELS = ("mu2slam", "mslam")


def record(lang: str, text: str = "press one") -> SpeechTextRecord:
    wave = np.random.default_rng(0).normal(size=24000).astype(np.float32) * 0.1
    return SpeechTextRecord(id=lang, lang=lang, audio=wave, text=text, duration_seconds=1.5)


def make_model(kind: str, processor):
    """A model with random weights whose CTC head writes something; its vocabulary is that of the processor."""
    torch.manual_seed(3)
    tokenizer = processor.tokenizer
    config = make_tiny_config(vocab_size=len(tokenizer))
    if kind == "mu2slam_pretraining":
        model = Mu2SLAMForPreTraining(config)
    elif kind == "mu2slam":
        model = Mu2SLAMForCTC.from_conditional_generation(Mu2SLAMForConditionalGeneration(config))
    else:
        sizes = {"vocab_size": len(tokenizer), "text_token_offset": tokenizer.text_token_offset}
        model = MSLAMForCTC.from_pretraining(
            MSLAMForPreTraining(make_mslam_config(**sizes, languages=list(processor.languages)))
        )
    with torch.no_grad():
        model.ctc_head.bias[tokenizer.convert_tokens_to_ids("e")] += 5.0
    return model.eval()


def make_pairs(kind: str):
    """(model, processor) before a language is added, and after it was trained so that it prefers its characters."""
    processor = make_tiny_processor()
    model = make_model(kind, processor)
    before, old_processor = copy.deepcopy(model), make_tiny_processor()
    growth = add_language(model, processor, "mdw", characters=NEW)
    with torch.no_grad():
        model.ctc_head.bias[growth.characters[0].token_id :] += 30.0
    return (before, old_processor), (model, processor)


def transcribe_by_head(model, processor, lang: str) -> str:
    processor = processor.for_ctc()
    dataset = ExampleDataset([build_head_example(record(lang), "speech", "asr", "press one")])
    collator = HeadCollator(processor, encoder_config=model.config.encoder_config)
    ((_, _, hypothesis),) = measure_head(model, processor, dataset, collator, batch_size=1).transcripts
    return hypothesis


def transcribe_for_card(model, processor, lang: str) -> str:
    (example,) = make_card_examples(model, processor.for_ctc(), [record(lang)])
    return example.output


@pytest.mark.parametrize("transcribe", [transcribe_by_head, transcribe_for_card])
@pytest.mark.parametrize("kind", CTC_MODELS)
def test_greedy_transcripts(kind, transcribe):
    before, grown = make_pairs(kind)
    expected = transcribe(*before, "es")
    assert expected and transcribe(*grown, "es") == expected
    assert set(transcribe(*grown, "mdw")) & set(NEW)


def test_figures_of_pretraining():
    section = SimpleNamespace(generate_examples=1, generate_kwargs={"max_new_tokens": 2})
    before, grown = make_pairs("mu2slam_pretraining")

    def measure(pair, lang):
        records = {"own": [record(lang, "eeee ee e")]}
        figures = build_generation_metrics(section, {"own": ["asr"]}, records, pair[1])(pair[0])
        return figures["asr_ctc_cer"]

    expected = measure(before, "es")
    assert expected < 100.0 and measure(grown, "es") == expected != measure(grown, "mdw")


@pytest.mark.parametrize("kind", CTC_MODELS)
def test_alignment(kind):
    """The word of any speech, *, has the probability of the best token that the language has."""
    before, grown = make_pairs(kind)
    audio = record("es").audio
    expected, found = (align(*pair, audio, "pres * one", "es") for pair in (before, grown))
    assert [word.text for word in found.words] == ["pres", "*", "one"]
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-4)
    for one, two in zip(found.words, expected.words, strict=True):
        assert (one.start_seconds, one.end_seconds) == (two.start_seconds, two.end_seconds)
    # New characters are read in their language, in one that is unknown, and where the transcript has them.
    for lang in ("mdw", None, "es"):
        assert align(*grown, audio, NEW[0], lang).score > -5.0
