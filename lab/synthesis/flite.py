# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech engine flite: small voices of American and Scottish English."""

import re
from pathlib import Path

from lab.synthesis.program_engine import ProgramEngine
from lab.synthesis.speech_engine import EngineVoice, SpeechRequest
from lab.synthesis.voice_alphabets import spoken_text

FLITE = "flite"
LICENCE = "MIT-Festival"
_LANGUAGES = ("en", "en-US")
# Mean fundamental frequency in Hz of the voices that follow the setting `int_f0_target_mean`. The pitch of the others
# is changed by the sampling rate.
_MEAN_F0 = {"kal": 95.0, "kal16": 95.0, "awb": 132.0, "slt": 172.0}


class FliteEngine(ProgramEngine):
    """Speaks with the program `flite`."""

    name = FLITE
    program_name = "flite"
    packages = "flite"

    def __init__(self) -> None:
        """Find the program and ask it for its voices.

        Raises:
            MissingEngineError: flite is not installed.
        """
        super().__init__()
        found = re.search(r"flite-(\S+)", self.run("--version"))
        self.version = found[1] if found else "unknown"
        self._names = sorted(self.run("-lv").partition(":")[2].split())

    def voices(self, lang: str) -> list[EngineVoice]:
        """The voices that the program lists; they all speak English."""
        if lang not in _LANGUAGES:
            return []
        return [
            EngineVoice(engine=self.name, name=name, lang=lang, licence=LICENCE, package=self.packages)
            for name in self._names
        ]

    def speak_to_file(self, request: SpeechRequest, path: Path) -> float | None:
        """Write the clip of a request to a file; see `ProgramEngine`."""
        text = spoken_text(request.text, _LANGUAGES[0])
        # The program speaks in another voice if it does not know the name.
        if not text or request.voice not in self._names:
            return None
        mean = _MEAN_F0.get(request.voice)
        stretch, playback = request.duration_stretch, 1.0
        options = ["-voice", request.voice]
        if mean is not None:
            options += ["--setf", f"int_f0_target_mean={mean * request.pitch_ratio:.2f}"]
        else:
            playback = request.pitch_ratio
            stretch *= playback
        options += ["--setf", f"duration_stretch={stretch:.4f}"]
        # The text is an argument of "-t", so that it cannot be taken for an option or a file.
        self.run(*options, "-t", text, "-o", str(path))
        return playback
