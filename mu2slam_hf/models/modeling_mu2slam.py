# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mu2SLAM: an encoder-decoder from speech or text to text or speech ids.

Shapes: B batch, T feature frames (100 Hz), N encoder positions (25 Hz frames or tokens), M mel bins, L target
positions, D width, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    CausalLMOutput,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs, can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_mu2slam import Mu2SLAMConfig, Mu2SLAMCTCConfig, Mu2SLAMDecoderConfig
from .generation_mu2slam import Mu2SLAMGenerationMixin
from .modeling_conformer import ConformerEncoder
from .modules_attention import ConformerSelfAttention, DecoderCrossAttention, DecoderSelfAttention
from .modules_base import CTCMixin, ScaledEmbedding, SpeechTextPreTrainedModel
from .modules_conformer import ConformerLayer
from .modules_frontends import SpeechFrontendMixin, build_frontend, select_speech_input
from .modules_layers import apply_dropout, in_dtype_of, linear, linear_without_bias
from .modules_lengths import default_position_ids, downsample_attention_mask
from .modules_losses import cross_entropy_mean, ctc_loss, mask_ctc_logits, shift_tokens_right
from .modules_pooling import masked_mean
from .modules_positions import add_sinusoids, sinusoidal_embedding
from .modules_segments import check_packing_backend, same_sequence
from .modules_transformer import TransformerDecoderLayer
from .task_types import SPEECH, TEXT

# The ASR pipeline uses this table of class names to choose between CTC and sequence-to-sequence.
MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES.setdefault("mu2slam", "Mu2SLAMForConditionalGeneration")


@dataclass
class Mu2SLAMEncoderOutput(BaseModelOutput):
    """Output of the encoder, including the masks that the decoder needs because lengths change.

    Args:
        last_hidden_state: `(B, N, D)`.
        hidden_states: on request, the inputs of all layers and the last output.
        attentions: on request, the attention weights of all layers.
        attention_mask: `(B, N)` int64, 1 on real positions; None when nothing is padded.
        sequence_ids: `(B, N)` int64 for packed rows, else None.
    """

    attention_mask: Tensor | None = None
    sequence_ids: Tensor | None = None


@dataclass
class Mu2SLAMModelOutput(Seq2SeqModelOutput):
    """[`Seq2SeqModelOutput`] and the encoder's mask.

    Args:
        encoder_attention_mask: `(B, N)` int64, 1 on real positions; None when nothing is padded.
    """

    encoder_attention_mask: Tensor | None = None


@dataclass
class Mu2SLAMSeq2SeqLMOutput(Seq2SeqLMOutput):
    """[`Seq2SeqLMOutput`] and the outputs of the heads on the encoder.

    Args:
        ctc_logits: `(B, N, V)`, if the encoder ran on speech in this call; the logits of speech ids are masked.
        language_logits: `(B, num_languages)`, if the encoder ran in this call.
        encoder_attention_mask: `(B, N)` int64, 1 on real positions; None when nothing is padded.
    """

    ctc_logits: Tensor | None = None
    language_logits: Tensor | None = None
    encoder_attention_mask: Tensor | None = None


class Mu2SLAMPreTrainedModel(SpeechTextPreTrainedModel):
    """Base class of the Mu2SLAM models."""

    config_class = Mu2SLAMConfig
    config: Mu2SLAMConfig
    _no_split_modules = ["ConformerLayer", "TransformerDecoderLayer"]

    def add_identities(self, embeds: Tensor, language_ids: Tensor | None, modality_ids: Tensor) -> Tensor:
        """Add the embeddings of language (`und` if None) and modality, `(B,)` or `(B, L)` int64, to `(B, L, D)`."""
        if language_ids is None:
            language_ids = torch.zeros(1, dtype=torch.int64, device=embeds.device)
        language_ids = language_ids[:, None] if language_ids.dim() == 1 else language_ids
        modality_ids = modality_ids[:, None] if modality_ids.dim() == 1 else modality_ids
        return embeds + self.embed_languages(language_ids) + self.embed_modalities(modality_ids)


