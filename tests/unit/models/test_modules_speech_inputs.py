# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

from mu2slam_hf import ConformerEncoderConfig
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_speech_inputs import extract_speech, frontend_of

EXTRACTORS = {
    "stacked_frames": (SeamlessM4TFeatureExtractor, "input_features"),
    "waveform": (Wav2Vec2FeatureExtractor, "input_values"),
}


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


@pytest.mark.parametrize("frontend", EXTRACTORS)
def test_alone_and_in_a_batch_at_any_rate_and_however_short(frontend):
    kind, name = EXTRACTORS[frontend]
    extractor, config = kind(), ConformerEncoderConfig(frontend=frontend)
    assert frontend_of(extractor) == frontend
    clips = [noise(16000), noise(7001, 1), noise(3, 2)]
    batch = extract_speech(extractor, clips, 16000)
    assert batch["attention_mask"].dtype == torch.int64
    lengths = batch["attention_mask"].sum(dim=1)
    assert (encoder_length(lengths, config) >= 1).all()
    for row, clip in enumerate(clips):
        alone = extract_speech(extractor, [clip], 16000)
        number = int(alone["attention_mask"].sum())
        assert number == lengths[row]
        torch.testing.assert_close(batch[name][row, :number], alone[name][0, :number], atol=1e-5, rtol=0)
    stereo = np.stack([clips[0], clips[0]], axis=1)
    resampled = extract_speech(extractor, [{"array": stereo[::2], "sampling_rate": 8000}])
    assert abs(int(resampled["attention_mask"].sum()) - int(lengths[0])) <= lengths[0] // 50
    with pytest.raises(ValueError, match=r"audio\[0\] is invalid: sample 1 of 2 is NaN"):
        extract_speech(extractor, [np.array([0.0, np.nan])], 16000)
