# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy CTC transcripts and classes, and their scores during training."""

from types import SimpleNamespace

import torch

from mu2slam_hf.training.scorers import ClassScorer, TranscriptScorer, collapse_ctc


def test_repeats_and_blanks_go_and_padding_is_not_read():
    ids = torch.tensor([[0, 5, 5, 0, 5, 7, 7], [4, 4, 0, 0, 0, 9, 9]])
    assert collapse_ctc(ids, torch.tensor([7, 4])) == [[5, 5, 7], [4]]
    assert collapse_ctc(ids[:1], torch.tensor([1])) == [[]]


# A configuration in which all tokens are for all languages.
SHARED = SimpleNamespace(restricted_tokens=None)


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
    scorer = TranscriptScorer(decode=spell, compare=compare, config=SHARED)
    rows = scorer.collect(objective, SimpleNamespace(ctc_logits=logits), batch)
    assert rows == [(1, "ab", "a"), (2, "b", "b")] and scorer.score(rows) == {"ctc_cer": 1.0}
    assert scorer.collect(objective, None, {}) == [], "a text batch"


def test_tokens_of_other_languages_are_not_written():
    """Token 4 was added for language 2 only; language 1 and an unknown one get the next best token."""
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0, 9.0]).repeat(3, 2, 1)
    batch = {"ctc_labels": torch.tensor([[1], [1], [1]]), "source_language_labels": torch.tensor([1, 2, -100])}
    objective = SimpleNamespace(count_frames=lambda batch: torch.tensor([2, 2, 2]))
    config = SimpleNamespace(
        restricted_tokens={"mdw": [4]}, languages=["und", "en", "mdw"], num_languages=3, vocab_size=5
    )
    scorer = TranscriptScorer(decode=spell, compare=compare, config=config)
    rows = scorer.collect(objective, SimpleNamespace(ctc_logits=logits), batch)
    assert rows == [(1, "a", "c"), (2, "a", "d"), (-100, "a", "c")]
    del batch["source_language_labels"]
    assert {hypothesis for *_, hypothesis in scorer.collect(objective, SimpleNamespace(ctc_logits=logits), batch)} == {
        "c"
    }


def test_scores_for_all_and_for_each_language():
    scorer = TranscriptScorer(decode=spell, compare=compare, config=SHARED, languages=["und", "en", "fr"])
    rows = [(1, "a", "a"), (2, "b", "x"), (2, "c", "x"), (-1, "d", "x")]
    assert scorer.score(rows) == {"ctc_cer": 3.0, "ctc_cer_en": 0.0, "ctc_cer_fr": 2.0}


def test_accuracy_of_classes():
    outputs, batch = SimpleNamespace(logits=torch.eye(3)), {"labels": torch.tensor([0, 1, 1])}
    rows = ClassScorer().collect(None, outputs, batch)
    assert rows == [True, True, False] and ClassScorer().score([*rows, True]) == {"accuracy": 75.0}
