# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Rates that are pooled over utterances, such as WER and accuracy, as metrics of sacreBLEU."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from sacrebleu.metrics.base import Metric, Score


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
