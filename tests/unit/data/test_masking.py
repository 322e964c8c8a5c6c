# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from collections import Counter

import numpy as np
import pytest
from helpers import TINY_TEXTS
from masking_chances import assert_shares, frame_mask_chance, word_mask_chance

from mu2slam_hf.data.masking import (
    MaskingConfig,
    corrupt_tokens,
    draw_frame_mask,
    draw_num_masked,
    draw_span_mask,
    number_words,
)
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

NUM_DRAWS = 4000


@pytest.mark.parametrize("num_frames", [*range(1, 13), 25, 60])
@pytest.mark.parametrize("options", [{}, {"span_start_prob": 0.3, "span_length": 3}])
def test_frames_are_masked_at_the_stated_ratio_at_every_position(num_frames, options):
    config, generator = MaskingConfig(**options), np.random.default_rng(num_frames)
    masks = np.array([draw_frame_mask(num_frames, config, generator) for _ in range(NUM_DRAWS)])
    assert masks.any(axis=1).all(), "every clip has something to predict"
    rule = (config.span_start_prob, config.span_length, num_frames)
    assert_shares(masks.sum(axis=0), [frame_mask_chance(i, *rule) for i in range(num_frames)], NUM_DRAWS)


@pytest.mark.parametrize("num_frames", [1, 2, 9, 10, 11, 200])
def test_frame_masks_are_the_union_of_spans(num_frames):
    config = MaskingConfig(span_start_prob=0.1)
    for seed in range(200):
        mask = draw_frame_mask(num_frames, config, np.random.default_rng(seed))
        starts = np.random.default_rng(seed).random(num_frames) < 0.1
        naive = [any(starts[max(0, i - 9) : i + 1]) for i in range(num_frames)]
        assert mask.dtype == bool and mask.shape == (num_frames,)
        if starts.any():
            assert mask.tolist() == naive
        else:
            assert mask.sum() == 1


def test_lengths_of_runs_of_masked_frames():
    # A run is a span, and where another starts within or right behind it, it goes on up to that one's end:
    # f(l) = (1 - p)^10 [l = 10] + sum over g = 1 .. 10 of p (1 - p)^(g - 1) f(l - g).
    p, length, longest = 0.065, 10, 40
    f = np.zeros(longest + 1)
    for size in range(length, longest + 1):
        f[size] = (1 - p) ** length * (size == length)
        f[size] += sum(p * (1 - p) ** (g - 1) * f[size - g] for g in range(1, length + 1) if size - g >= length)
    generator, config, runs = np.random.default_rng(3), MaskingConfig(), Counter()
    for _ in range(1500):
        mask = np.concatenate([[False], draw_frame_mask(400, config, generator), [False]])
        edges = np.flatnonzero(np.diff(mask.astype(int))).reshape(-1, 2)
        runs.update(int(end - start) for start, end in edges if start < 300)  # none of these reaches the end
    assert min(runs) == length
    num_runs = sum(runs.values())
    assert num_runs > 10_000
    assert_shares([runs[size] for size in range(longest + 1)], f, num_runs)


@pytest.mark.parametrize("ratio", [0.5, 0.25])
@pytest.mark.parametrize("num_words", [*range(1, 13), 30])
def test_words_are_chosen_at_the_stated_ratio_at_every_position(num_words, ratio):
    generator = np.random.default_rng(num_words)
    numbers = np.repeat(np.arange(num_words), 2)
    masks = np.array([draw_span_mask(numbers, ratio, generator) for _ in range(NUM_DRAWS)])
    assert (masks[:, ::2] == masks[:, 1::2]).all(), "words are whole"
    words = masks[:, ::2]
    assert (np.abs(np.diff(words.astype(int), axis=1, prepend=0, append=0)).sum(axis=1) == 2).all(), "one span"
    expected = [word_mask_chance(i, num_words, ratio) for i in range(num_words)]
    assert_shares(words.sum(axis=0), expected, NUM_DRAWS)
    assert np.mean(expected) == pytest.approx(max(ratio, 1 / num_words))
    # Lengths of the spans: the two whole numbers around `ratio * num_words`, and none below one.
    exact = ratio * num_words
    lengths = Counter(words.sum(axis=1).tolist())
    due = Counter()
    for size, chance in ((int(exact), 1 - exact % 1), (int(exact) + 1, exact % 1)):
        due[max(size, 1)] += chance
    assert set(lengths) <= {size for size, chance in due.items() if chance > 0}
    assert_shares([lengths[size] for size in due], [due[size] for size in due], NUM_DRAWS)


