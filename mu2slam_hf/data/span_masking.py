# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Masks of mSLAM: spans of frames, spans of tokens as in SpanBERT; and the negatives of masked frames.

Legend: N = encoder frames, n = tokens of a text, Q = negatives. Masks are bool, True = chosen, to be predicted.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from huggingface_hub.dataclasses import strict

from mu2slam_hf.data.masking import BoolArray, IntArray, SpanMaskingConfig, draw_num_masked, start_prob_of_ratio

# SpanBERT: a span is extended by one more token with probability 1 - 0.2.
_GEOMETRIC_STOP_PROB = 0.2


@strict
@dataclass(kw_only=True)
class MSLAMMaskingConfig(SpanMaskingConfig):
    """Rules of masking of mSLAM.

    Paper: SLAM and mSLAM (notes on them). About half of the frames of speech in spans of 10 (w2v-BERT: each frame
    starts one with probability 0.065); 15 % of the tokens of a text in spans of up to 20 characters; in pairs 75 % of
    the frames and half of the tokens. SpanBERT section 3.1: the tokens of a span are all [MASK], all random or all
    unchanged; adjacent spans count as one.

    Choice: frames of pairs follow the rule of w2v-BERT too, with the start probability that gives their ratio.

    Attributes:
        span_start_prob, span_length, mask_token_share, random_token_share, keep_token_share, schedule,
            schedule_steps: see `SpanMaskingConfig`; `span_start_prob` is that of speech-only data.
        tlm_speech_ratio: share of the frames of a pair, away from its beginning.
        text_ratio: share of the tokens of an unpaired text.
        tlm_text_ratio: share of the tokens of the text of a pair.
        text_span_length: maximum number of tokens of a span.
        text_span_lengths: their distribution: `uniform` from 1 to the maximum, `geometric` as in SpanBERT (mean 5,
            cut at the maximum), or `fixed` at the maximum.
    """

    text_ratio: float | int = 0.15
    tlm_speech_ratio: float | int = 0.75
    tlm_text_ratio: float | int = 0.5
    text_span_length: int = 20
    text_span_lengths: Literal["uniform", "geometric", "fixed"] = "uniform"

    _ratios: ClassVar[tuple[str, ...]] = ("text_ratio", "tlm_speech_ratio", "tlm_text_ratio")
    _lengths: ClassVar[tuple[str, ...]] = ("span_length", "text_span_length", "schedule_steps")

    @property
    def tlm_start_prob(self) -> float:
        """Probability that a frame of a pair starts a span."""
        return start_prob_of_ratio(self.tlm_speech_ratio, self.span_length)


def draw_token_spans(
    num_tokens: int, ratio: float, config: MSLAMMaskingConfig, generator: np.random.Generator
) -> BoolArray:
    """Spans of tokens that together make up a share of a text.

    Choice: the number of tokens is drawn first (`draw_num_masked`: its mean is exactly the ratio, and it is at least
    one), then divided into spans, the last one cut. They are placed in the text in random order; all arrangements
    without overlap are equally likely. Spans may be adjacent.

    Args:
        num_tokens: n.
        ratio: share of the tokens.
        config: rules of masking, for the lengths of the spans.
        generator: numbers are drawn from it.

    Returns:
        `(n,)` bool; all False for an empty text.
    """
    number = draw_num_masked(num_tokens, ratio, generator)
    lengths: IntArray = _draw_lengths(number, config, generator)
    num_spans = len(lengths)
    # Each span is shrunk to one position: choose positions in the shrunk text.
    indices = np.sort(generator.permutation(num_tokens - number + num_spans)[:num_spans])
    starts = indices + np.cumsum(lengths) - lengths - np.arange(num_spans)
    mask = np.zeros(num_tokens, dtype=bool)
    mask[np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(number)] = True
    return mask


def _draw_lengths(number: int, config: MSLAMMaskingConfig, generator: np.random.Generator) -> IntArray:
    """Lengths of spans that add up to `number`, in random order."""
    longest = config.text_span_length
    # Each length is at least 1, so this number is always sufficient.
    if config.text_span_lengths == "fixed":
        drawn = np.full(number, longest, dtype=np.int64)
    elif config.text_span_lengths == "uniform":
        drawn = generator.integers(1, longest + 1, size=number)
    else:
        drawn = np.minimum(generator.geometric(_GEOMETRIC_STOP_PROB, size=number), longest)
    ends = np.minimum(np.cumsum(drawn), number)
    lengths = np.diff(ends, prepend=0)
    return generator.permutation(lengths[lengths > 0]).astype(np.int64)


def draw_negatives(mask: BoolArray, num_negatives: int, generator: np.random.Generator) -> IntArray:
    """Draw other masked frames of the same utterance for every masked frame.

    Paper: w2v-BERT, distractors are drawn from the masked steps of the same utterance. With replacement, uniformly
    among the other frames.

    Args:
        mask: `(N,)` bool, True on masked frames.
        num_negatives: Q.
        generator: Q numbers per masked frame are drawn from it.

    Returns:
        `(N, Q)` int64 positions; -1 in rows of frames that are not masked, and everywhere if fewer than two are.
    """
    positions = np.flatnonzero(mask)
    negatives = np.full((len(mask), num_negatives), -1, dtype=np.int64)
    if len(positions) >= 2:
        ranks = np.arange(len(positions))[:, None]
        others = generator.integers(len(positions) - 1, size=(len(positions), num_negatives))
        # (masked, Q): a frame's own rank is excluded
        negatives[positions] = positions[others + (others >= ranks)]
    return negatives
