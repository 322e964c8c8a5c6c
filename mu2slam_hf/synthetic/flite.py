# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech engine flite: small voices of American and Scottish English.

Each clip is spoken by a process of its own, which takes 20 to 100 ms, so that clips do not depend on one another.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mu2slam_hf.synthetic.recorded_pcm import NO_CLIP, read_pcm
from mu2slam_hf.synthetic.speech_engine import EngineVoice, MissingEngineError, SpeechRequest, SpokenClip
from mu2slam_hf.synthetic.voice_alphabets import spoken_text

FLITE = "flite"
LICENCE = "MIT-Festival"
PACKAGE = "flite"
_LANGUAGES = ("en", "en-US")
# Mean fundamental frequency in Hz of the voices that follow the setting `int_f0_target_mean`. The pitch of the others
# is changed by the sampling rate.
_MEAN_F0 = {"kal": 95.0, "kal16": 95.0, "awb": 132.0, "slt": 172.0}
_CLIP_TIMEOUT_SECONDS = 60


class FliteEngine:
    """Speaks with the program `flite`."""

    name = FLITE

    def __init__(self) -> None:
        """Find the program and ask it for its voices.

        Raises:
            MissingEngineError: flite is not installed.
        """
        program = shutil.which("flite")
        if program is None:
            raise MissingEngineError(f"flite is not installed; on Debian and Ubuntu: apt-get install {PACKAGE}")
        self._program = program
        found = re.search(r"flite-(\S+)", self._run("--version"))
        self.version = found[1] if found else "unknown"
        self._names = sorted(self._run("-lv").partition(":")[2].split())

    def voices(self, lang: str) -> list[EngineVoice]:
        """The voices that the program lists; they all speak English."""
        if lang not in _LANGUAGES:
            return []
        return [
            EngineVoice(engine=self.name, name=name, lang=lang, licence=LICENCE, package=PACKAGE)
            for name in self._names
        ]

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """One clip for each request; without samples where the text or the voice is not known.

        Raises:
            RuntimeError: flite crashed or hung; the message contains the text.
        """
        with tempfile.TemporaryDirectory(prefix="flite-") as folder:
            return [self._speak(request, Path(folder) / "clip.wav") for request in requests]

    def _speak(self, request: SpeechRequest, path: Path) -> SpokenClip:
        text = spoken_text(request.text, _LANGUAGES[0])
        # The program speaks in another voice if it does not know the name.
        if not text or request.voice not in self._names:
            return NO_CLIP
        mean = _MEAN_F0.get(request.voice)
        stretch, playback = request.duration_stretch, 1.0
        options = ["-voice", request.voice]
        if mean is not None:
            options += ["--setf", f"int_f0_target_mean={mean * request.pitch_ratio:.2f}"]
        else:
            playback = request.pitch_ratio
            stretch *= playback
        options += ["--setf", f"duration_stretch={stretch:.4f}"]
        path.unlink(missing_ok=True)
        # The text is an argument of "-t", so that it cannot be taken for an option or a file.
        try:
            self._run(*options, "-t", text, "-o", str(path))
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"flite crashed or hung on {request.voice}: {request.text!r}") from error
        return read_pcm(path, playback)

    def _run(self, *arguments: str) -> str:
        command = [self._program, *arguments]
        result = subprocess.run(
            command,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=_CLIP_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode < 0:
            raise subprocess.CalledProcessError(result.returncode, command)
        return result.stdout + result.stderr

    def close(self) -> None:
        """Nothing to stop: every clip has a process of its own."""
