# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A translation baseline that returns the translation of the nearest training sentence.

On a small corpus of near duplicates, a translation model should be better than this.
"""

from collections import defaultdict
from collections.abc import Iterable

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extractOne

from mu2slam_hf.data.records import SpeechTextRecord


class NearestSentenceBaseline:
    """Translates by the training pair whose source text has the smallest edit distance to the given text.

    Choice: the distance is divided by the longer length, so that short sentences are not preferred; ties are resolved
    by the order of the records.

    Args:
        records: training records with `text`, `lang` and `translations`.
    """

    def __init__(self, records: Iterable[SpeechTextRecord]) -> None:
        pairs: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for record in records:
            if record.text is None:
                continue
            for target_lang, translation in record.translations.items():
                pairs[record.lang, target_lang].setdefault(record.text, translation)
        self._sources = {direction: list(texts) for direction, texts in pairs.items()}
        self._translations = {direction: list(texts.values()) for direction, texts in pairs.items()}

    @property
    def directions(self) -> list[tuple[str, str]]:
        """The supported pairs of languages `(source, target)`."""
        return sorted(self._sources)

    def translate(self, text: str, source_lang: str, target_lang: str) -> str:
        """The translation of the nearest training sentence.

        Raises:
            ValueError: the training records have no pairs of this direction.
        """
        direction = (source_lang, target_lang)
        if direction not in self._sources:
            known = ", ".join("-".join(pair) for pair in self.directions) or "none"
            raise ValueError(f"no training pairs for {source_lang}-{target_lang}; directions with pairs: {known}")
        _, _, index = extractOne(text, self._sources[direction], scorer=Levenshtein.normalized_distance)
        return self._translations[direction][index]
