# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import itertools

import pytest
import torch

from mu2slam_hf.models.generation_ctc import CTCPrefixLogitsProcessor, CTCPrefixScorer

BLANK, EOS = 0, 1


def brute_force(log_probs, accepts):
    """Log probability of all labellings whose collapsed form is accepted. log_probs (N, V)."""
    total = torch.tensor(-float("inf"), dtype=torch.float64)
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        if EOS in path:
            continue
        collapsed = [token for token, _ in itertools.groupby(path) if token != BLANK]
        if accepts(collapsed):
            total = torch.logaddexp(total, sum(log_probs[i, token] for i, token in enumerate(path)))
    return total


@pytest.fixture
def log_probs():
    logits = torch.randn(1, 5, 4, dtype=torch.float64)
    logits[..., EOS] = -1e4  # CTC never emits the end token
    return logits.log_softmax(-1)


@pytest.mark.parametrize("prefix", [[2], [3, 2], [2, 2], [2, 3, 2]])
def test_prefix_and_end_scores_equal_brute_force(log_probs, prefix):
    scorer = CTCPrefixScorer(log_probs, torch.tensor([5]), BLANK)
    row = torch.tensor([0])
    state, last = scorer.initial_state(row), -1
    for token in prefix:
        state = scorer.extend(state, torch.tensor([token]), torch.tensor([token == last]), row)
        last = token
    expected = brute_force(log_probs[0], lambda text: text[: len(prefix)] == prefix)
    torch.testing.assert_close(state.score[0], expected, atol=1e-6, rtol=1e-6)
    expected_end = brute_force(log_probs[0], lambda text: text == prefix)
    torch.testing.assert_close(scorer.end_scores(state)[0], expected_end, atol=1e-6, rtol=1e-6)
    for token in (2, 3):
        scores = scorer.prefix_scores(state, torch.tensor([[token]]), torch.tensor([last]), row)
        longer = [*prefix, token]
        expected = brute_force(log_probs[0], lambda text, longer=longer: text[: len(longer)] == longer)
        torch.testing.assert_close(scores[0, 0], expected, atol=1e-6, rtol=1e-6)


def test_padding_frames_change_nothing(log_probs):
    padded = torch.cat([log_probs, torch.randn(1, 3, 4, dtype=torch.float64)], dim=1)
    row, token, fresh = torch.tensor([0]), torch.tensor([2]), torch.tensor([False])
    states = []
    for probabilities in (log_probs, padded):
        scorer = CTCPrefixScorer(probabilities, torch.tensor([5]), BLANK)
        state = scorer.extend(scorer.initial_state(row), token, fresh, row)
        states.append((state.score, scorer.end_scores(state)))
    torch.testing.assert_close(states[0], states[1])


def test_processor_follows_reordered_beams_and_leaves_translations_alone(log_probs):
    both = torch.cat([log_probs, log_probs])
    scorer = CTCPrefixScorer(both, torch.tensor([5, 5]), BLANK)
    processor = CTCPrefixLogitsProcessor(scorer, torch.tensor([1.0, 0.0]), EOS)
    scores = torch.randn(4, 4).log_softmax(-1)
    processor(torch.tensor([[9], [9], [9], [9]]), scores)
    processor(torch.tensor([[9, 2], [9, 3], [9, 2], [9, 3]]), scores)
    mixed = processor(torch.tensor([[9, 3, 2], [9, 2, 3], [9, 3, 2], [9, 3, 2]]), scores)
    expected = brute_force(log_probs[0], lambda text: text[:3] == [3, 2, 3]) - brute_force(
        log_probs[0], lambda text: text[:2] == [3, 2]
    )
    torch.testing.assert_close(mixed[0, 3].double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed[2:], scores[2:])


def test_processor_rewinds_and_replaces_prefixes(log_probs):
    """As assisted decoding does: candidates are scored position by position, and some are then rejected."""
    scorer = CTCPrefixScorer(log_probs, torch.tensor([5]), BLANK)
    processor = CTCPrefixLogitsProcessor(scorer, torch.tensor([0.5]), EOS)
    scores = torch.randn(1, 4).log_softmax(-1)
    asked = [[9], [9, 2], [9, 2, 2], [9, 2, 2, 3], [9, 3], [9, 3, 2], [9, 3, 2, 3], [9, 2, 2], [9, 3, 2, 2], [9]]
    for prefix in asked:
        fresh = CTCPrefixLogitsProcessor(scorer, torch.tensor([0.5]), EOS)
        assert torch.equal(processor(torch.tensor([prefix]), scores), fresh(torch.tensor([prefix]), scores)), prefix


def test_constant_scores_exclude_no_token(log_probs):
    """Prompt lookup asks with constants which tokens may be proposed."""
    scorer = CTCPrefixScorer(log_probs, torch.tensor([5]), BLANK)
    processor = CTCPrefixLogitsProcessor(scorer, torch.tensor([0.5]), EOS, num_candidates=2)
    constant = torch.tensor([[-float("inf"), 1.0, 1.0, 1.0]])
    assert torch.equal(processor(torch.tensor([[9]]), constant), constant)
    assert torch.isinf(processor(torch.tensor([[9]]), torch.tensor([[0.0, 1.0, 2.0, 3.0]]))).sum() == 2
