# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Ids stay what they were when the tokenizer meets a feature extractor of another scale."""

import pytest
import torch
from helpers import make_tiny_processor

from mu2slam_hf import Mu2SLAMFeatureExtractor, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.quantization.tokenizer_loading import load_speech_tokenizer


def waves():
    generator = torch.Generator().manual_seed(0)
    return [(0.1 * torch.randn(20000, generator=generator)).numpy() for _ in range(2)]


def ids_of(tokenizer, extractor):
    return tokenizer(extractor(waves(), sampling_rate=16000)["input_features"])


@pytest.mark.parametrize("own", [{}, {"feature_mean": [0.3] * 80, "feature_std": [1.7] * 80}])
def test_another_scale_gives_the_same_ids(own, tmp_path):
    trained_with = Mu2SLAMFeatureExtractor()
    tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(kind="kmeans", num_codevectors_per_group=32, **own))
    tokenizer.save_pretrained(tmp_path / "a")
    trained_with.save_pretrained(tmp_path / "a")
    expected = ids_of(tokenizer, trained_with)
    used_with = Mu2SLAMFeatureExtractor(
        mean=[-10.0 - i / 20 for i in range(80)], std=[2.0 + i / 40 for i in range(80)]
    )
    loaded = load_speech_tokenizer(tmp_path / "a", used_with)
    assert (ids_of(loaded, used_with) == expected).float().mean() > 0.98
    assert (ids_of(tokenizer, used_with) == expected).float().mean() < 0.9
    # Saved with its new processor, it is what it is there, and from there for the first one again.
    processor = make_tiny_processor()
    processor.feature_extractor, processor.speech_tokenizer = used_with, loaded
    processor.save_pretrained(tmp_path / "b")
    again = SpeechTokenizerModel.from_pretrained(tmp_path / "b" / "speech_tokenizer")
    assert torch.equal(ids_of(again, used_with), ids_of(loaded, used_with))
    back = load_speech_tokenizer(tmp_path / "b" / "speech_tokenizer", trained_with)
    assert (ids_of(back, trained_with) == expected).float().mean() > 0.98


def test_the_same_scale_changes_nothing(tmp_path):
    tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=32))
    tokenizer.save_pretrained(tmp_path)
    assert load_speech_tokenizer(tmp_path, Mu2SLAMFeatureExtractor(std=[9.0] * 80)).config.feature_mean is None
    Mu2SLAMFeatureExtractor().save_pretrained(tmp_path)
    loaded = load_speech_tokenizer(tmp_path, Mu2SLAMFeatureExtractor(mean=[-14.0] * 80))
    assert loaded.config.feature_mean is None


def test_other_features_are_refused(tmp_path):
    SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=32)).save_pretrained(tmp_path)
    Mu2SLAMFeatureExtractor(max_frequency=4000.0).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="these settings differ: max_frequency"):
        load_speech_tokenizer(tmp_path, Mu2SLAMFeatureExtractor())
