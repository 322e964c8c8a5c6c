# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Voices, level and bandwidth of synthetic speech: from a text and a seed to a float32 waveform.

Legend: n samples of one clip.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mu2slam_hf.synthetic.espeak import INSTALL_HINT, NATIVE_SAMPLING_RATE, EspeakEngine, SpeechRequest

# Variants of espeak-ng 1.52 whose log spectra differ clearly from each other on one sentence. Whispering, robotic and
# broken ones (whisper*, robosoft*, croak, UniRobot, Demonic, announcer, anikaRobot) and near copies are left out.
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
# Voices of espeak-ng are file names; languages not named here have the name of their primary subtag.
ESPEAK_VOICES = {
    **{"en": "en-us", "en-GB": "en", "zh": "cmn", "pt-BR": "pt-br", "es-419": "es-419", "es-MX": "es-419"},
    **{"fr-BE": "fr-be", "fr-CH": "fr-ch", "no": "nb"},
}


def espeak_voice(lang: str) -> str:
    """Name of the espeak-ng voice that should speak `lang`; whether it exists, the engine says."""
    primary = lang.split("-")[0]
    return ESPEAK_VOICES.get(lang) or ESPEAK_VOICES.get(primary) or primary.lower()


@dataclass(frozen=True, kw_only=True)
class SoundSettings:
    """How clips sound.

    Attributes:
        sampling_rate: of the result, in Hz.
        band_limit_hz: upper edge of a band-limited clip in Hz, 4,000 for telephone sound; None limits none.
        band_limit_prob: share of the clips that are band-limited.
        level_range_dbfs: each clip gets a random level (root mean square, in dB below full scale) from this range.
        rate_range: words per minute, as espeak-ng counts them. At 130 to 200, espeak-ng says 15 to 18 characters per
            second; professional telephone prompts have 9 to 14, so the range starts lower.
        pitch_range: 0 to 99, 50 is the voice's own.
    """

    sampling_rate: int = 16000
    band_limit_hz: float | None = 4000.0
    band_limit_prob: float = 0.75
    level_range_dbfs: tuple[float, float] = (-32.0, -18.0)
    rate_range: tuple[int, int] = (80, 170)
    pitch_range: tuple[int, int] = (25, 75)

    def __post_init__(self) -> None:
        if self.band_limit_hz is not None and not 0 < self.band_limit_hz <= NATIVE_SAMPLING_RATE / 2:
            raise ValueError(f"band_limit_hz must lie in 0 to {NATIVE_SAMPLING_RATE // 2}, got {self.band_limit_hz}")
        if not 0 <= self.band_limit_prob <= 1:
            raise ValueError(f"band_limit_prob is a share from 0 to 1, got {self.band_limit_prob}")
        ranges = {"rate_range": (self.rate_range, 80, 450), "pitch_range": (self.pitch_range, 0, 99)}
        for name, ((low, high), least, most) in ranges.items():
            if not least <= low <= high <= most:
                raise ValueError(f"{name} must rise within {least} to {most}, got {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """Everything that decides how a clip sounds, besides its place in its block.

    Attributes:
        request: text, voice, rate, pitch.
        level_dbfs: root mean square of the clip in dB below full scale.
        band_limited: True if the clip keeps only frequencies below `SoundSettings.band_limit_hz`.
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
    """One clip before it is spoken.

    Attributes:
        id: unique together with `lang`.
        lang: language code.
        plan: text and sound.
        translations: text by language code, without `lang`.
        kind: free label.
    """

    id: str
    lang: str
    plan: ClipPlan
    translations: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""


def plan_clips(text: str, lang: str, *, key: str, settings: SoundSettings, num_voices: int = 1) -> list[ClipPlan]:
    """Plans of one text in `num_voices` voices, distinct while there are enough variants.

    Args:
        text: what to say.
        lang: language of the text.
        key: seed of the choice, any string; equal keys give equal plans.
        settings: bandwidth and level.
        num_voices: clips of this text.
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
    """Waveforms of one block of plans.

    Returns:
        One `(n,)` float32 array per plan at `settings.sampling_rate`, within -1 to 1; `n = 0` where espeak-ng was
        silent.

    Raises:
        ImportError: soxr is not installed.
        RuntimeError: espeak-ng crashed.
    """
    blocks = engine.speak_block([plan.request for plan in plans])
    return [finish_clip(pcm, plan, settings) for pcm, plan in zip(blocks, plans, strict=True)]


def finish_clip(pcm: bytes, plan: ClipPlan, settings: SoundSettings) -> np.ndarray:
    """Waveform `(n,)` float32 of what espeak-ng said for a plan; nothing is cut off, so times stay what they are.

    Args:
        pcm: int16 at espeak-ng's rate.
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
    # Speech peaks 12 to 20 dB over its mean: the loudest clips are held below full scale instead of being clipped.
    return (audio * min(gain, 0.99 / float(np.max(np.abs(audio))))).astype(np.float32)
