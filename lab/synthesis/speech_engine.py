# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What every speech engine provides: requests, clips, voices, and the interface of an engine."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

ESPEAK_NG = "espeak-ng"
# The rate and pitch that leave a voice as it is, in the units of espeak-ng.
NATURAL_RATE, NATURAL_PITCH = 160, 50
_PITCH_STEPS_PER_OCTAVE = 100


class MissingEngineError(ImportError):
    """A speech engine is not installed; the message says which package to install."""


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """A clip to synthesise.

    Attributes:
        text: text to speak.
        voice: name of the voice in its engine: for espeak-ng a language with an optional variant, such as `fr` or
            `en-us+f3`; for the others the name that the engine lists.
        rate: words per minute, 80 to 450. For engines other than espeak-ng, 160 is the rate of the voice, and other
            values are relative to it.
        pitch: 0 to 99; 50 is the default of the voice. For engines other than espeak-ng, 25 less or more lower or
            raise it by three semitones.
        engine: name of the engine.
    """

    text: str
    voice: str
    rate: int = NATURAL_RATE
    pitch: int = NATURAL_PITCH
    engine: str = ESPEAK_NG

    @property
    def duration_stretch(self) -> float:
        """Factor of the durations of a voice at its own rate."""
        return NATURAL_RATE / self.rate

    @property
    def pitch_ratio(self) -> float:
        """Factor of the fundamental frequency of a voice at its own pitch."""
        return float(2 ** ((self.pitch - NATURAL_PITCH) / _PITCH_STEPS_PER_OCTAVE))


@dataclass(frozen=True, kw_only=True)
class SpokenClip:
    """The output of an engine.

    Attributes:
        pcm: int16 samples in native byte order; empty if the engine cannot speak the text.
        sampling_rate: sampling rate in Hz.
    """

    pcm: bytes
    sampling_rate: int


@dataclass(frozen=True, kw_only=True)
class EngineVoice:
    """A voice of an engine.

    Attributes:
        engine: name of the engine.
        name: name of the voice in its engine.
        lang: canonical code of its language.
        licence: SPDX expression of the licence of the voice; empty if it is not known.
        package: Debian package of the voice; empty if it is not known.
    """

    engine: str
    name: str
    lang: str
    licence: str = ""
    package: str = ""


class SpeechEngine(Protocol):
    """A speech engine. The same requests in one call give the same audio in every process.

    Attributes:
        name: name of the engine.
        version: version of the engine.
    """

    name: str
    version: str

    def voices(self, lang: str) -> list[EngineVoice]:
        """Installed voices of a language, in a fixed order."""

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """One clip for each request; without samples where the engine cannot speak the text.

        Raises:
            RuntimeError: the engine crashed or hung.
        """

    def close(self) -> None:
        """Stop processes of the engine; the next call starts them again."""


@runtime_checkable
class MixingEngine(Protocol):
    """A speech engine that makes new speakers of its voices."""

    def mix(self, voice: EngineVoice, source: random.Random) -> EngineVoice:
        """A speaker between a voice and another one of its language.

        Args:
            voice: voice of the larger share.
            source: draws the other voice and the shares.
        """
