# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""CTC prefix scores for joint CTC/attention decoding, as a logits processor of transformers' `generate`.

Shapes: R rows (batch x beams), B utterances, N encoder frames, V vocabulary, K candidate tokens.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor

from .generation_tokens import NEGATIVE_LOGIT

KEPT_PREFIXES = 64
"""Number of earlier lengths whose states are kept while a single row is decoded, at least a round of candidates."""

_FEW_CANDIDATES = 4
"""Number of tokens that greedy search scores first; mostly no other one can be the best."""

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
        tokens: `(V',)` int64 tokens that CTC may emit, with the blank; None means all. The others share one row.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor, blank: int, tokens: Tensor | None = None):
        self.places = None
        if tokens is not None:
            self.places = tokens.new_full((log_probs.shape[-1],), len(tokens))
            self.places[tokens] = torch.arange(len(tokens), device=tokens.device)
            log_probs = torch.nn.functional.pad(log_probs[..., tokens], (0, 1), value=NEGATIVE_LOGIT)
            blank = int(self.places[blank])
        # (B, N, V) -> (B, V, N), because every access reads all frames of a token.
        log_probs = log_probs.transpose(1, 2).contiguous().double()
        frames = torch.arange(log_probs.shape[2], device=log_probs.device)
        padded = frames[None] >= lengths[:, None]
        # Padding frames emit a blank with probability 1, so that sums over all frames equal sums over the real ones.
        log_probs.masked_fill_(padded[:, None], NEGATIVE)
        log_probs[:, blank].masked_fill_(padded, 0.0)
        self.log_probs = log_probs
        self.blank_sum = log_probs[:, blank].cumsum(-1)

    def read(self, utterances: Tensor, tokens: Tensor) -> Tensor:
        """Log posteriors of one token per utterance; two int64 tensors of shape `(...)` give `(..., N)` float64."""
        return self.log_probs[utterances, tokens if self.places is None else self.places[tokens]]

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
        states = self.extend_along(state, tokens[:, None], repeats[:, None], utterances)
        return PrefixState(*(part[1] for part in states))

    def extend_along(self, state: PrefixState, tokens: Tensor, repeats: Tensor, utterances: Tensor) -> PrefixState:
        """States of every prefix after none, one, two, ... of some more tokens.

        Args:
            state: as returned by [`initial_state`] or [`extend`].
            tokens: `(R, L)` int64 tokens to append.
            repeats: `(R, L)` bool, True where a token equals the one before it.
            utterances: `(R,)` int64 utterance of each row.

        Returns:
            the parts of the states, with the number of appended tokens as first axis: `(L + 1, R, N + 1)`, scores
            `(L + 1, R)`.
        """
        # (R, L, N) -> (L, R, N)
        log_p = self.read(utterances[:, None], tokens).transpose(0, 1)
        totals = torch.nn.functional.pad(log_p.cumsum(-1), (1, 0))
        blanks = torch.nn.functional.pad(self.blank_sum[utterances], (1, 0))
        in_token = state.in_token.new_full((len(log_p) + 1, *state.in_token.shape), NEGATIVE)
        in_blank = torch.full_like(in_token, NEGATIVE)
        in_token[0], in_blank[0] = state.in_token, state.in_blank
        before = torch.empty_like(log_p)
        for step, total in enumerate(totals):
            either = torch.logaddexp(in_token[step, :, :-1], in_blank[step, :, :-1])
            torch.where(repeats[:, step, None], in_blank[step, :, :-1], either, out=before[step])
            reached = torch.logcumsumexp(before[step] - total[:, :-1], dim=-1)
            torch.add(total[:, 1:], reached, out=in_token[step + 1, :, 1:])
            reached = torch.logcumsumexp(in_token[step + 1, :, :-1] - blanks[:, :-1], dim=-1)
            torch.add(blanks[:, 1:], reached, out=in_blank[step + 1, :, 1:])
        scores = torch.logsumexp(before + log_p, dim=-1)
        return PrefixState(in_token, in_blank, torch.cat([state.score[None], scores]))

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
        log_p = self.read(utterances[:, None], candidates)  # (R, K, N)
        fresh = torch.logaddexp(state.in_token, state.in_blank)[:, None, :-1]
        after_blank = state.in_blank[:, None, :-1]
        repeats = (candidates == last_tokens[:, None])[..., None]
        return torch.logsumexp(torch.where(repeats, after_blank, fresh) + log_p, dim=-1)

    def end_scores(self, state: PrefixState) -> Tensor:
        """Log probability `(R,)` that the transcript is exactly each prefix."""
        return torch.logaddexp(state.in_token[:, -1], state.in_blank[:, -1])


