# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What pre-training hides: spans of speech frames, one span of words, and what stands in a masked token's place.

Every draw takes the generator it draws from, so a mask is a function of that generator alone (see `random_keys`).

Legend: N = encoder frames (25 Hz), n = tokens of a text, W = its words. Masks are bool,
True = chosen, to be predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from huggingface_hub.dataclasses import strict
from numpy.typing import NDArray

from mu2slam_hf.data.text import has_spaces

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# Code points that Unicode calls white space.
_WHITE_SPACE = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)
# No word of a language with spaces is as long; a "word" beyond it is text without spaces under a wrong language code.
_LONGEST_WORD_TOKENS = 64


@strict
@dataclass(kw_only=True)
class MaskingConfig:
    """Rules of masking.

    Paper: section 3.1: about 50 % of the frames in spans of up to 10; a continuous span of around 50 % of the words of
    a text, 25 % in machine translation. Appendix, pre-training setup: of the chosen tokens 80 % become [MASK], 10 % a
    random token, 10 % stay; chosen frames always become [MASK].

    Choice: spans of frames by the rule of w2v-BERT: every frame starts a span with probability 0.065, each covers 10
    frames, overlapping ones merge and are cut at the end. Away from the beginning 48.9 % of the frames are masked.

    Attributes:
        span_start_prob: probability that a frame starts a span.
        span_length: frames of one span.
        text_ratio: share of words to choose in texts of text-only, ASR and AST examples.
        mt_ratio: share of words to choose in both texts of MT examples.
        mask_token_share: share of the chosen tokens that become [MASK].
        random_token_share: share of the chosen tokens that become a random text token.
        keep_token_share: share of the chosen tokens that the encoder sees as they are. The three add up to 1.
    """

    span_start_prob: float | int = 0.065
    span_length: int = 10
    text_ratio: float | int = 0.5
    mt_ratio: float | int = 0.25
    mask_token_share: float | int = 0.8
    random_token_share: float | int = 0.1
    keep_token_share: float | int = 0.1

    def __post_init__(self) -> None:
        shares = ("mask_token_share", "random_token_share", "keep_token_share")
        for name in ("span_start_prob", *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must lie in [0, 1], got {getattr(self, name)}")
        for name in ("text_ratio", "mt_ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must lie in (0, 1], got {getattr(self, name)}")
        if self.span_length < 1:
            raise ValueError(f"`span_length` must be at least 1 frame, got {self.span_length}")
        total = sum(getattr(self, name) for name in shares)
        if abs(total - 1) > 1e-6:
            given = ", ".join(f"{name}: {getattr(self, name)}" for name in shares)
            raise ValueError(
                f"`mask_token_share`, `random_token_share` and `keep_token_share` must add up to 1: {given}"
            )


class Corruption(NamedTuple):
    """What the encoder reads in place of the chosen tokens; tokens of neither kind stay as they are.

    Attributes:
        is_masked: `(n,)` bool, True where [MASK] stands.
        is_random: `(n,)` bool, True where a random token stands.
        random_ids: int64, the random tokens in order, one per True of `is_random`.
    """

    is_masked: BoolArray
    is_random: BoolArray
    random_ids: IntArray


def draw_frame_mask(num_frames: int, config: MaskingConfig, generator: np.random.Generator) -> BoolArray:
    """Which frames of an utterance are masked.

    Choice: at least one frame is masked, else a short clip would have nothing to predict: where no span starts, one
    frame, any with the same chance. One frame and not one span, because it moves the ratio of short clips least.

    Args:
        num_frames: N.
        config: the rule.
        generator: N or N + 1 numbers are taken from it.

    Returns:
        `(N,)` bool.
    """
    starts = generator.random(num_frames) < config.span_start_prob
    if not starts.any():
        starts[int(generator.random() * num_frames)] = True
        return starts
    # A frame is covered where a span started on it or on one of the `span_length - 1` frames before.
    started = np.cumsum(starts, dtype=np.int64)
    before = np.zeros_like(started)
    before[config.span_length :] = started[: -config.span_length]
    return started > before


def expected_frame_mask_ratio(position: int, config: MaskingConfig, num_frames: int | None = None) -> float:
    """Chance that the frame at a position is masked.

    `1 - (1 - p) ** min(position + 1, span_length)`, and for a clip of `num_frames` the share of the draws in which no
    span starts and one frame is masked all the same, `(1 - p) ** num_frames / num_frames`.

    Args:
        position: from 0.
        config: the rule.
        num_frames: N; None stands for a clip so long that some span always starts.
    """
    stays = 1.0 - config.span_start_prob
    ratio = 1.0 - stays ** min(position + 1, config.span_length)
    return ratio if num_frames is None else ratio + stays**num_frames / num_frames


def number_words(text: str, offsets: Sequence[tuple[int, int]], lang: str) -> IntArray:
    """The word that each token of a text belongs to.

    Words are separated by white space. A token of nothing but white space belongs to the word after it, as the word
    boundary of a piece does; at the end of the text to the last word.

    Choice: in a language written without spaces, and in a text with a word beyond 64 tokens (no spaces under another
    code), every token is a word of its own.

    Args:
        text: the text.
        offsets: per token its first character in `text` and the one after its last, as fast tokenizers give them.
        lang: canonical code of the text.

    Returns:
        `(n,)` int64, 0 for the first word, without gaps and never falling.
    """
    num_tokens = len(offsets)
    if not has_spaces(lang) or num_tokens == 0:
        return np.arange(num_tokens, dtype=np.int64)
    is_space = np.isin(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), _WHITE_SPACE)
    begins_word = ~is_space
    begins_word[1:] &= is_space[:-1]
    # White space has the number of the word to come.
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
    """How many of the words are chosen.

    Choice: `ratio * num_words`, rounded up with the chance of its fraction and down otherwise, so that the expected
    share is the ratio itself at every length where that is one word or more (5 words at 25 %: one, and two in a
    quarter of the draws); below it one word, so that every text has something to predict.
    """
    exact = ratio * num_words
    number = int(exact) + int(generator.random() < exact - int(exact))
    return min(max(number, 1), num_words)


