# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A translation baseline that returns the translation of the nearest training sentence.

On a small corpus of near duplicates, a translation model should be better than this.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.models.task_types import TRANSLATION_TASKS

# Size of a table of distances (texts x training sentences), 64 MB.
_MAX_DISTANCES = 2**23


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

    def translate(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        """The translation of the nearest training sentence for each text.

        Raises:
            ValueError: the training records have no pairs of this direction.
        """
        direction = (source_lang, target_lang)
        if direction not in self._sources:
            known = ", ".join("-".join(pair) for pair in self.directions) or "none"
            raise ValueError(f"no training pairs for {source_lang}-{target_lang}; directions with pairs: {known}")
        sources, translations = self._sources[direction], self._translations[direction]
        batch_size = max(1, _MAX_DISTANCES // len(sources))
        answers = []
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            distances = cdist(batch, sources, scorer=Levenshtein.normalized_distance, dtype=np.float64, workers=-1)
            answers += [translations[index] for index in distances.argmin(axis=1)]
        return answers


def translate_by_baseline(hypotheses: Iterable[Hypothesis], baseline: NearestSentenceBaseline) -> list[Hypothesis]:
    """Translations of the baseline for every translation request.

    Text translation looks up the source text; speech translation looks up what *the same model* recognised in the
    recording, so the hypotheses must include the ASR of every translated recording.
    """
    hypotheses = list(hypotheses)
    recognised = {(h.id, h.source_lang, h.source_lang_given): h.hypothesis for h in hypotheses if h.task == "asr"}
    asked: dict[tuple[str, str], list[tuple[Hypothesis, str]]] = defaultdict(list)
    for hypothesis in hypotheses:
        if (
            hypothesis.task not in TRANSLATION_TASKS
            or (hypothesis.source_lang, hypothesis.target_lang) not in baseline.directions
        ):
            continue
        source = hypothesis.source_text
        if hypothesis.task == "ast":
            source = recognised.get((hypothesis.id, hypothesis.source_lang, hypothesis.source_lang_given))
        if source is None:
            raise ValueError(
                f"{hypothesis.key}: the baseline translates the recognised text, but there is no ASR hypothesis; "
                "evaluate asr together with ast"
            )
        asked[hypothesis.source_lang, hypothesis.target_lang].append((hypothesis, source))
    answers = []
    for (source_lang, target_lang), pairs in asked.items():
        translations = baseline.translate([source for _, source in pairs], source_lang, target_lang)
        answers += [replace(pair[0], hypothesis=text) for pair, text in zip(pairs, translations, strict=True)]
    return answers
