# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""SacreBLEU's BLEU, as a local module of `evaluate`."""

from mu2slam_hf.evaluation.scores import corpus_metric
from mu2slam_hf.evaluation.scores.metrics import compute_bleu


class Bleu(corpus_metric.CorpusMetric):
    summary = "SacreBLEU's BLEU, in percent, over the whole corpus."
    inputs = "one text each per utterance. target_lang (en): for the tokenizer."
    key = "bleu"
    measure = staticmethod(compute_bleu)