def draw_span_mask(word_numbers: IntArray, ratio: float, generator: np.random.Generator) -> BoolArray:
    """One continuous span of words.

    Paper: section 3.1, one span per text. Choice: every place of the span is equally likely.

    Args:
        word_numbers: `(n,)` int64, see `number_words`.
        ratio: share of the words, see `draw_num_masked`.
        generator: two numbers are taken from it.

    Returns:
        `(n,)` bool, True on every token of the words chosen and between them.
    """
    num_words = int(word_numbers[-1]) + 1 if len(word_numbers) else 0
    number = draw_num_masked(num_words, ratio, generator)
    first = int(generator.random() * (num_words - number + 1))
    return (word_numbers >= first) & (word_numbers < first + number)


def expected_word_mask_ratio(position: int, num_words: int, ratio: float) -> float:
    """Chance that the word at a position is chosen by `draw_span_mask`: the mean over its rounding and its places."""
    exact = ratio * num_words
    chances = {int(exact): 1.0 - (exact - int(exact)), int(exact) + 1: exact - int(exact)}
    expected = 0.0
    for number, chance in chances.items():
        number = min(max(number, 1), num_words)
        num_places = num_words - number + 1
        covering = min(position, num_words - number) - max(position - number + 1, 0) + 1
        expected += chance * covering / num_places
    return expected


def corrupt_tokens(
    mask: BoolArray,
    candidate_ids: IntArray,
    config: MaskingConfig,
    generator: np.random.Generator,
    *,
    whole_runs: bool = False,
) -> Corruption:
    """Decides for every chosen token whether it becomes [MASK], a random token, or stays.

    Choice: a random token may be the true one.

    Args:
        mask: `(n,)` bool, True on chosen tokens.
        candidate_ids: ids of text tokens to draw from, each with the same chance.
        config: the shares.
        generator: n numbers and one per random token are taken from it.
        whole_runs: decide once for each run of neighbouring chosen tokens, as SpanBERT does for a span, so that no
            token of a hidden word stays in sight; False: for each token, as BERT does.
    """
    chances = generator.random(len(mask))
    if whole_runs and mask.any():
        starts = mask & ~np.append(False, mask[:-1])
        chances[mask] = chances[starts][np.cumsum(starts)[mask] - 1]
    is_masked = mask & (chances < config.mask_token_share)
    is_random = mask & ~is_masked & (chances < config.mask_token_share + config.random_token_share)
    picks = generator.integers(len(candidate_ids), size=int(is_random.sum()))
    return Corruption(is_masked, is_random, candidate_ids[picks])
