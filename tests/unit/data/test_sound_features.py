# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
from non_speech_checks import RATE, check_features_do_not_depend_on_gain, feature_values, make_sound

from mu2slam_hf.data.non_speech import NON_SPEECH_KINDS
from mu2slam_hf.data.sound_features import measure_sound


def sound(kind, num_samples=2 * RATE):
    return make_sound(NON_SPEECH_KINDS[kind], num_samples)


@pytest.mark.parametrize("kind", NON_SPEECH_KINDS)
def test_features_are_finite_and_do_not_depend_on_gain(kind):
    check_features_do_not_depend_on_gain(NON_SPEECH_KINDS[kind])


@pytest.mark.parametrize("num_samples", [1, 2, 160, 400, 401, 1999, 2000, 2001])
@pytest.mark.parametrize("value", [0.0, 1e-6, 1.0])
def test_tiny_sounds(num_samples, value):
    level, features = measure_sound(np.full(num_samples, value, np.float32), RATE)
    assert np.isfinite(level) and np.isfinite(feature_values(features)).all()
    assert value or level == -120


def test_names_do_not_depend_on_the_sound():
    names = {tuple(measure_sound(sound(kind, n), RATE)[1]) for kind in NON_SPEECH_KINDS for n in (100, RATE)}
    assert len(names) == 1


def test_measuring_twice_gives_the_same():
    samples = sound("melody")
    copy = samples.copy()
    assert measure_sound(samples, RATE) == measure_sound(samples, RATE)
    assert (samples == copy).all()


def test_level_of_a_tone():
    time = np.arange(RATE) / RATE
    loud, _ = measure_sound(np.sin(2 * np.pi * 1000 * time), RATE)
    assert loud == pytest.approx(0, abs=6)
    quiet, _ = measure_sound(0.01 * np.sin(2 * np.pi * 1000 * time), RATE)
    assert quiet == pytest.approx(loud - 40)
    # Frequencies outside of a telephone's do not count.
    assert measure_sound(np.sin(2 * np.pi * 6000 * time), RATE)[0] < -40


def test_what_the_features_tell():
    features = {kind: measure_sound(sound(kind), RATE)[1] for kind in ("white_noise", "tone", "fluttering_noise")}
    noise, tone, flutter = features.values()
    assert noise["entropy_mean"] > tone["entropy_mean"] + 1
    assert tone["similarity_60ms_p50"] > 0.9 > noise["similarity_60ms_p50"]
    assert flutter["syllable_modulation"] > noise["syllable_modulation"] + 0.3
    time = np.arange(RATE) / RATE
    pulses = np.sign(np.sin(2 * np.pi * 120 * time))
    assert measure_sound(pulses, RATE)[1]["periodicity_p50"] > 0.95 > 0.6 > noise["periodicity_p50"]
    assert measure_sound(pulses, RATE)[1]["pitch_step_p50"] < 0.1
    for seconds in (1, 4):
        length = measure_sound(np.ones(seconds * RATE), RATE)[1]["log_seconds"]
        assert length == pytest.approx(np.log(seconds))
