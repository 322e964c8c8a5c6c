# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpus-level scores: WER and CER from edit distances, BLEU, chrF and TER from sacreBLEU with their signatures.

All rates and scores are in percent. A list of references holds one reference per utterance.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.base import Metric, Score
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from mu2slam_hf.data.text import has_spaces, normalize_for_scoring
from mu2slam_hf.evaluation.scores.intervals import Bootstrap, FloatArray, percentile_interval

# Languages that the default tokenizer of sacreBLEU cannot split into words. Choice: characters if better tokenizers
# require more than pip packages (MeCab); the signature contains the tokenizer.
_BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}
METRICS = ("wer", "cer", "bleu", "chrf", "ter", "accuracy")
# Metrics in which less is better.
ERROR_METRICS = frozenset({"wer", "cer", "ter"})
_SACREBLEU_NAMES = {"bleu": "BLEU", "chrf": "chrF2", "ter": "TER"}
_UNITS = {"wer": "words", "cer": "characters"}


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One corpus-level score.

    Attributes:
        value: percent; for rates (WER, CER, TER) lower is better and more than 100 is possible, for BLEU and chrF
            higher is better.
        signature: how it was computed, sufficient to reproduce it.
        num_items: number of utterances scored.
        interval_low: lower bound of the 95 % confidence interval; None if it was not computed.
        interval_high: upper bound likewise.
        resampled: `(num_samples,)`, the scores of all resamples of a bootstrap.
    """

    value: float
    signature: str
    num_items: int
    interval_low: float | None = None
    interval_high: float | None = None
    resampled: FloatArray | None = field(default=None, repr=False, compare=False)


def edit_distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """Minimum number of insertions, deletions and substitutions that convert one sequence to the other."""
    return Levenshtein.distance(reference, hypothesis)


def compute_wer(references: Sequence[str], hypotheses: Sequence[str], *, normalize: bool = True) -> MetricValue:
    """Word error rate of a corpus: all edits over all reference words.

    Args:
        references: reference transcripts.
        hypotheses: recognised texts, in the same order.
        normalize: whether to convert both sides to lower case without punctuation, see `normalize_for_scoring`.

    Raises:
        ValueError: the lists differ in length, or there are no reference words.
    """
    return compute_metric("wer", references, hypotheses, normalize=normalize)


def compute_cer(references: Sequence[str], hypotheses: Sequence[str], *, normalize: bool = True) -> MetricValue:
    """Character error rate of a corpus; a single space between words counts as a character.

    Args and errors as in `compute_wer`.
    """
    return compute_metric("cer", references, hypotheses, normalize=normalize)


def compute_bleu(references: Sequence[str], hypotheses: Sequence[str], *, target_lang: str = "en") -> MetricValue:
    """SacreBLEU's corpus BLEU; `target_lang` chooses the tokenizer for languages without spaces."""
    return compute_metric("bleu", references, hypotheses, target_lang=target_lang)


