# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Saved weights can be read by whoever can read the configuration beside them."""

import os

import pytest
from helpers import make_tiny_pair
from peft import LoraConfig

from mu2slam_hf import SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.models.modules_adapter_growth import AdapterGrowth
from mu2slam_hf.training.language_adapters import LanguagePeftModel
from mu2slam_hf.training.model_average import write_average


@pytest.fixture(params=[0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_weights_follow_the_umask(umask, tmp_path):
    model, processor = make_tiny_pair()
    processor.speech_tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    for name in ("one", "two"):
        model.save_pretrained(tmp_path / name)
        processor.save_pretrained(tmp_path / name)
    write_average([tmp_path / "one", tmp_path / "two"], tmp_path / "mean")
    growth = AdapterGrowth(fingerprints={}, num_tokens=len(processor.tokenizer), base_languages=("en",))
    adapted = LanguagePeftModel(model, LoraConfig(target_modules=["q_proj"]), growth)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    weights = sorted(tmp_path.rglob("*.safetensors"))
    assert len(weights) == 7
    for file in weights:
        assert file.stat().st_mode & 0o777 == 0o666 & ~umask, file
