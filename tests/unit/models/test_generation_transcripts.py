# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translation of speech by way of its transcript is recognition followed by translation of the text."""

import pytest
import torch
from tiny_models import TEXT_OFFSET, speech_batch, writing_model

from mu2slam_hf import Mu2SLAMForConditionalGeneration

EOS = 2
LENGTHS = [190, 41, 120, 90]


@pytest.fixture(scope="module")
def model() -> Mu2SLAMForConditionalGeneration:
    """Random weights that write texts of different lengths."""
    return writing_model(seed=7, end_bias=0.3)


def texts(ids: torch.Tensor) -> list[list[int]]:
    return [[token for token in row if token >= TEXT_OFFSET] for row in ids.tolist()]


def translate_in_two_steps(model, row: dict, source: str, target: str, **options) -> list[int]:
    """Recognition, then translation of the text, of one recording."""
    (transcript,) = texts(model.generate(**row, source_lang=source, **options))
    assert transcript
    source_ids = torch.tensor([[*transcript, EOS]])
    return texts(model.generate(input_ids=source_ids, source_lang=source, target_lang=target, **options))[0]


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"ctc_weight": 0.4}], ids=str)
def test_equals_two_steps(model, options):
    batch = speech_batch(LENGTHS, garbage=1e9)
    found = texts(model.generate(**batch, source_lang="es", target_lang="fr", translate_transcript=True, **options))
    for row, length in enumerate(LENGTHS):
        alone = {name: value[row : row + 1, :length] for name, value in batch.items()}
        assert found[row] == translate_in_two_steps(model, alone, "es", "fr", **options)
    direct = texts(model.generate(**batch, source_lang="es", target_lang="fr", **options))
    assert direct != found


def test_transcripts_of_the_same_batch_stay_as_they_are(model):
    batch = speech_batch(LENGTHS)
    targets = ["es", "fr", "es", "fr"]
    found = texts(model.generate(**batch, source_lang="es", target_lang=targets, translate_transcript=True))
    same = texts(model.generate(**batch, source_lang="es"))
    translated = texts(model.generate(**batch, source_lang="es", target_lang="fr", translate_transcript=True))
    assert found == [same[0], translated[1], same[2], translated[3]]


def test_the_generation_configuration_decides(model, monkeypatch):
    batch = speech_batch(LENGTHS)
    given = model.generate(**batch, source_lang="es", target_lang="fr", translate_transcript=True)
    monkeypatch.setattr(model.generation_config, "translate_transcript", True, raising=False)
    assert torch.equal(model.generate(**batch, source_lang="es", target_lang="fr"), given)
    direct = model.generate(**batch, source_lang="es", target_lang="fr", translate_transcript=False)
    assert not torch.equal(direct, given)


def test_recordings_without_words_are_translated_directly(model):
    batch = speech_batch(LENGTHS)
    found = {}
    with torch.no_grad():
        bias = model.lm_head.bias[EOS].clone()
        model.lm_head.bias[EOS] = 1e4  # every transcript ends at once, and so do translations
        for name in (True, False):
            found[name] = model.generate(**batch, source_lang="es", target_lang="fr", translate_transcript=name)
        model.lm_head.bias[EOS] = bias
    assert torch.equal(found[True], found[False]) and texts(found[True]) == [[]] * len(LENGTHS)
