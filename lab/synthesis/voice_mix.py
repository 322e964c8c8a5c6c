# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The voices of several speech engines, with the share of each."""

import logging
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from lab.synthesis.engine_registry import EngineGroup
from lab.synthesis.speech_engine import ESPEAK_NG, EngineVoice, MixingEngine
from lab.synthesis.voice_checks import find_problem

logger = logging.getLogger(__name__)


class VoiceMix:
    """Draws voices of installed engines.

    Every voice is tested when its language is first used; voices that fail are left out, with a warning.

    Attributes:
        engines: names of the engines.
        weights: shares of engines (`"festival"`) within a language, and of single voices (`"festival:kal_diphone"`)
            within their engine.
        rate_range: range of `SpeechRequest.rate` for engines other than espeak-ng.
        pitch_range: range of `SpeechRequest.pitch` for engines other than espeak-ng.
        mixing_prob: share of the clips of engines that can mix voices (`MixingEngine`) that have a mixture of two.
        left_out: maps voices, as `engine:name`, to the reason why they are not used.
    """

    def __init__(
        self,
        engines: Sequence[str] = (ESPEAK_NG,),
        *,
        weights: Mapping[str, float] | None = None,
        rate_range: tuple[int, int] = (125, 200),
        pitch_range: tuple[int, int] = (25, 75),
        mixing_prob: float = 0.8,
    ) -> None:
        """Start the engines.

        Args:
            engines: names of engines.
            weights: numbers by engine or by `engine:voice`; 0 leaves it out. Without a weight, the share of an engine
                is the number of its voices in the language, and that of espeak-ng, whose variants share one
                pronunciation, is the sum of the others; voices without a weight have weight 1 within their engine.
            rate_range: range of rates of engines other than espeak-ng; 160 is the rate of the voice.
            pitch_range: range of pitches of engines other than espeak-ng; 50 is the pitch of the voice.
            mixing_prob: share of clips with a mixture of two voices, where the engine can mix them.

        Raises:
            ImportError: an engine is not installed.
            ValueError: unknown engine or invalid weight.
        """
        self.weights = dict(weights or {})
        for key, weight in self.weights.items():
            if key.partition(":")[0] not in engines:
                raise ValueError(f"a weight is for {key!r}, but the engines are {', '.join(engines)}")
            if not 0 <= weight < math.inf:
                raise ValueError(f"weights must be numbers of at least 0; {key} has {weight}")
        self._group = EngineGroup(engines)
        self.engines = tuple(self._group.engines)
        self.rate_range, self.pitch_range, self.mixing_prob = rate_range, pitch_range, mixing_prob
        self.left_out: dict[str, str] = {}
        self._voices: dict[str, dict[EngineVoice, float]] = {}

    def voices(self, lang: str) -> dict[EngineVoice, float]:
        """Usable voices of a language with their shares, which sum to 1.

        Raises:
            ValueError: the engines have no usable voice for the language.
        """
        if lang not in self._voices:
            self._voices[lang] = self._shares(self._usable(lang))
        if not self._voices[lang]:
            failed = "".join(f"; {name}: {reason}" for name, reason in self.left_out.items())
            raise ValueError(
                f"no voice for {lang!r} in the engines {', '.join(self.engines)}{failed}; install one, or choose "
                "other languages or engines"
            )
        return self._voices[lang]

    def _usable(self, lang: str) -> list[EngineVoice]:
        usable = []
        for engine in self._group.engines.values():
            for voice in engine.voices(lang):
                if 0 in (self.weights.get(voice.engine), self.weights.get(f"{voice.engine}:{voice.name}")):
                    continue
                problem = find_problem(engine, voice)
                if problem:
                    logger.warning("the voice %s of %s is left out: %s", voice.name, voice.engine, problem)
                    self.left_out[f"{voice.engine}:{voice.name}"] = problem
                else:
                    usable.append(voice)
        return usable

    def _shares(self, voices: Sequence[EngineVoice]) -> dict[EngineVoice, float]:
        numbers = Counter(voice.engine for voice in voices)
        others = sum(number for engine, number in numbers.items() if engine != ESPEAK_NG)
        of_engine = {
            engine: self.weights.get(engine, (others or 1) if engine == ESPEAK_NG else number)
            for engine, number in numbers.items()
        }
        within = {voice: self.weights.get(f"{voice.engine}:{voice.name}", 1.0) for voice in voices}
        totals = {
            engine: sum(weight for voice, weight in within.items() if voice.engine == engine) for engine in numbers
        }
        scale = sum(of_engine.values())
        return {
            voice: of_engine[voice.engine] / scale * weight / totals[voice.engine] for voice, weight in within.items()
        }

    def draw(self, lang: str, number: int, source: random.Random) -> list[EngineVoice]:
        """Draw voices by their shares, distinct as long as there are enough.

        Args:
            lang: language code.
            number: number of voices.
            source: random generator.

        Raises:
            ValueError: as in `voices`.
        """
        shares = self.voices(lang)
        drawn: list[EngineVoice] = []
        while len(drawn) < number:
            # Weighted sampling without replacement: the largest u ** (1 / weight) (Efraimidis and Spirakis, 2006).
            order = sorted(shares, key=lambda voice: source.random() ** (1 / shares[voice]), reverse=True)
            drawn += order[: number - len(drawn)]
        return [self._mixed(voice, source) for voice in drawn]

    def _mixed(self, voice: EngineVoice, source: random.Random) -> EngineVoice:
        """The voice, or, with a probability of `mixing_prob`, a mixture, where the engine can mix voices."""
        engine = self._group.engines[voice.engine]
        # Nothing is drawn for other engines: their clips do not depend on whether this one is there.
        if isinstance(engine, MixingEngine) and source.random() < self.mixing_prob:
            return engine.mix(voice, source)
        return voice

    def describe(self) -> dict[str, object]:
        """Engines, ranges and the shares of the voices of the languages that were used, for `synthesis.json`."""
        voices = {
            lang: {f"{voice.engine}:{voice.name}": round(share, 6) for voice, share in shares.items()}
            for lang, shares in self._voices.items()
        }
        return {
            **{"engines": list(self.engines), "weights": self.weights, "rate_range": list(self.rate_range)},
            **{"pitch_range": list(self.pitch_range), "mixing_prob": self.mixing_prob},
            **{"voices": voices, "left_out": self.left_out},
        }

    def close(self) -> None:
        """Stop the processes of the engines."""
        self._group.close()
