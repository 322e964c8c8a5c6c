# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Unseen words: words of test texts that occur in no training text, and how many of them are recognised."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.scores.metrics import MetricValue


class TrainingWords:
    """Words of training texts by language, normalised as for WER.

    Choice: variants of a language (`pt` and `pt-BR`) share their words. As in WER, words are separated by spaces, also
    in languages that are written without them.

    Args:
        records: training records; their transcripts and translations are read, not their audio.
    """

    def __init__(self, records: Iterable[SpeechTextRecord] = ()) -> None:
        self._words: dict[str, set[str]] = defaultdict(set)
        self.add(records)

    def add(self, records: Iterable[SpeechTextRecord]) -> int:
        """Add the texts of further records; returns their number, with translations."""
        num_texts = 0
        for record in records:
            for lang, text in ((record.lang, record.text), *record.translations.items()):
                if text:
                    num_texts += 1
                    self._words[_primary_language(lang)].update(split_words(text))
        return num_texts

    @property
    def num_words(self) -> dict[str, int]:
        """Number of different words by language."""
        return {lang: len(words) for lang, words in sorted(self._words.items())}

    def find_unseen(self, words: Sequence[str], lang: str) -> list[int]:
        """Positions of the words that occur in no training text of the language.

        Args:
            words: words of a text, from `split_words`.
            lang: their language.
        """
        seen = self._words.get(_primary_language(lang), set())
        return [position for position, word in enumerate(words) if word not in seen]


def split_words(text: str) -> list[str]:
    """The words of a text, normalised as for WER."""
    return normalize_for_scoring(text).split()


def find_recognized(reference: Sequence[str], hypothesis: Sequence[str]) -> set[int]:
    """Positions of the words of a reference that are aligned with the same word in the hypothesis.

    The alignment is one with the smallest number of insertions, deletions and substitutions.

    Args:
        reference: words of the reference.
        hypothesis: words of the hypothesis.
    """
    results: set[int] = set()
    for part in Levenshtein.opcodes(reference, hypothesis):
        if part.tag == "equal":
            results.update(range(part.src_start, part.src_end))
    return results


def compute_unseen_words(
    references: Sequence[str], hypotheses: Sequence[str], training_words: TrainingWords, lang: str
) -> dict[str, MetricValue]:
    """Share and recall of unseen words, pooled over the texts of a language.

    Args:
        references: reference transcripts, with at least one word in all.
        hypotheses: recognised texts, in the same order.
        training_words: words of the training texts.
        lang: language of the texts.

    Returns:
        `unseen_word_rate`: unseen words per 100 reference words; and if there are any, `unseen_word_recall`:
        percentage of them that is recognised, see `find_recognized`.
    """
    num_words = num_unseen = num_recognized = 0
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        words = split_words(reference)
        unseen = training_words.find_unseen(words, lang)
        num_words += len(words)
        num_unseen += len(unseen)
        num_recognized += len(find_recognized(words, split_words(hypothesis)).intersection(unseen))
    counts = {"unseen_word_rate": (num_unseen, num_words), "unseen_word_recall": (num_recognized, num_unseen)}
    return {
        name: MetricValue(
            value=100.0 * part / whole, signature=f"{name}|pooled|text:nfkc+lower+nopunct", num_items=len(references)
        )
        for name, (part, whole) in counts.items()
        if whole
    }


def _primary_language(lang: str) -> str:
    return lang.split("-")[0]
