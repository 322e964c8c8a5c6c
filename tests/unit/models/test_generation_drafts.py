# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf.models.generation_assisted import LARGEST_BLOCK, SMALLEST_BLOCK, Draft, build_ctc_drafts

BLANK = 0


def rounds_until_written(draft: Draft, text: list[int]) -> int:
    """Number of checks until `text` is written, by a decoder that writes exactly this."""
    written = rounds = 0
    while written < len(text):
        block = draft.propose(LARGEST_BLOCK)
        agreeing = 0
        while agreeing < len(block) and block[agreeing : agreeing + 1] == text[written + agreeing :][:1]:
            agreeing += 1
        new = text[written : written + agreeing + 1]
        draft.follow(new)
        written += len(new)
        rounds += 1
    return rounds


TEXT = list(range(10, 110))


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("replaced", [*TEXT[:30], 7, *TEXT[31:]]),
        ("missing", [*TEXT[:30], *TEXT[32:]]),
        ("added", [*TEXT[:30], 7, 8, *TEXT[30:]]),
    ],
)
def test_a_draft_goes_on_after_a_difference(name, proposed):
    exact = rounds_until_written(Draft(TEXT), TEXT)
    assert exact < 6
    assert rounds_until_written(Draft(proposed), TEXT) <= exact + 6


def test_blocks_follow_what_was_accepted():
    draft = Draft(TEXT)
    first = len(draft.propose(1000))
    draft.follow(TEXT[: first + 1])
    assert len(draft.propose(1000)) == 2 * first
    assert draft.propose(3) == TEXT[first + 1 : first + 4]
    draft.follow([7])
    assert len(draft.propose(1000)) == SMALLEST_BLOCK


def test_texts_without_a_draft_and_after_its_end():
    empty = Draft([])
    empty.follow([5, 6])
    assert empty.propose(10) == []
    short = Draft([5, 6])
    short.follow([5, 6, 7])
    assert short.propose(10) == []


def test_best_paths_end_with_the_real_frames():
    paths = torch.tensor([[3, 3, BLANK, 3, 4, 4, 5, 5], [BLANK, 6, 6, BLANK, BLANK, 9, 9, 9]])
    logits = torch.nn.functional.one_hot(paths, 10).float()
    assert build_ctc_drafts(logits, torch.tensor([6, 5]), BLANK) == [[3, 3, 4], [6]]
    assert build_ctc_drafts(logits, torch.tensor([8, 0]), BLANK) == [[3, 3, 4, 5], []]
