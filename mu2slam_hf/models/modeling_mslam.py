# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM: one encoder for speech, text, or an utterance with its transcript, and models with heads on top of it.

Shapes: B batch, T feature frames (100 Hz), N encoder frames (25 Hz), M mel bins, L positions of the shared layers
(frames, tokens, or frames and then tokens), D width, V vocabulary, C classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput, SequenceClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs, can_return_tuple, merge_with_config_defaults

from .configuration_mslam import MSLAMConfig, MSLAMCTCConfig
from .modeling_conformer import ConformerEncoder
from .modules_base import (
    CTCMixin,
    EncoderFreezingMixin,
    ScaledEmbedding,
    SpeechTextPreTrainedModel,
    touch_parameters,
)
from .modules_frontends import SpeechFrontendMixin, build_frontend, select_speech_input
from .modules_layers import apply_dropout, in_dtype_of, linear
from .modules_lengths import default_position_ids, downsample_attention_mask
from .modules_pooling import LayerAverage, gather_units
from .modules_positions import add_sinusoids
from .modules_segments import lay_out_segments
from .modules_speech_masking import counter_noise, replace_frames
from .modules_text_pairs import QuestionAnsweringMixin, SequenceClassifierMixin


@dataclass
class MSLAMModelOutput(BaseModelOutput):
    """Output of the encoder, including the masks derived from its input.

    Args:
        last_hidden_state: `(B, L, D)`; for a pair the frames followed directly by the tokens.
        hidden_states: on request, the input of every layer that ran and the last output: all layers for speech, the
            shared ones for text; for pairs the first `num_speech_layers` are `(B, N, D)`.
        attentions: on request, of every layer that ran.
        attention_mask: `(B, L)` int64, 1 on real positions; None when nothing is padded.
        sequence_ids: `(B, L)` int64 for packed rows, else None.
        modality_ids: `(B, L)` int64 for pairs, 0 speech (and padding) and 1 text; else None.
        speech_hidden_state: `(B, N, D)` output of the speech layers, the input of the contrastive loss.
        speech_attention_mask: `(B, N)` int64 for speech in pairs, 1 on real frames; else None.
    """

    attention_mask: Tensor | None = None
    sequence_ids: Tensor | None = None
    modality_ids: Tensor | None = None
    speech_hidden_state: Tensor | None = None
    speech_attention_mask: Tensor | None = None


class MSLAMPreTrainedModel(EncoderFreezingMixin, SpeechTextPreTrainedModel):
    """Base class of the mSLAM models."""

    config_class = MSLAMConfig
    config: MSLAMConfig
    _no_split_modules = ["ConformerLayer"]

    def freeze_feature_encoder(self) -> None:
        """Stop training the front end."""
        self.base_model.subsampling.requires_grad_(False)

    def freeze_base_model(self) -> None:
        """Stop training everything except the head."""
        self.freeze_encoder()


