# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech engines that are a program which writes one sound file for each text.

Each clip is spoken by a process of its own, which takes 20 to 200 ms, so that clips do not depend on one another.
"""

import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from lab.synthesis.recorded_pcm import NO_CLIP, read_pcm
from lab.synthesis.speech_engine import EngineVoice, MissingEngineError, SpeechRequest, SpokenClip

_CLIP_TIMEOUT_SECONDS = 60


class ProgramEngine(ABC):
    """Speaks with a program.

    Attributes:
        name: name of the engine.
        program_name: name of the program on the search path.
        packages: Debian packages to install, separated by spaces.
        version: version of the engine.
    """

    name: str
    program_name: str
    packages: str
    version: str = "unknown"

    def __init__(self) -> None:
        """Find the program.

        Raises:
            MissingEngineError: it is not installed.
        """
        program = shutil.which(self.program_name)
        if program is None:
            raise MissingEngineError(
                f"{self.name} is not installed; on Debian and Ubuntu: apt-get install {self.packages}"
            )
        self._program = program

    @abstractmethod
    def voices(self, lang: str) -> list[EngineVoice]:
        """Installed voices of a language, in a fixed order."""

    @abstractmethod
    def speak_to_file(self, request: SpeechRequest, path: Path) -> float | None:
        """Write the clip of a request to a file.

        Returns:
            factor of its sampling rate, where the pitch is changed in this way; None if it cannot be spoken.

        Raises:
            subprocess.SubprocessError: the program crashed or hung.
        """

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """One clip for each request; without samples where the text or the voice is not known.

        Raises:
            RuntimeError: the program crashed or hung; the message contains the text.
        """
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-") as folder:
            return [self._speak(request, Path(folder) / "clip.wav") for request in requests]

    def _speak(self, request: SpeechRequest, path: Path) -> SpokenClip:
        path.unlink(missing_ok=True)
        try:
            playback = self.speak_to_file(request, path)
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"{self.name} crashed or hung on {request.voice}: {request.text!r}") from error
        return NO_CLIP if playback is None else read_pcm(path, playback)

    def run(self, *arguments: str, text: str = "") -> str:
        """Run the program.

        Args:
            arguments: arguments of the program.
            text: what it reads from its standard input.

        Returns:
            what it prints.

        Raises:
            subprocess.SubprocessError: it crashed or hung.
        """
        command = [self._program, *arguments]
        result = subprocess.run(
            command,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            input=text,
            timeout=_CLIP_TIMEOUT_SECONDS,
        )
        if result.returncode < 0:
            raise subprocess.CalledProcessError(result.returncode, command)
        return result.stdout + result.stderr

    def close(self) -> None:  # noqa: B027
        """Nothing to stop: every clip has a process of its own."""