class CTCPrefixLogitsProcessor(LogitsProcessor):
    """Mix the decoder's next-token scores with the change of the CTC prefix score.

    `(1 - w) * log p_decoder + w * (log p_ctc(prefix + token) - log p_ctc(prefix))`. Only the `num_candidates` most
    likely tokens of the decoder and `</s>` are scored; all others are excluded.

    Prefixes may grow by one token, be reordered (beam search), or be rewound and replaced (assisted decoding, which
    scores several candidates before it rejects some): the state of a prefix is computed from the longest known part.

    Args:
        scorer: posteriors of the utterances.
        weights: `(B,)` float w of each utterance; 0 keeps the decoder's scores (for translation).
        eos_token_id: id of `</s>`.
        num_candidates: number of tokens scored per row. Choice: 40; larger values do not change results in practice.
        prompt_length: number of tokens before the text: `<s>`, and those of `config.decoder_prompt`.
    """

    def __init__(
        self,
        scorer: CTCPrefixScorer,
        weights: Tensor,
        eos_token_id: int,
        num_candidates: int = 40,
        prompt_length: int = 1,
    ):
        self.scorer = scorer
        self.weights = weights.double()
        self.eos_token_id = eos_token_id
        self.num_candidates = num_candidates
        self.prompt_length = prompt_length
        # By length: prefixes `(R, L)` and their states. Several lengths are kept for a single row only, because only
        # then may prefixes be rewound.
        self.known: dict[int, tuple[Tensor, PrefixState]] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Args: `input_ids` `(R, L)` int64 with the prompt first, `scores` `(R, V)` logits or log probabilities."""
        # The last token of the prompt stands for `<s>`.
        input_ids = input_ids[:, self.prompt_length - 1 :]
        rows, num_utterances = input_ids.shape[0], self.weights.shape[0]
        utterances = torch.arange(rows, device=scores.device) // (rows // num_utterances)
        last = input_ids[:, -1]
        empty = input_ids.shape[1] == 1
        state = self._state(input_ids, utterances)
        if rows == 1 and is_constant(scores):
            # Prompt lookup passes constants to find out which tokens are excluded; they rank no candidates.
            return scores
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

    def initial_state(self, input_ids: Tensor) -> PrefixState:
        """State of the beginnings `(B, L)` int64 of all utterances, prompt included."""
        utterances = torch.arange(input_ids.shape[0], device=input_ids.device)
        return self._state(input_ids[:, self.prompt_length - 1 :], utterances)

    def choose(self, scores: Tensor, tokens: Tensor, state: PrefixState, last: Tensor, utterances: Tensor) -> Tensor:
        """The token with the highest score of `__call__` after each prefix, for greedy search.

        The score of a token is at most `(1 - w) * log p_decoder`, because the part of CTC is not positive. Tokens
        whose bound is below the score of another one are not scored by CTC, which saves most of the work.

        Args:
            scores: `(R, A)` float32 logits.
            tokens: `(A,)` int64 tokens that they belong to, in ascending order, with `</s>`.
            state: state of the prefixes.
            last: `(R,)` int64 last token of each prefix, -1 if it is empty.
            utterances: `(R,)` int64 utterance of each prefix.

        Returns:
            `(R,)` int64 tokens; of equal scores, the smallest id.
        """
        best = tokens[scores.argmax(-1)]
        rows = torch.nonzero(self.weights[utterances] > 0)[:, 0]
        for count in (min(_FEW_CANDIDATES, self.num_candidates - 1), self.num_candidates):
            if not len(rows):
                break
            part = PrefixState(*(values[rows] for values in state))
            best[rows], is_certain = self._choose_among(
                count, scores[rows], tokens, part, last[rows], utterances[rows]
            )
            rows = rows[~is_certain]
        return best

    def _choose_among(self, count, scores, tokens, state, last, utterances) -> tuple[Tensor, Tensor]:
        """The best of the `count` tokens that the decoder ranks first and `</s>`, and whether no other is better."""
        log_p = scores.double().log_softmax(-1).clamp(min=NEGATIVE)
        is_complete = count >= min(self.num_candidates, len(tokens))
        count = min(count, len(tokens))
        ranked, indices = log_p.topk(min(count + 1, len(tokens)), dim=-1)
        indices = indices[:, :count]
        end = int(torch.searchsorted(tokens, self.eos_token_id))
        if is_complete:
            indices[:, -1] = indices[:, -1].where((indices == end).any(dim=-1), end)
        weights = self.weights[utterances][:, None]
        ctc = self.scorer.prefix_scores(state, tokens[indices], last, utterances)
        # `</s>` is scored too, as the last column.
        ctc = torch.cat([ctc, self.scorer.end_scores(state)[:, None]], dim=1)
        ctc = torch.where(torch.nn.functional.pad(indices == end, (0, 1)), ctc[:, -1:], ctc)
        indices = torch.nn.functional.pad(indices, (0, 1), value=end)
        ctc_step = (ctc - state.score[:, None]).clamp(min=-1e6, max=0.0)
        mixed = ((1 - weights) * log_p.gather(1, indices) + weights * ctc_step).to(scores.dtype)
        best = mixed.amax(dim=-1)
        chosen = tokens[indices.masked_fill(mixed < best[:, None], len(tokens) - 1).amin(dim=-1)]
        if is_complete:
            return chosen, torch.ones_like(chosen, dtype=torch.bool)
        return chosen, ((1 - weights[:, 0]) * ranked[:, -1]).to(scores.dtype) < best

    def _state(self, input_ids: Tensor, utterances: Tensor) -> PrefixState:
        """States of all prefixes `input_ids` `(R, L)`, from those of their longest known parts."""
        length = input_ids.shape[1]
        start, state = 1, self.scorer.initial_state(utterances)
        for known in sorted(self.known, reverse=True):
            parents = self._find(input_ids[:, :known], utterances, known) if known <= length else None
            if parents is not None:
                start, state = known, PrefixState(*(part[parents] for part in self.known[known][1]))
                break
        for end in range(start + 1, length + 1):
            tokens = input_ids[:, end - 1]
            repeats = (tokens == input_ids[:, end - 2]) & (end > 2)
            state = self.scorer.extend(state, tokens, repeats, utterances)
            self._keep(input_ids[:, :end], state)
        if start == length:
            self._keep(input_ids, state)
        return state

    def _find(self, prefixes: Tensor, utterances: Tensor, length: int) -> Tensor | None:
        """Rows `(R,)` of the known prefixes of a length that equal `prefixes`; None if one of them is not known."""
        known = self.known[length][0]
        if known.shape[0] != prefixes.shape[0]:
            return None
        same = (prefixes[:, None] == known[None]).all(-1) & (utterances[:, None] == utterances[None])
        return same.to(torch.int64).argmax(dim=1) if bool(same.any(dim=1).all()) else None

    def _keep(self, prefixes: Tensor, state: PrefixState) -> None:
        if prefixes.shape[0] > 1:
            self.known.clear()
        self.known[prefixes.shape[1]] = (prefixes.clone(), state)
        self.known.pop(prefixes.shape[1] - KEPT_PREFIXES, None)


def is_constant(scores: Tensor) -> bool:
    """Whether several tokens are not excluded, and all of these have the same score."""
    allowed = scores[torch.isfinite(scores)]
    return allowed.numel() > 1 and bool((allowed == allowed[0]).all())
