# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The server process of espeak-ng: it initialises the library once and forks for each block of clips.

The server is started by the path of this file (not as a module), so it must not import anything from the package; its
requests are namespaces with the fields of a `SpeechRequest`.
"""

import atexit
import ctypes
import json
import os
import shutil
import signal
import struct
import sys
import tempfile
from types import SimpleNamespace
from typing import Any

NATIVE_SAMPLING_RATE = 22050
PHONEME_EVENTS_ARGUMENT = "--phoneme-events"

_AUDIO_OUTPUT_SYNCHRONOUS_RETRIEVAL = 2
_INITIALIZE_DONT_EXIT = 0x8000
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_PHONEME_IPA = 0x0001, 0x0002
_EVENT_LIST_ENDS, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
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

    def speak(self, request: SimpleNamespace) -> bytes:
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

    def speak_phones(self, request: SimpleNamespace) -> bytes:
        """As `speak`, preceded by the length and JSON of the phoneme starts, `[[sample, symbol, place], ...]`."""
        samples = self.speak(request)
        starts = json.dumps(self._starts).encode()
        return struct.pack("<i", len(starts)) + starts + samples

    def phonemes(self, request: SimpleNamespace) -> bytes:
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


def _answer(library: EspeakLibrary, action: str, requests: list[SimpleNamespace]) -> list[bytes]:
    if action == "version":
        return [library.version().encode()]
    return [getattr(library, action)(request) for request in requests]


def serve() -> None:
    """Answer blocks from stdin on stdout until stdin closes, one fork per block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # removes the link of `_short_path`
    library = EspeakLibrary(phoneme_events=PHONEME_EVENTS_ARGUMENT in sys.argv)
    # espeak-ng and the dynamic linker may print; answers use a separate stream.
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        requests = [SimpleNamespace(**request) for request in message["requests"]]
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
