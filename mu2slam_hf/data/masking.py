# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Masks of pre-training: spans of speech frames, one span of words, and replacements of masked tokens.

Every draw takes a generator, so a mask is a function of that generator only (see `random_keys`).

Legend: N = encoder frames (25 Hz), n = tokens of a text, W = its words, L = frames of one span. Masks are bool,
True = chosen, to be predicted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np
from huggingface_hub.dataclasses import strict
from numpy.typing import NDArray

from mu2slam_hf.data.text import has_spaces

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
GeneratorOf = Callable[[str], np.random.Generator]
"""Purpose of a draw -> its generator, for one draw of one example."""

# Code points that Unicode calls white space.
_WHITE_SPACE = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)
# Words of languages with spaces are shorter; a longer "word" is text without spaces under a wrong language code.
_LONGEST_WORD_TOKENS = 64


def constant_share(step: int, num_steps: int) -> float:
    """The full configured masking from the first update on."""
    return 1.0


def linear_share(step: int, num_steps: int) -> float:
    """Update k (from 1) has k / `num_steps` of the configured masking, updates from `num_steps` on all of it."""
    return min(1.0, (step + 1) / num_steps)


MASKING_SCHEDULES: dict[str, Callable[[int, int], float]] = {"constant": constant_share, "linear": linear_share}
"""Schedules by name: the number of updates before this one and `schedule_steps` -> share of the configured masking to
apply, in (0, 1]."""


@strict
@dataclass(kw_only=True)
class SpanMaskingConfig:
    """Common rules of masking of Mu2SLAM and mSLAM.

    Choice: spans of frames by the rule of w2v-BERT: every frame starts a span with probability 0.065, each covers 10
    frames, overlapping ones merge and are cut at the end. Away from the beginning 48.9 % of the frames are masked.

    Attributes:
        span_start_prob: probability that a frame starts a span.
        span_length: frames of one span.
        text_ratio: share of a text to mask.
        mask_token_share: share of the chosen tokens that become [MASK].
        random_token_share: share of the chosen tokens that become a random text token.
        keep_token_share: share of the chosen tokens that stay unchanged. The three shares add up to 1.
        schedule: name in `MASKING_SCHEDULES`: share of this masking to apply at each update of training.
        schedule_steps: number of updates until all of it is applied; unused by `constant`.
    """

    span_start_prob: float | int = 0.065
    span_length: int = 10
    text_ratio: float | int = 0.5
    mask_token_share: float | int = 0.8
    random_token_share: float | int = 0.1
    keep_token_share: float | int = 0.1
    schedule: str = "constant"
    schedule_steps: int = 10_000

    _ratios: ClassVar[tuple[str, ...]] = ("text_ratio",)
    _lengths: ClassVar[tuple[str, ...]] = ("span_length", "schedule_steps")

    def __post_init__(self) -> None:
        shares = ("mask_token_share", "random_token_share", "keep_token_share")
        for name in ("span_start_prob", *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {getattr(self, name)}")
        for name in self._ratios:
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in (0, 1], got {getattr(self, name)}")
        for name in self._lengths:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.schedule not in MASKING_SCHEDULES:
            raise ValueError(f"`schedule` must be one of {', '.join(MASKING_SCHEDULES)}; got {self.schedule!r}")
        if abs(sum(getattr(self, name) for name in shares) - 1) > 1e-6:
            given = ", ".join(f"{name}: {getattr(self, name)}" for name in shares)
            raise ValueError(
                f"`mask_token_share`, `random_token_share` and `keep_token_share` must add up to 1: {given}"
            )

    def at_step(self, step: int) -> Self:
        """The rules of one update: the shares of masked frames and texts, multiplied by the value of the schedule.

        Choice: every utterance and every text has at least one masked position at every update.

        Args:
            step: number of updates before this one.
        """
        share = MASKING_SCHEDULES[self.schedule](step, self.schedule_steps)
        if share == 1:
            return self
        ratio = share * (1 - (1 - self.span_start_prob) ** self.span_length)
        return replace(
            self,
            schedule="constant",
            span_start_prob=start_prob_of_ratio(ratio, self.span_length),
            **{name: share * getattr(self, name) for name in self._ratios},
        )


@strict
@dataclass(kw_only=True)
class MaskingConfig(SpanMaskingConfig):
    """Rules of masking of Mu2SLAM.

    Paper: section 3.1: about 50 % of the frames in spans of up to 10; a continuous span of around 50 % of the words of
    a text, 25 % in machine translation. Appendix, pre-training setup: of the chosen tokens 80 % become [MASK], 10 % a
    random token, 10 % stay; chosen frames always become [MASK].

    Attributes:
        span_start_prob, span_length, mask_token_share, random_token_share, keep_token_share, schedule,
            schedule_steps: see `SpanMaskingConfig`.
        text_ratio: share of words to choose in texts of text-only, ASR and AST examples.
        mt_ratio: share of words to choose in both texts of MT examples.
    """

    mt_ratio: float | int = 0.25

    _ratios: ClassVar[tuple[str, ...]] = ("text_ratio", "mt_ratio")


class Corruption(NamedTuple):
    """Encoder inputs in place of the chosen tokens; chosen tokens of neither kind stay unchanged.

    Attributes:
        is_masked: `(n,)` bool, True for [MASK].
        is_random: `(n,)` bool, True for a random token.
        random_ids: int64, the random tokens in order, one per True of `is_random`.
    """

    is_masked: BoolArray
    is_random: BoolArray
    random_ids: IntArray


def start_prob_of_ratio(ratio: float, span_length: int) -> float:
    """The start probability p of spans that masks a share of the frames, `p = 1 - (1 - ratio)^(1 / L)`.

    The inverse of the share away from the beginning of an utterance, `1 - (1 - p)^L`.
    """
    return float(1.0 - (1.0 - ratio) ** (1.0 / span_length))


def draw_frame_mask(
    num_frames: int, config: SpanMaskingConfig, generator: np.random.Generator, start_prob: float | None = None
) -> BoolArray:
    """Which frames of an utterance are masked.

    Choice: at least one frame is masked, so that a short clip has a target: if no span starts, one frame, drawn
    uniformly. One frame, not one span, because it changes the ratio of short clips least.

    Args:
        num_frames: N.
        config: rules of masking.
        generator: N or N + 1 numbers are drawn from it.
        start_prob: probability that a frame starts a span; None: `config.span_start_prob`.

    Returns:
        `(N,)` bool.
    """
    starts = generator.random(num_frames) < (config.span_start_prob if start_prob is None else start_prob)
    if not starts.any():
        starts[int(generator.random() * num_frames)] = True
        return starts
    # A frame is covered if a span starts on it or on one of the `span_length - 1` frames before.
    started = np.cumsum(starts, dtype=np.int64)
    before = np.zeros_like(started)
    before[config.span_length :] = started[: -config.span_length]
    return started > before


def number_words(text: str, offsets: Sequence[tuple[int, int]], lang: str) -> IntArray:
    """Number of the word of each token of a text.

    Words are separated by white space. A token of white space only belongs to the word after it, as the word
    boundary of a piece does; at the end of the text to the last word.

    Choice: in a language written without spaces, and in a text with a word of more than 64 tokens (written without
    spaces under a wrong code), every token is a word.

    Args:
        text: the text.
        offsets: start and end of each token in `text`, in characters, as returned by fast tokenizers.
        lang: canonical code of the text.

    Returns:
        `(n,)` int64, 0 for the first word, without gaps, in ascending order.
    """
    num_tokens = len(offsets)
    if not has_spaces(lang) or num_tokens == 0:
        return np.arange(num_tokens, dtype=np.int64)
    is_space = np.isin(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), _WHITE_SPACE)
    begins_word = ~is_space
    begins_word[1:] &= is_space[:-1]
    # White space has the number of the next word.
    word_of_character: IntArray = np.cumsum(begins_word, dtype=np.int64) - ~is_space
    word_of_character = np.clip(word_of_character, 0, max(int(begins_word.sum()) - 1, 0))
    spans = np.asarray(offsets, dtype=np.int64)
    last_character = np.clip(np.maximum(spans[:, 1] - 1, spans[:, 0]), 0, len(text) - 1)
    numbers = np.maximum.accumulate(word_of_character[last_character])
    numbers = np.cumsum(np.diff(numbers, prepend=numbers[0]) > 0)
    if np.bincount(numbers).max() > _LONGEST_WORD_TOKENS:
        return np.arange(num_tokens, dtype=np.int64)
    return numbers.astype(np.int64)


