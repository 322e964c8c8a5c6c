# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy search that checks drafts, and from whose batch finished rows leave.

The result is that of greedy search in transformers: a token is written only if the decoder, after exactly the text
before it, gives it the highest score, so that a draft changes the number of steps and not the text.

Tie rule: of equal scores the smallest id wins, as in transformers. Sums of floating-point numbers depend on the shapes
of the operands, so that scores of several positions at a time differ from those of one by rounding errors. Texts are
therefore identical wherever the two best scores of every step differ by more than these errors; nearer ones may be
decided differently, as with another batch size or another attention backend.

Shapes: B utterances, R rows that are not finished, L positions, Q checked positions, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.generation import EosTokenCriteria, GenerationMixin, MaxLengthCriteria
from transformers.masking_utils import create_bidirectional_mask

from .generation_assisted import Draft
from .generation_cache import RaggedCache
from .generation_ctc import CTCPrefixLogitsProcessor, PrefixState
from .generation_settings import find_option, is_plain_search
from .generation_tokens import (
    AllowedTokensLogitsProcessor,
    LanguageTokensLogitsProcessor,
    LoopLogitsProcessor,
    RowLengthLogitsProcessor,
    find_loop,
)

_BACKENDS = ("sdpa", "eager")
_MODEL_INPUTS = {
    "encoder_outputs",
    "decoder_language_ids",
    "decoder_modality_ids",
    "language_ids",
    "past_key_values",
    "cache",
    "use_cache",
    "attention_mask",
    "output_attentions",
    "output_hidden_states",
}
_MAX_LOGITS = 2**25
"""Number of logits of a check; limits the memory with large vocabularies."""


class TokenChooser:
    """The processors of `generate` for greedy search, for many prefixes of different lengths at a time.

    Args:
        processors: those of `generate`, in its order.
        eos_token_id: id of `</s>`.
    """

    def __init__(self, processors: LogitsProcessorList, eos_token_id: int):
        self.end = eos_token_id
        self.by_type: dict[type, Any] = {type(processor): processor for processor in processors}
        allowed = self.by_type[AllowedTokensLogitsProcessor].allowed
        self.tokens = torch.nonzero(allowed)[:, 0]
        excluded = self.by_type.get(LanguageTokensLogitsProcessor)
        self.excluded = None if excluded is None else excluded.excluded[:, self.tokens]
        self.ctc: CTCPrefixLogitsProcessor | None = self.by_type.get(CTCPrefixLogitsProcessor)
        if self.ctc is not None and not bool((self.ctc.weights > 0).any()):
            self.ctc = None
        limits = self.by_type.get(RowLengthLogitsProcessor)
        self.limits = None if limits is None else limits.limits.tolist()
        self.loops = self.by_type.get(LoopLogitsProcessor)
        exempt = getattr(self.loops, "exempt", None)
        self.exempt = None if exempt is None else exempt.tolist()

    @staticmethod
    def supports(processors: LogitsProcessorList) -> bool:
        """Whether the list has no other processors."""
        types = [type(processor) for processor in processors]
        return set(types) <= {
            AllowedTokensLogitsProcessor,
            LanguageTokensLogitsProcessor,
            CTCPrefixLogitsProcessor,
            LoopLogitsProcessor,
            RowLengthLogitsProcessor,
        } and len(types) == len(set(types))

    def choose(self, logits: Tensor, utterances: Tensor, state: PrefixState | None, last: Tensor | None) -> Tensor:
        """Tokens `(Q,)` int64 with the highest score, apart from rows that must end; see [`must_end`].

        Args:
            logits: `(Q, V)`.
            utterances: `(Q,)` int64.
            state: CTC state of each prefix, or None without CTC.
            last: `(Q,)` int64 last token of each prefix, -1 if it is empty, or None without CTC.
        """
        scores = logits.index_select(-1, self.tokens).float()
        if self.excluded is not None:
            scores.masked_fill_(self.excluded[utterances], -float("inf"))
        if self.ctc is None:
            return self.tokens[scores.argmax(-1)]
        return self.ctc.choose(scores, self.tokens, state, last, utterances)

    def must_end(self, ids: Sequence[int], num_new: int, utterance: int) -> bool:
        """Whether only `</s>` may follow `ids`, `num_new` of which were generated."""
        if self.limits is not None and num_new >= self.limits[utterance] - 1:
            return True
        if self.loops is None or (self.exempt is not None and self.exempt[utterance]):
            return False
        return find_loop(ids[1:], self.loops.max_repeats) is not None


