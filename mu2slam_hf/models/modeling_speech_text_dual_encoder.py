# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A language model as dual encoder: one tower that gives an embedding of speech ids or of text.

Shapes: B rows, L positions of the longest row, D width of the language model, P width of an embedding, t text rows and
a audio rows of the embedding table.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModel, PreTrainedModel, initialization
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_speech_text_dual_encoder import SpeechTextDualEncoderConfig
from .modules_capabilities import Capabilities, InferenceMixin
from .modules_layers import at_least_float32
from .modules_lengths import group_by_size
from .modules_pooling import masked_mean
from .modules_quantization import StaysFloat32

SMALL_ROWS = 0.1
"""Deviation of small audio rows, as a share of that of the text rows."""


@dataclass
class SpeechTextDualEncoderOutput(ModelOutput):
    """Embeddings of one or both sides.

    Attributes:
        pooler_output: `(B, P)` float32 embeddings of `input_ids`.
        target_embeds: `(B', P)` float32 embeddings of `target_ids`, if there are any.
    """

    pooler_output: Tensor | None = None
    target_embeds: Tensor | None = None


class Float32Linear(StaysFloat32, nn.Module):
    """A linear layer without bias that computes in float32, also under autocast and in a model of half precision.

    Args:
        in_features: width of the input.
        out_features: width of the output.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """`(..., in)` of any float type to `(..., out)` float32 (float64 if a module is)."""
        with torch.autocast(device_type=input.device.type, enabled=False):
            return self.linear(input.to(self.linear.weight.dtype))


class SpeechTextDualEncoderModel(InferenceMixin, PreTrainedModel):
    """One tower for speech and text: a language model, pooling and a projection.

    Paper: PaLM 2 DE, section 2. Speech is a row of ids from t on, which the processor makes; the embedding table has
    t + a rows.
    Choice: the rows are in two tables, that of the language model as it was, and `audio_embeddings`. The function is
    that of the paper, but the language model stays as it is, adapters and freezing need no lists of rows, and a table
    need not be resized. Pooling and projection are in float32.

    Args:
        config: the configuration.
    """

    capabilities = Capabilities(embeds=True, pools=True)
    config_class = SpeechTextDualEncoderConfig
    config: SpeechTextDualEncoderConfig
    base_model_prefix = "dual_encoder"
    main_input_name = "input_ids"
    input_modalities = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict = ["pooler", "projection"]

    def __init__(self, config: SpeechTextDualEncoderConfig):
        super().__init__(config)
        width = config.hidden_size
        self.language_model: Any = AutoModel.from_config(config.text_config)
        self.audio_embeddings = nn.Embedding(config.num_audio_tokens, width)
        self.dropout = nn.Dropout(config.dropout)
        self.pooler = Float32Linear(width, 1) if config.pooling == "attention" else None
        self.projection = Float32Linear(width, config.projection_dim)
        for module in self.language_model.modules():
            # Without padding there is no mask, and the attention of the layer decides by this.
            if isinstance(getattr(module, "is_causal", None), bool):
                module.is_causal = config.is_causal
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.projection.linear:
            # Language models end in a normalisation: dot products of unrelated states then have a deviation of 1.
            std = module.in_features**-0.5 * module.out_features**-0.25
            initialization.normal_(module.weight, mean=0.0, std=std)
        elif self.pooler is not None and module is self.pooler.linear:
            # All positions have the same weight at first.
            initialization.zeros_(module.weight)
        else:
            super()._init_weights(module)

    @property
    def num_text_rows(self) -> int:
        """Number of text rows of the table, t."""
        return int(self.config.audio_token_offset or 0)

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    @classmethod
    def from_language_model(
        cls,
        name_or_folder: str,
        *,
        text_embeddings: str = "keep",
        audio_embeddings: str = "small",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> "SpeechTextDualEncoderModel":
        """A new dual encoder with the weights of a language model.

        Paper: section 2.1: "we initialize the embeddings layer from scratch". Choice: the text rows, which carry the
        knowledge of text, are kept by default, as in AudioPaLM, whose formulation the paper follows.

        Args:
            name_or_folder: decoder-only language model of transformers.
            text_embeddings: `keep` the rows of text, or `new` ones, the literal reading of the paper.
            audio_embeddings: deviation of the new audio rows: `small`, a tenth of that of the embedded text, around 0:
                Adam moves every entry by about the learning rate, so that large rows turn slowly; `normal`, that of
                the embedded text; `mean`, its mean and deviation.
            dtype: dtype of the weights.
            options: of `SpeechTextDualEncoderConfig`: `num_audio_tokens`, `pooling`, ...

        Raises:
            ValueError: another kind of model, one that cannot be run on embeddings, or an unknown option.
        """
        for name, value, known in (
            ("text_embeddings", text_embeddings, ("keep", "new")),
            ("audio_embeddings", audio_embeddings, ("small", "normal", "mean")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
        source = load_language_model(name_or_folder, dtype)
        table = source.get_input_embeddings()
        options.setdefault("audio_token_offset", table.weight.shape[0])
        model = cls(cls.config_class(text_config=source.config, **options)).to(dtype)
        model.language_model.load_state_dict(source.state_dict())
        # A path of this machine has no place in the configuration that is saved.
        model.config.text_config.name_or_path = ""
        with torch.no_grad():
            if text_embeddings == "new":
                std = getattr(source.config, "initializer_range", 0.02)
                model.get_input_embeddings().weight.normal_(0.0, std)
            # The outputs, not the weights: some modules scale them.
            rows = model.get_input_embeddings()(torch.arange(min(table.weight.shape[0], 20_000))).float()
            center = rows.mean(dim=0) if audio_embeddings == "mean" else torch.zeros(rows.shape[1])
            scale = SMALL_ROWS if audio_embeddings == "small" else 1.0
            new = torch.randn(model.config.num_audio_tokens, rows.shape[1]) * float(rows.std()) * scale
            model.audio_embeddings.weight.copy_(new + center)
        return model

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        target_ids: Tensor | None = None,
        target_attention_mask: Tensor | None = None,
        max_tokens_per_chunk: int | None = None,
        **kwargs: Any,
    ) -> SpeechTextDualEncoderOutput:
        """Embed the rows of one side, or of both sides in one call, so that DDP sees one forward pass.

        Args:
            input_ids: `(B, L)` int64, text ids below t and audio ids from t on, padded on the right.
            attention_mask: `(B, L)`, 1 on real positions, 0 on padding; None: all are real.
            target_ids: `(B', L')` ids of the other side.
            target_attention_mask: `(B', L')` likewise.
            max_tokens_per_chunk: rows are computed in chunks of at most this many positions; in training, the
                activations of one chunk at a time are in memory, and are computed again in the backward pass. None:
                all at once.
            kwargs: not used; `return_dict` is that of transformers.

        Raises:
            ValueError: no ids, ids beyond the table, or rows longer than the language model reads.
        """
        if input_ids is None:
            raise ValueError("input_ids are required: call the processor on audio= or text=.")
        return SpeechTextDualEncoderOutput(
            pooler_output=self._embed(input_ids, attention_mask, max_tokens_per_chunk),
            target_embeds=None
            if target_ids is None
            else self._embed(target_ids, target_attention_mask, max_tokens_per_chunk),
        )

    def get_audio_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> ModelOutput:
        """Embeddings of speech; the same tower as that of text."""
        return self(input_ids=input_ids, attention_mask=attention_mask, return_dict=True)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> ModelOutput:
        """Embeddings of text; the same tower as that of speech."""
        return self(input_ids=input_ids, attention_mask=attention_mask, return_dict=True)

    def _embed(self, ids: Tensor, mask: Tensor | None, max_tokens: int | None) -> Tensor:
        """`(B, P)` embeddings of ids `(B, L)`."""
        mask = torch.ones_like(ids) if mask is None else mask
        config = self.config
        longest = getattr(config.text_config, "max_position_embeddings", None)
        if longest is not None and ids.shape[1] > longest:
            raise ValueError(
                f"A row has {ids.shape[1]} positions, but the language model reads {longest}: cut the recording at "
                "its pauses (`mu2slam index` does), or shorten the text."
            )
        if bool((ids >= self.num_text_rows + config.num_audio_tokens).any()):
            raise ValueError(
                f"input_ids contains {int(ids.max())}, but the table has {self.num_text_rows} text and "
                f"{config.num_audio_tokens} audio rows."
            )
        if max_tokens is None:
            return self._embed_rows(ids, mask)
        lengths = mask.sum(dim=1).tolist()
        chunks = list(group_by_size(lengths, max_tokens, len(lengths)))
        results = []
        for rows in chunks:
            length = max(1, lengths[rows[0]])
            part = (ids[rows, :length], mask[rows, :length])
            if torch.is_grad_enabled() and self.training:
                results.append(checkpoint(self._embed_rows, *part, use_reentrant=False))
            else:
                results.append(self._embed_rows(*part))
        order = torch.tensor([row for rows in chunks for row in rows], device=ids.device)
        return torch.cat(results)[order.argsort()]

    def _embed_rows(self, ids: Tensor, mask: Tensor) -> Tensor:
        offset = self.num_text_rows
        is_audio = ids >= offset
        text = self.get_input_embeddings()(ids.masked_fill(is_audio, 0))
        audio = self.audio_embeddings((ids - offset).clamp(min=0)).to(text.dtype)
        embeds = self.dropout(torch.where(is_audio[..., None], audio, text))
        outputs = self.language_model(inputs_embeds=embeds, attention_mask=mask, use_cache=False, return_dict=True)
        embeddings = self.projection(self.dropout(self._pool(outputs.last_hidden_state, mask)))
        return nn.functional.normalize(embeddings, dim=-1) if self.config.normalize else embeddings

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """States `(B, L, D)` to `(B, D)`, at least float32."""
        states, real = at_least_float32(states), mask.bool()
        if self.config.pooling == "mean":
            return masked_mean(states, real)
        if self.config.pooling == "last":
            last = torch.arange(states.shape[1], device=states.device).masked_fill(~real, 0).amax(dim=1)
            return states[torch.arange(len(states), device=states.device), last]
        states = states.masked_fill(~real[..., None], 0.0)
        weights = self.pooler(states).masked_fill(~real[..., None], torch.finfo(torch.float32).min).softmax(dim=1)
        return (weights * states).sum(dim=1)


def load_language_model(name_or_folder: str, dtype: torch.dtype = torch.float32) -> Any:
    """The base model of a decoder-only language model.

    Raises:
        ValueError: an encoder-decoder, a model of code that is not part of transformers, or one that cannot be run on
            embeddings alone.
    """
    config = AutoConfig.from_pretrained(name_or_folder)
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{name_or_folder} is an encoder-decoder ({config.model_type}); use a decoder-only model.")
    if getattr(config, "auto_map", None):
        raise ValueError(f"{name_or_folder} needs code that is not part of transformers; use another language model.")
    model = AutoModel.from_pretrained(name_or_folder, dtype=dtype).eval()
    ids = torch.arange(3)[None]
    with torch.no_grad():
        try:
            given = model(input_ids=ids).last_hidden_state
            states = model(inputs_embeds=model.get_input_embeddings()(ids)).last_hidden_state
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{name_or_folder} cannot be run on embeddings alone ({error}).") from error
    if given.shape != states.shape or not torch.allclose(given, states, rtol=1e-2, atol=1e-2):
        raise ValueError(
            f"{name_or_folder} ({config.model_type}) gives other states for embeddings than for ids: it reads the ids "
            "in later layers too. Use another language model."
        )
    return model


__all__ = ["SpeechTextDualEncoderModel", "SpeechTextDualEncoderOutput"]
