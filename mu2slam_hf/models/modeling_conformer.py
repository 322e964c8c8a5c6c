# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""ConformerEncoder: the encoder of all models, a stack of layers over embeddings from any front end.

Shapes: B batch, L positions of a row, D width.
"""

import torch
from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_conformer import ConformerEncoderConfig
from .modules_attention import ConformerSelfAttention
from .modules_base import SpeechTextPreTrainedModel
from .modules_conformer import ConformerLayer, find_gapped_rows
from .modules_lengths import restarting_position_ids
from .modules_positions import relative_sinusoids, rotary_angles
from .modules_segments import (
    check_packing_backend,
    check_position_backend,
    fold_chunks,
    fold_mask,
    number_chunks,
    same_sequence,
)


class ConformerEncoder(SpeechTextPreTrainedModel):
    """A stack of Conformer layers over embeddings.

    The models build on it: Mu2SLAM feeds it speech frames and token embeddings, mSLAM adds text after some layers
    (`start_layer`).
    """

    config_class = ConformerEncoderConfig
    config: ConformerEncoderConfig
    base_model_prefix = "conformer"
    main_input_name = "inputs_embeds"
    input_modalities = "text"
    _no_split_modules = ["ConformerLayer"]
    _can_record_outputs = {"hidden_states": ConformerLayer, "attentions": ConformerSelfAttention}

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__(config)
        self.layers = nn.ModuleList(ConformerLayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.final_layer_norm else None
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        start_layer: int = 0,
        end_layer: int | None = None,
        language_ids: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutput:
        """Run layers `[start_layer, end_layer)`.

        Args:
            inputs_embeds: `(B, L, D)`; already includes absolute positions, if the configuration has them.
            attention_mask: `(B, L)`, 1 on real positions, 0 on padding; None when nothing is padded.
            sequence_ids: `(B, L)` int64 for packed rows: equal within a sequence, 0 on padding. Replaces
                `attention_mask`; None for ordinary rows of one sequence each.
            position_ids: `(B, L)` int64 for rotary positions; counted from the start of each sequence by default.
                Relative positions use the distance within the row.
            start_layer: first layer to run.
            end_layer: layer to stop before; None runs all remaining layers.
            language_ids: `(B,)` or `(B, L)` int64 rows of the model's languages, for residual adapters; 0 (`und`) by
                default. A language without adapters uses those of row 0. Ignored without `config.adapter_size`.
            **kwargs: passed to the attention backend.

        Returns:
            `last_hidden_state` `(B, L, D)` and, on request, all `hidden_states` and `attentions`. The final
            normalisation, if configured, is applied after the last layer only. Rows that are longer than a chunk of
            `config.attention_chunk_frames` W are folded around the attention, whose weights are
            `(B * C, H, W, W)` with the C chunks of each row.
        """
        chunk_frames = self.config.attention_chunk_frames
        width = None  # of the folded rows
        if chunk_frames is not None and sequence_ids is None and inputs_embeds.shape[1] > chunk_frames:
            width = chunk_frames
        position_embeddings = self._embed_positions(inputs_embeds, sequence_ids, position_ids, width)
        frame_mask = gapped_rows = None
        if sequence_ids is not None:
            check_packing_backend(self.config)
            groups = sequence_ids if chunk_frames is None else number_chunks(sequence_ids, chunk_frames)
            layer_mask = create_bidirectional_mask(
                self.config,
                inputs_embeds,
                attention_mask=None,
                and_mask_function=same_sequence(groups, groups),
            )
            frame_mask = sequence_ids > 0
            if not torch.compiler.is_compiling():  # the width of the gapped rows is data-dependent
                gapped_rows = find_gapped_rows(sequence_ids, self.layers[0].conv.reach)
        else:
            if attention_mask is not None:
                frame_mask = attention_mask.bool()
            rows = inputs_embeds
            if width is not None:
                rows = fold_chunks(inputs_embeds[..., :1], width)  # only its shape counts
                if frame_mask is not None or inputs_embeds.shape[1] % width:
                    real = inputs_embeds.new_ones(inputs_embeds.shape[:2], dtype=torch.bool)
                    attention_mask = fold_mask(real if frame_mask is None else frame_mask, width).long()
            layer_mask = create_bidirectional_mask(self.config, rows, attention_mask=attention_mask)

        adapter_ids = self._find_adapters(inputs_embeds, language_ids)
        kwargs.pop("use_cache", None)  # an encoder has no cache; activation checkpointing would warn
        hidden_states = inputs_embeds
        for layer in self.layers[start_layer:end_layer]:
            hidden_states = layer(
                hidden_states,
                layer_mask,
                frame_mask,
                sequence_ids,
                position_embeddings,
                gapped_rows,
                width,
                adapter_ids,
                **kwargs,
            )
        if self.norm is not None and (end_layer is None or end_layer >= len(self.layers)):
            hidden_states = self.norm(hidden_states)
        return BaseModelOutput(last_hidden_state=hidden_states)

    def _find_adapters(self, inputs_embeds: Tensor, language_ids: Tensor | None) -> Tensor | None:
        """Rows of the adapters `(B,)` or `(B, L)` int64 of languages, of `und` by default; None without adapters."""
        if not self.config.adapter_size:
            return None
        if language_ids is None:
            language_ids = torch.zeros(1, dtype=torch.int64, device=inputs_embeds.device)
        rows = language_ids.where(language_ids < self.config.num_adapters, 0)
        return rows.expand(inputs_embeds.shape[: rows.dim()])

    def _embed_positions(
        self, inputs_embeds, sequence_ids, position_ids, width: int | None = None
    ) -> tuple[Tensor, Tensor] | Tensor | None:
        """Positions shared by the attention of all layers: rotary angles or relative sinusoids.

        `width` is that of folded rows, in each of which positions restart.
        """
        batch, length = inputs_embeds.shape[:2]
        kind = self.config.position_embeddings_type
        if kind in ("relative", "relative_key"):
            check_position_backend(self.config)
        if kind == "relative":
            return relative_sinusoids(width or length, self.config.hidden_size, inputs_embeds.device)
        if kind != "rotary":
            return None
        if position_ids is None:
            ids = inputs_embeds.new_ones((1, width or length)).long() if sequence_ids is None else sequence_ids
            position_ids = restarting_position_ids(ids)
        elif width is not None:
            position_ids = fold_chunks(position_ids.expand(batch, length), width)
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        return rotary_angles(position_ids, head_dim, self.config.rope_base)


__all__ = ["ConformerEncoder"]