def is_plain_greedy(kwargs: dict, *configs: Any) -> bool:
    """Whether the options of `generate` ask for greedy search, with nothing that [`GreedySearch`] does not have.

    Args:
        kwargs: arguments of `generate`.
        configs: generation configurations, in the order in which they apply after the arguments.
    """

    def find(name: str) -> Any:
        return find_option(name, kwargs, *configs)

    is_greedy = (find("num_beams") or 1) == 1 and (find("num_return_sequences") or 1) == 1 and not find("do_sample")
    return is_greedy and is_plain_search(kwargs, *configs)


class GreedySearch:
    """Decoding method for `custom_generate` of transformers' `generate`.

    With processors, stopping criteria or inputs that it does not know, transformers' greedy search runs instead.

    Args:
        drafts: proposed text of each utterance; None means none.
    """

    def __init__(self, drafts: Sequence[Sequence[int]] | None = None):
        self.drafts = drafts

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: Any,
        **model_kwargs: Any,
    ) -> Any:
        """Arguments and result `(B, L)` int64 are those of decoding methods of transformers."""
        if not self._applies(model, logits_processor, stopping_criteria, generation_config, model_kwargs):
            return model._sample(input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs)
        chooser = TokenChooser(logits_processor, model.config.eos_token_id)
        ends = {
            token
            for item in stopping_criteria
            if isinstance(item, EosTokenCriteria)
            for token in item.eos_token_id.tolist()
        }
        max_length = min(item.max_length for item in stopping_criteria if isinstance(item, MaxLengthCriteria))
        batch = _Batch(model, input_ids, chooser, self.drafts, model_kwargs)
        while batch.utterances:
            batch.step(ends, max_length)
        width = max(len(ids) for ids in batch.texts)
        output = input_ids.new_full((len(batch.texts), width), int(generation_config._pad_token_tensor))
        for row, ids in zip(output, batch.texts, strict=True):
            row[: len(ids)] = torch.tensor(ids, device=output.device)
        return output

    def _applies(self, model, processors, criteria, config, model_kwargs) -> bool:
        unknown = {name for name, value in model_kwargs.items() if value is not None} - _MODEL_INPUTS
        languages = model_kwargs["decoder_language_ids"]
        return (
            TokenChooser.supports(processors)
            and all(type(item) in (EosTokenCriteria, MaxLengthCriteria) for item in criteria)
            and not unknown
            and languages.dim() == 1
            and model.config.decoder_config._attn_implementation in _BACKENDS
            and any(type(item) is MaxLengthCriteria for item in criteria)
            and config._pad_token_tensor is not None
            and not (config.return_dict_in_generate or config.is_assistant)
            and config.cache_implementation in (None, "dynamic")
            and config.use_cache
            # Prompt tuning of PEFT, and others, replace the inputs of each step.
            and getattr(model.prepare_inputs_for_generation, "__func__", None)
            is GenerationMixin.prepare_inputs_for_generation
        )


