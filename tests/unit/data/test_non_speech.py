# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest

from lab.synthesis.unseen_sounds import UNSEEN_KINDS
from mu2slam_hf.data.non_speech import NON_SPEECH_KINDS, generate_non_speech

KINDS = {**NON_SPEECH_KINDS, **UNSEEN_KINDS}


@pytest.mark.parametrize("kinds", [NON_SPEECH_KINDS, UNSEEN_KINDS])
def test_clips_have_the_levels_and_lengths_that_are_stated(kinds):
    clips = list(generate_non_speech(3 * len(kinds), seed=3, kinds=kinds))
    assert [clip.kind for clip in clips] == 3 * list(kinds)
    for clip in clips:
        assert clip.waveform.dtype == np.float32 and clip.waveform.ndim == 1
        assert 0.5 * 16_000 <= len(clip.waveform) <= 12 * 16_000
        assert np.abs(clip.waveform).max() <= 1.0
        if clip.kind == "silence":
            assert clip.level_dbfs == -np.inf and not clip.waveform.any()
            continue
        level = 10 * np.log10(np.mean(clip.waveform.astype(np.float64) ** 2))
        assert clip.level_dbfs == pytest.approx(level, abs=1e-3)
        assert clip.level_dbfs <= -12 + 1e-3
        # Below what is drawn only if the peak is at full scale.
        assert clip.level_dbfs >= -60 - 1e-3 or np.abs(clip.waveform).max() > 0.999


def test_clips_are_functions_of_seed_kind_and_position():
    clips = list(generate_non_speech(20, seed=1))
    again = list(generate_non_speech(17, seed=1))
    assert all((one.waveform == two.waveform).all() for one, two in zip(clips[:17], again, strict=True))
    others = list(generate_non_speech(20, seed=2))
    pairs = [(a.waveform, b.waveform) for a, b in zip(clips, others, strict=True) if a.kind != "silence"]
    assert not any(len(a) == len(b) and (a == b).all() for a, b in pairs)
    # The same kind at another position is another sound.
    assert len(clips[1].waveform) != len(clips[16].waveform)


@pytest.mark.parametrize("kind", KINDS)
def test_every_sound_is_audible_at_every_length(kind):
    for seed, num_samples in enumerate((1000, 8000, 24_001, 80_000)):
        samples = KINDS[kind](num_samples, np.random.default_rng(seed))
        assert samples.shape == (num_samples,) and np.isfinite(samples).all()
        assert samples.any() != (kind == "silence")
