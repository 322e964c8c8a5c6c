# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The parts of an encoder-decoder that are exported, as modules of nothing but tensors.

Shapes: B batch, T input frames (or samples), N encoder positions, R rows (batch x beams), L new target positions,
P cached target positions, H heads, E head size, D width, V vocabulary, G languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from mu2slam_hf.checkpoints.onnx_model import layer_names

_ANY = torch.export.Dim.DYNAMIC
"""An axis of any size. A size that two named axes have in an example would be taken for one."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A part of a model with what an exporter needs.

    Attributes:
        module: the part.
        inputs: an example of its inputs, with sizes that no other axis has.
        dynamic_shapes: names of the axes of each input that may have any size.
        input_names: names of the inputs, lists flattened.
        output_names: names of the outputs.
    """

    module: nn.Module
    inputs: tuple[Any, ...]
    dynamic_shapes: tuple[Any, ...]
    input_names: list[str]
    output_names: list[str]


class SpeechGraph(nn.Module):
    """Speech -> states `(B, N, D)`, CTC log posteriors `(B, N, V)`, language log posteriors `(B, G)`.

    Inputs: `(B, T, M)` float features (`(B, T)` samples), mask `(B, T)` int64, language rows `(B,)` int64.
    """

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        encoded = self.model.encode_speech(speech, attention_mask, language_ids)
        return encoded.states, encoded.ctc_logits.log_softmax(-1), encoded.language_logits.log_softmax(-1)


class TextGraph(nn.Module):
    """Tokens `(B, N)` int64, mask `(B, N)` int64, language rows `(B,)` int64 -> states `(B, N, D)`."""

    def __init__(self, model: Any):
        super().__init__()
        self.encoder = model.get_encoder()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, language_ids: Tensor) -> Tensor:
        """See the class."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "language_ids": language_ids}
        return self.encoder(**inputs, return_dict=True).last_hidden_state


class HeadsGraph(nn.Module):
    """States `(B, N, D)` and their mask `(B, N)` int64 -> CTC and language log posteriors as of `SpeechGraph`."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, states: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        ctc = self.model.compute_ctc_logits(states)
        return ctc.log_softmax(-1), self.model.compute_language_logits(states, frame_mask).log_softmax(-1)