class Mu2SLAMEncoder(SpeechFrontendMixin, Mu2SLAMPreTrainedModel):
    """Front end, embeddings and the Conformer, for speech or text.

    Language, modality and (if absolute) position embeddings are added to both speech frames and token embeddings.
    With `config.add_encoder_projection` the tables have the width of the decoder, `config.d_model`: `input_projection`
    converts their sum to the width of the layers, `output_projection` the output of the layers to `d_model`.
    Paper: section 2.1.
    Choice: token embeddings are scaled by sqrt(D), as is common with a tied softmax.
    """

    _can_record_outputs = {"hidden_states": ConformerLayer, "attentions": ConformerSelfAttention}

    def __init__(self, config: Mu2SLAMConfig | Mu2SLAMCTCConfig):
        super().__init__(config)
        encoder_config = config.encoder_config
        assert config.d_model is not None  # set by the configuration
        width = config.d_model
        self.embed_tokens = ScaledEmbedding(config.vocab_size, width, config.pad_token_id, scale=width**0.5)
        self.embed_languages = nn.Embedding(config.num_languages, width)
        self.embed_modalities = nn.Embedding(2, width)
        self.subsampling = build_frontend(encoder_config)
        self.conformer = ConformerEncoder(encoder_config)
        self.input_projection = self.output_projection = None
        if config.add_encoder_projection:
            self.input_projection = nn.Linear(width, encoder_config.hidden_size)
            self.output_projection = nn.Linear(encoder_config.hidden_size, width)
        self.post_init()

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """Token embeddings `(B, N, D)` of `input_ids` `(B, N)` int64, without language, modality and position."""
        return _project(self.input_projection, self.embed_tokens(input_ids))

    def add_identities(self, embeds: Tensor, language_ids: Tensor | None, modality_ids: Tensor) -> Tensor:
        """As in the base class; the sum is projected to the width of the layers."""
        if self.input_projection is None:
            return super().add_identities(embeds, language_ids, modality_ids)
        nothing = embeds.new_zeros((1, 1, self.config.d_model))
        identities = super().add_identities(nothing, language_ids, modality_ids)
        # Without the bias, which `embed_text` has added: it belongs to tokens, not to speech.
        return embeds + linear_without_bias(self.input_projection, identities)

    @merge_with_config_defaults
    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        language_ids: Tensor | None = None,
        modality_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        input_values: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Mu2SLAMEncoderOutput:
        """Encode exactly one kind of source.

        Args:
            input_features: `(B, T, M)` float log-mel features of speech.
            attention_mask: `(B, T)` with `input_features`, else `(B, N)`; 1 on real positions, 0 on padding.
            input_ids: `(B, N)` int64 tokens of text (or speech ids).
            inputs_embeds: `(B, N, D)`, gathered from [`embed_speech`] and [`embed_text`] for packed views.
            language_ids: `(B,)` or `(B, N)` int64 rows of `config.languages`; 0 (`und`) by default.
            modality_ids: `(B, N)` int64, 0 speech and 1 text; by default that of the source (embeddings: text).
            position_ids: `(B, N)` int64; counted from the start of each sequence by default.
            sequence_ids: `(B, N)` int64 for packed rows, 0 on padding.
            input_values: `(B, samples)` float, in place of `input_features` for the front end `waveform`.
            **kwargs: `output_hidden_states`, `output_attentions`, arguments of the attention backend.

        Raises:
            ValueError: not exactly one source is given, or the speech input does not match the front end.
        """
        input_features = select_speech_input(self.config.encoder_config, input_features, input_values)
        sources = [source is not None for source in (input_features, input_ids, inputs_embeds)]
        if sum(sources) != 1:
            raise ValueError(
                f"The encoder expects exactly one source: {self.main_input_name} (speech), input_ids (text) or "
                f"inputs_embeds; got {sum(sources)}."
            )
        if input_features is not None:
            embeds = self.embed_speech(input_features, attention_mask)
            if attention_mask is not None:
                attention_mask = downsample_attention_mask(attention_mask, self.config.encoder_config).long()
        else:
            given = in_dtype_of(inputs_embeds, self.embed_tokens.weight)
            embeds = self.embed_text(input_ids) if input_ids is not None else given
        if sequence_ids is not None:
            attention_mask = (sequence_ids > 0).to(torch.int64)
        if modality_ids is None:
            modality_ids = torch.tensor([[SPEECH if input_features is not None else TEXT]], device=embeds.device)
        embeds = self._add_embeddings(embeds, language_ids, modality_ids, position_ids, sequence_ids)
        outputs = self.conformer(
            embeds,
            attention_mask=attention_mask if sequence_ids is None else None,
            sequence_ids=sequence_ids,
            position_ids=position_ids,
            language_ids=language_ids,
            **kwargs,
        )
        return Mu2SLAMEncoderOutput(
            last_hidden_state=_project(self.output_projection, outputs.last_hidden_state),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            attention_mask=attention_mask,
            sequence_ids=sequence_ids,
        )

    def _add_embeddings(self, embeds, language_ids, modality_ids, position_ids, sequence_ids) -> Tensor:
        encoder_config = self.config.encoder_config
        embeds = self.add_identities(embeds, language_ids, modality_ids)
        if encoder_config.position_embeddings_type == "sinusoidal":
            if position_ids is None:
                position_ids = default_position_ids(embeds, sequence_ids)
            embeds = add_sinusoids(embeds, position_ids, encoder_config.attention_chunk_frames)
        return apply_dropout(embeds, encoder_config.embedding_dropout, self.training)


