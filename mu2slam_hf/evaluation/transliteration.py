# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of transcription after transliteration to Latin letters.

Where speakers switch between languages, a foreign word may be written in either script, and the reference has one of
them. Scores of the texts as they are count the other as an error; after transliteration, similar spellings of the same
sounds are similar texts. Requires the extra `transliterate` (uroman).
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from importlib import metadata

from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.bootstrap import Bootstrap
from mu2slam_hf.evaluation.hypotheses import Hypothesis
from mu2slam_hf.evaluation.results import Score
from mu2slam_hf.evaluation.scoring import score_hypotheses

TRANSLITERATED = "transliterated"


class Transliterator:
    """Transliterates texts of any script to Latin letters with uroman.

    Attributes:
        version: version of the library.

    Raises:
        ImportError: uroman is not installed.
    """

    def __init__(self) -> None:
        try:
            import uroman
        except ImportError as error:
            raise ImportError("texts are transliterated by uroman: pip install 'mu2slam-hf[transliterate]'") from error
        self._uroman = uroman.Uroman()
        self.version = metadata.version("uroman")
        self._romanize = lru_cache(maxsize=2**16)(lambda text: str(self._uroman.romanize_string(text)))

    def transliterate(self, text: str) -> str:
        """A text in Latin letters without accents; normalised as for WER before and after.

        Args:
            text: in any scripts.
        """
        return normalize_for_scoring(self._romanize(normalize_for_scoring(text)))


def score_transliterated(
    hypotheses: Iterable[Hypothesis], transliterator: Transliterator, *, bootstrap: Bootstrap | None = None
) -> list[Score]:
    """WER and CER of transcription with references and hypotheses in Latin letters (group `transliterated`).

    Args:
        hypotheses: those of other tasks than asr are ignored.
        transliterator: transliterates both.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    texts = [
        replace(
            h,
            reference=transliterator.transliterate(h.reference),
            hypothesis=transliterator.transliterate(h.hypothesis),
        )
        for h in hypotheses
        if h.task == "asr"
    ]
    suffix = f"|uroman:{transliterator.version}"
    return [
        replace(score, group=TRANSLITERATED, signature=score.signature + suffix)
        for score in score_hypotheses(texts, bootstrap=bootstrap)
    ]