def compute_chrf(references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    """SacreBLEU's corpus chrF2."""
    return compute_metric("chrf", references, hypotheses)


def compute_ter(references: Sequence[str], hypotheses: Sequence[str], *, target_lang: str = "en") -> MetricValue:
    """SacreBLEU's corpus TER (translation edit rate).

    Choice: for target languages without spaces its options `normalized` and `asian_support`, which split Chinese and
    Japanese into characters; the signature contains them.
    """
    return compute_metric("ter", references, hypotheses, target_lang=target_lang)


def compute_accuracy(references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    """Percentage of hypotheses that equal the reference, for example of predicted languages."""
    return compute_metric("accuracy", references, hypotheses)


def compute_metric(
    name: str,
    references: Sequence[str],
    hypotheses: Sequence[str],
    *,
    target_lang: str = "en",
    normalize: bool = True,
    bootstrap: Bootstrap | None = None,
) -> MetricValue:
    """One of the scores above by its name.

    Args:
        name: one of `METRICS`.
        references: one reference for each utterance.
        hypotheses: texts of the system, in the same order.
        target_lang: language of the texts, for BLEU and TER.
        normalize: as in `compute_wer`, for WER and CER.
        bootstrap: if given, the score has a 95 % confidence interval.

    Raises:
        ValueError: an unknown name, lists of different length, or nothing to score.
    """
    _check_paired(references, hypotheses)
    metric = build_metric(name, target_lang=target_lang, normalize=normalize)
    statistics = extract_statistics(metric, references, hypotheses)
    if isinstance(metric, PooledRate) and not any(whole for _, whole in statistics):
        raise ValueError(f"all references are empty: an error rate requires reference {_UNITS[name]}")
    signature = str(metric.get_signature())
    if name in _SACREBLEU_NAMES:
        signature = f"{_SACREBLEU_NAMES[name]}|{signature}"
    value = MetricValue(
        value=float(metric._aggregate_and_compute(statistics).score), signature=signature, num_items=len(references)
    )
    return value if bootstrap is None else add_interval(value, resample_metric(metric, statistics, bootstrap))


def build_metric(name: str, *, target_lang: str = "en", normalize: bool = True) -> Metric:
    """The metric of sacreBLEU, or a rate with the same interface.

    Args:
        name: one of `METRICS`.
        target_lang: language of the texts.
        normalize: as in `compute_wer`.

    Raises:
        ValueError: an unknown name.
    """
    lang = target_lang.split("-")[0]
    if name == "bleu":
        return BLEU(tokenize=_BLEU_TOKENIZERS.get(lang, "13a"))
    if name == "chrf":
        return CHRF()
    if name == "ter":
        return TER(normalized=not has_spaces(lang), asian_support=not has_spaces(lang))
    if name == "accuracy":
        return PooledRate(name, name, lambda reference, hypothesis: (float(reference == hypothesis), 1.0))
    if name in _UNITS:
        signature = f"{name}|pooled|text:{'nfkc+lower+nopunct' if normalize else 'as-is'}"
        return PooledRate(name, signature, _count_errors(_UNITS[name], normalize))
    raise ValueError(f"unknown metric {name!r}; expected one of {', '.join(METRICS)}")


def extract_statistics(metric: Metric, references: Sequence[str], hypotheses: Sequence[str]) -> list[list[float]]:
    """`(utterances, statistics)`: what a metric sums over utterances.

    Args:
        metric: of `build_metric`.
        references: one reference for each utterance.
        hypotheses: texts of the system.
    """
    statistics: list[list[float]] = metric._extract_corpus_statistics(list(hypotheses), [list(references)])
    return statistics


def resample_metric(metric: Metric, statistics: Sequence[Sequence[float]], bootstrap: Bootstrap) -> FloatArray:
    """`(num_samples,)`: the scores of all resamples.

    Args:
        metric: of `build_metric`.
        statistics: of `extract_statistics`.
        bootstrap: number of resamples and seed.
    """
    return bootstrap.resample(statistics, lambda sums: metric._compute_score_from_stats(sums).score)


def add_interval(value: MetricValue, resampled: FloatArray) -> MetricValue:
    """A score with its 95 % confidence interval.

    Args:
        value: the score.
        resampled: `(num_samples,)`, its resamples.
    """
    low, high = percentile_interval(resampled)
    return replace(value, interval_low=low, interval_high=high, resampled=resampled)


def compute_mean(values: Sequence[float]) -> float:
    """Unweighted mean over languages or directions."""
    if not values:
        raise ValueError("cannot compute the mean of no scores")
    return sum(values) / len(values)


def _check_paired(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise ValueError("references and hypotheses must be lists of texts, not one text")
    if len(references) != len(hypotheses):
        raise ValueError(f"got {len(references)} references but {len(hypotheses)} hypotheses")
    if not references:
        raise ValueError("nothing to score: the list of references is empty")


def _count_errors(unit: str, normalize: bool) -> Callable[[str, str], tuple[float, float]]:
    """Edits and length of the reference of one utterance."""

    def split(text: str) -> Sequence[str]:
        words = (normalize_for_scoring(text) if normalize else text).split()
        return words if unit == "words" else " ".join(words)

    def measure(reference: str, hypothesis: str) -> tuple[float, float]:
        expected = split(reference)
        return edit_distance(expected, split(hypothesis)), len(expected)

    return measure


class PooledRate(Metric):
    """100 times the sum of the numerators of all utterances over the sum of their denominators.

    It has the interface of the metrics of sacreBLEU, so that all scores are computed and resampled in the same way:
    from statistics of the utterances that can be summed.

    Args:
        name: name of the rate.
        description: what `get_signature` returns.
        measure: numerator and denominator of one utterance, from its reference and its hypothesis.
    """

    def __init__(self, name: str, description: str, measure: Callable[[str, str], tuple[float, float]]) -> None:
        super().__init__()
        self._name = name
        self._description = description
        self._measure = measure

    def get_signature(self) -> Any:
        """The description of the rate."""
        return self._description

    def _preprocess_segment(self, sent: str) -> str:
        return sent

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        (reference,) = refs
        return {"reference": reference}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[Any]:
        return list(self._measure(ref_kwargs["reference"], hypothesis))

    def _compute_score_from_stats(self, stats: Sequence[Any]) -> Score:
        return Score(self._name, 100.0 * float(stats[0]) / float(stats[1]) if stats[1] else math.nan)

    def _aggregate_and_compute(self, stats: Sequence[Sequence[Any]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])
