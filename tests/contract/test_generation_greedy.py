# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy search with and without drafts writes what greedy search of transformers writes."""

import random

import pytest
import torch
from helpers import REPOSITORY_ROOT
from tiny_models import TEXT_OFFSET, VOCABULARY, speech_batch, text_ids, writing_model
from transformers import MaxLengthCriteria
from transformers.generation import GenerationMixin

from mu2slam_hf import Mu2SLAMForConditionalGeneration, load_default
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.models import generation_mu2slam
from mu2slam_hf.models.generation_greedy import GreedySearch

EOS = 2
REFERENCE = {"custom_generate": GenerationMixin._sample}
ROWS = 5


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request) -> Mu2SLAMForConditionalGeneration:
    """Random weights that write texts of different lengths."""
    model = writing_model(7, 0.3, {"fr": [TEXT_OFFSET + 3], "es": [TEXT_OFFSET + 4]})
    model.set_attn_implementation(request.param)
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return speech_batch([190, 41, 120, 90, 161], garbage=1e9)


def corrupt(ids: list[int], rng: random.Random) -> list[int]:
    """A text with replaced, missing and added tokens."""
    corrupted = []
    for token in ids:
        kind = rng.random()
        other = rng.randrange(TEXT_OFFSET, VOCABULARY)
        corrupted += [token] if kind < 0.8 else [other] if kind < 0.87 else [token, other] if kind < 0.94 else []
    return corrupted


def count_steps(model, run) -> tuple[torch.Tensor, int]:
    """The result of `run`, and how often the model was called."""
    calls = []
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    try:
        return run(), len(calls)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    "options",
    [
        {"source_lang": "en", "ctc_weight": 0.4},
        {"source_lang": "en", "ctc_weight": 1.0},
        {"source_lang": "en", "max_repeats": 1},
        {"source_lang": ["en", "fr", "es", "en", "fr"], "target_lang": "fr", "ctc_weight": 0.3, "max_repeats": 1},
        {"target_lang": "en", "target_modality": "speech"},
        {"target_lang": "fr", "decoder_input_ids": torch.tensor([[1, 120, 121]] * ROWS), "ctc_weight": 0.5},
        {"source_lang": "es", "ctc_weight": 0.4, "max_new_tokens": 7},
        {"source_lang": "es", "ctc_weight": 0.4, "stopping_criteria": [MaxLengthCriteria(5)]},
        {"source_lang": "es", "min_new_tokens": 9, "repetition_penalty": 1.5},
    ],
)
def test_texts_are_those_of_transformers(model, batch, options):
    expected = model.generate(**batch, **options, **REFERENCE)
    assert torch.equal(model.generate(**batch, **options), expected)
    assert torch.equal(model.generate(**batch, **options, ctc_draft=False), expected)


def test_texts_from_text_are_those_of_transformers(model):
    source = {"input_ids": text_ids(ROWS, 9), "target_lang": "fr"}
    assert torch.equal(model.generate(**source), model.generate(**source, **REFERENCE))


@pytest.mark.parametrize("weight", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_drafts_change_the_steps_and_not_the_text(model, batch, weight, seed):
    options = {"source_lang": "en", "ctc_weight": weight, "max_repeats": 3}
    expected, plain = count_steps(model, lambda: model.generate(**batch, **options, **REFERENCE))
    rng = random.Random(seed)
    texts = [[token for token in row if token > EOS] for row in expected.tolist()]
    drafts = [corrupt(text, rng) if seed else text for text in texts]
    search = GreedySearch(drafts)
    actual, drafted = count_steps(model, lambda: model.generate(**batch, **options, custom_generate=search))
    assert torch.equal(actual, expected)
    assert plain > 40
    assert drafted < plain


def test_a_row_alone_is_drafted_as_in_a_batch(model, batch):
    options = {"source_lang": "en", "ctc_weight": 0.4}
    together = model.generate(**batch, **options)
    for row, length in enumerate(batch["attention_mask"].sum(-1).tolist()):
        alone = model.generate(input_features=batch["input_features"][row : row + 1, :length], **options)[0]
        assert torch.equal(together[row, : len(alone)], alone) and not together[row, len(alone) :].any()


def test_the_option_and_the_generation_configuration_forbid_drafts(model, batch, monkeypatch):
    seen = []

    class Recorded(GreedySearch):
        def __init__(self, drafts=None):
            seen.append(drafts)
            super().__init__(drafts)

    monkeypatch.setattr(generation_mu2slam, "GreedySearch", Recorded)
    options = {"source_lang": "en", "max_new_tokens": 2}
    model.generate(**batch, **options)
    assert len(seen[-1]) == ROWS and all(seen[-1])
    model.generate(**batch, **options, target_lang="fr")
    assert seen[-1] is None
    model.generate(**batch, **options, ctc_draft=False)
    assert seen[-1] is None
    monkeypatch.setattr(model.generation_config, "ctc_draft", False, raising=False)
    model.generate(**batch, **options)
    assert seen[-1] is None
    model.generate(**batch, **options, num_beams=2)
    model.generate(**batch, **options, do_sample=True)
    assert len(seen) == 4


def test_real_recordings_with_the_shipped_checkpoint():
    model, processor = load_default()
    files = sorted((REPOSITORY_ROOT / "examples").glob("*/*.opus"))
    languages = [file.parent.name for file in files]
    inputs = processor(audio=[load_audio(file) for file in files], sampling_rate=16000)
    options = {"source_lang": languages, "num_beams": 1}
    assert model.generation_config.ctc_weight > 0
    expected, plain = count_steps(model, lambda: model.generate(**inputs, **options, **REFERENCE))
    actual, drafted = count_steps(model, lambda: model.generate(**inputs, **options))
    assert torch.equal(actual, expected)
    assert drafted < plain
