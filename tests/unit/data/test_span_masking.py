# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from masking_chances import assert_shares, frame_mask_chance, word_mask_chance

from mu2slam_hf.data.masking import draw_frame_mask, start_prob_of_ratio
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig, _draw_lengths, draw_negatives, draw_token_spans

NUM_DRAWS = 4000


def test_start_probabilities_are_the_inverse_of_the_ratio():
    assert start_prob_of_ratio(0.75, 10) == pytest.approx(0.12945, abs=1e-5)
    assert start_prob_of_ratio(1 - 0.935**10, 10) == pytest.approx(0.065)
    assert start_prob_of_ratio(1.0, 10) == 1.0
    config = MSLAMMaskingConfig()
    assert frame_mask_chance(500, config.tlm_start_prob, 10) == pytest.approx(0.75)
    assert frame_mask_chance(500, config.span_start_prob, 10) == pytest.approx(0.4894, abs=1e-4)


@pytest.mark.parametrize("start_prob, ratio", [("span_start_prob", 0.4894), ("tlm_start_prob", 0.75)])
def test_share_of_frames_in_long_recordings(start_prob, ratio):
    generator, config = np.random.default_rng(0), MSLAMMaskingConfig()
    shares = [draw_frame_mask(1500, config, generator, getattr(config, start_prob)).mean() for _ in range(200)]
    assert np.mean(shares) == pytest.approx(ratio, abs=0.01)


def test_a_schedule_changes_all_shares():
    rule = MSLAMMaskingConfig(schedule="linear", schedule_steps=2).at_step(0)
    assert (rule.text_ratio, rule.tlm_text_ratio, rule.tlm_speech_ratio) == pytest.approx((0.075, 0.25, 0.375))
    assert frame_mask_chance(500, rule.tlm_start_prob, 10) == pytest.approx(0.375)
    assert frame_mask_chance(500, rule.span_start_prob, 10) == pytest.approx((1 - 0.935**10) / 2)


@pytest.mark.parametrize("lengths", ["uniform", "geometric", "fixed"])
@pytest.mark.parametrize("ratio", [0.15, 0.5])
def test_share_of_tokens_is_the_stated_one_at_every_length(lengths, ratio):
    config, generator = MSLAMMaskingConfig(text_span_lengths=lengths), np.random.default_rng(1)
    for num_tokens in (7, 10, 33, 120, 512):
        counts = [draw_token_spans(num_tokens, ratio, config, generator).sum() for _ in range(500)]
        exact = ratio * num_tokens
        assert set(counts) <= {int(exact), int(exact) + 1}
        assert np.mean(counts) == pytest.approx(exact, abs=0.12)
    assert np.mean([draw_token_spans(300, ratio, config, generator).mean() for _ in range(400)]) == pytest.approx(
        ratio, abs=0.002
    )


@pytest.mark.parametrize("num_tokens, number", [(0, 0), (1, 1), (2, 1), (6, 1)])
def test_short_texts_have_one_masked_token(num_tokens, number):
    masks = [draw_token_spans(num_tokens, 0.15, MSLAMMaskingConfig(), np.random.default_rng(s)) for s in range(50)]
    assert all(mask.shape == (num_tokens,) and mask.sum() == number for mask in masks)
    if num_tokens == 6:
        assert set(np.flatnonzero(np.any(masks, axis=0))) == set(range(6)), "anywhere"


def test_one_span_is_as_likely_at_every_place():
    """A text of 40 characters has one fixed span of 6: the closed form of a single span."""
    config, generator = MSLAMMaskingConfig(text_span_lengths="fixed"), np.random.default_rng(2)
    masks = np.array([draw_token_spans(40, 0.15, config, generator) for _ in range(NUM_DRAWS)])
    assert all(np.diff(np.flatnonzero(mask)).max(initial=1) == 1 for mask in masks)
    assert_shares(masks.sum(axis=0), [word_mask_chance(i, 40, 0.15) for i in range(40)], NUM_DRAWS)


def test_every_arrangement_of_spans_is_as_likely():
    """Two fixed spans of 2 among 7 tokens: 10 ways to put them; those that touch look like others, so count masks."""
    config, generator = MSLAMMaskingConfig(text_span_lengths="fixed", text_span_length=2), np.random.default_rng(3)
    masks = Counter(tuple(draw_token_spans(7, 4 / 7, config, generator)) for _ in range(NUM_DRAWS))
    expected = Counter()
    for first, second in combinations(range(6), 2):
        if second - first >= 2:
            expected[tuple(i in (first, first + 1, second, second + 1) for i in range(7))] += 1
    assert sum(expected.values()) == 10 and masks.keys() == expected.keys()
    assert_shares([masks[key] for key in expected], np.array(list(expected.values())) / 10, NUM_DRAWS)


@pytest.mark.parametrize("lengths, mean", [("uniform", 10.5), ("geometric", 4.94), ("fixed", 20)])
def test_lengths_of_spans(lengths, mean):
    config = MSLAMMaskingConfig(text_span_lengths=lengths)
    drawn = _draw_lengths(40_000, config, np.random.default_rng(4))
    assert drawn.sum() == 40_000 and drawn.min() >= 1 and drawn.max() == 20
    assert drawn.mean() == pytest.approx(mean, rel=0.03)


def test_negatives_are_other_masked_frames():
    mask = np.array([0, 1, 1, 0, 1, 0, 0, 1], dtype=bool)
    negatives = draw_negatives(mask, 3000, np.random.default_rng(5))
    assert negatives.shape == (8, 3000) and (negatives[~mask] == -1).all()
    for position in np.flatnonzero(mask):
        others = sorted(set(np.flatnonzero(mask)) - {position})
        counts = Counter(negatives[position].tolist())
        assert sorted(counts) == others
        assert_shares([counts[other] for other in others], [1 / 3] * 3, 3000)


@pytest.mark.parametrize("masked", [[], [2]])
def test_no_negatives_without_another_masked_frame(masked):
    mask = np.isin(np.arange(4), masked)
    assert (draw_negatives(mask, 5, np.random.default_rng(0)) == -1).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tlm_speech_ratio": 0.0}, "tlm_speech_ratio"),
        ({"text_ratio": 1.2}, "text_ratio"),
        ({"text_span_length": 0}, "text_span_length"),
        ({"mask_token_share": 0.9}, "add up to 1"),
        ({"span_start_prob": 2}, "span_start_prob"),
        ({"text_span_lengths": "long"}, "text_span_lengths"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(Exception, match=message):
        MSLAMMaskingConfig(**options)
