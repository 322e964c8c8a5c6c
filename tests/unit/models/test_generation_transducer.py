# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from mu2slam_hf.models.configuration_transducer import TransducerConfig
from mu2slam_hf.models.generation_transducer import search_beams, search_greedily
from mu2slam_hf.models.modules_transducer import TransducerHead

BLANK, A, B = 0, 12, 13


def make_head(vocab_size: int = 20, scale: float = 1.0, predictor_type: str = "lstm") -> TransducerHead:
    """A head with random weights over states of width 6; larger weights make it write more different texts."""
    torch.manual_seed(0)
    sizes = TransducerConfig(predictor_type=predictor_type, hidden_size=8, num_layers=1, joint_size=16)
    head = TransducerHead(
        SimpleNamespace(
            transducer_config=sizes, vocab_size=vocab_size, pad_token_id=0, unk_token_id=3, text_token_offset=12
        ),
        6,
    ).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(scale)
    return head


class HandMadeJoint(torch.nn.Module):
    """Logits of blank, the unknown token, a and b by frame and last token, written down by hand.

    The state of a frame is its number; the vector of a text is the number of its last token, 0 for none.
    """

    def __init__(self, logits: dict[tuple[int, int], list[float]]):
        super().__init__()
        self.logits = logits
        self.encoder_proj = self.prediction_proj = torch.nn.Identity()
        self.token_head = torch.nn.Linear(1, 14)

    def select(self, tokens):
        return ()

    def forward(self, frames, vectors):
        frames, vectors = torch.broadcast_tensors(frames, vectors)
        keys = zip(frames.flatten().long().tolist(), vectors.flatten().long().tolist(), strict=True)
        rows = [self.logits.get(key, [0.0] + [-99.0] * 3) for key in keys]
        return torch.tensor(rows).view(*frames.shape[:-1], 4)


def make_written_head(logits: dict[tuple[int, int], list[float]]) -> TransducerHead:
    head = make_head(vocab_size=14)
    head.joint = HandMadeJoint(logits)
    head.prediction.initial_state = lambda batch_size: (torch.zeros(batch_size, 1),)
    head.prediction.advance = lambda tokens, state: (tokens[..., None].float(), (tokens.float(),))
    return head


def frames(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(count).float().view(1, count, 1), torch.tensor([count])


def test_greedy_search_by_hand():
    # Two tokens at frame 1, one at frame 6, in another block of frames.
    head = make_written_head(
        {(1, BLANK): [0, -99, 5, 0], (1, A): [0, -99, 0, 5], (1, B): [5, -99, 0, 0], (6, B): [0, -99, 5, 0]}
    )
    (found,) = search_greedily(head, *frames(9))
    assert found.tokens == (A, B, A) and found.frames == (1, 1, 6)
    # At nine nodes blank is certain or the alternative to three others; three nodes have a token.
    sure = 5 - math.log(math.exp(5) + 2)
    assert math.isclose(found.score, 4 * sure, abs_tol=1e-5)


def test_greedy_search_leaves_a_frame_after_its_largest_number_of_tokens():
    head = make_written_head({(1, token): [0, -99, 5, 0] for token in (BLANK, A)})
    for limit in (1, 3):
        (found,) = search_greedily(head, *frames(3), max_symbols_per_frame=limit)
        assert found.tokens == (A,) * limit and found.frames == (1,) * limit
    (found,) = search_greedily(head, *frames(3))
    assert len(found.tokens) == 10


def test_excluded_tokens_are_not_written():
    head = make_written_head({(0, BLANK): [0, -99, 3, 2], (0, B): [5, -99, 0, 0]})
    excluded = torch.zeros(1, 14, dtype=torch.bool)
    excluded[0, A] = True
    assert search_greedily(head, *frames(2))[0].tokens[0] == A
    assert search_greedily(head, *frames(2), excluded=excluded)[0].tokens == (B,)
    assert search_beams(head, *frames(2), num_beams=2, excluded=excluded)[0].tokens == (B,)


def test_beams_find_a_text_that_greedy_search_misses():
    # "a" is a little better at first, but after it both frames are undecided; after "b" blank is certain.
    head = make_written_head({(0, BLANK): [-9, -99, 1.1, 1], (1, A): [0, -99, 0, 0], (1, B): [9, -99, 0, 0]})
    assert search_greedily(head, *frames(2), max_symbols_per_frame=1)[0].tokens == (A,)
    (found,) = search_beams(head, *frames(2), num_beams=2)
    assert found.tokens == (B,) and found.frames == (0,)
    assert math.isclose(found.score, 1 - math.log(math.exp(1.1) + math.exp(1) + math.exp(-9)), abs_tol=1e-3)


def test_paths_of_one_text_are_merged():
    # "a" at frame 0 or 1: together more probable than no token, alone each less.
    head = make_written_head(
        {
            (0, BLANK): [math.log(0.6), -99, math.log(0.4), -99],
            (1, BLANK): [math.log(0.6), -99, math.log(0.4), -99],
        }
    )
    (found,) = search_beams(head, *frames(2), num_beams=3)
    assert found.tokens == (A,)
    assert math.isclose(found.score, math.log(0.4 + 0.6 * 0.4), abs_tol=1e-5)
    (best_path,) = search_beams(head, *frames(2), num_beams=1)
    assert best_path.tokens == ()


def make_states() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 17, 6), torch.tensor([17, 9, 1, 12])


