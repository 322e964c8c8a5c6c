# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy CTC transcripts and classes, and their scores during training."""

from types import SimpleNamespace

import torch

from mu2slam_hf.training.scorers import ClassScorer, TranscriptScorer, collapse_ctc


def test_repeats_and_blanks_go_and_padding_is_not_read():
    ids = torch.tensor([[0, 5, 5, 0, 5, 7, 7], [4, 4, 0, 0, 0, 9, 9]])
    assert collapse_ctc(ids, torch.tensor([7, 4])) == [[5, 5, 7], [4]]
    assert collapse_ctc(ids[:1], torch.tensor([1])) == [[]]


def spell(rows):
    return ["".join(chr(96 + token) for token in row) for row in rows]


def compare(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    return {"cer": float(sum(a != b for a, b in zip(references, hypotheses, strict=True)))}


def test_a_batch_is_transcribed_where_there_is_a_reference():
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 1, 0], [2, 0, 0], [3, 3, 3]]), 5).float()
    batch = {
        "ctc_labels": torch.tensor([[1, 2], [2, -100], [-100, -100]]),
        "source_language_labels": torch.tensor([1, 2, 1]),
    }
    objective = SimpleNamespace(count_frames=lambda batch: torch.tensor([3, 2, 3]))
    scorer = TranscriptScorer(decode=spell, compare=compare)
    rows = scorer.collect(objective, SimpleNamespace(ctc_logits=logits), batch)
    assert rows == [(1, "ab", "a"), (2, "b", "b")] and scorer.score(rows) == {"ctc_cer": 1.0}
    assert scorer.collect(objective, None, {}) == [], "a text batch"


def test_scores_for_all_and_for_each_language():
    scorer = TranscriptScorer(decode=spell, compare=compare, languages=["und", "en", "fr"])
    rows = [(1, "a", "a"), (2, "b", "x"), (2, "c", "x"), (-1, "d", "x")]
    assert scorer.score(rows) == {"ctc_cer": 3.0, "ctc_cer_en": 0.0, "ctc_cer_fr": 2.0}


def test_accuracy_of_classes():
    outputs, batch = SimpleNamespace(logits=torch.eye(3)), {"labels": torch.tensor([0, 1, 1])}
    rows = ClassScorer().collect(None, outputs, batch)
    assert rows == [True, True, False] and ClassScorer().score([*rows, True]) == {"accuracy": 75.0}