class PrefillGraph(nn.Module):
    """States `(R, N, D)` -> keys, then values `(R, H, N, E)`, of the cross-attention of all decoder layers."""

    def __init__(self, model: Any):
        super().__init__()
        self.layers = model.get_decoder().layers

    def forward(self, states: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        attentions = [layer.cross_attn for layer in self.layers]
        keys = [attention.split_heads(attention.k_proj(states)).contiguous() for attention in attentions]
        return (*keys, *[attention.split_heads(attention.v_proj(states)).contiguous() for attention in attentions])


class DecodeGraph(nn.Module):
    """Logits `(R, L, V)` of new target positions, and their keys, then values `(R, H, L, E)`, of all layers.

    The caller says by a mask which positions see which, so that rows of different lengths fit into one batch, and
    keeps the cache.
    """

    def __init__(self, model: Any):
        super().__init__()
        self.decoder = model.get_decoder()
        self.lm_head = model.lm_head

    def forward(
        self,
        input_ids: Tensor,
        language_ids: Tensor,
        modality_ids: Tensor,
        position_ids: Tensor,
        mask: Tensor,
        source_mask: Tensor,
        past: Sequence[Tensor],
        source: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Decode.

        Args:
            input_ids: `(R, L)` int64.
            language_ids: `(R,)` int64.
            modality_ids: `(R,)` int64.
            position_ids: `(R, L)` int64.
            mask: `(R, 1, L, P + L)` bool, True where a new position attends to a cached or a new one.
            source_mask: `(R, 1, 1, N)` bool.
            past: keys, then values `(R, H, P, E)` of all layers.
            source: keys, then values `(R, H, N, E)` of `PrefillGraph`.
        """
        count = len(past) // 2
        own, cross = DynamicCache(), DynamicCache()
        for layer in range(count):
            own.update(past[layer], past[count + layer], layer)
            cross.update(source[layer], source[count + layer], layer)
        cache = EncoderDecoderCache(own, cross)
        embeds = self.decoder.embed_tokens(input_ids)
        states = self.decoder._add_embeddings(embeds, language_ids, modality_ids, position_ids)
        for layer in self.decoder.layers:
            states = layer(states, mask, None, source_mask, past_key_values=cache)
        num_past = past[0].shape[2]
        keys = [layer.keys[:, :, num_past:] for layer in own.layers]
        values = [layer.values[:, :, num_past:] for layer in own.layers]
        return (self.lm_head(self.decoder.norm(states)), *keys, *values)


def build_graphs(model: Any, processor: Any) -> dict[str, Graph]:
    """The parts of an encoder-decoder in evaluation mode, by the names of their files.

    Args:
        model: a `Mu2SLAMForConditionalGeneration`.
        processor: its processor, which makes the example of speech.
    """
    speech = _example_speech(model, processor)
    languages = torch.zeros(len(speech[0]), dtype=torch.int64)
    ids = torch.randint(model.config.vocab_size, (3, 11))
    states = torch.randn(3, 13, model.config.d_model)
    frame_mask = torch.ones(3, 13, dtype=torch.int64)
    heads = ["ctc_log_probs", "language_log_probs"]
    batch, length = {0: _ANY}, {0: _ANY, 1: _ANY}
    return {
        "speech": Graph(
            module=SpeechGraph(model),
            inputs=(*speech, languages),
            dynamic_shapes=(length, length, batch),
            input_names=["speech", "attention_mask", "language_ids"],
            output_names=["states", *heads],
        ),
        "text": Graph(
            module=TextGraph(model),
            inputs=(ids, torch.ones_like(ids), languages[:1].expand(3)),
            dynamic_shapes=(length, length, batch),
            input_names=["input_ids", "attention_mask", "language_ids"],
            output_names=["states"],
        ),
        "heads": Graph(
            module=HeadsGraph(model),
            inputs=(states, frame_mask),
            dynamic_shapes=(length, length),
            input_names=["states", "frame_mask"],
            output_names=heads,
        ),
        "prefill": Graph(
            module=PrefillGraph(model),
            inputs=(states,),
            dynamic_shapes=(length,),
            input_names=["states"],
            output_names=layer_names("source", model.config.decoder_config.num_hidden_layers),
        ),
        "decode": _decode_graph(model),
    }


def _decode_graph(model: Any) -> Graph:
    config = model.config.decoder_config
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    rows, length, num_past, positions, size = 3, 2, 5, 13, config.hidden_size // heads
    past = [torch.randn(rows, heads, num_past, size) for _ in range(2 * layers)]
    source = [torch.randn(rows, heads, positions, size) for _ in range(2 * layers)]
    by_row, by_length, cached = {0: _ANY}, {0: _ANY, 1: _ANY}, {0: _ANY, 2: _ANY}
    return Graph(
        module=DecodeGraph(model),
        inputs=(
            torch.randint(config.vocab_size, (rows, length)),
            torch.zeros(rows, dtype=torch.int64),
            torch.ones(rows, dtype=torch.int64),
            torch.arange(num_past, num_past + length).expand(rows, length),
            torch.ones(rows, 1, length, num_past + length, dtype=torch.bool),
            torch.ones(rows, 1, 1, positions, dtype=torch.bool),
            past,
            source,
        ),
        dynamic_shapes=(
            by_length,
            by_row,
            by_row,
            by_length,
            {0: _ANY, 2: _ANY, 3: _ANY},
            {0: _ANY, 3: _ANY},
            [cached] * len(past),
            [cached] * len(source),
        ),
        input_names=[
            "input_ids",
            "language_ids",
            "modality_ids",
            "position_ids",
            "mask",
            "source_mask",
            *layer_names("past", layers),
            *layer_names("source", layers),
        ],
        output_names=["logits", *layer_names("new", layers)],
    )


def _example_speech(model: Any, processor: Any) -> tuple[Tensor, Tensor]:
    """Inputs of the front end for two sounds of different lengths: features `(2, T, M)` and their mask `(2, T)`."""
    rate = processor.feature_extractor.sampling_rate
    sounds = [np.random.default_rng(0).normal(size=round(seconds * rate)) * 0.05 for seconds in (2.2, 1.43)]
    inputs = processor(audio=sounds, sampling_rate=rate, return_tensors="pt")
    return inputs[model.main_input_name], inputs["attention_mask"]
