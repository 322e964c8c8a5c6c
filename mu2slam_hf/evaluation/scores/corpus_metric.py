# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of the local modules of `evaluate` in `metric_modules/`."""

from collections.abc import Callable
from typing import Any

import datasets
import evaluate

from mu2slam_hf.evaluation.scores.metrics import MetricValue


class CorpusMetric(evaluate.Metric):
    """A corpus-level score of `evaluation.metrics` as a metric of `evaluate`.

    Attributes:
        summary: what the metric computes.
        inputs: its inputs and options.
        key: name of the score in the results.
        measure: function of references, hypotheses and options.
    """

    summary: str
    inputs: str
    key: str
    measure: Callable[..., MetricValue]

    def _info(self) -> Any:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.summary,
            citation="",
            inputs_description=self.inputs,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str], **options: Any) -> dict[str, Any]:
        result = self.measure(references, predictions, **options)
        return {self.key: result.value, "signature": result.signature, "num_items": result.num_items}
