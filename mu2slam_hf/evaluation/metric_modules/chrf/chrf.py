# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""SacreBLEU's chrF2, as a local module of `evaluate`."""

from mu2slam_hf.evaluation.scores import corpus_metric
from mu2slam_hf.evaluation.scores.metrics import compute_chrf


class Chrf(corpus_metric.CorpusMetric):
    summary = "SacreBLEU's chrF2, in percent, over the whole corpus."
    inputs = "predictions, references: one text each per utterance."
    key = "chrf"
    measure = staticmethod(compute_chrf)