class MSLAMModel(SpeechFrontendMixin, MSLAMPreTrainedModel):
    """Front end, embeddings and the Conformer: speech layers, then layers shared by speech and text.

    Paper: mSLAM section 3. Speech: convolutions, `num_speech_layers` Conformer layers, a linear map, then the shared
    layers. Text: embedding, sinusoidal positions and a layer norm, then the shared layers. A pair: speech followed by
    text, as one sequence of the shared layers.
    Choice: token embeddings are scaled by sqrt(D), as in Mu2SLAM, so that embedding tables are interchangeable; the
    positions of each segment start at 0.
    """

    def __init__(self, config: MSLAMConfig):
        super().__init__(config)
        encoder_config = config.encoder_config
        width = encoder_config.hidden_size
        self.embed_tokens = ScaledEmbedding(config.vocab_size, width, config.pad_token_id, scale=width**0.5)
        self.text_norm = nn.LayerNorm(width, eps=encoder_config.layer_norm_eps)
        self.subsampling = build_frontend(encoder_config)
        self.speech_projection = nn.Linear(width, width) if config.add_speech_projection else nn.Identity()
        self.conformer = ConformerEncoder(encoder_config)
        if config.use_language_embedding:
            self.embed_languages = nn.Embedding(config.num_languages, width)
        self.post_init()

    def embed_text(
        self, input_ids: Tensor, position_ids: Tensor | None = None, inputs_embeds: Tensor | None = None
    ) -> Tensor:
        """Input of the shared layers for text.

        Args:
            input_ids: `(B, L)` int64; ignored if `inputs_embeds` is given.
            position_ids: `(B, L)` int64; 0, 1, 2, ... by default.
            inputs_embeds: `(B, L, D)` token embeddings, as returned by `embed_tokens`.

        Returns:
            `(B, L, D)`.
        """
        given = in_dtype_of(inputs_embeds, self.embed_tokens.weight)
        embeds = self.embed_tokens(input_ids) if given is None else given
        if position_ids is None:
            position_ids = default_position_ids(embeds, None)
        embeds = add_sinusoids(embeds, position_ids, self.config.encoder_config.attention_chunk_frames)
        return self._drop(self.text_norm(embeds))

    def text_parameters(self) -> list[Tensor]:
        """The parameters of the modules that embed text."""
        return [self.embed_tokens.weight, *self.text_norm.parameters()]

    def embed_masked_speech(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None,
        mask_time_indices: Tensor,
        noise_seed: Tensor | None = None,
    ) -> Tensor:
        """[`embed_speech`] with masked frames replaced, before or after the front end.

        Args:
            input_features: `(B, T, M)` float, or `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)`, 1 on real frames (samples), or None.
            mask_time_indices: `(B, N)` bool, True on masked frames.
            noise_seed: `(B,)` int64, for `config.speech_mask` `noise` and `features`.

        Returns:
            `(B, N, D)`.

        Raises:
            ValueError: random vectors without `noise_seed`.
        """
        if self.config.speech_mask != "features":
            return self.mask_speech(self.embed_speech(input_features, attention_mask), mask_time_indices, noise_seed)
        # Frame n of the encoder is made of the features from n * factor on.
        factor = self.config.encoder_config.subsampling_factor
        is_masked = mask_time_indices.repeat_interleave(factor, dim=1)[:, : input_features.shape[1]]
        return self.embed_speech(self._replace_by_noise(input_features, is_masked, noise_seed), attention_mask)

    def mask_speech(self, frames: Tensor, mask_time_indices: Tensor, noise_seed: Tensor | None = None) -> Tensor:
        """Replace masked frames of the output of the front end, by the embedding of [MASK] or by noise.

        Args:
            frames: `(B, N, D)` of [`embed_speech`].
            mask_time_indices: `(B, N)` bool, True on masked frames.
            noise_seed: `(B,)` int64, unless `config.speech_mask` is `learned`.

        Raises:
            ValueError: random vectors without `noise_seed`.
        """
        if self.config.speech_mask == "learned":
            mask_id = torch.tensor(self.config.mask_token_id, device=frames.device)
            return replace_frames(frames, mask_time_indices, self.embed_tokens(mask_id))
        return self._replace_by_noise(frames, mask_time_indices, noise_seed)

    def _replace_by_noise(self, frames: Tensor, is_masked: Tensor, noise_seed: Tensor | None) -> Tensor:
        if noise_seed is None:
            raise ValueError(
                f"config.speech_mask={self.config.speech_mask!r} requires noise_seed (batch,) int64, a seed per "
                "utterance."
            )
        row, frame = is_masked.nonzero(as_tuple=True)
        noise = counter_noise(noise_seed[row], frame, frames.shape[-1]) * self.config.speech_mask_noise_std
        return replace_frames(frames, is_masked, noise)

    def run_speech_layers(
        self, frames: Tensor, attention_mask: Tensor | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutput:
        """The layers `[0, num_speech_layers)`.

        Args:
            frames: `(B, N, D)` from [`embed_speech`] or [`mask_speech`].
            attention_mask: `(B, N)`, 1 on real frames, or None.
            **kwargs: `language_ids` `(B,)` int64, `output_hidden_states`, `output_attentions`, arguments of the
                attention backend.

        Returns:
            `last_hidden_state` `(B, N, D)`, before `speech_projection`.
        """
        if self.config.encoder_config.position_embeddings_type == "sinusoidal":
            chunk_frames = self.config.encoder_config.attention_chunk_frames
            frames = add_sinusoids(frames, default_position_ids(frames, None), chunk_frames)
        return self.conformer(
            self._drop(frames), attention_mask=attention_mask, end_layer=self.config.num_speech_layers, **kwargs
        )

    @merge_with_config_defaults
    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        noise_seed: Tensor | None = None,
        input_values: Tensor | None = None,
        language_ids: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MSLAMModelOutput:
        """Encode speech, text, or pairs of both.

        Args:
            input_features: `(B, T, M)` float log-mel features of speech.
            attention_mask: `(B, T)` with speech, else `(B, L)`; 1 on real positions, 0 on padding (on the right).
            input_ids: `(B, L)` int64 tokens of text; together with speech, row b of both is one pair.
            text_attention_mask: `(B, L)` for the text of pairs, 1 on real tokens; all real by default.
            inputs_embeds: `(B, L, D)` in place of `input_ids`, as returned by `embed_tokens`.
            position_ids: `(B, L)` int64 of text; counted from the start of each sequence by default.
            sequence_ids: `(B, L)` int64 for packed rows of text, 0 on padding.
            mask_time_indices: `(B, N)` bool, True on frames to mask; None masks nothing.
            noise_seed: `(B,)` int64, see [`embed_masked_speech`].
            input_values: `(B, samples)` float, in place of `input_features` for the front end `waveform`.
            language_ids: `(B,)` int64 rows of `config.languages`, or `(B, L)` for text; 0 (`und`) by default. Ignored
                by a model with neither residual adapters nor an embedding of languages.
            **kwargs: `output_hidden_states` (a flag, or indices of states), `output_attentions`, arguments of the
                attention backend.

        Raises:
            ValueError: neither speech nor text is given, text is given twice, or speech is given with `sequence_ids`.
        """
        input_features = select_speech_input(self.config.encoder_config, input_features, input_values)
        kwargs["language_ids"] = language_ids
        has_text = input_ids is not None or inputs_embeds is not None
        if input_features is None and not has_text:
            raise ValueError(f"The encoder expects {self.main_input_name} (speech) or input_ids (text); got neither.")
        if input_ids is not None and inputs_embeds is not None:
            raise ValueError("Text was given both as input_ids and as inputs_embeds; pass only one of them.")
        if input_features is not None and sequence_ids is not None:
            raise ValueError("sequence_ids (packed rows) are for text only; pass speech and pairs as padded rows.")
        wanted = kwargs.pop("output_hidden_states", None)
        if wanted is None:
            wanted = self.config.output_hidden_states
        # Indices count the states of both stacks together, so each stack returns all of its own.
        kwargs["output_hidden_states"] = wanted is not False
        if input_features is None:
            outputs = self._encode_text(input_ids, attention_mask, inputs_embeds, position_ids, sequence_ids, kwargs)
            outputs.hidden_states = select_states(outputs.hidden_states, wanted)
            return outputs
        if mask_time_indices is None:
            frames = self.embed_speech(input_features, attention_mask)
        else:
            frames = self.embed_masked_speech(input_features, attention_mask, mask_time_indices, noise_seed)
        if attention_mask is not None:
            attention_mask = downsample_attention_mask(attention_mask, self.config.encoder_config).long()
        speech = self.run_speech_layers(frames, attention_mask, **kwargs)
        projected = linear(self.speech_projection, speech.last_hidden_state)
        if has_text:
            text = self.embed_text(input_ids, position_ids, inputs_embeds)
            outputs = self._encode_pairs(speech, projected, attention_mask, text, text_attention_mask, kwargs)
        else:
            shared = self.run_shared_layers(projected, attention_mask, **kwargs)
            outputs = self._combine(speech, shared, attention_mask=attention_mask)
        outputs.hidden_states = select_states(outputs.hidden_states, wanted)
        return outputs

    def run_shared_layers(
        self,
        embeds: Tensor,
        attention_mask: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        language_ids: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutput:
        """The layers from `num_speech_layers` on.

        Args:
            embeds: `(B, L, D)` projected speech, text from [`embed_text`], or both in one sequence.
            attention_mask: `(B, L)`, 1 on real positions, or None.
            sequence_ids: `(B, L)` int64 for packed rows, else None.
            position_ids: `(B, L)` int64, for rotary positions.
            language_ids: `(B,)` or `(B, L)` int64 rows of `config.languages`; 0 (`und`) by default.
            **kwargs: as in [`run_speech_layers`].
        """
        return self.conformer(
            self.add_languages(embeds, language_ids),
            attention_mask=attention_mask if sequence_ids is None else None,
            sequence_ids=sequence_ids,
            position_ids=position_ids,
            start_layer=self.config.num_speech_layers,
            language_ids=language_ids,
            **kwargs,
        )

    def add_languages(self, embeds: Tensor, language_ids: Tensor | None) -> Tensor:
        """Add the embedding of languages `(B,)` or `(B, L)` int64 (`und` if None) to `(B, L, D)`, if there is one."""
        if not self.config.use_language_embedding:
            return embeds
        if language_ids is None:
            language_ids = torch.zeros(1, dtype=torch.int64, device=embeds.device)
        return embeds + self.embed_languages(language_ids[:, None] if language_ids.dim() == 1 else language_ids)

    def _encode_text(
        self, input_ids, attention_mask, inputs_embeds, position_ids, sequence_ids, kwargs
    ) -> MSLAMModelOutput:
        if sequence_ids is not None:
            attention_mask = (sequence_ids > 0).to(torch.int64)
            if position_ids is None:
                position_ids = default_position_ids(sequence_ids[..., None], sequence_ids)
        text = self.embed_text(input_ids, position_ids, inputs_embeds)
        shared = self.run_shared_layers(text, attention_mask, sequence_ids, position_ids, **kwargs)
        return MSLAMModelOutput(
            last_hidden_state=shared.last_hidden_state,
            hidden_states=shared.hidden_states,
            attentions=shared.attentions,
            attention_mask=attention_mask,
            sequence_ids=sequence_ids,
        )

    def _encode_pairs(self, speech, projected, frame_mask, text, text_mask, kwargs) -> MSLAMModelOutput:
        """Frames and tokens of every row as one sequence, without padding between them."""
        if len(text) != len(projected):
            raise ValueError(f"Pairs require one text per utterance, got {len(text)} for {len(projected)}.")
        if frame_mask is None:
            frame_mask = torch.ones(projected.shape[:2], dtype=torch.int64, device=projected.device)
        if text_mask is None:
            text_mask = torch.ones(text.shape[:2], dtype=torch.int64, device=text.device)
        num_frames, num_tokens = projected.shape[1], text.shape[1]
        numbers = torch.arange(len(text), device=text.device)
        rows = lay_out_segments(
            numbers * num_frames,
            frame_mask.long().sum(-1),
            projected.shape[0] * num_frames + numbers * num_tokens,
            text_mask.long().sum(-1),
        )
        pool = torch.cat([projected.flatten(0, 1), text.flatten(0, 1).to(projected.dtype)])
        shared = self.run_shared_layers(
            gather_units(pool, rows.units), rows.sequence_ids, position_ids=rows.position_ids, **kwargs
        )
        return self._combine(
            speech,
            shared,
            attention_mask=rows.sequence_ids,
            modality_ids=rows.segment_ids,
            speech_attention_mask=frame_mask,
        )

    @staticmethod
    def _combine(speech: BaseModelOutput, shared: BaseModelOutput, **masks: Tensor | None) -> MSLAMModelOutput:
        """The combined output of both stacks; the state between them is the input of the second one."""
        hidden_states = attentions = None
        if shared.hidden_states is not None:
            hidden_states = (*speech.hidden_states[:-1], *shared.hidden_states)
        if shared.attentions is not None:
            attentions = (*speech.attentions, *shared.attentions)
        return MSLAMModelOutput(
            last_hidden_state=shared.last_hidden_state,
            hidden_states=hidden_states,
            attentions=attentions,
            speech_hidden_state=speech.last_hidden_state,
            **masks,
        )

    def _drop(self, embeds: Tensor) -> Tensor:
        return apply_dropout(embeds, self.config.encoder_config.embedding_dropout, self.training)


def select_states(states: tuple[Tensor, ...] | None, wanted: bool | int | list[int] | None) -> tuple | None:
    """Hidden states with None in place of those whose indices are not requested; a flag requests all."""
    if states is None or wanted is None or isinstance(wanted, bool):
        return states
    numbers = [wanted] if isinstance(wanted, int) else wanted
    kept = {number % len(states) for number in numbers if -len(states) <= number < len(states)}
    return tuple(item if number in kept else None for number, item in enumerate(states))


class MSLAMForCTC(CTCMixin, MSLAMPreTrainedModel):
    """mSLAM with a CTC head over text tokens and blank, for speech recognition."""

    config_class = MSLAMCTCConfig
    config: MSLAMCTCConfig
    _tied_weights_keys = {"ctc_head.weight": "model.embed_tokens.weight"}
    _keys_to_ignore_on_load_unexpected = [
        r"^(mlm_head|speech_heads|quantizer|project_hid|project_q|transducer|average|model\.text_frontend)\."
    ]

    def __init__(self, config: MSLAMCTCConfig):
        super().__init__(config)
        self.model = MSLAMModel(config)
        self.ctc_head = nn.Linear(config.encoder_config.hidden_size, config.vocab_size)
        self.post_init()

    @classmethod
    def from_pretraining(cls, model: MSLAMPreTrainedModel, **values) -> "MSLAMForCTC":
        """A model of this class with a copy of the encoder and the CTC head of an [`MSLAMForPreTraining`].

        Args:
            model: any mSLAM or Maestro model; if it has no CTC head, that of the copy is newly initialised.
            **values: further values of the configuration.
        """
        known = cls.config_class().to_dict().keys() - {"model_type", "architectures"}
        shared = {name: value for name, value in model.config.to_dict().items() if name in known}
        config = cls.config_class.from_dict({**shared, **values})
        return cls(config).copy_weights(model, model.base_model)

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutput:
        """Compute CTC logits of speech.

        Args:
            input_features: `(B, T, M)` float; `input_values` `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)`, 1 on real frames.
            labels: `(B, L)` int64 transcripts, -100 on padding.
            num_items_in_batch: number of target tokens over all accumulation steps and processes, the divisor of the
                loss if `config.ctc_loss_reduction` is "mean"; by default the number in this batch. Unused for "sum".

        Returns:
            `logits` `(B, N, V)` float32, with the logits of speech ids masked; `loss` if labels are given.
        """
        outputs = self.model(input_features, attention_mask=attention_mask, **kwargs)
        states = touch_parameters(outputs.last_hidden_state, self.model.text_parameters())
        return self.compute_output(states, outputs, labels, num_items_in_batch)


class MSLAMForSequenceClassification(SequenceClassifierMixin, MSLAMPreTrainedModel):
    """mSLAM with a classifier on the pooled states of the shared layers: for one or two texts, speech, and pairs.

    All inputs share one head, so that it can be trained on text and used on speech. Choice: the weighted average over
    layers (`use_weighted_layer_sum`) therefore covers the shared layers only. Modules that process only the other
    modality receive no gradient (and no weight decay): for training on several processes freeze them
    (`freeze_encoder`), or set `ddp_find_unused_parameters`.
    """

    _keys_to_ignore_on_load_unexpected = [
        r"^(mlm_head|ctc_head|speech_heads|quantizer|project_hid|project_q|transducer|average)\.",
        r"^model\.text_frontend\.",
    ]

    def __init__(self, config: MSLAMConfig):
        super().__init__(config)
        self.model = MSLAMModel(config)
        self.build_segment_embedding(config)
        if config.use_weighted_layer_sum:
            self.layer_weights = LayerAverage(self._num_averaged_states(config))
        self.build_classifier(config, config.encoder_config.hidden_size)
        self.post_init()

    @staticmethod
    def _num_averaged_states(config: MSLAMConfig) -> int:
        return config.num_shared_layers + 1

    def _complete(self, states: Tensor) -> Tensor:
        """Hook for subclasses on the averaged states, before the head."""
        return states

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """Encode as [`MSLAMModel`], pool, classify.

        Args:
            input_features: `(B, T, M)` float, speech; `input_values` `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)` with speech, else `(B, L)`; 1 on real positions.
            input_ids: `(B, L)` int64, a text or a pair of texts, as of `tokenizer(text)` or `tokenizer(text, other)`.
            labels: `(B,)` int64 classes, or `(B,)` or `(B, C)` float, depending on `config.problem_type`.
            output_hidden_states: whether to return `hidden_states`.
            **kwargs: further arguments of [`MSLAMModel`].

        Returns:
            `logits` `(B, C)` float32; `loss` if labels are given.
        """
        asked = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        outputs = self.model(
            input_features,
            attention_mask=attention_mask,
            output_hidden_states=True if self.config.use_weighted_layer_sum else asked,
            **self.prepare_text(input_ids, kwargs),
            **kwargs,
        )
        states = outputs.last_hidden_state
        if self.config.use_weighted_layer_sum:
            states = self.layer_weights(outputs.hidden_states[-self.layer_weights.num_layers :])
        return self.classifier_output(
            self.classify(self._complete(states), outputs.attention_mask),
            labels,
            hidden_states=None if asked is None or asked is False else select_states(outputs.hidden_states, asked),
            attentions=outputs.attentions,
        )


class MSLAMForAudioClassification(MSLAMForSequenceClassification):
    """mSLAM with a classifier on pooled speech (for languages, for example), over an average of *all* layers."""

    input_modalities = ("audio",)

    @staticmethod
    def _num_averaged_states(config: MSLAMConfig) -> int:
        return config.encoder_config.num_hidden_layers + 1

    def _complete(self, states: Tensor) -> Tensor:
        return touch_parameters(states, self.model.text_parameters())

    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """As [`MSLAMForSequenceClassification`], for speech only.

        Args:
            input_features: `(B, T, M)` float; `input_values` `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)`, 1 on real frames.
            labels: `(B,)` int64 classes.
            **kwargs: further arguments of [`MSLAMModel`].
        """
        return super().forward(input_features, attention_mask=attention_mask, labels=labels, **kwargs)


class MSLAMForQuestionAnswering(QuestionAnsweringMixin, MSLAMPreTrainedModel):
    """mSLAM with a span head on the shared layers, for questions about a passage."""

    _keys_to_ignore_on_load_unexpected = MSLAMForSequenceClassification._keys_to_ignore_on_load_unexpected

    def __init__(self, config: MSLAMConfig):
        super().__init__(config)
        self.model = MSLAMModel(config)
        self.build_segment_embedding(config)
        self.build_span_head(config.encoder_config.hidden_size)
        self.post_init()


__all__ = [
    "MSLAMForAudioClassification",
    "MSLAMForCTC",
    "MSLAMForQuestionAnswering",
    "MSLAMForSequenceClassification",
    "MSLAMModel",
    "MSLAMModelOutput",
    "MSLAMPreTrainedModel",
]
