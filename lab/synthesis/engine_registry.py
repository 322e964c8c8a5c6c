# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech engines by name, which of them are installed, and several engines as one."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from lab.synthesis.espeak import EspeakEngine
from lab.synthesis.festival import FESTIVAL, FestivalEngine
from lab.synthesis.flite import FLITE, FliteEngine
from lab.synthesis.kokoro import KOKORO, KokoroEngine
from lab.synthesis.pico import PICO, PicoEngine
from lab.synthesis.rhvoice import RHVOICE, RHVoiceEngine
from lab.synthesis.speech_engine import ESPEAK_NG, SpeechEngine, SpeechRequest, SpokenClip

ENGINES: dict[str, Callable[[], SpeechEngine]] = {
    ESPEAK_NG: EspeakEngine,
    FESTIVAL: FestivalEngine,
    FLITE: FliteEngine,
    KOKORO: KokoroEngine,
    PICO: PicoEngine,
    RHVOICE: RHVoiceEngine,
}
"""Maps names of engines to functions that start them."""


def open_engine(name: str) -> SpeechEngine:
    """Start an engine.

    Raises:
        ImportError: the engine is not installed.
        ValueError: unknown name.
    """
    if name not in ENGINES:
        raise ValueError(f"the speech engines are {', '.join(ENGINES)}; got {name!r}")
    return ENGINES[name]()


def installed_engines() -> list[str]:
    """Names of the engines that can be started here."""
    names = []
    for name in ENGINES:
        try:
            open_engine(name).close()
        except (ImportError, OSError):
            continue
        names.append(name)
    return names


class EngineGroup(AbstractContextManager):
    """Several engines; each request is spoken by the engine that it names."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start the engines.

        Raises:
            ImportError: an engine is not installed.
            ValueError: unknown or no name.
        """
        if not names:
            raise ValueError(f"name at least one of the speech engines {', '.join(ENGINES)}")
        self.engines = {name: open_engine(name) for name in dict.fromkeys(names)}

    def versions(self) -> dict[str, str]:
        """Version of each engine."""
        return {name: engine.version.split()[0] for name, engine in self.engines.items()}

    def speak(self, requests: Sequence[SpeechRequest]) -> list[SpokenClip]:
        """One clip for each request, in order; the requests of each engine are one block of it.

        Raises:
            KeyError: a request names another engine.
            RuntimeError: an engine crashed or hung.
        """
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            numbers[request.engine].append(number)
        clips: dict[int, SpokenClip] = {}
        for name, own in numbers.items():
            spoken = self.engines[name].speak([requests[number] for number in own])
            clips.update(zip(own, spoken, strict=True))
        return [clips[number] for number in range(len(requests))]

    def close(self) -> None:
        """Stop the processes of all engines."""
        for engine in self.engines.values():
            engine.close()

    def __exit__(self, *exception: object) -> None:
        self.close()
