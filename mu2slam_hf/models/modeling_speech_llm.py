# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech into a text model: a speech encoder, an audio adapter, and a whole text model of transformers.

Shapes: B prompts, R recordings, T input frames or samples, N encoder frames, A audio embeddings of a recording, K of
all recordings, L positions of a prompt, E width of the encoder, D width of the text model, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.auto.modeling_auto import MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils.generic import can_return_tuple

from .configuration_conformer import ConformerEncoderConfig
from .configuration_speech_llm import SpeechLLMConfig
from .modeling_speech_encoders import ConformerFeatures
from .modules_base import initialize_module
from .modules_capabilities import Capabilities, EncodedSpeech, InferenceMixin
from .modules_language_adapters import LanguageAdaptersMixin
from .modules_lengths import audio_embedding_length, length_mask
from .modules_pooling import LayerAverage
from .task_prompts import PROMPT_TASKS

# The pipeline for speech recognition uses this table of class names to choose between CTC and sequence-to-sequence.
MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES.setdefault("speech_llm", "SpeechLLMForConditionalGeneration")

_T5_TYPES = ("t5", "mt5", "umt5")


class PublicEncoder(nn.Module):
    """A speech encoder of transformers that reads waveforms (wav2vec 2.0, HuBERT, WavLM, ...), or that of Whisper.

    Choice: waveforms are encoded one at a time, unpadded, because the output of several of these encoders depends on
    padding (through group norms and convolutions). Whisper's has a fixed length of 30 s; its frames after the end of
    a recording are dropped by the adapter.

    Args:
        config: configuration of the encoder.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.is_whisper = config.model_type == "whisper"
        self.model: Any = WhisperEncoder(config) if self.is_whisper else AutoModel.from_config(config)

    def compute_layers(self, speech: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """As [`ConformerFeatures`]."""
        if self.is_whisper:
            return self.model(speech, output_hidden_states=True, return_dict=True).hidden_states
        rows = [
            self.model(row[None, :length], output_hidden_states=True, return_dict=True).hidden_states
            for row, length in zip(speech, attention_mask.sum(-1).tolist(), strict=True)
        ]
        return tuple(
            nn.utils.rnn.pad_sequence([states[0] for states in layer], batch_first=True)
            for layer in zip(*rows, strict=True)
        )


class AudioAdapter(nn.Module):
    """Average of the encoder's layers, then convolutions over time to the width and rate of the text model.

    Paper: section 2, `AE(x) = 1/L sum_l w_l h_l` over the outputs of all layers (Eq. 1), then two convolutions of
    kernel 3, of which the first widens to D and halves the rate. Choice: padding frames are zero before each
    convolution; new weights preserve the variance.

    Args:
        config: configuration of the model.
    """

    def __init__(self, config: SpeechLLMConfig):
        super().__init__()
        width, kernel = config.hidden_size, config.adapter_kernel_size
        self.strides = [config.adapter_stride] + [1] * (config.num_adapter_layers - 1)
        self.layer_average: LayerAverage | None = None
        if config.layer_average != "last":
            normalization = "none" if config.layer_average == "linear" else "softmax"
            self.layer_average = LayerAverage(config.num_encoder_layers, normalization)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                width if index else config.encoder_config.hidden_size,
                width,
                kernel,
                stride=self.strides[index],
                padding=kernel // 2,
            )
            for index in range(config.num_adapter_layers)
        )
        for convolution in self.convolutions:
            convolution.keeps_variance = True  # type: ignore[assignment]
        self.activation = ACT2FN[config.adapter_act]
        self.dropout = nn.Dropout(config.adapter_dropout)

    def forward(self, layers: Sequence[Tensor], num_frames: Tensor) -> Tensor:
        """Audio embeddings of recordings.

        Args:
            layers: outputs of all layers of the encoder, each `(R, N, E)`.
            num_frames: `(R,)` int64, number of real frames of each recording.

        Returns:
            `(R, A, D)`, `A = ceil(N / stride)`; arbitrary past `ceil(num_frames / stride)`.
        """
        dtype = next(self.convolutions.parameters()).dtype
        layers = [states.to(dtype) for states in layers]
        states = layers[-1] if self.layer_average is None else self.layer_average(layers)
        # (R, N, E) -> (R, E, N)
        states = states.transpose(1, 2)
        for index, convolution in enumerate(self.convolutions):
            real = length_mask(num_frames, states.shape[-1])[:, None]
            # Selected, not multiplied: padding may hold NaN or infinite values.
            states = torch.where(real, states if index == 0 else self.activation(states), 0.0)
            states = convolution(self.dropout(states))
            num_frames = (num_frames + self.strides[index] - 1) // self.strides[index]
        return states.transpose(1, 2)


class SpeechLLMPreTrainedModel(LanguageAdaptersMixin, PreTrainedModel):
    """Base class: configuration, and initialisation of what is new, the adapter."""

    config_class = SpeechLLMConfig
    config: SpeechLLMConfig
    base_model_prefix = ""
    input_modalities = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _no_split_modules = ["ConformerLayer", "AudioAdapter"]

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, ConformerFeatures):
            init.zeros_(module.speech_embedding)
        initialize_module(module)


class SpeechLLMForConditionalGeneration(InferenceMixin, SpeechLLMPreTrainedModel, GenerationMixin):
    """A speech encoder, an audio adapter, and a text model, encoder-decoder or causal, held whole and unchanged.

    Paper: Mundnich et al. 2024, section 2. Audio embeddings take the place of tokens of the prompt, so everything that
    the text model can do with `inputs_embeds` (caches, beams, assistants) works with speech. Encoder and text model
    are frozen: their parameters need no gradient, and they stay in evaluation mode as long as that is so, except for
    LoRA adapters in them.

    Args:
        config: configuration.
    """

    capabilities = Capabilities(tasks=PROMPT_TASKS, generates=True, reads_prompts=True)

    def __init__(self, config: SpeechLLMConfig):
        super().__init__(config)
        encoder = config.encoder_config
        is_own = encoder.model_type == ConformerEncoderConfig.model_type
        self.encoder: Any = ConformerFeatures(encoder, encoder.num_hidden_layers) if is_own else PublicEncoder(encoder)
        self.audio_adapter = AudioAdapter(config)
        auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        self.language_model: Any = auto_class.from_config(config.text_config)
        self.freeze_parts()
        self.post_init()

    def freeze_parts(self) -> None:
        """Stop training the encoder and the text model, which is how a model is built and loaded."""
        self.encoder.requires_grad_(False)
        self.language_model.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        """As in transformers, with frozen encoder and text model."""
        loaded = super().from_pretrained(*args, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded).freeze_parts()
        return loaded

    def train(self, mode: bool = True) -> "SpeechLLMForConditionalGeneration":
        """As in torch; frozen parts stay in evaluation mode, without dropout, except for LoRA adapters in them."""
        super().train(mode)
        for part in (self.encoder, self.language_model):
            parameters = part.named_parameters()
            if mode and not any(item.requires_grad for name, item in parameters if "lora_" not in name):
                for name, module in part.named_modules():
                    module.training = "lora_" in name
        return self

    @property
    def speech_input_name(self) -> str:
        """`input_values` for encoders that read waveforms, else `input_features`."""
        return "input_values" if self.config.audio_lengths["frontend"] == "waveform" else "input_features"

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """The speech encoder for `modality` "audio"; else the encoder of the text model."""
        return self.encoder if modality == "audio" else self.language_model.get_encoder()

    @can_return_tuple
    def get_audio_features(
        self,
        input_features: Tensor | None = None,
        input_features_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        input_values_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Audio embeddings of recordings.

        Args:
            input_features: `(R, T, M)` float features.
            input_features_mask: `(R, T)`, 1 on real frames; None when nothing is padded.
            input_values: `(R, T)` waveforms in place of features, for encoders that read them.
            input_values_mask: `(R, T)`, 1 on real samples.
            output_hidden_states: whether to return the states of the encoder too.
            **kwargs: ignored.

        Returns:
            `last_hidden_state` `(R, A, D)`, padded; `pooler_output` `(K, D)`, those of all recordings one after the
            other, without padding; on request `hidden_states`, the input and the outputs of the encoder's layers.
        """
        speech = input_features if input_features is not None else input_values
        mask = input_features_mask if input_features is not None else input_values_mask
        states, lengths, layers = self._embed_audio(speech, mask)
        real = length_mask(lengths, states.shape[1])
        hidden_states = layers if output_hidden_states or self.config.output_hidden_states else None
        return BaseModelOutputWithPooling(
            last_hidden_state=states, pooler_output=states[real], hidden_states=hidden_states
        )

    def _embed_audio(self, speech: Tensor, speech_mask: Tensor | None) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Audio embeddings `(R, A, D)`, their numbers `(R,)`, and the states of the encoder."""
        if speech_mask is None:
            speech_mask = torch.ones(speech.shape[:2], dtype=torch.int64, device=speech.device)
            if self.config.audio_lengths["frontend"] == "whisper":  # (R, M, T)
                speech_mask = speech_mask.new_ones(len(speech), speech.shape[-1])
        lengths = self.config.audio_lengths
        num_inputs = speech_mask.to(torch.int64).sum(-1)
        num_frames = audio_embedding_length(num_inputs, {**lengths, "stride": 1})
        parameters = list(self.encoder.parameters())
        is_trained = any(parameter.requires_grad for parameter in parameters)
        with torch.set_grad_enabled(is_trained and torch.is_grad_enabled()):
            speech = speech.to(parameters[0].dtype)
            layers = self.encoder.compute_layers(speech, speech_mask)
        embeds = self.audio_adapter(layers[1:], num_frames)
        return embeds, audio_embedding_length(num_inputs, lengths), layers

    def embed_inputs(
        self,
        input_ids: Tensor,
        speech: Tensor | None = None,
        speech_mask: Tensor | None = None,
    ) -> Tensor:
        """Embeddings `(B, L, D)` of prompts, in which audio embeddings replace the ids `config.audio_token_id`.

        Args:
            input_ids: `(B, L)` int64; the recordings belong to the prompts with such ids, in order.
            speech: `(R, T, M)` features or `(R, T)` waveforms; None for prompts without audio.
            speech_mask: `(R, T)`, 1 on real frames (samples); None when nothing is padded.

        Raises:
            ValueError: the number of ids in a prompt differs from that of audio embeddings, or a text model of T5's
                kind has weights in float16, in which it overflows.
        """
        audio = None if speech is None else self._embed_audio(speech, speech_mask)[:2]
        return self._fill_prompts(input_ids, audio)

    def _fill_prompts(self, input_ids: Tensor, audio: tuple[Tensor, Tensor] | None) -> Tensor:
        table = self.get_input_embeddings()
        if table.weight.dtype == torch.float16 and self.config.text_config.model_type in _T5_TYPES:
            raise ValueError(
                f"A text model of type {self.config.text_config.model_type} overflows in float16: load the model with "
                "dtype=torch.bfloat16 or torch.float32."
            )
        is_audio = input_ids == self.config.audio_token_id
        embeds = table(input_ids.masked_fill(is_audio, self.config.pad_token_id))
        expected = is_audio.sum(-1)
        states, lengths = (None, expected.new_zeros(0)) if audio is None else audio
        self._check_placeholders(expected.tolist(), lengths.tolist())
        if states is None:
            return embeds
        # (R, A, D) -> (K, D)
        real = states[length_mask(lengths, states.shape[1])]
        return embeds.masked_scatter(is_audio[..., None], real.to(embeds.dtype))

    def _check_placeholders(self, expected: list[int], given: list[int]) -> None:
        rows = [row for row, count in enumerate(expected) if count]
        if len(rows) != len(given):
            raise ValueError(
                f"Expected a recording for each of the {len(rows)} prompts with the id {self.config.audio_token_id} "
                f"of audio, got {len(given)} recordings. Create prompts with the processor of this model."
            )
        for row, length in zip(rows, given, strict=True):
            if expected[row] != length:
                raise ValueError(
                    f"Prompt {row} has the id {self.config.audio_token_id} of audio {expected[row]} times, but its "
                    f"recording has {length} audio embeddings. Create prompts with the processor of this model."
                )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        input_features_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        input_values: Tensor | None = None,
        input_values_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the text model on prompts with audio.

        Args:
            input_ids: `(B, L)` int64 prompts of the processor (causal text models: with their targets).
            attention_mask: `(B, L)`, 1 on real positions of the prompts.
            input_features: `(R, T, M)` float features of the recordings.
            input_features_mask: `(R, T)`, 1 on real frames.
            labels: targets, -100 on padding: `(B, S)` tokens of the decoder, or for causal text models `(B, L)`.
            inputs_embeds: `(B, L, D)` in place of ids and features, see `embed_inputs`.
            input_values: `(R, T)` waveforms in place of features, for encoders that read them.
            input_values_mask: `(R, T)`, 1 on real samples.
            **kwargs: passed to the text model (`decoder_input_ids`, `past_key_values`, `logits_to_keep`, ...).

        Returns:
            the output of the text model.
        """
        if inputs_embeds is None and input_ids is not None:
            speech = input_features if input_features is not None else input_values
            mask = input_features_mask if input_features is not None else input_values_mask
            inputs_embeds = self.embed_inputs(input_ids, speech, mask)
        return self.language_model(inputs_embeds=inputs_embeds, attention_mask=attention_mask, labels=labels, **kwargs)

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        input_features_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        input_values: Tensor | None = None,
        input_values_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generate with the text model; see `forward` for the inputs.

        Args:
            inputs: the same as `input_ids`.
            attention_mask: see `forward`.
            input_features: see `forward`.
            input_features_mask: see `forward`.
            inputs_embeds: see `forward`.
            input_values: see `forward`.
            input_values_mask: see `forward`.
            input_ids: see `forward`.
            **kwargs: as in `generate` of transformers.

        Returns:
            new tokens only, of both kinds of text models.
        """
        input_ids = inputs if input_ids is None else input_ids
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("generate expects input_ids (prompts of the processor) or inputs_embeds.")
            speech = input_features if input_features is not None else input_values
            mask = input_features_mask if input_features is not None else input_values_mask
            inputs_embeds = self.embed_inputs(input_ids, speech, mask)
        # The text model generates with the settings of this model, not with those it was saved with.
        self.language_model.generation_config = self.generation_config
        return self.language_model.generate(inputs_embeds=inputs_embeds, attention_mask=attention_mask, **kwargs)

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """As in [`InferenceMixin`]: the states are audio embeddings; the language is named by the prompt."""
        states, lengths, _ = self._embed_audio(speech, attention_mask)
        return EncodedSpeech(states=states, frame_mask=length_mask(lengths, states.shape[1]))

    @torch.no_grad()
    def write_tokens(
        self,
        states: Sequence[Tensor],
        ctc_log_probs: Sequence[Tensor | None] = (),
        *,
        prompts: Any = None,
        max_repeats: int | None = None,
        transcripts: Any = None,
        source_langs: Sequence[str | None] = (),
        target_langs: Sequence[str | None] = (),
        **options: Any,
    ) -> list[list[int]]:
        """Write a text for each recording, as its prompt says; see [`InferenceMixin`].

        Args:
            states: audio embeddings `(A, D)` of each recording.
            ctc_log_probs: not used.
            prompts: `input_ids` and `attention_mask` of `SpeechLLMProcessor.encode_prompts`.
            max_repeats: not used; repetitions are cut off by the caller.
            transcripts: not used.
            source_langs: not used; the prompts name them.
            target_langs: not used; the prompts name them.
            **options: of `generate`.
        """
        lengths = torch.tensor([len(row) for row in states], device=self.device)
        padded = nn.utils.rnn.pad_sequence(list(states), batch_first=True)
        embeds = self._fill_prompts(prompts["input_ids"].to(self.device), (padded, lengths))
        ids = self.generate(inputs_embeds=embeds, attention_mask=prompts["attention_mask"].to(self.device), **options)
        return getattr(ids, "sequences", ids).tolist()


__all__ = ["AudioAdapter", "SpeechLLMForConditionalGeneration"]
