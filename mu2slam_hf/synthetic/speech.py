# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Synthesis of waveforms from texts, with voices, levels and bandwidths drawn from a seed.

Shapes: n samples of one clip.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mu2slam_hf.synthetic.espeak import INSTALL_HINT, NATIVE_SAMPLING_RATE, EspeakEngine, SpeechRequest

# Variants of espeak-ng 1.52 with clearly different log spectra for the same sentence. Whispering, robotic and broken
# ones (whisper*, robosoft*, croak, UniRobot, Demonic, announcer, anikaRobot) and near duplicates are excluded.
VOICE_VARIANTS = (
    *("Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike").split(),
    *(
        "Nguyen Reed RicishayMax RicishayMax2 Storm Tweaky adam anika antonio aunty belinda boris caleb david ed"
    ).split(),
    *(
        "edward f1 f2 f3 f4 f5 grandma grandpa ian iven iven2 kaukovalta klatt klatt3 klatt4 linda m1 m2 m3 m4 m6"
    ).split(),
    *("m7 m8 marcelo max norbert pablo paul pedro quincy robert shelby steph travis victor zac").split(),
)
# Voices of espeak-ng are file names; those of other languages have the name of the primary subtag.
ESPEAK_VOICES = {
    **{"en": "en-us", "en-GB": "en", "zh": "cmn", "pt-BR": "pt-br", "es-419": "es-419", "es-MX": "es-419"},
    **{"fr-BE": "fr-be", "fr-CH": "fr-ch", "no": "nb"},
}


def espeak_voice(lang: str) -> str:
    """Name of the espeak-ng voice for `lang`, which may not exist."""
    primary = lang.split("-")[0]
    return ESPEAK_VOICES.get(lang) or ESPEAK_VOICES.get(primary) or primary.lower()


@dataclass(frozen=True, kw_only=True)
class SoundSettings:
    """Settings of the sound of clips.

    Attributes:
        sampling_rate: sampling rate of the result in Hz.
        band_limit_hz: upper edge of band-limited clips in Hz, 4,000 for telephone speech; None means no limit.
        band_limit_prob: share of band-limited clips.
        level_range_dbfs: range of random levels (root mean square, in dB relative to full scale).
        rate_range: range of words per minute for espeak-ng. 130 to 200 gives 15 to 18 characters per second;
            professional telephone prompts have 9 to 14, so the range starts lower.
        pitch_range: range within 0 to 99; 50 is the default of the voice.
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
        """Name of voice and variant, such as `espeak:fr+f3`."""
        return f"espeak:{self.request.voice}"


@dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """A clip to synthesise.

    Attributes:
        id: unique together with `lang`.
        lang: language code.
        plan: text and sound.
        translations: text by language code, without `lang`.
        kind: arbitrary label.
    """

    id: str
    lang: str
    plan: ClipPlan
    translations: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""


def plan_clips(text: str, lang: str, *, key: str, settings: SoundSettings, num_voices: int = 1) -> list[ClipPlan]:
    """Plans of one text in `num_voices` voices, which are distinct if there are enough variants.

    Args:
        text: text to speak.
        lang: language of the text.
        key: seed, any string; equal keys give equal plans.
        settings: bandwidth and level.
        num_voices: number of clips.
    """
    source = random.Random(key)
    variants: list[str] = []
    while len(variants) < num_voices:
        variants += source.sample(VOICE_VARIANTS, min(num_voices - len(variants), len(VOICE_VARIANTS)))
    plans = []
    for variant in variants:
        rate, pitch = source.randint(*settings.rate_range), source.randint(*settings.pitch_range)
        request = SpeechRequest(text=text, voice=f"{espeak_voice(lang)}+{variant}", rate=rate, pitch=pitch)
        level = source.uniform(*settings.level_range_dbfs)
        limited = settings.band_limit_hz is not None and source.random() < settings.band_limit_prob
        plans.append(ClipPlan(request=request, level_dbfs=level, band_limited=limited))
    return plans


def speak_plans(engine: EspeakEngine, plans: Sequence[ClipPlan], settings: SoundSettings) -> list[np.ndarray]:
    """Synthesise one block of plans.

    Returns:
        One `(n,)` float32 array per plan at `settings.sampling_rate`, within -1 to 1; `n = 0` for silent clips.

    Raises:
        ImportError: soxr is not installed.
        RuntimeError: espeak-ng crashed.
    """
    blocks = engine.speak_block([plan.request for plan in plans])
    return [finish_clip(pcm, plan, settings) for pcm, plan in zip(blocks, plans, strict=True)]


def finish_clip(pcm: bytes, plan: ClipPlan, settings: SoundSettings) -> np.ndarray:
    """Waveform `(n,)` float32 of the output of espeak-ng for a plan; not trimmed, so that times are preserved.

    Args:
        pcm: int16 samples at the rate of espeak-ng.
        plan: bandwidth and level.
        settings: rate of the result.
    """
    try:
        import soxr
    except ImportError as error:
        raise ImportError(f"{INSTALL_HINT} (soxr is missing)") from error
    audio = np.frombuffer(pcm, dtype=np.int16).astype(np.float32) / 32768
    if not np.any(audio):
        return np.zeros(0, dtype=np.float32)
    rate: float = NATIVE_SAMPLING_RATE
    if plan.band_limited and settings.band_limit_hz is not None:
        rate_of_band = 2 * settings.band_limit_hz
        audio, rate = soxr.resample(audio, rate, rate_of_band), rate_of_band
    if rate != settings.sampling_rate:
        audio = soxr.resample(audio, rate, settings.sampling_rate)
    gain = 10 ** (plan.level_dbfs / 20) / float(np.sqrt(np.mean(np.square(audio))))
    # Peaks of speech exceed its mean by 12 to 20 dB: the loudest clips are scaled down to avoid clipping.
    return (audio * min(gain, 0.99 / float(np.max(np.abs(audio))))).astype(np.float32)