def test_shortest_texts():
    generator = np.random.default_rng(0)
    assert {draw_num_masked(1, 0.5, generator) for _ in range(50)} == {1}
    assert {draw_num_masked(3, 0.25, generator) for _ in range(50)} == {1}
    assert {draw_num_masked(5, 0.25, generator) for _ in range(99)} == {1, 2}
    assert {draw_num_masked(4, 1.0, generator) for _ in range(50)} == {4}
    assert draw_span_mask(np.zeros(1, dtype=np.int64), 0.25, generator).tolist() == [True]
    assert draw_span_mask(np.zeros(0, dtype=np.int64), 0.25, generator).tolist() == []


@pytest.fixture(scope="module", params=["char", "unigram"])
def tokenizer(request):
    return Mu2SLAMTokenizer.train_from_iterator(TINY_TEXTS * 3, vocab_size=200, kind=request.param)


@pytest.mark.parametrize(
    "text",
    [
        "press one",
        "a",
        "  a message  to leave   ",
        "e\u0301toile c\u0327a",
        "qqq 999 \u4e16\u754c",
        "\u0430 \u2581 b",
        "a\u00a0b\u3000c",
    ],
)
def test_word_numbers(tokenizer, text):
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    numbers = number_words(text, encoded["offset_mapping"], "en")
    words = text.split()
    # Written the slow way: the word that holds the token's last character, or the next one where that is a space.
    naive = []
    for start, end in encoded["offset_mapping"]:
        end = max(end, start + 1)
        done = len(text[:end].split())
        naive.append(min(done if text[end - 1].isspace() else done - 1, len(words) - 1))
    # One `<unk>` may hold several words (pieces do): the numbers have no gap for those without a token of their own.
    naive = [sorted(set(naive)).index(number) for number in naive]
    assert numbers.dtype == np.int64 and numbers.tolist() == naive
    assert max(naive) == len(words) - 1 or "\u3000" in text
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    if "<unk>" not in tokens and text.isascii():
        spoken = ["".join(t for t, n in zip(tokens, naive, strict=True) if n == i) for i in range(len(words))]
        assert [word.replace("\u2581", "").strip() for word in spoken] == words


def test_texts_without_spaces_are_masked_by_tokens(tokenizer):
    def numbers_of(text, lang):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return number_words(text, encoded["offset_mapping"], lang).tolist()

    num_tokens = len(tokenizer("one two", add_special_tokens=False)["input_ids"])
    assert numbers_of("one two", "zh-Hant") == list(range(num_tokens))
    assert numbers_of("one two", "ja") == numbers_of("one two", "th")
    assert set(numbers_of("one two", "ko")) == {0, 1}
    endless = "qxq" * 30
    assert numbers_of("one " + endless, "und") == list(range(len(numbers_of("one " + endless, "und"))))
    assert numbers_of("", "en") == []


def test_shares_of_corruption():
    generator, config = np.random.default_rng(1), MaskingConfig()
    candidates = np.array([90, 95, 97, 99], dtype=np.int64)
    mask = np.random.default_rng(2).random(40_000) < 0.5
    is_masked, is_random, random_ids = corrupt_tokens(mask, candidates, config, generator)
    assert not (is_masked & is_random).any() and not ((is_masked | is_random) & ~mask).any()
    num_chosen = int(mask.sum())
    assert_shares([is_masked.sum(), is_random.sum()], [0.8, 0.1], num_chosen)
    assert random_ids.shape == (is_random.sum(),) and random_ids.dtype == np.int64
    assert_shares([(random_ids == one).sum() for one in candidates], [0.25] * 4, len(random_ids))


