# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Synthesis of waveforms from texts, with voices, levels and bandwidths drawn from a seed.

Shapes: n samples of one clip.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lab.synthesis.engine_registry import EngineGroup
from lab.synthesis.espeak import INSTALL_HINT
from lab.synthesis.espeak_server import NATIVE_SAMPLING_RATE
from lab.synthesis.espeak_voices import VOICE_VARIANTS, espeak_voice
from lab.synthesis.speech_engine import ESPEAK_NG, SpeechEngine, SpeechRequest, SpokenClip
from lab.synthesis.voice_mix import VoiceMix


@dataclass(frozen=True, kw_only=True)
class SoundSettings:
    """Settings of the sound of clips.

    Attributes:
        sampling_rate: sampling rate of the result in Hz.
        band_limit_hz: upper edge of band-limited clips in Hz, 4,000 for telephone speech; None means no limit.
        band_limit_prob: share of band-limited clips.
        level_range_dbfs: range of random levels (root mean square, in dB relative to full scale).
        rate_range: range of words per minute of espeak-ng. 130 to 200 gives 15 to 18 characters per second;
            professional telephone prompts have 9 to 14, so the range starts lower.
        pitch_range: range within 0 to 99 of espeak-ng; 50 is the default of the voice.
    """

    sampling_rate: int = 16000
    band_limit_hz: float | None = 4000.0
    band_limit_prob: float = 0.75
    level_range_dbfs: tuple[float, float] = (-32.0, -18.0)
    rate_range: tuple[int, int] = (80, 170)
    pitch_range: tuple[int, int] = (25, 75)

    def __post_init__(self) -> None:
        if self.band_limit_hz is not None and not 0 < self.band_limit_hz <= NATIVE_SAMPLING_RATE / 2:
            raise ValueError(f"band_limit_hz must be in 0 to {NATIVE_SAMPLING_RATE // 2}, got {self.band_limit_hz}")
        if not 0 <= self.band_limit_prob <= 1:
            raise ValueError(f"band_limit_prob must be between 0 and 1, got {self.band_limit_prob}")
        ranges = {"rate_range": (self.rate_range, 80, 450), "pitch_range": (self.pitch_range, 0, 99)}
        for name, ((low, high), least, most) in ranges.items():
            if not least <= low <= high <= most:
                raise ValueError(f"{name} must be an increasing range within {least} to {most}, got {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """Plan of a clip, which together with its position in the block determines its sound.

    Attributes:
        request: text, voice, rate, pitch.
        level_dbfs: root mean square of the clip in dB relative to full scale.
        band_limited: whether frequencies above `SoundSettings.band_limit_hz` are removed.
    """

    request: SpeechRequest
    level_dbfs: float
    band_limited: bool

    @property
    def speaker(self) -> str:
        """Engine and voice, such as `espeak:fr+f3` or `festival:kal_diphone`."""
        engine = "espeak" if self.request.engine == ESPEAK_NG else self.request.engine
        return f"{engine}:{self.request.voice}"


@dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """A clip to synthesise.

    Attributes:
        id: unique together with `lang`.
        lang: language code.
        plan: text and sound.
        translations: text by language code, without `lang`.
        kind: arbitrary label.
        transcript: what the manifest has as text; the spoken text if empty.
    """

    id: str
    lang: str
    plan: ClipPlan
    translations: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    transcript: str = ""


def plan_clips(
    text: str, lang: str, *, key: str, settings: SoundSettings, num_voices: int = 1, voices: VoiceMix | None = None
) -> list[ClipPlan]:
    """Plans of one text in `num_voices` voices, which are distinct if there are enough.

    Args:
        text: text to speak.
        lang: language of the text.
        key: seed, any string; equal keys give equal plans.
        settings: bandwidth, level, rates and pitches of espeak-ng.
        num_voices: number of clips.
        voices: engines to draw from; None means the variants of espeak-ng.

    Raises:
        ValueError: `voices` has no voice for the language.
    """
    source = random.Random(key)
    plans = []
    for engine, name in _draw_voices(lang, num_voices, source, voices):
        natural = voices is not None and engine != ESPEAK_NG
        rates = voices.rate_range if voices is not None and natural else settings.rate_range
        pitches = voices.pitch_range if voices is not None and natural else settings.pitch_range
        rate, pitch = source.randint(*rates), source.randint(*pitches)
        request = SpeechRequest(text=text, voice=name, rate=rate, pitch=pitch, engine=engine)
        level = source.uniform(*settings.level_range_dbfs)
        limited = settings.band_limit_hz is not None and source.random() < settings.band_limit_prob
        plans.append(ClipPlan(request=request, level_dbfs=level, band_limited=limited))
    return plans


def _draw_voices(lang: str, number: int, source: random.Random, voices: VoiceMix | None) -> list[tuple[str, str]]:
    """Pairs of engine and voice."""
    if voices is not None:
        return [(voice.engine, voice.name) for voice in voices.draw(lang, number, source)]
    variants: list[str] = []
    while len(variants) < number:
        variants += source.sample(VOICE_VARIANTS, min(number - len(variants), len(VOICE_VARIANTS)))
    return [(ESPEAK_NG, f"{espeak_voice(lang)}+{variant}") for variant in variants]


def speak_plans(
    engine: SpeechEngine | EngineGroup, plans: Sequence[ClipPlan], settings: SoundSettings
) -> list[np.ndarray]:
    """Synthesise one block of plans.

    Args:
        engine: the engine of all requests, or a group that has their engines.
        plans: voices, levels and bandwidths.
        settings: rate of the result.

    Returns:
        One `(n,)` float32 array per plan at `settings.sampling_rate`, within -1 to 1; `n = 0` for silent clips.

    Raises:
        ImportError: soxr is not installed.
        RuntimeError: an engine crashed.
    """
    clips = engine.speak([plan.request for plan in plans])
    return [finish_clip(clip, plan, settings) for clip, plan in zip(clips, plans, strict=True)]


def finish_clip(clip: SpokenClip, plan: ClipPlan, settings: SoundSettings) -> np.ndarray:
    """Waveform `(n,)` float32 of the output of an engine for a plan; not trimmed, so that times are preserved.

    Args:
        clip: output of the engine.
        plan: bandwidth and level.
        settings: rate of the result.
    """
    try:
        import soxr
    except ImportError as error:
        raise ImportError(f"{INSTALL_HINT} (soxr is missing)") from error
    audio = np.frombuffer(clip.pcm, dtype=np.int16).astype(np.float32) / 32768
    if not np.any(audio):
        return np.zeros(0, dtype=np.float32)
    rate: float = clip.sampling_rate
    if plan.band_limited and settings.band_limit_hz is not None:
        rate_of_band = 2 * settings.band_limit_hz
        audio, rate = soxr.resample(audio, rate, rate_of_band), rate_of_band
    if rate != settings.sampling_rate:
        audio = soxr.resample(audio, rate, settings.sampling_rate)
    gain = 10 ** (plan.level_dbfs / 20) / float(np.sqrt(np.mean(np.square(audio))))
    # Peaks of speech exceed its mean by 12 to 20 dB: the loudest clips are scaled down to avoid clipping.
    return (audio * min(gain, 0.99 / float(np.max(np.abs(audio))))).astype(np.float32)
