# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The decoder in generation, as a list of operations.

Shapes: R rows, L new positions, S key positions, D width, H heads, E head size, V vocabulary.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import Seq2SeqLMOutput

from .modules_attention import DecoderCrossAttention, DecoderSelfAttention
from .modules_base import ScaledEmbedding
from .modules_layers import multiply, runs_only_forward
from .modules_positions import sinusoidal_embedding
from .modules_transformer import TransformerDecoderLayer
from .task_types import TEXT

_FORWARDS = ("Mu2SLAMForConditionalGeneration.forward", "Mu2SLAMDecoder.forward")
_STEP_INPUTS = {
    "decoder_input_ids",
    "encoder_outputs",
    "decoder_language_ids",
    "decoder_modality_ids",
    "language_ids",
    "past_key_values",
    "use_cache",
    "return_dict",
}
_PARTS = {
    TransformerDecoderLayer,
    DecoderSelfAttention,
    DecoderCrossAttention,
    nn.Linear,
    nn.LayerNorm,
    nn.Embedding,
    ScaledEmbedding,
    nn.ModuleList,
}


class DirectDecoder:
    """Decoder and softmax for the steps after the first one, which has cached the projected source.

    A step with few rows is bound by what Python does between operations: calls of modules, hooks, masks, arguments.
    Here the operations of all layers follow each other. Weights stay where they are; results differ from those of the
    model by rounding errors.

    Args:
        model: model for which `supports` is True.
    """

    def __init__(self, model: Any):
        self.decoder = model.model.decoder
        self.config = self.decoder.config
        self.num_heads = self.config.num_attention_heads
        self.layers = [_Layer(layer) for layer in self.decoder.layers]
        self.norm = _norm_arguments(self.decoder.norm)
        self.head = _product(model.lm_head)
        self.text = torch.full((1,), TEXT, dtype=torch.int64)
        self.positions = self._tabulate(64)

    @staticmethod
    def supports(model: Any) -> bool:
        """Whether the model computes what this class does, and on a CPU, where it has been measured.

        That is, no module of the decoder was replaced, as by adapters or quantisers, or has hooks, and nothing is to
        be trained, compiled or recorded.
        """
        decoder = model.model.decoder
        # Activations are called as modules.
        modules = decoder.named_modules()
        parts = [model.lm_head, *(part for name, part in modules if name and not name.endswith("activation"))]
        return (
            tuple(type(one).forward.__qualname__ for one in (model, decoder)) == _FORWARDS
            and all(type(part) in _PARTS for part in parts)
            and all(map(runs_only_forward, [model, model.model, decoder, *parts]))
            and decoder.config._attn_implementation == "sdpa"
            and model.lm_head.weight.device.type == "cpu"
            and not (model.training or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
            and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
            and not torch.nn.modules.module._has_any_global_hook()
        )

    def compute_logits(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        cache: EncoderDecoderCache,
        num_positions: int,
        *,
        attention_mask: Tensor | None,
        source_mask: Tensor | None,
        language_ids: Tensor,
        modality_ids: Tensor | None,
    ) -> Tensor:
        """Logits `(R, L, V)`; keys and values of the new positions are written into the cache.

        Args:
            input_ids: `(R, L)` int64.
            position_ids: `(R or 1, L)` int64.
            cache: with the projected source. For a `RaggedCache`, `place` was called for the new positions.
            num_positions: number of positions with the new ones, of the longest row.
            attention_mask: `(R or 1, 1, L, S)` bool, True where attention is allowed; None for everything.
            source_mask: `(R, 1, 1 or L, S)` bool of the source; None for everything.
            language_ids: `(R,)` int64 target languages.
            modality_ids: `(R,)` int64, 0 speech ids and 1 text; text by default.
        """
        num_positions += self.config.position_offset
        if num_positions > len(self.positions):
            self.positions = self._tabulate(2 * num_positions)
        states = self._embed(input_ids, position_ids, language_ids, modality_ids)
        hidden = None if attention_mask is None else ~attention_mask
        hidden_source = None if source_mask is None else ~source_mask
        caches = zip(cache.self_attention_cache.layers, cache.cross_attention_cache.layers, strict=True)
        for layer, (own, source) in zip(self.layers, caches, strict=True):
            normed = torch.layer_norm(states, *layer.self_norm)
            query, key, value = layer.query(normed), layer.key(normed), layer.value(normed)
            keys, values = own.update(self._split_heads(key), self._split_heads(value))
            attended = self._attend(query, keys, values, hidden)
            states = states + layer.output(attended)
            query = layer.cross_query(torch.layer_norm(states, *layer.cross_norm))
            states = states + layer.cross_output(self._attend(query, source.keys, source.values, hidden_source))
            inner = layer.activation(layer.up(torch.layer_norm(states, *layer.feed_forward_norm)))
            states = states + layer.down(inner)
        return self.head(torch.layer_norm(states, *self.norm))

    def _embed(self, input_ids: Tensor, position_ids: Tensor, language_ids: Tensor, modality_ids) -> Tensor:
        decoder = self.decoder
        tokens = torch.embedding(decoder.embed_tokens.weight, input_ids) * decoder.embed_tokens.scale
        languages = torch.embedding(decoder.embed_languages.weight, language_ids[:, None])
        modality_ids = self.text if modality_ids is None else modality_ids
        modalities = torch.embedding(decoder.embed_modalities.weight, modality_ids[:, None])
        position_ids = position_ids + self.config.position_offset
        if decoder.embed_positions is not None:
            positions = torch.embedding(decoder.embed_positions.weight, position_ids)
        else:
            positions = torch.embedding(self.positions, position_ids)
        embeds = tokens + languages + modalities + positions
        return embeds if decoder.embed_norm is None else decoder.embed_norm(embeds)

    def _tabulate(self, length: int) -> Tensor:
        """Sinusoids `(length, D)`, also of decoders with learned positions, which do not read them."""
        is_inclusive = self.config.position_embeddings_type == "sinusoidal_inclusive"
        table = sinusoidal_embedding(torch.arange(length)[None], self.config.hidden_size, is_inclusive)
        return table[0].to(self.decoder.embed_tokens.weight.dtype)

    def _split_heads(self, states: Tensor) -> Tensor:
        """(R, L, D) -> (R, H, L, E)."""
        return states.view(*states.shape[:2], self.num_heads, -1).transpose(1, 2)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> Tensor:
        """(R, L, D), twice (R, H, S, E) -> (R, L, D); `hidden` is True where attention is not allowed."""
        rows, length, width = query.shape
        size = width // self.num_heads
        shape = (rows * self.num_heads, length, size)
        query = (self._split_heads(query) if length > 1 else query).reshape(shape) * size**-0.5
        scores = torch.bmm(query, keys.flatten(0, 1).transpose(1, 2))
        if hidden is not None:
            scores.view(rows, self.num_heads, length, -1).masked_fill_(hidden, torch.finfo(scores.dtype).min)
        torch.softmax(scores, dim=-1, out=scores)
        output = torch.bmm(scores, values.flatten(0, 1))
        if length == 1:
            return output.view(rows, 1, width)
        return output.view(rows, self.num_heads, length, size).transpose(1, 2).reshape(rows, length, width)


def search_beams(model: Any, *args: Any, **kwargs: Any) -> Any:
    """Decoding method for `custom_generate`: beam search of transformers, by a `DirectDecoder` where it applies."""
    steps = _Steps(model) if DirectDecoder.supports(model) else model
    return GenerationMixin._beam_search(steps, *args, **kwargs)


class _Steps:
    """A model whose calls are those of its `DirectDecoder`, for a loop of transformers."""

    def __init__(self, model: Any):
        self.model = model
        self.direct = DirectDecoder(model)
        self.source: Any = None
        self.source_mask: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **inputs: Any) -> Any:
        """Arguments are those of `forward`; with others than a step of text needs, the model is called."""
        cache, outputs = inputs.get("past_key_values"), inputs["encoder_outputs"]
        languages = inputs.get("decoder_language_ids")
        given = {name for name, value in inputs.items() if value is not None}
        is_projected = isinstance(cache, EncoderDecoderCache) and cache.is_updated.get(0)
        if not is_projected or given - _STEP_INPUTS or languages is None or languages.dim() != 1:
            return self.model(**inputs)
        if self.source is not outputs:
            self.source, mask = outputs, outputs.attention_mask
            self.source_mask = None if mask is None or bool(mask.all()) else mask[:, None, None].bool()
        length = cache.get_seq_length()
        logits = self.direct.compute_logits(
            inputs["decoder_input_ids"],
            torch.tensor([[length]]),
            cache,
            length + 1,
            attention_mask=None,
            source_mask=self.source_mask,
            language_ids=languages,
            modality_ids=inputs.get("decoder_modality_ids"),
        )
        return Seq2SeqLMOutput(logits=logits, past_key_values=cache)


class _Layer:
    """The operations of a layer with their weights."""

    def __init__(self, layer: TransformerDecoderLayer):
        own, cross = layer.self_attn, layer.cross_attn
        self.self_norm, self.cross_norm = _norm_arguments(layer.self_attn_norm), _norm_arguments(layer.cross_attn_norm)
        self.query, self.key, self.value = _product(own.q_proj), _product(own.k_proj), _product(own.v_proj)
        self.output = _product(own.o_proj)
        self.cross_query, self.cross_output = _product(cross.q_proj), _product(cross.o_proj)
        self.feed_forward_norm = _norm_arguments(layer.feed_forward_norm)
        self.up, self.down, self.activation = _product(layer.up_proj), _product(layer.down_proj), layer.activation


def _product(module: nn.Linear) -> Any:
    """The linear layer as a function, without what precedes `forward` in the call of a module."""
    return partial(multiply, weight=module.weight, bias=module.bias)


def _norm_arguments(norm: nn.LayerNorm) -> tuple:
    return norm.normalized_shape, norm.weight, norm.bias, norm.eps
