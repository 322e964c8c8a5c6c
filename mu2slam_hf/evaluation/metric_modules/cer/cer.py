# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Character error rate, as a local module of `evaluate`."""

import datasets
import evaluate

from mu2slam_hf.evaluation.metrics import compute_cer


class CharacterErrorRate(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="Character error rate, in percent, over the whole corpus.",
            citation="",
            inputs_description="one text each per utterance. normalize (True): lower case, no punctuation.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, normalize=True):
        result = compute_cer(references, predictions, normalize=normalize)
        return {"cer": result.value, "signature": result.signature, "num_items": result.num_items}
