# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of the texts that are retrieved for recordings, and intervals over sentences.

Error rates here are of a *retrieved* text: they fall as recall rises, and say nothing about transcription.
Shapes: Q recordings, C texts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import (
    MetricValue,
    add_interval,
    build_metric,
    compute_metric,
    extract_statistics,
    resample_metric,
)

TRANSCRIPT_METRICS = ("wer", "cer")
TRANSLATION_METRICS = ("bleu", "chrf")


def choose_candidates(scores: Tensor, relevant: Tensor) -> list[int]:
    """The candidate of the best score of every query; of several, one that is wrong, as in `rank_candidates`.

    Args:
        scores: `(Q, C)`, higher is better.
        relevant: `(Q, C)` bool, True where the candidate is correct.
    """
    is_best = scores == scores.amax(dim=1, keepdim=True)
    # 2 for the best that are wrong, 1 for the best that are correct
    indices: list[int] = (is_best.long() * (2 - relevant.long())).argmax(dim=1).tolist()
    return indices


def score_retrieved_texts(
    retrieved: Sequence[str],
    wanted: Sequence[str],
    *,
    text_lang: str,
    metrics: Sequence[str],
    bootstrap: Bootstrap | None = None,
) -> dict[str, MetricValue]:
    """Metrics of the retrieved texts against the right ones.

    Args:
        retrieved: Q texts.
        wanted: Q texts.
        text_lang: their language.
        metrics: `TRANSCRIPT_METRICS` or `TRANSLATION_METRICS`.
        bootstrap: if given, the values have intervals over sentences: all recordings of one are drawn together.
    """
    values = {}
    for name in metrics:
        value = compute_metric(name, wanted, retrieved, target_lang=text_lang)
        if bootstrap is not None:
            metric = build_metric(name, target_lang=text_lang)
            by_sentence = sum_by_sentence(extract_statistics(metric, wanted, retrieved), wanted)
            value = add_interval(value, resample_metric(metric, by_sentence, bootstrap))
        values[name] = value
    return values


def recall_value(
    ranks: Tensor, sentences: Sequence[str], k: int, signature: str, bootstrap: Bootstrap | None = None
) -> MetricValue:
    """Percentage of queries whose rank is at most k.

    Args:
        ranks: `(Q,)`, see `rank_candidates`.
        sentences: Q names of the sentences of the queries.
        k: see above.
        signature: how it was computed.
        bootstrap: as in `score_retrieved_texts`.
    """
    hits = (ranks <= k).double()
    value = MetricValue(value=100.0 * float(hits.mean()), signature=signature, num_items=len(ranks))
    if bootstrap is None:
        return value
    statistics = sum_by_sentence(torch.stack([hits, torch.ones_like(hits)], dim=1).tolist(), sentences)
    return add_interval(value, bootstrap.resample(statistics, lambda sums: 100.0 * sums[0] / sums[1]))


def sum_by_sentence(statistics: Sequence[Sequence[float]], sentences: Sequence[str]) -> list[list[float]]:
    """Statistics of recordings, summed over those of each sentence, in the order of their first occurrence."""
    sums: dict[str, np.ndarray] = {}
    for sentence, row in zip(sentences, statistics, strict=True):
        sums[sentence] = sums.get(sentence, np.zeros(len(row))) + np.asarray(row, np.float64)
    return [row.tolist() for row in sums.values()]
