# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.

import numpy as np
import pytest

from lab.synthesis.espeak import EspeakEngine
from lab.synthesis.speech import VOICE_VARIANTS, SoundSettings, espeak_voice, plan_clips, speak_plans

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


LEFT_OUT = ("whisper", "robosoft", "croak", "UniRobot", "Demonic", "announcer", "fast")


def test_voices():
    assert len(set(VOICE_VARIANTS)) == len(VOICE_VARIANTS) >= 65
    assert not [voice for voice in VOICE_VARIANTS if voice.startswith(LEFT_OUT)]
    assert [espeak_voice(lang) for lang in ("fr", "en", "zh", "zh-Hans", "pt-BR", "pt", "en-GB")] == [
        *("fr", "en-us", "cmn", "cmn", "pt-br", "pt", "en")
    ]


def test_plans_are_a_function_of_the_key_and_use_distinct_voices():
    plans = plan_clips("hello", "en", key="a", settings=SoundSettings(), num_voices=20)
    assert plans == plan_clips("hello", "en", key="a", settings=SoundSettings(), num_voices=20)
    assert plans != plan_clips("hello", "en", key="b", settings=SoundSettings(), num_voices=20)
    assert len({plan.speaker for plan in plans}) == 20
    assert len(plan_clips("hello", "en", key="a", settings=SoundSettings(), num_voices=100)) == 100


def test_plans_keep_their_ranges():
    settings = SoundSettings(rate_range=(100, 110), pitch_range=(40, 45), level_range_dbfs=(-20, -19))
    for plan in plan_clips("hello", "en", key="a", settings=settings, num_voices=60):
        assert 100 <= plan.request.rate <= 110 and 40 <= plan.request.pitch <= 45 and -20 <= plan.level_dbfs <= -19


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"band_limit_hz": 20_000}, "band_limit_hz must be in"),
        ({"band_limit_prob": 2}, "between 0 and 1"),
        ({"rate_range": (50, 100)}, "rate_range must be an increasing range within 80 to 450, got 50 to 100"),
        ({"pitch_range": (60, 40)}, "pitch_range must be an increasing"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoundSettings(**arguments)


@pytest.mark.parametrize("limit", [4000.0, None])
def test_band_level_and_rate(limit):
    settings = SoundSettings(band_limit_hz=limit, band_limit_prob=1.0, level_range_dbfs=(-26, -26))
    plans = plan_clips("six sisters see seas", "en", key="a", settings=settings, num_voices=3)
    with EspeakEngine() as engine:
        waves = speak_plans(engine, plans, settings)
    for wave in waves:
        assert wave.dtype == np.float32 and wave.ndim == 1 and np.abs(wave).max() < 1
        assert 20 * np.log10(np.sqrt(np.mean(wave**2))) == pytest.approx(-26, abs=0.1)
        power = np.abs(np.fft.rfft(wave)) ** 2
        above = power[np.fft.rfftfreq(len(wave), 1 / 16000) > 4200].sum() / power.sum()
        assert above < 1e-5 if limit else above > 1e-5
        assert 1 < len(wave) / 16000 < 6


def test_loud_clips_are_held_below_full_scale():
    settings = SoundSettings(level_range_dbfs=(-3, -3))
    with EspeakEngine() as engine:
        (wave,) = speak_plans(engine, plan_clips("hello", "en", key="a", settings=settings), settings)
    assert np.abs(wave).max() == pytest.approx(0.99, abs=1e-4)
