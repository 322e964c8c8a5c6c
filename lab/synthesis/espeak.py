# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The espeak-ng speech engine, with a server process that makes its audio reproducible.

espeak-ng keeps state between calls: a second call with the same text gives other samples. A fork of a process that has
only initialised the library starts from a fixed state, so that the audio of a block of clips depends on that block
only. The forks are created by a server (`espeak_server.py`) that only imports the standard library and the engine; the
calling process, which may have threads, a GPU or gigabytes of memory, is never forked.

espeak-ng is GPL-3 software: it is an optional dependency, loaded from the wheel `espeakng-loader`.
"""

import json
import os
import struct
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import IO, Any

from lab.synthesis import espeak_server
from lab.synthesis.espeak_server import NATIVE_SAMPLING_RATE, PHONEME_EVENTS_ARGUMENT
from lab.synthesis.espeak_voices import VOICE_VARIANTS, espeak_voice
from lab.synthesis.speech_engine import ESPEAK_NG, EngineVoice, SpeechRequest, SpokenClip

INSTALL_HINT = "Synthetic speech requires the extra 'lab': pip install 'mu2slam-hf[lab]'"
_STRESS_MARKS = "\u02c8\u02cc"


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A phone of a clip, with the times of espeak-ng.

    Attributes:
        symbol: IPA without stress marks; empty for a pause.
        start_seconds: start of the phone.
        end_seconds: start of the next phone.
        text_position: character position of its word in the text; for a pause, that of the previous word.
    """

    symbol: str
    start_seconds: float
    end_seconds: float
    text_position: int = 0


