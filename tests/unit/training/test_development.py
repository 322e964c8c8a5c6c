# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy CTC transcripts and their scores during training."""

from types import SimpleNamespace

import torch

from mu2slam_hf.training.development import TranscriptScorer, collapse_ctc, score_rows, transcribe_batch


def test_repeats_and_blanks_go_and_padding_is_not_read():
    ids = torch.tensor([[0, 5, 5, 0, 5, 7, 7], [4, 4, 0, 0, 0, 9, 9]])
    assert collapse_ctc(ids, torch.tensor([7, 4])) == [[5, 5, 7], [4]]
    assert collapse_ctc(ids[:1], torch.tensor([1])) == [[]]


def spell(rows):
    return ["".join(chr(96 + token) for token in row) for row in rows]


def test_a_batch_is_transcribed_where_there_is_a_reference():
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 1, 0], [2, 0, 0], [3, 3, 3]]), 5).float()
    batch = {
        "attention_mask": torch.tensor([[1] * 12, [1] * 5 + [0] * 7, [1] * 12]),
        "ctc_labels": torch.tensor([[1, 2], [2, -100], [-100, -100]]),
        "source_language_labels": torch.tensor([1, 2, 1]),
    }
    rows = transcribe_batch(SimpleNamespace(ctc_logits=logits), batch, torch.tensor([3, 2, 3]), spell)
    assert rows == [(1, "ab", "a"), (2, "b", "b")]


def test_scores_for_all_and_for_each_language():
    scorer = TranscriptScorer(
        decode=spell,
        score=lambda references, hypotheses: {
            "cer": float(sum(a != b for a, b in zip(references, hypotheses, strict=True)))
        },
        languages=["und", "en", "fr"],
    )
    rows = [(1, "a", "a"), (2, "b", "x"), (2, "c", "x"), (-1, "d", "x")]
    assert score_rows(rows, scorer) == {"ctc_cer": 3.0, "ctc_cer_en": 0.0, "ctc_cer_fr": 2.0}