def _project(projection: nn.Linear | None, states: Tensor) -> Tensor:
    """The projection of states, or the states themselves without one."""
    return states if projection is None else linear(projection, states)


class Mu2SLAMDecoder(Mu2SLAMPreTrainedModel):
    """The Transformer decoder; the language and modality embeddings of the *target* are added to its inputs.

    Paper: section 2.1. Choice: positions are sinusoidal and start at 0 with `<s>`, except in decoders of public text
    models.
    """

    config_class = Mu2SLAMDecoderConfig
    config: Mu2SLAMDecoderConfig
    main_input_name = "input_ids"
    input_modalities = ("text",)
    _no_split_modules = ["TransformerDecoderLayer"]
    _can_record_outputs = {
        "hidden_states": TransformerDecoderLayer,
        "attentions": OutputRecorder(DecoderSelfAttention, index=1, layer_name="self_attn"),
        "cross_attentions": OutputRecorder(DecoderCrossAttention, index=1, layer_name="cross_attn"),
    }

    def __init__(self, config: Mu2SLAMDecoderConfig):
        super().__init__(config)
        scale = config.hidden_size**0.5 if config.scale_embedding else 1.0
        self.embed_tokens = ScaledEmbedding(config.vocab_size, config.hidden_size, config.pad_token_id, scale)
        self.embed_languages = nn.Embedding(config.num_languages, config.hidden_size)
        self.embed_modalities = nn.Embedding(2, config.hidden_size)
        self.embed_positions = self.embed_norm = None
        if config.position_embeddings_type == "learned":
            num_positions = config.max_position_embeddings + config.position_offset
            self.embed_positions = nn.Embedding(num_positions, config.hidden_size)
        if config.normalize_embedding:
            self.embed_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(TransformerDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        modality_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        source_ids: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        encoder_sequence_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decode targets, ordinary or packed.

        Args:
            input_ids: `(B, L)` int64.
            attention_mask: `(B, L)` (with a cache: all positions up to now), 1 on real positions.
            language_ids: `(B,)` or `(B, L)` int64 target languages; 0 (`und`) by default.
            modality_ids: `(B,)` or `(B, L)` int64, 0 speech ids and 1 text; text by default.
            position_ids: `(B, L)` int64; counted from the start of each sequence by default.
            sequence_ids: `(B, L)` int64 for packed rows: one id per target, 0 on padding.
            source_ids: `(B, L)` int64: the encoder sequence that each position attends to; equal to `sequence_ids` by
                default. Several targets may share one source.
            encoder_hidden_states: `(B, S, D)`.
            encoder_attention_mask: `(B, S)`, 1 on real positions, or None.
            encoder_sequence_ids: `(B, S)` int64 if the source rows are packed; `encoder_attention_mask` (one sequence,
                id 1) by default.
            past_key_values: keys and values of earlier positions.
            inputs_embeds: `(B, L, D)` in place of `input_ids`, as returned by `embed_tokens`.
            use_cache: whether to return `past_key_values`.

        Raises:
            ValueError: not exactly one of `input_ids` and `inputs_embeds` is given, or a target is longer than the
                table of learned positions.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Pass `labels` or `decoder_input_ids` (not two decoder inputs), or call `generate`.")
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        inputs_embeds = in_dtype_of(inputs_embeds, self.embed_tokens.weight)
        encoder_hidden_states = in_dtype_of(encoder_hidden_states, self.embed_tokens.weight)
        if sequence_ids is not None and past_key_values is None:
            use_cache = False  # packed targets are used in training only
        if use_cache and past_key_values is None:
            past_key_values = EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache(config=self.config))
        past_length = past_key_values.get_seq_length() if past_key_values is not None else 0
        self._check_length(past_length, inputs_embeds, sequence_ids)
        if position_ids is None:
            position_ids = default_position_ids(inputs_embeds, sequence_ids, past_length)
        hidden_states = self._add_embeddings(inputs_embeds, language_ids, modality_ids, position_ids)
        self_mask, cross_mask = self._masks(
            inputs_embeds,
            attention_mask,
            sequence_ids,
            source_ids,
            encoder_hidden_states,
            encoder_attention_mask,
            encoder_sequence_ids,
            past_key_values,
        )
        for layer in self.layers:
            # Passed by name, so that activation checkpointing finds the cache and excludes it from recomputation.
            hidden_states = layer(
                hidden_states,
                self_mask,
                encoder_hidden_states,
                cross_mask,
                past_key_values=past_key_values,
                **kwargs,
            )
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=self.norm(hidden_states),
            past_key_values=past_key_values if use_cache else None,
        )

    def _add_embeddings(self, embeds, language_ids, modality_ids, position_ids) -> Tensor:
        if modality_ids is None:
            modality_ids = torch.full((1,), TEXT, dtype=torch.int64, device=embeds.device)
        embeds = self.add_identities(embeds, language_ids, modality_ids)
        position_ids = position_ids + self.config.position_offset
        if self.embed_positions is not None:
            positions = self.embed_positions(position_ids)
        else:
            is_inclusive = self.config.position_embeddings_type == "sinusoidal_inclusive"
            positions = sinusoidal_embedding(position_ids, embeds.shape[-1], is_inclusive)
        embeds = embeds + positions.to(embeds.dtype)
        if self.embed_norm is not None:
            embeds = self.embed_norm(embeds)
        return apply_dropout(embeds, self.config.hidden_dropout, self.training)

    def _check_length(self, past_length: int | Tensor, embeds: Tensor, sequence_ids: Tensor | None) -> None:
        """Check that a target fits the table of positions; packed rows may be longer than each of their targets."""
        longest = self.config.max_target_length
        if longest is None or sequence_ids is not None or isinstance(past_length, Tensor):
            return
        if past_length + embeds.shape[1] > longest:
            raise ValueError(
                f"The decoder has learned positions for {longest} tokens, got a target of "
                f"{past_length + embeds.shape[1]}: shorten it, or set max_new_tokens."
            )

    def _masks(
        self, embeds, attention_mask, sequence_ids, source_ids, source, source_mask, source_sequence_ids, cache
    ) -> tuple:
        if sequence_ids is None:
            causal = create_causal_mask(self.config, embeds, attention_mask, cache)
            cross = create_bidirectional_mask(self.config, embeds, source_mask, encoder_hidden_states=source)
            return causal, cross
        check_packing_backend(self.config)
        if cache is not None:
            raise ValueError("Packed targets (decoder_sequence_ids) do not support past_key_values.")
        causal = create_causal_mask(
            self.config, embeds, None, None, and_mask_function=same_sequence(sequence_ids, sequence_ids)
        )
        if source_sequence_ids is None:
            ones = torch.ones(source.shape[:2], dtype=torch.int64, device=source.device)
            source_sequence_ids = ones if source_mask is None else source_mask.to(torch.int64)
        if source_ids is None:
            source_ids = sequence_ids
        # A padded target position may have no source: it attends to the first one, and its output is unused.
        source_ids = torch.where(sequence_ids > 0, source_ids, source_sequence_ids[:, :1])
        cross = create_bidirectional_mask(
            self.config,
            embeds,
            None,
            encoder_hidden_states=source,
            and_mask_function=same_sequence(source_ids, source_sequence_ids),
        )
        return causal, cross


