# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A folder of adapters is a model for transformers: with its base model, wherever the working directory is."""

import json

import numpy as np
import pytest
import torch
from helpers import save_tiny_checkpoint
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

from mu2slam_hf import Mu2SLAMForAudioClassification, Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC, Mu2SLAMProcessor
from mu2slam_hf.recipes.runs.models import add_adapters
from mu2slam_hf.recipes.schema.sections import LoraSection

WAVE = np.random.default_rng(0).normal(size=9000).astype(np.float32) * 0.1


@pytest.fixture(params=[[], ["language_head"]], ids=["adapters", "adapters and a head"])
def saved(request, tmp_path, monkeypatch):
    """The folder of adapters on a base model that was named by a relative path, and the merged model."""
    save_tiny_checkpoint(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    section = LoraSection(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=request.param)
    processor = Mu2SLAMProcessor.from_pretrained("base")
    adapted = add_adapters(section, Mu2SLAMForConditionalGeneration.from_pretrained("base"), processor)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    adapted.save_pretrained("adapters")
    Mu2SLAMProcessor.from_pretrained("base").save_pretrained("adapters")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return tmp_path / "adapters", adapted.merge_and_unload().eval()


@torch.no_grad()
def test_adapters_load_with_their_base_model(saved):
    folder, merged = saved
    stored = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert stored == str(folder.parent / "base")
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(audio=WAVE, sampling_rate=16000, source_lang="es")
    decoder = {"decoder_input_ids": torch.tensor([[1, 81, 82]])}
    expected = merged(**inputs, **decoder)
    base = Mu2SLAMForConditionalGeneration.from_pretrained(folder.parent / "base")(**inputs, **decoder)
    assert not torch.allclose(base.logits, expected.logits, atol=1e-2)
    loaded = AutoModelForSpeechSeq2Seq.from_pretrained(folder)
    actual = loaded(**inputs, **decoder)
    torch.testing.assert_close(actual.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(actual.language_logits, expected.language_logits, rtol=1e-4, atol=1e-5)
    for head, logits in (
        (Mu2SLAMForCTC, expected.ctc_logits),
        (Mu2SLAMForAudioClassification, expected.language_logits[:, 1:]),
    ):
        torch.testing.assert_close(head.from_pretrained(folder)(**inputs).logits, logits, rtol=1e-4, atol=1e-5)


def test_pipelines_of_a_folder_of_adapters(saved):
    folder, merged = saved
    processor = Mu2SLAMProcessor.from_pretrained(folder)
    parts = {"tokenizer": processor.tokenizer, "feature_extractor": processor.feature_extractor, "device": "cpu"}
    settings = {"generate_kwargs": {"max_new_tokens": 6, "num_beams": 1}}
    recognizer = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    assert isinstance(recognizer.model, Mu2SLAMForConditionalGeneration)
    expected = pipeline("automatic-speech-recognition", model=merged, **parts)(WAVE, **settings)
    assert recognizer(WAVE, **settings) == expected
    scores = pipeline("audio-classification", model=str(folder), device="cpu")(WAVE)
    expected = pipeline("audio-classification", model=merged, **parts)(WAVE)
    assert [one["label"] for one in scores] == [one["label"] for one in expected]
    assert [one["score"] for one in scores] == pytest.approx([one["score"] for one in expected], abs=1e-4)
