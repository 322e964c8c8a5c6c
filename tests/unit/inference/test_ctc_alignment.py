# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The best CTC path against all paths of tiny cases, and the properties of long ones."""

import itertools

import numpy as np
import pytest
import torch

from mu2slam_hf.inference import ctc_alignment
from mu2slam_hf.inference.ctc_alignment import (
    BLANK_FRAME,
    WILDCARD,
    WILDCARD_COST,
    align_ctc,
    ctc_log_likelihoods,
    shortest_length,
)


def random_log_probs(num_frames: int, size: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(2 * generator.standard_normal((num_frames, size))).log_softmax(-1).numpy()


def spellings(num_frames: int, labels: list[int], blank: int = 0):
    """Every path of places in the text (or BLANK_FRAME) that spells it: in order, none left out, blanks in between."""
    for path in itertools.product([BLANK_FRAME, *range(len(labels))], repeat=num_frames):
        spoken = [place for place in path if place != BLANK_FRAME]
        if spoken != sorted(spoken) or set(spoken) != set(range(len(labels))):
            continue
        runs = [place for place, _ in itertools.groupby(path)]
        if len([place for place in runs if place != BLANK_FRAME]) != len(labels):
            continue  # a token that was left and taken up again is two tokens
        touching = [(a, b) for a, b in itertools.pairwise(runs) if BLANK_FRAME not in (a, b)]
        if all(labels[a] != labels[b] or labels[a] == WILDCARD for a, b in touching):
            yield path


def path_scores(log_probs: np.ndarray, labels: list[int], path, blank: int = 0) -> list[float]:
    ids = [blank if place == BLANK_FRAME else labels[place] for place in path]
    return [
        row.max() - WILDCARD_COST if label == WILDCARD else row[label]
        for row, label in zip(log_probs, ids, strict=True)
    ]


CASES = [[1], [1, 2], [1, 1], [2, 1, 2], [1, 1, 1], [3, 3, 1], [WILDCARD], [1, WILDCARD, 2], [WILDCARD, WILDCARD, 2]]


@pytest.mark.parametrize(
    "labels, num_frames", [(case, n) for case in CASES for n in (3, 5, 6) if shortest_length(case) <= n]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_best_path_of_all_paths(labels, num_frames, seed):
    log_probs = random_log_probs(num_frames, 4, seed)
    found = align_ctc(log_probs, labels)
    scored = {path: sum(path_scores(log_probs, labels, path)) for path in spellings(num_frames, labels)}
    best = max(scored.values())
    assert found.log_prob == pytest.approx(best, abs=1e-10)
    assert scored[tuple(found.path.tolist())] == pytest.approx(best, abs=1e-10)
    values = path_scores(log_probs, labels, found.path)
    for token, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        assert found.path[start:end].tolist() == [token] * (end - start) and end > start
        assert found.scores[token] == pytest.approx(np.mean(values[start:end]), abs=1e-10)


@pytest.mark.parametrize("labels", [case for case in CASES if WILDCARD not in case])
def test_likelihood_is_the_sum_over_all_paths(labels):
    log_probs = random_log_probs(6, 4)
    total = sum(np.exp(sum(path_scores(log_probs, labels, path))) for path in spellings(6, labels))
    found = ctc_log_likelihoods(torch.from_numpy(log_probs), [labels, [], [1] * 9])
    assert found[0] == pytest.approx(np.log(total), abs=1e-10)
    assert found[1] == pytest.approx(log_probs[:, 0].sum(), abs=1e-10)
    assert found[2] == -np.inf
    assert align_ctc(log_probs, labels).log_prob <= found[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_tensors_of_any_float_type(dtype):
    log_probs = torch.from_numpy(random_log_probs(20, 6)).to(dtype)
    found = align_ctc(log_probs, torch.tensor([2, 3, 3]))
    expected = align_ctc(log_probs.double().numpy(), [2, 3, 3])
    assert found.path.tolist() == expected.path.tolist() and found.log_prob == expected.log_prob


def test_another_blank():
    log_probs = random_log_probs(7, 4)
    moved = log_probs[:, [1, 2, 3, 0]]  # label k becomes k - 1, the blank the last one
    first, second = align_ctc(log_probs, [1, 2, 2]), align_ctc(moved, [0, 1, 1], blank=3)
    assert first.path.tolist() == second.path.tolist()


def plain_best_path(log_probs, labels):
    """The textbook loop over states, with all moves kept."""
    states = [0]
    for label in labels:
        states += [label, 0]
    scores = [[-np.inf] * len(states) for _ in log_probs]
    scores[0][:2] = [log_probs[0][0], log_probs[0][states[1]]]
    for t in range(1, len(log_probs)):
        for s, label in enumerate(states):
            options = [scores[t - 1][s]] + ([scores[t - 1][s - 1]] if s else [])
            if s > 2 and s % 2 and label != states[s - 2]:
                options.append(scores[t - 1][s - 2])
            scores[t][s] = max(options) + log_probs[t][label]
    return max(scores[-1][-2:])


@pytest.mark.parametrize("num_frames, num_labels", [(1, 1), (2, 1), (97, 40), (400, 55), (1000, 3)])
def test_stretches_of_any_length_join(num_frames, num_labels):
    generator = np.random.default_rng(num_frames)
    log_probs, labels = random_log_probs(num_frames, 12), generator.integers(1, 12, num_labels).tolist()
    found = align_ctc(log_probs, labels)
    assert found.log_prob == pytest.approx(plain_best_path(log_probs, labels), abs=1e-8)
    values = path_scores(log_probs, labels, found.path)
    assert sum(values) == pytest.approx(found.log_prob, abs=1e-8)
    assert (found.starts[1:] >= found.ends[:-1]).all() and (found.ends > found.starts).all()


def test_wildcard_takes_what_the_text_leaves_out():
    log_probs = np.full((12, 5), np.log(0.01))
    for frame, label in enumerate([1, 1, 0, 3, 4, 3, 4, 0, 2, 2, 0, 0]):
        log_probs[frame, label] = np.log(0.96)
    with_gap = align_ctc(log_probs, [1, WILDCARD, 2])
    assert (with_gap.starts[0], with_gap.ends[0]) == (0, 2)
    assert (with_gap.starts[2], with_gap.ends[2]) == (8, 10)
    assert with_gap.starts[1] <= 3 and with_gap.ends[1] >= 7
    assert with_gap.log_prob > align_ctc(log_probs, [1, 2]).log_prob
    # Only the columns that the text needs, with the best label of each frame beside them.
    narrow = align_ctc(log_probs[:, :3], [1, WILDCARD, 2], best=log_probs.max(axis=1))
    assert narrow.path.tolist() == with_gap.path.tolist()


def test_what_cannot_be_aligned_is_refused():
    log_probs = random_log_probs(3, 4)
    with pytest.raises(ValueError, match="3 tokens require at least 4 frames, but the recording has 3"):
        align_ctc(log_probs, [1, 1, 2])
    with pytest.raises(ValueError, match="no tokens"):
        align_ctc(log_probs, [])
    for label in (0, 4, -2):
        with pytest.raises(ValueError, match=f"Label {label} is invalid"):
            align_ctc(log_probs, [1, label])
    with pytest.raises(ValueError, match="NaN"):
        align_ctc(log_probs * np.nan, [1])
    with pytest.raises(ValueError, match="Expected log probabilities"):
        align_ctc(log_probs[0], [1])


def test_memory_of_a_long_recording_stays_small():
    import tracemalloc

    log_probs, labels = random_log_probs(4000, 8), np.random.default_rng(0).integers(1, 8, 1200)
    tracemalloc.start()
    align_ctc(log_probs, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All moves would be 4000 x 2401 bytes, all scores eight times as many.
    assert peak < 4000 * 2401 / 2


def spoken_posteriors(labels, size: int, seed: int = 0, noise: float = 1.0) -> np.ndarray:
    """Posteriors of a recording of the labels: one to three frames each, blanks and some pauses in between."""
    generator = np.random.default_rng(seed)
    frames = []
    for label in labels:
        frames += [label] * generator.integers(1, 4) + [0] * generator.integers(1, 3)
        frames += [0] * (60 if generator.random() < 0.02 else 0)
    logits = noise * generator.standard_normal((len(frames), size))
    logits[np.arange(len(frames)), frames] += 3.5
    return torch.from_numpy(logits).log_softmax(-1).numpy()


@pytest.fixture
def search_in_bands(monkeypatch):
    """Even short recordings are searched in bands; returns the widths that were searched."""
    widths = []
    search = ctc_alignment._best_path

    def count_widths(values, states, may_skip, lows, width):
        widths.append(width)
        return search(values, states, may_skip, lows, width)

    monkeypatch.setattr(ctc_alignment, "_FULL_SEARCH", 0)
    monkeypatch.setattr(ctc_alignment, "_BAND_STATES", 256)
    monkeypatch.setattr(ctc_alignment, "_best_path", count_widths)
    return widths


def full_search(monkeypatch, *args, **kwargs):
    with monkeypatch.context() as patch:
        patch.setattr(ctc_alignment, "_FULL_SEARCH", 10**18)
        return align_ctc(*args, **kwargs)


def test_a_band_has_the_best_path_of_all(monkeypatch, search_in_bands):
    spoken = np.random.default_rng(1).integers(1, 30, 1500)
    log_probs = spoken_posteriors(spoken, 30)
    found = align_ctc(log_probs, spoken)
    assert search_in_bands == [256]
    expected = full_search(monkeypatch, log_probs, spoken)
    assert found.path.tolist() == expected.path.tolist() and found.log_prob == expected.log_prob
    assert found.scores.tolist() == expected.scores.tolist()
    # float32 is kept as it is; the scores are added in float64
    single = align_ctc(torch.from_numpy(log_probs).float(), spoken)
    assert single.log_prob == full_search(monkeypatch, torch.from_numpy(log_probs).float().double(), spoken).log_prob


@pytest.mark.parametrize(
    "change",
    [
        lambda text: np.delete(text, slice(300, 900)),
        lambda text: np.insert(text, 700, np.random.default_rng(5).integers(1, 30, 500)),
        lambda text: np.tile(text[:300], 4),
        lambda text: np.where(np.arange(len(text)) % 3 == 0, 1 + text % 29, text),
        lambda text: np.concatenate([text[:500], [WILDCARD], text[900:]]),
    ],
    ids=["left out", "added", "repeated", "misheard", "wildcard"],
)
def test_a_band_widens_until_it_has_the_path_of_texts_that_differ(monkeypatch, search_in_bands, change):
    spoken = np.random.default_rng(2).integers(1, 30, 1500)
    log_probs = spoken_posteriors(spoken, 30)
    text = change(spoken)
    found, expected = align_ctc(log_probs, text), full_search(monkeypatch, log_probs, text)
    assert found.log_prob == pytest.approx(expected.log_prob, abs=1e-9)
    assert found.path.tolist() == expected.path.tolist()


def test_a_repeated_text_without_anchors_is_found(monkeypatch, search_in_bands):
    spoken = np.tile(np.random.default_rng(3).integers(1, 30, 150), 8)
    log_probs = spoken_posteriors(spoken, 30)
    found, expected = align_ctc(log_probs, spoken), full_search(monkeypatch, log_probs, spoken)
    assert found.path.tolist() == expected.path.tolist()


def test_an_unrelated_text_has_a_path_that_is_hardly_worse_than_the_best(monkeypatch, search_in_bands):
    log_probs = spoken_posteriors(np.random.default_rng(2).integers(1, 30, 1500), 30)
    text = np.random.default_rng(6).integers(1, 30, 1400)
    found, expected = align_ctc(log_probs, text), full_search(monkeypatch, log_probs, text)
    assert 0 <= expected.log_prob - found.log_prob < 0.001 * abs(expected.log_prob)
    assert (found.ends > found.starts).all() and (found.starts[1:] >= found.ends[:-1]).all()
    assert sum(path_scores(log_probs, text.tolist(), found.path)) == pytest.approx(found.log_prob, abs=1e-6)


def test_likelihoods_in_groups_are_those_of_all_texts_together(monkeypatch):
    log_probs = torch.from_numpy(random_log_probs(12, 5))
    texts = [[1, 2], [], [3], [4, 4, 1], [2] * 20]
    together = ctc_log_likelihoods(log_probs, texts)
    monkeypatch.setattr(ctc_alignment, "_LIKELIHOOD_VALUES", 12 * 41 * 2)
    assert torch.equal(ctc_log_likelihoods(log_probs, texts), together)
    assert ctc_log_likelihoods(log_probs, []).shape == (0,)