class EspeakEngine(AbstractContextManager):
    """Synthesises blocks of clips with a server process, which threads may share.

    The same block gives the same samples in every process and in any order of blocks. This does not hold for single
    clips, since the state of espeak-ng depends on earlier clips of the block.
    """

    name = ESPEAK_NG

    def __init__(self, *, phoneme_events: bool = False) -> None:
        """Start the server.

        Args:
            phoneme_events: required for `speak_phones_block`.

        Raises:
            ImportError: `espeakng-loader` is not installed.
            OSError: the system does not support fork.
        """
        try:
            import espeakng_loader  # noqa: F401
        except ImportError as error:
            raise ImportError(f"{INSTALL_HINT} (espeakng-loader is missing)") from error
        if not hasattr(os, "fork"):
            raise OSError("synthetic speech requires a system with fork, such as Linux or macOS")
        self.phoneme_events = phoneme_events
        self._forget()
        self.version = self._ask("version", [])[0].decode()

    def _forget(self) -> None:
        """Reset to a state without a server, for construction, unpickling and after a fork."""
        self._lock, self._owner = threading.Lock(), os.getpid()
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        # -P: files in this folder must not shadow modules of the same name.
        command = [sys.executable, "-P", os.path.abspath(espeak_server.__file__)]
        command += [PHONEME_EVENTS_ARGUMENT] if self.phoneme_events else []
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def _ask(self, action: str, requests: Sequence[SpeechRequest]) -> list[bytes]:
        if self._owner != os.getpid():
            # A forked worker must not use the pipe of its parent, or their blocks would be mixed.
            self._forget()
        message = json.dumps({"action": action, "requests": [asdict(request) for request in requests]})
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = self._start()
            process = self._process
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(message.encode() + b"\n")
                process.stdin.flush()
                answers = _read_answers(process.stdout)
            except (EOFError, BrokenPipeError) as error:
                process.kill()
                process.wait()
                self._process = None
                raise RuntimeError(f"the espeak-ng server exited during {action!r}") from error
        if answers is None:
            texts = ", ".join(f"{request.voice}: {request.text!r}" for request in requests[:4])
            raise RuntimeError(
                f"espeak-ng crashed or hung in a block of {len(requests)} clips that starts with {texts}"
            )
        return answers

    def voices(self, lang: str) -> list[EngineVoice]:
        """The variants of the voice for `lang`; empty if espeak-ng has no voice for it."""
        base = espeak_voice(lang)
        (phonemes,) = self.phonemes_block([SpeechRequest(text="1", voice=base)])
        if not phonemes.strip():
            return []
        return [
            EngineVoice(engine=self.name, name=f"{base}+{variant}", lang=lang, licence="GPL-3.0-or-later")
            for variant in VOICE_VARIANTS
        ]

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """As `speak_block`, as clips with their sampling rate.

        Raises:
            RuntimeError: as in `speak_block`.
        """
        return [SpokenClip(pcm=pcm, sampling_rate=NATIVE_SAMPLING_RATE) for pcm in self.speak_block(requests)]

    def speak_block(self, requests: Sequence[SpeechRequest]) -> list[bytes]:
        """Samples of each clip, int16 at 22,050 Hz in native byte order; empty for silent clips.

        Raises:
            RuntimeError: espeak-ng crashed or hung; the message contains the first texts of the block.
        """
        return self._ask("speak", requests)

    def speak_phones_block(self, requests: Sequence[SpeechRequest]) -> list[tuple[bytes, list[Phone]]]:
        """As `speak_block`, with the phones of each clip.

        The times are the starts of phonemes in the synthesis of espeak-ng: exact for its voices, but not those of
        human speech. A modifier that espeak-ng treats as a separate phoneme (such as palatalisation) is merged with
        the previous phone.

        Raises:
            RuntimeError: as in `speak_block`.
            ValueError: the engine was created without `phoneme_events`.
        """
        if not self.phoneme_events:
            raise ValueError("phones require EspeakEngine(phoneme_events=True)")
        clips = []
        for answer in self._ask("speak_phones", requests):
            (size,) = struct.unpack("<i", answer[:4])
            samples = answer[4 + size :]
            clips.append((samples, _as_phones(json.loads(answer[4 : 4 + size]), len(samples) // 2)))
        return clips

    def phonemes_block(self, requests: Sequence[SpeechRequest]) -> list[str]:
        """IPA of each text, empty without a voice; `(en)` marks where espeak-ng switches to English."""
        return [answer.decode() for answer in self._ask("phonemes", requests)]

    def close(self) -> None:
        """Stop the server; the next call starts a new one."""
        if self._owner != os.getpid():
            return
        with self._lock:
            if self._process is not None:
                # Not by closing its input, since forked workers have copies of that pipe.
                self._process.terminate()
                self._process.communicate()
                self._process = None

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"version": self.version, "phoneme_events": self.phoneme_events}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.version, self.phoneme_events = state["version"], state["phoneme_events"]
        self._forget()


def _as_phones(starts: Sequence[tuple[int, str, int]], num_samples: int) -> list[Phone]:
    """Phones without gaps from the start of the clip to its end."""
    symbols, bounds, places = [""], [0], [0]
    for sample, name, place in starts:
        symbol = "".join(char for char in name if char not in _STRESS_MARKS)
        if symbol and symbols[-1] and all(unicodedata.category(char) in ("Lm", "Mn", "Sk") for char in symbol):
            symbols[-1] += symbol
        elif symbol or symbols[-1]:  # adjacent pauses are merged
            symbols.append(symbol)
            bounds.append(min(sample, num_samples))
            places.append(place)
    times = [bound / NATIVE_SAMPLING_RATE for bound in (*bounds, num_samples)]
    return [
        Phone(symbol=symbol, start_seconds=start, end_seconds=end, text_position=place)
        for symbol, start, end, place in zip(symbols, times[:-1], times[1:], places, strict=True)
        if end > start
    ]


def _read_answers(stream: IO[bytes]) -> list[bytes] | None:
    """Answers of one block; None if its fork crashed."""
    count = _read_number(stream)
    return None if count < 0 else [_read(stream, _read_number(stream)) for _ in range(count)]


def _read_number(stream: IO[bytes]) -> int:
    return int(struct.unpack("<i", _read(stream, 4))[0])


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data
