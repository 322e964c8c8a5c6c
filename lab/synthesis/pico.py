# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech engine SVOX Pico: one female voice each of English (two), French, Italian and Spanish."""

from pathlib import Path

from lab.synthesis.program_engine import ProgramEngine
from lab.synthesis.speech_engine import EngineVoice, SpeechRequest
from lab.synthesis.voice_alphabets import spoken_text

PICO = "pico"
LICENCE = "Apache-2.0"
DATA_PACKAGE = "libttspico-data"
# The voices, named as the program names them, and the codes that they serve.
_VOICES = {
    "en-US": ("en", "en-US"),
    "en-GB": ("en", "en-GB"),
    "es-ES": ("es", "es-ES"),
    "fr-FR": ("fr", "fr-FR"),
    "it-IT": ("it", "it-IT"),
}
# Ranges of the levels that the engine accepts, in per cent; it reads the markup aloud beyond them.
_SPEEDS, _PITCHES = (20, 500), (50, 200)


class PicoEngine(ProgramEngine):
    """Speaks with the program `pico2wave`."""

    name = PICO
    program_name = "pico2wave"
    packages = "libttspico-utils (section non-free)"

    def voices(self, lang: str) -> list[EngineVoice]:
        """The voices of the package of the engine, all of which are installed with it."""
        return [
            EngineVoice(engine=self.name, name=name, lang=lang, licence=LICENCE, package=DATA_PACKAGE)
            for name, languages in _VOICES.items()
            if lang in languages
        ]

    def speak_to_file(self, request: SpeechRequest, path: Path) -> float | None:
        """Write the clip of a request to a file; see `ProgramEngine`."""
        if request.voice not in _VOICES:
            return None
        # The engine takes an ampersand for markup.
        text = spoken_text(request.text.replace("&", " and "), _VOICES[request.voice][0])
        if not text:
            return None
        speed = _level(1 / request.duration_stretch, _SPEEDS)
        pitch = _level(request.pitch_ratio, _PITCHES)
        # The argument starts with markup, so that it cannot be taken for an option.
        marked = f"<pitch level='{pitch}'><speed level='{speed}'>{text}</speed></pitch>"
        self.run("-l", request.voice, "-w", str(path), marked)
        return 1.0


def _level(ratio: float, limits: tuple[int, int]) -> int:
    return min(max(round(100 * ratio), limits[0]), limits[1])
