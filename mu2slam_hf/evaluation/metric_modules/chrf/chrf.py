# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""SacreBLEU's chrF2, as a local module of `evaluate`."""

import datasets
import evaluate

from mu2slam_hf.evaluation.metrics import compute_chrf


class Chrf(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="SacreBLEU's chrF2, in percent, over the whole corpus.",
            citation="",
            inputs_description="predictions, references: one text each per utterance.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references):
        result = compute_chrf(references, predictions)
        return {"chrf": result.value, "signature": result.signature, "num_items": result.num_items}
