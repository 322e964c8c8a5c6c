# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""CTC prefix scores for joint CTC/attention decoding, as a logits processor of transformers' `generate`.

Shapes: R rows (batch x beams), B utterances, N encoder frames, V vocabulary, K candidate tokens.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor

NEGATIVE = -1e30
"""Finite substitute for log(0), so that subtraction never gives NaN."""


class PrefixState(NamedTuple):
    """State of the recursion for each prefix.

    Args:
        in_token: `(R, N + 1)` log probability per frame that the prefix is complete and the frame is aligned to its
            last token.
        in_blank: `(R, N + 1)` the same with the frame aligned to a blank after the prefix.
        score: `(R,)` log probability that the transcript begins with the prefix.
    """

    in_token: Tensor
    in_blank: Tensor
    score: Tensor


class CTCPrefixScorer:
    """Log probability, under CTC, that the transcript begins with a given prefix.

    The recursion of Watanabe et al. (2017, algorithm 2) is linear in the probability domain, so it is written with
    cumulative sums instead of a loop over frames: with P the running sum of log p,
    `r[t] = P[t] + logcumsumexp(phi[t-1] - P[t-1])`. Computed in float64 for the precision of the running sums.

    Args:
        log_probs: `(B, N, V)` float log posteriors.
        lengths: `(B,)` int64 number of real frames.
        blank: id of the blank.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor, blank: int):
        log_probs = log_probs.double()
        frames = torch.arange(log_probs.shape[1], device=log_probs.device)
        padded = frames[None] >= lengths[:, None]
        # Padding frames emit a blank with probability 1, so that sums over all frames equal sums over the real ones.
        log_probs = log_probs.masked_fill(padded[..., None], NEGATIVE)
        log_probs[..., blank] = log_probs[..., blank].masked_fill(padded, 0.0)
        self.log_probs = log_probs
        self.blank_sum = log_probs[..., blank].cumsum(-1)
        self.blank = blank

    def initial_state(self, utterances: Tensor) -> PrefixState:
        """State of the empty prefix of each row; `utterances` is `(R,)` int64."""
        in_blank = torch.nn.functional.pad(self.blank_sum[utterances], (1, 0))
        return PrefixState(torch.full_like(in_blank, NEGATIVE), in_blank, torch.zeros_like(in_blank[:, 0]))

    def extend(self, state: PrefixState, tokens: Tensor, repeats: Tensor, utterances: Tensor) -> PrefixState:
        """State of every prefix after one more token.

        Args:
            state: as returned by [`initial_state`] or this method.
            tokens: `(R,)` int64 tokens to append.
            repeats: `(R,)` bool, True where the token equals the prefix's last one.
            utterances: `(R,)` int64 utterance of each row.
        """
        # (B, N, V) -> (R, N)
        log_p = self.log_probs[utterances, :, tokens]
        either = torch.logaddexp(state.in_token, state.in_blank)
        before = torch.where(repeats[:, None], state.in_blank, either)[:, :-1]
        total = torch.nn.functional.pad(log_p.cumsum(-1), (1, 0))
        in_token = total[:, 1:] + torch.logcumsumexp(before - total[:, :-1], dim=-1)
        in_token = torch.nn.functional.pad(in_token, (1, 0), value=NEGATIVE)
        blanks = torch.nn.functional.pad(self.blank_sum[utterances], (1, 0))
        in_blank = blanks[:, 1:] + torch.logcumsumexp(in_token[:, :-1] - blanks[:, :-1], dim=-1)
        in_blank = torch.nn.functional.pad(in_blank, (1, 0), value=NEGATIVE)
        return PrefixState(in_token, in_blank, torch.logsumexp(before + log_p, dim=-1))

    def prefix_scores(self, state: PrefixState, candidates: Tensor, last_tokens: Tensor, utterances: Tensor) -> Tensor:
        """Log probability of every prefix extended by every candidate.

        Args:
            state: state of the prefixes.
            candidates: `(R, K)` int64.
            last_tokens: `(R,)` int64 last token of each prefix (for an empty prefix any id that is not a candidate).
            utterances: `(R,)` int64.

        Returns:
            `(R, K)` float64.
        """
        # (B, N, V) -> (R, K, N) -> (R, N, K), without a copy of the vocabulary for every beam
        log_p = self.log_probs[utterances[:, None], :, candidates].transpose(1, 2)
        fresh = torch.logaddexp(state.in_token, state.in_blank)[:, :-1, None]
        after_blank = state.in_blank[:, :-1, None]
        repeats = (candidates == last_tokens[:, None])[:, None]
        return torch.logsumexp(torch.where(repeats, after_blank, fresh) + log_p, dim=1)

    def end_scores(self, state: PrefixState) -> Tensor:
        """Log probability `(R,)` that the transcript is exactly each prefix."""
        return torch.logaddexp(state.in_token[:, -1], state.in_blank[:, -1])


class CTCPrefixLogitsProcessor(LogitsProcessor):
    """Mix the decoder's next-token scores with the change of the CTC prefix score.

    `(1 - w) * log p_decoder + w * (log p_ctc(prefix + token) - log p_ctc(prefix))`. Only the `num_candidates` most
    likely tokens of the decoder and `</s>` are scored; all others are excluded.

    Args:
        scorer: posteriors of the utterances.
        weights: `(B,)` float w of each utterance; 0 keeps the decoder's scores (for translation).
        eos_token_id: id of `</s>`.
        num_candidates: number of tokens scored per row. Choice: 40; larger values do not change results in practice.
    """

    def __init__(self, scorer: CTCPrefixScorer, weights: Tensor, eos_token_id: int, num_candidates: int = 40):
        self.scorer = scorer
        self.weights = weights.double()
        self.eos_token_id = eos_token_id
        self.num_candidates = num_candidates
        self.previous_ids: Tensor | None = None
        self.state: PrefixState | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Args: `input_ids` `(R, L)` int64 with `<s>` first, `scores` `(R, V)` logits or log probabilities."""
        rows, num_utterances = input_ids.shape[0], self.weights.shape[0]
        utterances = torch.arange(rows, device=scores.device) // (rows // num_utterances)
        last = input_ids[:, -1]
        empty = input_ids.shape[1] == 1
        self.state = self.scorer.initial_state(utterances) if empty else self._advance(input_ids, utterances)
        self.previous_ids = input_ids.clone()
        state = self.state
        log_p = scores.double().log_softmax(-1)
        candidates = log_p.topk(min(self.num_candidates, scores.shape[-1]), dim=-1).indices
        # `</s>` is always a candidate; otherwise a row whose CTC alignment has reached the last frame could not end.
        has_end = (candidates == self.eos_token_id).any(dim=-1)
        candidates[:, -1] = candidates[:, -1].where(has_end, self.eos_token_id)
        ctc = self.scorer.prefix_scores(state, candidates, torch.full_like(last, -1) if empty else last, utterances)
        ctc = torch.where(candidates == self.eos_token_id, self.scorer.end_scores(state)[:, None], ctc)
        weights = self.weights[utterances][:, None]
        ctc_step = (ctc - state.score[:, None]).clamp(min=-1e6, max=0.0)
        mixed = (1 - weights) * log_p.gather(1, candidates) + weights * ctc_step
        result = torch.full_like(log_p, -float("inf")).scatter(1, candidates, mixed)
        return torch.where(weights > 0, result, scores.double()).to(scores.dtype)

    def _advance(self, input_ids: Tensor, utterances: Tensor) -> PrefixState:
        """States of the current prefixes from those of their parents one token earlier; handles reordered beams."""
        assert self.previous_ids is not None and self.state is not None
        same = (input_ids[:, None, :-1] == self.previous_ids[None]).all(-1)
        same &= utterances[:, None] == utterances[None]
        parents = same.to(torch.int64).argmax(dim=1)
        state = PrefixState(*(part[parents] for part in self.state))
        tokens = input_ids[:, -1]
        return self.scorer.extend(state, tokens, tokens == input_ids[:, -2], utterances)