def draw_num_masked(num_words: int, ratio: float, generator: np.random.Generator) -> int:
    """Number of words to mask.

    Choice: `ratio * num_words`, rounded up with the probability of its fraction and down otherwise, so that the
    expected share is the ratio for every length at which this is one word or more (5 words at 25 %: one, and two in
    a quarter of the draws); otherwise one word, so that every text has a target.
    """
    exact = ratio * num_words
    number = int(exact) + int(generator.random() < exact - int(exact))
    return min(max(number, 1), num_words)


def draw_span_mask(word_numbers: IntArray, ratio: float, generator: np.random.Generator) -> BoolArray:
    """One continuous span of words.

    Paper: section 3.1, one span per text. Choice: all positions of the span are equally likely.

    Args:
        word_numbers: `(n,)` int64, see `number_words`.
        ratio: share of the words, see `draw_num_masked`.
        generator: two numbers are drawn from it.

    Returns:
        `(n,)` bool, True on every token of the words chosen and between them.
    """
    num_words = int(word_numbers[-1]) + 1 if len(word_numbers) else 0
    number = draw_num_masked(num_words, ratio, generator)
    first = int(generator.random() * (num_words - number + 1))
    return (word_numbers >= first) & (word_numbers < first + number)


def corrupt_tokens(
    mask: BoolArray,
    candidate_ids: IntArray,
    config: SpanMaskingConfig,
    generator: np.random.Generator,
    *,
    whole_runs: bool = False,
) -> Corruption:
    """Decide for every chosen token whether it becomes [MASK], a random token, or stays.

    Choice: a random token may equal the original one.

    Args:
        mask: `(n,)` bool, True on chosen tokens.
        candidate_ids: ids of text tokens to draw from uniformly.
        config: rules of masking.
        generator: n numbers and one per random token are drawn from it.
        whole_runs: whether to decide once for each run of adjacent chosen tokens, as SpanBERT does for a span, so
            that no token of a masked word stays visible; False: for each token, as BERT does.
    """
    chances = generator.random(len(mask))
    if whole_runs and mask.any():
        starts = mask & ~np.append(False, mask[:-1])
        chances[mask] = chances[starts][np.cumsum(starts)[mask] - 1]
    is_masked = mask & (chances < config.mask_token_share)
    is_random = mask & ~is_masked & (chances < config.mask_token_share + config.random_token_share)
    picks = generator.integers(len(candidate_ids), size=int(is_random.sum()))
    return Corruption(is_masked, is_random, candidate_ids[picks])
