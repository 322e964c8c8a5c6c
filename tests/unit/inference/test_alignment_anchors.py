# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Places of frames in a text: exact for what was said, constant in pauses, corrected by anchors."""

import itertools

import numpy as np
import pytest

from mu2slam_hf.inference.ctc_alignment import _longest_ascending, _shared_once, estimate_places

SAID = np.random.default_rng(0).integers(1, 20, 400)


def one_hot(frames, size=20):
    return np.where(np.eye(size)[np.asarray(frames)] > 0, 0.0, -9.0)


def make_frames(tokens, pause_after=()):
    frames, places = [], []
    for place, token in enumerate(tokens):
        frames += [token, token, 0]
        places += [place + 1] * 3
        if place in pause_after:
            frames += [0] * 50
            places += [place + 1] * 50
    return frames, np.array(places)


def test_places_of_a_text_that_was_said():
    frames, expected = make_frames(SAID, pause_after=(10, 200))
    values = one_hot(frames)
    found = estimate_places(values, SAID, 0, values.max(axis=1))
    np.testing.assert_allclose(found, expected)


def test_anchors_correct_what_is_left_out():
    frames, expected = make_frames(SAID)
    values = one_hot(frames)
    best = values.max(axis=1)
    shorter = np.delete(SAID, slice(100, 250))
    found = estimate_places(values, shorter, 0, best)
    assert (np.diff(found) >= 0).all() and found[0] >= 0 and found[-1] == len(shorter)
    np.testing.assert_allclose(found[: 3 * 95], expected[: 3 * 95])
    np.testing.assert_allclose(found[3 * 255 :], expected[3 * 255 :] - 150)
    # A frame whose best label is not a column is a token of its own.
    hidden = best.copy()
    hidden[30:33] += 1.0
    assert np.abs(estimate_places(values, shorter, 0, hidden) - found).max() <= 2


def test_without_speech_or_anchors():
    silent = one_hot([0] * 30)
    assert estimate_places(silent, SAID, 0, silent.max(axis=1)).tolist() == [0.0] * 30
    frames, _ = make_frames(SAID[:40])
    values = one_hot(frames)
    other = np.full(80, 19)
    found = estimate_places(values, other, 0, values.max(axis=1))
    spoken = 1 + (SAID[1:40] > 0).sum()
    assert found[-1] == 80 and found[0] == pytest.approx(80 / spoken)


def test_shared_sequences_are_those_that_occur_once():
    first = np.concatenate([SAID[:50], SAID[:20], SAID[100:130]])
    second = np.concatenate([SAID[100:130], [-1], SAID[:50]])
    pairs = _shared_once(first, second)
    expected = []
    for i, j in itertools.product(range(len(first) - 9), range(len(second) - 9)):
        piece = first[i : i + 10].tolist()
        counts = [sum(text[k : k + 10].tolist() == piece for k in range(len(text) - 9)) for text in (first, second)]
        if second[j : j + 10].tolist() == piece and counts == [1, 1]:
            expected.append((i, j))
    assert pairs == expected and len(pairs) > 20
    assert _shared_once(first[:5], second) == []


@pytest.mark.parametrize("seed", range(5))
def test_longest_ascending_chain_against_all_chains(seed):
    second = np.random.default_rng(seed).permutation(9).tolist()
    pairs = list(enumerate(second))
    longest = max(
        len(chain)
        for size in range(10)
        for chain in itertools.combinations(second, size)
        if list(chain) == sorted(chain)
    )
    found = _longest_ascending(pairs)
    assert len(found) == longest and [b for _, b in found] == sorted(b for _, b in found)
    assert set(found) <= set(pairs)
