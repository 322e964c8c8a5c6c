# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The espeak-ng speech engine, with a server process that makes its audio reproducible.

espeak-ng keeps state between calls: a second call with the same text gives other samples. A fork of a process that has
only initialised the library starts from a fixed state, so that the audio of a block of clips depends on that block
only. The forks are created by a server that only imports the standard library and the engine; the calling process,
which may have threads, a GPU or gigabytes of memory, is never forked.

This file contains both server and client. The server is started by the path of this file (not as a module), so it must
not import anything from the package. espeak-ng is GPL-3 software: it is an optional dependency, loaded from the wheel
`espeakng-loader`.
"""

import atexit
import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

INSTALL_HINT = "Synthetic speech requires the extra 'synthetic': pip install 'mu2slam-hf[synthetic]'"
NATIVE_SAMPLING_RATE = 22050

_AUDIO_OUTPUT_SYNCHRONOUS_RETRIEVAL = 2
_INITIALIZE_DONT_EXIT = 0x8000
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_PHONEME_IPA = 0x0001, 0x0002
_PHONEME_EVENTS_ARGUMENT = "--phoneme-events"
_EVENT_LIST_ENDS, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_STRESS_MARKS = "\u02c8\u02cc"
_POSITION_CHARACTER, _CHARS_UTF8 = 1, 1
_RATE, _PITCH = 1, 3
_PHONEMES_IPA = 2
_NOISE_SEED = 1
# Far more than a block takes (a tenth of a second): an infinite loop in espeak-ng is treated as a crash.
_BLOCK_TIMEOUT_SECONDS = 120
# espeak-ng copies its data path into a buffer of 160 bytes and silently truncates longer ones.
_LONGEST_DATA_PATH = 140


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng's speak_lib.h; its final union contains the name of a phoneme."""

    _fields_ = [
        *(
            (name, ctypes.c_int)
            for name in ("type", "identifier", "text_position", "length", "milliseconds", "sample")
        ),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """A clip to synthesise.

    Attributes:
        text: text to speak.
        voice: espeak-ng voice, a language with an optional variant, such as `fr` or `en-us+f3`.
        rate: words per minute, 80 to 450.
        pitch: 0 to 99; 50 is the default of the voice.
    """

    text: str
    voice: str
    rate: int = 160
    pitch: int = 50


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


class EspeakLibrary:
    """The shared library in this process, used by the forks of the server only."""

    def __init__(self, phoneme_events: bool = False) -> None:
        """Load the library of `espeakng-loader`.

        Args:
            phoneme_events: whether to record the start of each phoneme.

        Raises:
            ImportError: `espeakng-loader` is not installed.
            RuntimeError: the library cannot find its data.
        """
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._chunks: list[bytes] = []
        self._starts: list[tuple[int, str, int]] = []
        self._word_position = 0
        options = _INITIALIZE_DONT_EXIT
        if phoneme_events:
            options |= _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_PHONEME_IPA
        # The C library only keeps a pointer: the Python object must live as long as the library.
        self._callback = _CALLBACK(self._receive)
        data_path = _short_path(espeakng_loader.get_data_path())
        rate = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS_RETRIEVAL, 0, data_path.encode(), options)
        if rate != NATIVE_SAMPLING_RATE:
            raise RuntimeError(f"espeak-ng could not be initialised with its data in {data_path} (it returned {rate})")
        self._library.espeak_SetSynthCallback(self._callback)
        # Otherwise the noise of breathy voices (f2, Alicia) is seeded by the clock.
        seed_noise = getattr(self._library, "espeak_ng_SetRandSeed", None) or ctypes.CDLL(None).srand
        seed_noise(ctypes.c_long(_NOISE_SEED))
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def _receive(self, samples: Any, num_samples: int, events: Any) -> int:
        if samples and num_samples > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * num_samples))
        index = 0
        while events and events[index].type != _EVENT_LIST_ENDS:
            if events[index].type == _EVENT_WORD:
                self._word_position = events[index].text_position - 1  # espeak-ng counts from 1
            elif events[index].type == _EVENT_PHONEME:
                name = events[index].name.decode(errors="ignore")
                self._starts.append((events[index].sample, name, self._word_position))
            index += 1
        return 0

    def version(self) -> str:
        """Version of espeak-ng, such as `1.52.0`."""
        return self._library.espeak_Info(None).decode()

    def has_voice(self, voice: str) -> bool:
        """Select `voice`; returns False if espeak-ng does not have it."""
        return self._library.espeak_SetVoiceByName(voice.encode()) == 0

    def speak(self, request: SpeechRequest) -> bytes:
        """Samples of one clip as native-endian int16 at 22,050 Hz; empty if the voice is missing or silent."""
        self._chunks, self._starts, self._word_position = [], [], 0
        if not self.has_voice(request.voice):
            return b""
        self._library.espeak_SetParameter(_RATE, request.rate, 0)
        self._library.espeak_SetParameter(_PITCH, request.pitch, 0)
        text = request.text.encode() + b"\0"
        self._library.espeak_Synth(
            text, ctypes.c_size_t(len(text)), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        return b"".join(self._chunks)

    def speak_phones(self, request: SpeechRequest) -> bytes:
        """As `speak`, preceded by the length and JSON of the phoneme starts, `[[sample, symbol, place], ...]`."""
        samples = self.speak(request)
        starts = json.dumps(self._starts).encode()
        return struct.pack("<i", len(starts)) + starts + samples

    def phonemes(self, request: SpeechRequest) -> bytes:
        """IPA of the text in UTF-8; `(en)` marks where espeak-ng switches to English."""
        if not self.has_voice(request.voice):
            return b""
        text = ctypes.c_char_p(request.text.encode())
        pointer, parts = ctypes.pointer(text), []
        while pointer.contents.value is not None:
            parts.append(self._library.espeak_TextToPhonemes(pointer, _CHARS_UTF8, _PHONEMES_IPA) or b"")
        return b" ".join(parts)


def _short_path(path: str) -> str:
    if len(path.encode()) <= _LONGEST_DATA_PATH:
        return path
    folder = tempfile.mkdtemp(prefix="espeak-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = os.path.join(folder, "espeak-ng-data")
    os.symlink(path, link)
    return link


class EspeakEngine:
    """Synthesises blocks of clips with a server process, which threads may share.

    The same block gives the same samples in every process and in any order of blocks. This does not hold for single
    clips, since the state of espeak-ng depends on earlier clips of the block.
    """

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
        command = [sys.executable, "-P", os.path.abspath(__file__)]
        command += [_PHONEME_EVENTS_ARGUMENT] if self.phoneme_events else []
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

    def __enter__(self) -> "EspeakEngine":
        return self

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


def _answer(library: EspeakLibrary, action: str, requests: list[SpeechRequest]) -> list[bytes]:
    if action == "version":
        return [library.version().encode()]
    return [getattr(library, action)(request) for request in requests]


def serve() -> None:
    """Answer blocks from stdin on stdout until stdin closes, one fork per block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # removes the link of `_short_path`
    library = EspeakLibrary(phoneme_events=_PHONEME_EVENTS_ARGUMENT in sys.argv)
    # espeak-ng and the dynamic linker may print; answers use a separate stream.
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        requests = [SpeechRequest(**request) for request in message["requests"]]
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read_end)
                signal.alarm(_BLOCK_TIMEOUT_SECONDS)
                # Suppresses a line per word that espeak-ng cannot speak; the answer is then empty.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                with os.fdopen(write_end, "wb") as pipe:
                    for answer in _answer(library, message["action"], requests):
                        pipe.write(struct.pack("<i", len(answer)) + answer)
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            body = pipe.read()
        _, status = os.waitpid(child, 0)
        if status != 0:
            stream.write(struct.pack("<i", -1))
        else:
            stream.write(struct.pack("<i", 1 if message["action"] == "version" else len(requests)) + body)
        stream.flush()


if __name__ == "__main__":
    serve()