@pytest.mark.parametrize(
    ("shares", "due"), [((1, 0, 0), "masked"), ((0, 1, 0), "random"), ((0.0, 0.0, 1.0), "neither")]
)
def test_extreme_shares(shares, due):
    names = ("mask_token_share", "random_token_share", "keep_token_share")
    config = MaskingConfig(**dict(zip(names, shares, strict=True)))
    mask = np.array([True, False, True])
    is_masked, is_random, _ = corrupt_tokens(mask, np.array([9]), config, np.random.default_rng(0))
    assert is_masked.tolist() == (mask & (due == "masked")).tolist()
    assert is_random.tolist() == (mask & (due == "random")).tolist()


def test_runs_of_tokens_share_one_fate():
    """As a loop over the runs; and the shares hold over runs."""
    generator, config = np.random.default_rng(1), MaskingConfig()
    mask = np.repeat(np.random.default_rng(2).random(8_000) < 0.5, 3)
    fates = corrupt_tokens(mask, np.array([9, 11]), config, generator, whole_runs=True)
    again = np.random.default_rng(1).random(len(mask))
    counts, position = [0, 0, 0], 0
    while position < len(mask):
        end = position
        while end < len(mask) and mask[end] == mask[position]:
            end += 1
        masked, random = fates.is_masked[position:end], fates.is_random[position:end]
        if mask[position]:
            chance = again[position]
            assert (masked == (chance < 0.8)).all() and (random == (0.8 <= chance < 0.9)).all()
            counts[0 if masked[0] else 1 if random[0] else 2] += 1
        else:
            assert not masked.any() and not random.any()
        position = end
    assert_shares(counts, [0.8, 0.1, 0.1], sum(counts))
    assert len(fates.random_ids) == fates.is_random.sum()
    assert not corrupt_tokens(np.zeros(0, bool), np.array([9]), config, generator, whole_runs=True).is_masked.size
    assert not corrupt_tokens(np.zeros(4, bool), np.array([9]), config, generator, whole_runs=True).is_masked.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"span_start_prob": -0.1}, r"`span_start_prob` must be in \[0, 1\], got -0.1"),
        ({"span_start_prob": 1.5}, r"`span_start_prob` must be in \[0, 1\], got 1.5"),
        ({"span_length": 0}, "`span_length` must be at least 1, got 0"),
        ({"text_ratio": 0}, r"`text_ratio` must be in \(0, 1\], got 0"),
        ({"mt_ratio": 1.01}, r"`mt_ratio` must be in \(0, 1\], got 1.01"),
        ({"mask_token_share": 1.2}, r"`mask_token_share` must be in \[0, 1\], got 1.2"),
        ({"random_token_share": -0.1}, r"`random_token_share` must be in \[0, 1\], got -0.1"),
        ({"keep_token_share": 0.3}, "add up to 1.*keep_token_share: 0.3"),
        ({"schedule": "cosine"}, "`schedule` must be one of constant, linear; got 'cosine'"),
        ({"schedule_steps": 0}, "`schedule_steps` must be at least 1, got 0"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ValueError, match=message):
        MaskingConfig(**options)


def test_the_linear_schedule_reaches_the_configured_masking():
    config = MaskingConfig(schedule="linear", schedule_steps=4)
    rules = [config.at_step(step) for step in range(6)]
    shares = [1 - (1 - rule.span_start_prob) ** 10 for rule in rules]
    assert shares == pytest.approx(np.array([0.25, 0.5, 0.75, 1, 1, 1]) * (1 - 0.935**10))
    assert [rule.text_ratio for rule in rules] == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    assert [rule.mt_ratio for rule in rules[:2]] == pytest.approx([0.0625, 0.125])
    assert rules[3] is config and {rule.keep_token_share for rule in rules} == {0.1}
    constant = MaskingConfig()
    assert constant.at_step(0) is constant
