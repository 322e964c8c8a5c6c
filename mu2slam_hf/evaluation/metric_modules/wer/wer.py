# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Word error rate, as a local module of `evaluate`."""

from mu2slam_hf.evaluation.scores import corpus_metric
from mu2slam_hf.evaluation.scores.metrics import compute_wer


class WordErrorRate(corpus_metric.CorpusMetric):
    summary = "Word error rate, in percent, over the whole corpus."
    inputs = "one text each per utterance. normalize (True): lower case, no punctuation."
    key = "wer"
    measure = staticmethod(compute_wer)