class _Batch:
    """The rows that are not finished, with their cache, CTC states and drafts."""

    def __init__(self, model: Any, input_ids: Tensor, chooser: TokenChooser, drafts, inputs: dict):
        self.model = model
        self.chooser = chooser
        self.device = input_ids.device
        self.texts: list[list[int]] = input_ids.tolist()
        self.prompt_length = input_ids.shape[1]
        self.drafts = [Draft(tokens) for tokens in drafts or [()] * len(self.texts)]
        for draft, ids in zip(self.drafts, self.texts, strict=True):
            draft.follow(ids[model.config.prompt_length :])
        # Utterances of the rows; a finished row stays, without new tokens, until enough of them leave together.
        self.utterances = list(range(len(self.texts)))
        self.finished: set[int] = set()
        self.num_cached = [0] * len(self.texts)
        self.cache = RaggedCache(model.config.decoder_config)
        self.identities = {name: inputs[name] for name in ("decoder_language_ids", "decoder_modality_ids")}
        self.encoder_outputs = self._mask_source(inputs["encoder_outputs"])
        self.state: Any = None if chooser.ctc is None else chooser.ctc.initial_state(input_ids)
        self.states: Any = None
        self.is_behind = False
        longest = model.config.decoder_config.max_target_length
        self.max_position = None if longest is None else longest - 1

    def _mask_source(self, outputs: Any) -> Any:
        """The source with its mask in the form of the attention backend, built once for all steps."""
        outputs = self.model.build_encoder_outputs(outputs)
        states = outputs.last_hidden_state
        outputs.attention_mask = create_bidirectional_mask(
            self.model.config.decoder_config, states[:, :1], outputs.attention_mask, encoder_hidden_states=states
        )
        return outputs

    def step(self, ends: set[int], max_length: int) -> None:
        """Check a block of the draft of every row, accept what agrees, and one more token."""
        fed, blocks = self._feed(max_length)
        logits = self._run(fed)
        # One prefix for each checked position: the text so far, and each beginning of the block.
        rows = [row for row, block in enumerate(blocks) for _ in range(len(block) + 1)]
        steps = [step for block in blocks for step in range(len(block) + 1)]
        columns = [len(fed[row]) - len(blocks[row]) - 1 + step for row, step in zip(rows, steps, strict=True)]
        checked = torch.tensor([rows, columns, steps, [self.utterances[row] for row in rows]], device=self.device)
        states, last = self._extend_states(blocks, checked)
        chosen = self.chooser.choose(logits[checked[0], checked[1]], checked[3], states, last).tolist()
        accepted, index = [], 0
        for utterance, block in zip(self.utterances, blocks, strict=True):
            count = 0
            if utterance not in self.finished:
                count = self._accept(utterance, block, chosen[index : index + len(block) + 1], ends, max_length)
            accepted.append(count)
            index += len(block) + 1
        self._advance(accepted)

    def _feed(self, max_length: int) -> tuple[list[list[int]], list[list[int]]]:
        """Tokens that are not in the cache with a block of the draft, and the block, of each row."""
        budget = max(_MAX_LOGITS // (self.model.config.vocab_size * len(self.utterances)), 1)
        fed, blocks = [], []
        for row, utterance in enumerate(self.utterances):
            ids = self.texts[utterance]
            is_finished = utterance in self.finished
            # The token after the block must fit into the text, and the block into the table of positions.
            space = max_length - len(ids) - 1
            if self.max_position is not None:
                space = min(space, self.max_position + 1 - len(ids))
            block = [] if is_finished else self.drafts[utterance].propose(max(min(budget, space), 0))
            fed.append((ids[-1:] if is_finished else ids[self.num_cached[row] :]) + block)
            blocks.append(block)
        return fed, blocks

    def _run(self, fed: list[list[int]]) -> Tensor:
        """Logits `(R, L, V)`; columns after the end of a row are meaningless."""
        length = max(len(ids) for ids in fed)
        inputs = torch.tensor([ids + [0] * (length - len(ids)) for ids in fed], device=self.device)
        positions = self.cache.place(self.num_cached, length, self.device)
        mask = position_ids = None
        if positions is not None or (length > 1 and self.num_cached[0]):
            first = self.num_cached[0]
            indices = torch.arange(first, first + length, device=self.device)[None] if positions is None else positions
            keys = torch.arange(int(max(self.num_cached)) + length, device=self.device)
            mask = indices[:, None, :, None] >= keys
            if self.model.config.decoder_config._attn_implementation == "eager":
                dtype = self.encoder_outputs.last_hidden_state.dtype
                mask = torch.where(mask, 0.0, torch.finfo(dtype).min).to(dtype)
        if positions is not None:
            position_ids = positions if self.max_position is None else positions.clamp(max=self.max_position)
        return self.model(
            encoder_outputs=self.encoder_outputs,
            decoder_input_ids=inputs,
            decoder_attention_mask=mask,
            decoder_position_ids=position_ids,
            past_key_values=self.cache,
            use_cache=True,
            return_dict=True,
            **self.identities,
        ).logits

    def _extend_states(self, blocks: list[list[int]], checked: Tensor) -> tuple[PrefixState | None, Tensor | None]:
        """CTC states at the checked positions, and the last tokens before them; keeps the states of all steps."""
        if self.state is None:
            return None, None
        ctc = self.chooser.ctc
        assert ctc is not None
        length = max(len(block) for block in blocks)
        texts = []
        for utterance, block in zip(self.utterances, blocks, strict=True):
            before, last = self._last_tokens(utterance)
            texts.append([before, last, *block, *[last] * (length - len(block))])
        tokens = torch.tensor(texts, device=self.device)
        # The last token of the text is not part of the state, except of the first one.
        start = 1 if self.is_behind else 2
        repeats = tokens[:, start:] == tokens[:, start - 1 : -1]
        utterances = torch.tensor(self.utterances, device=self.device)
        states = ctc.scorer.extend_along(self.state, tokens[:, start:], repeats, utterances)
        self.states = PrefixState(*(part[2 - start :] for part in states))
        rows, _, steps, _ = checked
        if length == 0:
            return PrefixState(*(part[0] for part in self.states)), tokens[:, 1]
        return PrefixState(*(part[steps, rows] for part in self.states)), tokens[rows, steps + 1]

    def _last_tokens(self, utterance: int) -> tuple[int, int]:
        """The last two tokens of the text, -1 before the first one."""
        assert self.chooser.ctc is not None
        ids = [-1, -1, *self.texts[utterance][self.chooser.ctc.prompt_length :]]
        return ids[-2], ids[-1]

    def _accept(self, utterance: int, block: list[int], chosen: list[int], ends: set[int], max_length: int) -> int:
        """Append what the decoder chose, up to its first disagreement with the block; how much of it agrees."""
        ids = self.texts[utterance]
        start = len(ids)
        for step, token in enumerate(chosen):
            if self.chooser.must_end(ids, len(ids) - self.prompt_length, utterance):
                token = self.chooser.end
            ids.append(token)
            if token in ends or len(ids) >= max_length:
                self.finished.add(utterance)
                break
            if step == len(block) or token != block[step]:
                break
        self.drafts[utterance].follow(ids[start:])
        return len(ids) - start - 1

    def _advance(self, accepted: list[int]) -> None:
        """Move cache and CTC states to the ends of the texts, and remove finished rows."""
        kept = list(range(len(self.utterances)))
        for row, utterance in enumerate(self.utterances):
            if utterance not in self.finished:
                self.num_cached[row] = len(self.texts[utterance]) - 1
        leaving = sum(utterance in self.finished for utterance in self.utterances)
        if leaving == len(self.utterances):
            self.utterances = []
            return
        # Finished rows are placed like another one, so that rows that grow together stay aligned.
        furthest = max(self.num_cached[row] for row in kept if self.utterances[row] not in self.finished)
        for row, utterance in enumerate(self.utterances):
            if utterance in self.finished:
                self.num_cached[row] = furthest
        if self.state is not None:
            self._advance_states(accepted)
        # Removal copies the cache, so that single rows of a large batch wait for others.
        if 4 * leaving >= len(self.utterances):
            kept = [row for row in kept if self.utterances[row] not in self.finished]
            self._keep(kept)

    def _advance_states(self, accepted: list[int]) -> None:
        rows = torch.arange(len(accepted), device=self.device)
        steps = torch.tensor(accepted, device=self.device)
        self.state = PrefixState(*(part[steps, rows] for part in self.states))
        self.is_behind = True

    def _keep(self, rows: list[int]) -> None:
        kept = torch.tensor(rows, device=self.device)
        self.utterances = [self.utterances[row] for row in rows]
        self.num_cached = [self.num_cached[row] for row in rows]
        self.cache.keep_rows(kept)
        self.identities = {name: values[kept] for name, values in self.identities.items()}
        outputs = self.encoder_outputs
        outputs.last_hidden_state = outputs.last_hidden_state[kept]
        if outputs.attention_mask is not None:
            outputs.attention_mask = outputs.attention_mask[kept]
        if self.state is not None:
            self.state = PrefixState(*(part[kept] for part in self.state))
