# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""SacreBLEU's BLEU, as a local module of `evaluate`."""

import datasets
import evaluate

from mu2slam_hf.evaluation.metrics import compute_bleu


class Bleu(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="SacreBLEU's BLEU, in percent, over the whole corpus.",
            citation="",
            inputs_description="one text each per utterance. target_lang (en): for the tokenizer.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, target_lang="en"):
        result = compute_bleu(references, predictions, target_lang=target_lang)
        return {"bleu": result.value, "signature": result.signature, "num_items": result.num_items}