@pytest.mark.parametrize("predictor_type", ["lstm", "stateless"])
def test_one_beam_equals_greedy_search_with_one_token_a_frame(predictor_type):
    head = make_head(scale=2.0, predictor_type=predictor_type)
    states, lengths = make_states()
    greedy = search_greedily(head, states, lengths, max_symbols_per_frame=1)
    for mine, reference in zip(search_beams(head, states, lengths, num_beams=1), greedy, strict=True):
        assert mine.tokens == reference.tokens and mine.frames == reference.frames
    assert len({found.tokens for found in greedy}) > 1


@pytest.mark.parametrize("num_beams", [0, 4])
def test_an_utterance_alone_equals_it_in_a_batch_with_garbage(num_beams):
    head = make_head(scale=2.0)
    states, lengths = make_states()
    padding = torch.arange(17) >= lengths[:, None]

    def search(states, lengths):
        if num_beams == 0:
            return search_greedily(head, states, lengths)
        return search_beams(head, states, lengths, num_beams=num_beams)

    batch = search(states.masked_fill(padding[..., None], float("nan")), lengths)
    for row, length in enumerate(lengths.tolist()):
        (alone,) = search(states[row : row + 1, :length], lengths[row : row + 1])
        assert alone.tokens == batch[row].tokens and alone.frames == batch[row].frames
        assert math.isclose(alone.score, batch[row].score, rel_tol=1e-4)


def test_many_beams_find_the_most_probable_of_all_texts():
    # With every text kept, the score is the sum over all paths with at most one token a frame.
    head = make_head(vocab_size=13, scale=3.0)
    states, lengths = torch.randn(1, 3, 6), torch.tensor([3])
    (found,) = search_beams(head, states, lengths, num_beams=1000)
    scores: dict[tuple[int, ...], float] = {}
    for path in itertools.product((BLANK, 3, A), repeat=3):
        text = tuple(token for token in path if token != BLANK)
        log_prob, written = 0.0, []
        for frame, token in enumerate(path):
            vector = head.prediction(torch.tensor([written], dtype=torch.int64))[0, -1]
            logits = head.joint.token_head(
                torch.relu(head.joint.encoder_proj(states[0, frame]) + head.joint.prediction_proj(vector))
            )
            log_prob += logits[[BLANK, 3, A]].log_softmax(0)[(BLANK, 3, A).index(token)].item()
            written += [token] if token != BLANK else []
        scores[text] = scores.get(text, 0.0) + math.exp(log_prob)
    best = max(scores, key=lambda text: scores[text])
    assert found.tokens == best
    assert math.isclose(found.score, math.log(scores[best]), abs_tol=1e-5)


def test_a_search_without_beams_is_refused():
    with pytest.raises(ValueError, match="num_beams must be at least 1, got 0"):
        search_beams(make_head(), *make_states(), num_beams=0)