class Mu2SLAMModel(Mu2SLAMPreTrainedModel):
    """Encoder and decoder without heads."""

    _keys_to_ignore_on_load_unexpected = [r"^(lm_head|mlm_head|ctc_head|language_head)\."]
    _tied_weights_keys = {
        "decoder.embed_tokens.weight": "encoder.embed_tokens.weight",
        "decoder.embed_languages.weight": "encoder.embed_languages.weight",
        "decoder.embed_modalities.weight": "encoder.embed_modalities.weight",
    }

    def __init__(self, config: Mu2SLAMConfig):
        super().__init__(config)
        self.encoder = Mu2SLAMEncoder(config)
        self.decoder = Mu2SLAMDecoder(config.decoder_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.embed_tokens = value
        if self.config.tie_word_embeddings:
            # The weight and not the module, because the scales may differ.
            self.decoder.embed_tokens.weight = value.weight
            self.decoder.embed_tokens.num_embeddings = value.num_embeddings

    def follow_vocab_size(self, vocab_size: int) -> None:
        """Resize the decoder's table, if it is not shared with the encoder, and update the configuration."""
        if self.decoder.embed_tokens.num_embeddings != vocab_size:
            self.decoder.embed_tokens = self._get_resized_embeddings(self.decoder.embed_tokens, vocab_size)
        self.config.vocab_size = self.config.decoder_config.vocab_size = vocab_size

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        language_ids: Tensor | None = None,
        modality_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_language_ids: Tensor | None = None,
        decoder_modality_ids: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        decoder_sequence_ids: Tensor | None = None,
        decoder_source_ids: Tensor | None = None,
        encoder_outputs: Mu2SLAMEncoderOutput | BaseModelOutput | tuple | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        input_values: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Mu2SLAMModelOutput:
        """Encode a source and decode a target.

        Arguments are those of [`Mu2SLAMEncoder`] and, with the prefix `decoder_`, of [`Mu2SLAMDecoder`].

        Args:
            encoder_outputs: an earlier output of the encoder, in place of a source; `attention_mask` (at feature or
                encoder rate) is then used only if the output has none.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_features,
                attention_mask=attention_mask,
                input_ids=input_ids,
                inputs_embeds=inputs_embeds,
                language_ids=language_ids,
                modality_ids=modality_ids,
                position_ids=position_ids,
                sequence_ids=sequence_ids,
                input_values=input_values,
                **kwargs,
            )
        elif not isinstance(encoder_outputs, Mu2SLAMEncoderOutput):
            encoder_outputs = as_encoder_output(encoder_outputs, attention_mask, self.config.encoder_config)
        outputs = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            inputs_embeds=decoder_inputs_embeds,
            language_ids=decoder_language_ids,
            modality_ids=decoder_modality_ids,
            position_ids=decoder_position_ids,
            sequence_ids=decoder_sequence_ids,
            source_ids=decoder_source_ids,
            encoder_hidden_states=encoder_outputs.last_hidden_state,
            encoder_attention_mask=encoder_outputs.attention_mask,
            encoder_sequence_ids=encoder_outputs.sequence_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        return Mu2SLAMModelOutput(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.hidden_states,
            decoder_attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
            encoder_attention_mask=encoder_outputs.attention_mask,
        )


def as_encoder_output(outputs, attention_mask: Tensor | None, encoder_config=None) -> Mu2SLAMEncoderOutput:
    """Convert a tuple or another output class to [`Mu2SLAMEncoderOutput`].

    Args:
        outputs: a tuple `(last_hidden_state, hidden_states, attentions)` (shorter allowed) or a [`BaseModelOutput`].
        attention_mask: `(B, T)` at feature rate or `(B, N)` at encoder rate, or None.
        encoder_config: configuration with the front end; None means `conv2d`.
    """
    if isinstance(outputs, (tuple, list)):
        outputs = BaseModelOutput(*outputs[:3])
    length = outputs.last_hidden_state.shape[1]
    if attention_mask is not None and attention_mask.shape[1] != length:
        attention_mask = downsample_attention_mask(attention_mask, encoder_config).to(torch.int64)
    return Mu2SLAMEncoderOutput(
        last_hidden_state=outputs.last_hidden_state,
        hidden_states=outputs.hidden_states,
        attentions=outputs.attentions,
        attention_mask=attention_mask,
    )


class Mu2SLAMForConditionalGeneration(Mu2SLAMPreTrainedModel, Mu2SLAMGenerationMixin, GenerationMixin):
    """Mu2SLAM with a softmax over text tokens and speech ids, a CTC head and a language head."""

    capabilities = Mu2SLAMGenerationMixin.capabilities
    _tied_weights_keys = {
        "lm_head.weight": "model.encoder.embed_tokens.weight",
        "ctc_head.weight": "model.encoder.embed_tokens.weight",
    }
    _keys_to_ignore_on_load_unexpected = [r"^mlm_head\."]  # used in pre-training only
    _vocabulary_heads = ("lm_head", "ctc_head")
    # Left out by quantisers, as is what is tied to the embeddings; loaded as float32 instead of float16.
    _keep_in_fp32_modules = ["language_head"]
    # Set when the package is imported; files of a checkpoint with custom code do not contain it.
    _build_from_speech_and_text: ClassVar[Callable | None] = None

    def __init__(self, config: Mu2SLAMConfig):
        super().__init__(config)
        self.model = Mu2SLAMModel(config)
        width = config.d_model
        self.lm_head = nn.Linear(width, config.vocab_size)
        self.ctc_head = nn.Linear(width, config.vocab_size)
        self.language_head = nn.Linear(width, config.num_languages)
        self.post_init()
        if not config.tie_word_embeddings:
            self._keep_in_fp32_modules.add("ctc_head")  # post_init has made a set of it
        self._own_generation_config()

    @classmethod
    def from_speech_and_text_pretrained(cls, speech, text, **kwargs) -> "Mu2SLAMForConditionalGeneration":
        """A model with the weights of a public speech encoder and of the decoder of a public text model.

        Args:
            speech: folder, name on the Hub or loaded model: w2v-BERT 2.0 or Wav2Vec2-Conformer.
            text: folder, name on the Hub or loaded model: NLLB-200 (M2M100) or mBART-50 (mBART).
            **kwargs: `decoder_layers`, `encoder_layers`, `languages`, ...: arguments of
                `mu2slam_hf.build_from_speech_and_text`, which describes what is trained already and what is new, and
                also returns the processor.

        Raises:
            ImportError: the class is custom code of a checkpoint, and the package is not imported.
        """
        if cls._build_from_speech_and_text is None:
            raise ImportError("from_speech_and_text_pretrained requires the installed package, mu2slam-hf.")
        return cls._build_from_speech_and_text(speech, text, model_class=cls, **kwargs)[0]

    def build_encoder_outputs(self, outputs, attention_mask: Tensor | None = None) -> Mu2SLAMEncoderOutput:
        """A shallow copy as [`Mu2SLAMEncoderOutput`] (beam search repeats the tensors in place)."""
        if isinstance(outputs, Mu2SLAMEncoderOutput):
            return Mu2SLAMEncoderOutput(**outputs)
        return as_encoder_output(outputs, attention_mask, self.config.encoder_config)

    def compute_ctc_logits(self, encoder_hidden_states: Tensor) -> Tensor:
        """CTC logits `(B, N, V)` float32 of encoder states `(B, N, D)`; blank is `pad`, speech ids are masked."""
        states = in_dtype_of(encoder_hidden_states, self.ctc_head.weight)
        return mask_ctc_logits(linear(self.ctc_head, states), self.config)

    def compute_language_logits(self, encoder_hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Language logits `(B, num_languages)` float32 of the mean encoder state over real positions."""
        states = in_dtype_of(encoder_hidden_states, self.language_head.weight)
        return linear(self.language_head, masked_mean(states, attention_mask)).float()

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        language_ids: Tensor | None = None,
        modality_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_language_ids: Tensor | None = None,
        decoder_modality_ids: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        decoder_sequence_ids: Tensor | None = None,
        decoder_source_ids: Tensor | None = None,
        encoder_outputs: Mu2SLAMEncoderOutput | BaseModelOutput | tuple | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        ctc_labels: Tensor | None = None,
        source_language_labels: Tensor | None = None,
        use_cache: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        input_values: Tensor | None = None,
        cache: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Mu2SLAMSeq2SeqLMOutput:
        """Compute outputs of all heads, and the loss if labels are given; further arguments as in [`Mu2SLAMModel`].

        Args:
            labels: `(B, L)` int64 target tokens including `</s>`; -100 is ignored. Decoder inputs default to these
                labels shifted right, after the prompt of the target language (`config.decoder_prompt`).
            ctc_labels: `(B, L')` int64 transcripts without `</s>`, -100 on padding; rows of -100 have no CTC target.
            source_language_labels: `(B,)` int64 rows of `config.languages`, -100 if unknown.
            num_items_in_batch: number of targets over all accumulation steps, the divisor of the decoder loss.
            cache: the same as `past_key_values`, as `generate` calls it from transformers 5.24 on.

        Returns:
            `loss` is the decoder's cross entropy per target, plus `ctc_loss_weight` times CTC per target token, plus
            `language_loss_weight` times the cross entropy of the language head.
        """
        num_prompt_tokens = 1
        use_cache = use_cache if labels is None else False
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            if decoder_sequence_ids is not None:
                raise ValueError("Packed targets require decoder_input_ids, which cannot be derived from labels.")
            decoder_input_ids, decoder_language_ids = self._build_decoder_inputs(labels, decoder_language_ids)
            num_prompt_tokens = self.config.prompt_length
        outputs = self.model(
            input_features,
            attention_mask=attention_mask,
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            language_ids=language_ids,
            modality_ids=modality_ids,
            position_ids=position_ids,
            sequence_ids=sequence_ids,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            decoder_inputs_embeds=decoder_inputs_embeds,
            decoder_language_ids=decoder_language_ids,
            decoder_modality_ids=decoder_modality_ids,
            decoder_position_ids=decoder_position_ids,
            decoder_sequence_ids=decoder_sequence_ids,
            decoder_source_ids=decoder_source_ids,
            encoder_outputs=encoder_outputs,
            past_key_values=cache if past_key_values is None else past_key_values,
            use_cache=use_cache,
            input_values=input_values,
            **kwargs,
        )
        logits = linear(self.lm_head, outputs.last_hidden_state[:, num_prompt_tokens - 1 :])
        ctc_logits = language_logits = None
        if encoder_outputs is None or ctc_labels is not None or source_language_labels is not None:
            states, mask = outputs.encoder_last_hidden_state, outputs.encoder_attention_mask
            if input_features is not None or input_values is not None or ctc_labels is not None:
                ctc_logits = self.compute_ctc_logits(states)
            language_logits = self.compute_language_logits(states, mask)
        loss = None
        if labels is not None:
            loss = cross_entropy_mean(logits, labels, num_items_in_batch)
        if ctc_labels is not None:
            ctc = ctc_loss(ctc_logits, outputs.encoder_attention_mask, ctc_labels, self.config.pad_token_id)
            loss = self._add(loss, self.config.ctc_loss_weight, ctc)
        if source_language_labels is not None:
            language_loss = cross_entropy_mean(language_logits, source_language_labels)
            loss = self._add(loss, self.config.language_loss_weight, language_loss)
        return Mu2SLAMSeq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
            ctc_logits=ctc_logits,
            language_logits=language_logits,
            encoder_attention_mask=outputs.encoder_attention_mask,
        )

    def _build_decoder_inputs(self, labels: Tensor, language_ids: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Decoder inputs of labels, with the prompt of the target language, and the languages of these positions."""
        config = self.config
        shifted = shift_tokens_right(labels, config.pad_token_id, config.decoder_start_token_id)
        if config.decoder_prompt == "start":
            return shifted, language_ids
        if language_ids is not None and language_ids.dim() == 2:
            language_ids = language_ids[:, 0]
        rows = labels.new_zeros(labels.shape[:1]) if language_ids is None else language_ids.expand(labels.shape[0])
        return torch.cat([self.build_prompts(rows), shifted[:, 1:]], dim=1), language_ids

    @staticmethod
    def _add(loss: Tensor | None, weight: float, other: Tensor) -> Tensor:
        return weight * other if loss is None else loss + weight * other


class EncoderHeadMixin:
    """Loading of a head on the encoder alone: also from an encoder-decoder, of which it keeps encoder and head."""

    _encoder_decoder_keys = {r"^model\.encoder\.": "encoder."}

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path=None, *args, config=None, key_mapping=None, **kwargs):
        """As in transformers; the path may be that of a [`Mu2SLAMForConditionalGeneration`].

        Its encoder and its head are loaded, everything else is left out. Decode the output of a CTC model with
        `processor.for_ctc()`, because the tokenizer of an encoder-decoder does not collapse repeated ids.
        """
        if getattr(config, "model_type", "") == "mu2slam" and issubclass(cls.config_class, Mu2SLAMCTCConfig):
            config = cls.config_class.from_mu2slam_config(config)
        keys = {**cls._encoder_decoder_keys, **(key_mapping or {})}
        loaded = super().from_pretrained(
            pretrained_model_name_or_path, *args, config=config, key_mapping=keys, **kwargs
        )
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        # transformers would save the weights under the names of the encoder-decoder.
        model._weight_conversions = [
            item
            for item in getattr(model, "_weight_conversions", None) or []
            if not set(item.source_patterns) & set(cls._encoder_decoder_keys)
        ]
        return loaded


class Mu2SLAMForCTC(EncoderHeadMixin, CTCMixin, Mu2SLAMPreTrainedModel):
    """The Mu2SLAM encoder with a CTC head over text tokens and blank, for speech recognition."""

    config_class = Mu2SLAMCTCConfig
    config: Mu2SLAMCTCConfig
    base_model_prefix = "encoder"
    _no_split_modules = ["ConformerLayer"]
    _tied_weights_keys = {"ctc_head.weight": "encoder.embed_tokens.weight"}
    # Parts of an encoder-decoder.
    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?decoder\.", r"^(lm_head|mlm_head|language_head|transducer)\."]

    def __init__(self, config: Mu2SLAMCTCConfig):
        super().__init__(config)
        self.encoder = Mu2SLAMEncoder(config)
        self.ctc_head = nn.Linear(config.d_model, config.vocab_size)
        self.post_init()

    @classmethod
    def from_conditional_generation(cls, model: Mu2SLAMForConditionalGeneration, **values) -> "Mu2SLAMForCTC":
        """A copy of encoder and CTC head of an encoder-decoder; `values` of the configuration may be changed."""
        config = cls.config_class.from_mu2slam_config(model.config, **values)
        return cls(config).copy_weights(model, model.model.encoder)

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutput:
        """Compute CTC logits of speech.

        Args:
            input_features: `(B, T, M)` float; `input_values` `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)`, 1 on real frames.
            language_ids: `(B,)` int64 rows of `config.languages`; 0 (`und`) by default.
            labels: `(B, L)` int64 transcripts, -100 on padding.
            num_items_in_batch: number of target tokens over all accumulation steps and processes, the divisor of the
                loss if `config.ctc_loss_reduction` is "mean"; by default the number in this batch. Unused for "sum".

        Returns:
            `logits` `(B, N, V)` float32, with the logits of speech ids masked; `loss` if labels are given.
        """
        outputs = self.encoder(input_features, attention_mask=attention_mask, language_ids=language_ids, **kwargs)
        return self.compute_output(outputs.last_hidden_state, outputs, labels, num_items_in_batch)


__all__ = [
    "EncoderHeadMixin",
    "Mu2SLAMDecoder",
    "Mu2SLAMEncoder",
    "Mu2SLAMForCTC",
    "Mu2SLAMForConditionalGeneration",
    "Mu2SLAMModel",
    "Mu2SLAMPreTrainedModel",
]
