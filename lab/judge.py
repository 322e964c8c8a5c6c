# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Whisper as a judge: a public recogniser that labels speech without text, and checks speech with text."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mu2slam_hf.data.text import normalize_for_scoring

_NUMBER = re.compile(r"\d+")
# Thousands: "1,000", "1 000", "1.000".
_SEPARATED_NUMBER = re.compile(r"(?<=\d)[,.\u00a0\u202f ](?=\d{3}\b)")
INSTALL_HINT = "the judge needs the extra `voices`: pip install 'mu2slam-hf[voices]'"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the judge understood.

    Attributes:
        text: lower case without punctuation, numbers in words.
        confidence: exponential of the mean log probability of the tokens, 0 to 1; 0 if nothing was understood.
        has_digits: whether numbers were written in digits, whose words are a guess.
    """

    text: str
    confidence: float
    has_digits: bool


class Judge:
    """A Whisper model in the format of CTranslate2, on one thread.

    A text that repeats itself or is improbable is decoded again at a higher temperature, as Whisper does: greedy
    decoding alone falls into loops on short recordings.

    Args:
        folder: folder with `model.bin`, `config.json`, `tokenizer.json` and `vocabulary.json`.
        num_beams: beams of the first decoding.

    Raises:
        ImportError: faster-whisper or num2words is not installed.
        ValueError: the folder has no model.
    """

    def __init__(self, folder: str | os.PathLike[str], *, num_beams: int = 1) -> None:
        try:
            import num2words  # noqa: F401
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise ImportError(f"{INSTALL_HINT} ({error.name} is missing)") from error
        if not (Path(folder) / "model.bin").is_file():
            raise ValueError(f"{folder} has no model.bin; README.md of lab/ says how to fetch the judge")
        self._model = WhisperModel(os.fspath(folder), device="cpu", compute_type="int8", cpu_threads=1)
        self.num_beams = num_beams

    def transcribe(self, samples: npt.NDArray[np.float32], lang: str) -> Judgement:
        """The transcript of a recording in a known language.

        Args:
            samples: `(n,)` float32 at 16 kHz.
            lang: language code; Whisper knows the language, not the region.
        """
        segments, _ = self._model.transcribe(
            samples, language=lang.split("-")[0], beam_size=self.num_beams, condition_on_previous_text=False
        )
        parts = [(segment.text, segment.avg_logprob, len(segment.tokens)) for segment in segments]
        written = " ".join(text for text, _, _ in parts)
        num_tokens = sum(number for _, _, number in parts)
        mean = sum(score * number for _, score, number in parts) / num_tokens if num_tokens else -math.inf
        return Judgement(
            text=normalize_for_scoring(spell_numbers(written, lang)),
            confidence=math.exp(mean),
            has_digits=any(character.isdigit() for character in written),
        )


def spell_numbers(text: str, lang: str) -> str:
    """The text with whole numbers in words; in languages that num2words does not know, as it is."""
    from num2words import num2words

    def words(match: re.Match[str]) -> str:
        try:
            return f" {num2words(int(match[0]), lang=lang.split('-')[0])} "
        except NotImplementedError:
            return match[0]

    return _NUMBER.sub(words, _SEPARATED_NUMBER.sub("", text))
