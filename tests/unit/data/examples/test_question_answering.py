# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Windows of passages, and the places of answers in them."""

import pytest
import torch
from helpers import make_tiny_processor

from mu2slam_hf.data.examples.question_windows import find_best_span, fold_capitals, pad_windows, split_into_windows

TOKENIZER = make_tiny_processor().tokenizer
PASSAGE = "la mesa press one to leave a message marque cinco para dejar el mensaje"


def test_windows_overlap_and_cover_the_passage():
    windows = split_into_windows("la", PASSAGE, TOKENIZER, max_tokens=24, overlap_tokens=8)
    assert [len(window.spans) for window in windows[:-1]] == [20] * (len(windows) - 1)
    assert all(len(window.input_ids) <= 24 for window in windows)
    starts = [window.spans[0][0] for window in windows]
    assert starts == [12 * number for number in range(len(windows))] and windows[-1].spans[-1][1] == len(PASSAGE)
    for window in windows:
        left, right = window.spans[0][0], window.spans[-1][1]
        ids = TOKENIZER("la", PASSAGE[left:right])["input_ids"]
        assert window.input_ids == ids and window.first_token == 3


def test_a_passage_that_fits_is_one_window():
    (window,) = split_into_windows("la", "mesa", TOKENIZER, max_tokens=8, overlap_tokens=7)
    assert window.input_ids == TOKENIZER("la", "mesa")["input_ids"]
    assert len(split_into_windows("la", "mesas", TOKENIZER, max_tokens=8, overlap_tokens=1)) == 2


def test_every_short_answer_is_completely_in_a_window():
    windows = split_into_windows("la", PASSAGE, TOKENIZER, max_tokens=24, overlap_tokens=8)
    for start in range(len(PASSAGE) - 9):
        places = [window.find_answer(start, start + 9) for window in windows]
        found = [(w, p) for w, p in zip(windows, places, strict=True) if p != (2, 2)]
        assert found
        for window, (first, last) in found:
            assert window.spans[first - 3][0] == start and window.spans[last - 3][1] == start + 9


def test_faults():
    with pytest.raises(ValueError, match="empty"):
        split_into_windows("la", "", TOKENIZER)
    with pytest.raises(ValueError, match="below 20"):
        split_into_windows("la", PASSAGE, TOKENIZER, max_tokens=24, overlap_tokens=20)


def test_capitals_are_folded_for_vocabularies_without_them():
    assert fold_capitals("La MESA İ", TOKENIZER) == "la mesa İ"
    (window,) = split_into_windows("LA", "Mesa", TOKENIZER)
    assert window.input_ids == TOKENIZER("la", "mesa")["input_ids"]
    with_capitals = TOKENIZER.train_new_from_iterator(["aA"], vocab_size=20)
    assert fold_capitals("La", with_capitals) == "La"


def test_the_best_span_is_the_highest_ratio_to_no_answer_over_all_windows():
    windows = split_into_windows("la", PASSAGE, TOKENIZER, max_tokens=24, overlap_tokens=8)
    batch = pad_windows(windows, TOKENIZER.pad_token_id)
    generator = torch.Generator().manual_seed(0)
    shape = batch["input_ids"].shape
    starts, ends = (torch.randn(shape, generator=generator) for _ in range(2))
    best = find_best_span(windows, starts, ends, PASSAGE, max_answer_tokens=5)
    expected = max(
        (float(starts[w, 3 + a] + ends[w, 3 + b] - starts[w, 2] - ends[w, 2]), window.spans[a][0], window.spans[b][1])
        for w, window in enumerate(windows)
        for a in range(len(window.spans))
        for b in range(a, min(a + 5, len(window.spans)))
    )
    assert (best.start, best.end) == expected[1:] and best.score == pytest.approx(expected[0])
    assert best.text == PASSAGE[best.start : best.end]


def test_padding_of_windows():
    windows = split_into_windows("la", PASSAGE, TOKENIZER, max_tokens=24, overlap_tokens=8)
    batch = pad_windows(windows, 0)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(window.input_ids) for window in windows]
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()
