# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of a speech encoder, an audio adapter and a text model."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .configuration_conformer import ConformerEncoderConfig, check_choice, check_positive

LAYER_AVERAGES = ("linear", "softmax", "last")
WAVEFORM_ENCODERS = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
"""Encoders of transformers that read waveforms through the convolutions of wav2vec 2.0."""
SPEECH_ENCODERS = (ConformerEncoderConfig.model_type, *WAVEFORM_ENCODERS, "whisper")


@strict
class SpeechLLMConfig(PreTrainedConfig):
    r"""Configuration of [`SpeechLLMForConditionalGeneration`].

    Paper: Mundnich et al. 2024, "Zero-resource Speech Translation and Recognition with LLMs": a frozen Conformer of 24
    layers of width 1024, two convolutions that halve its 25 frames per second, and mT0 (mT5's format).

    Args:
        encoder_config (`dict` or `PreTrainedConfig`): Speech encoder: a [`ConformerEncoderConfig`], or that of a
            wav2vec 2.0, HuBERT, WavLM, data2vec, UniSpeech or Whisper model.
        text_config (`dict` or `PreTrainedConfig`): Text model, encoder-decoder or causal.
        audio_token_id (`int`): Id in a prompt that stands for one audio embedding. Choice: it has no row of the
            embedding table, which is frozen.
        layer_average (`str`, *optional*, defaults to `"linear"`): Average of the encoder's layers: `linear`,
            `1/L sum_l w_l h_l` (paper, Eq. 1), `softmax`, with weights that sum to 1, or `last`, the last layer.
        num_adapter_layers (`int`, *optional*, defaults to 2): Number of convolutions of the adapter.
        adapter_kernel_size (`int`, *optional*, defaults to 3): Their kernel size, odd.
        adapter_stride (`int`, *optional*, defaults to 2): Stride of the first one; the others have stride 1. 2 gives
            12.5 embeddings per second for an encoder of 25 Hz; encoders of 50 Hz need 4 for this.
        adapter_act (`str`, *optional*, defaults to `"gelu"`): Activation between the convolutions. Choice: the paper
            does not state it.
        adapter_dropout (`float`, *optional*, defaults to 0.0): Dropout before each convolution.
        languages (`list[str]`, *optional*, defaults to `["und"]`): Languages that prompts may name, `und` first.
        encoder_name_or_path (`str`, *optional*): Where the encoder came from.
        language_model_name_or_path (`str`, *optional*): Where the text model came from.
    """

    model_type = "speech_llm"
    sub_configs = {"text_config": AutoConfig, "encoder_config": AutoConfig}

    encoder_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    audio_token_id: int = 0
    layer_average: str = "linear"
    num_adapter_layers: int = 2
    adapter_kernel_size: int = 3
    adapter_stride: int = 2
    adapter_act: str = "gelu"
    adapter_dropout: float | int = 0.0
    languages: list[str] | tuple[str, ...] = ("und",)
    encoder_name_or_path: str | None = None
    language_model_name_or_path: str | None = None
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        self.languages = list(self.languages)
        # By class, not through AutoConfig: in custom code the model types of this package are not registered.
        self.encoder_config = _build(self.encoder_config or {"model_type": ConformerEncoderConfig.model_type})
        self.text_config = _build(self.text_config or {"model_type": "mt5"})
        text = self.text_config
        self.is_encoder_decoder = bool(text.is_encoder_decoder)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            kwargs.setdefault(name, getattr(text, name, None))
        self.tie_word_embeddings = False  # of the composite; the text model ties its own
        super().__post_init__(**kwargs)

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """The configuration of the text model."""
        return self.text_config

    @property
    def hidden_size(self) -> int:
        """Width of the embeddings of the text model."""
        return self.text_config.get_text_config().hidden_size

    @property
    def vocab_size(self) -> int:
        """Number of tokens of the text model."""
        return self.text_config.get_text_config().vocab_size

    @property
    def num_encoder_layers(self) -> int:
        """Number of layers of the speech encoder."""
        is_whisper = self.encoder_config.model_type == "whisper"
        return self.encoder_config.encoder_layers if is_whisper else self.encoder_config.num_hidden_layers

    @property
    def audio_lengths(self) -> dict[str, Any]:
        """What determines the number of audio embeddings of a recording; the processor has a copy."""
        encoder = self.encoder_config
        if encoder.model_type == "whisper":
            return {"frontend": "whisper", "stride": self.adapter_stride}
        lengths = {"frontend": getattr(encoder, "frontend", "waveform"), "stride": self.adapter_stride}
        if lengths["frontend"] == "waveform":
            lengths |= {"conv_kernel": list(encoder.conv_kernel), "conv_stride": list(encoder.conv_stride)}
        return lengths

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples per audio embedding."""
        encoder = self.encoder_config
        if encoder.model_type == ConformerEncoderConfig.model_type:
            samples = encoder.samples_per_frame
        else:
            samples = 320 if encoder.model_type == "whisper" else math.prod(encoder.conv_stride)
        return samples * self.adapter_stride

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for values from which no model can be built."""
        if self.encoder_config.model_type not in SPEECH_ENCODERS:
            raise ValueError(
                f"encoder_config.model_type must be one of {', '.join(SPEECH_ENCODERS)}; got "
                f"{self.encoder_config.model_type!r}."
            )
        if getattr(self.encoder_config, "add_adapter", False):
            raise ValueError("encoder_config.add_adapter: an encoder with an adapter of its own is not supported.")
        text = self.text_config.get_text_config()
        for name in ("hidden_size", "vocab_size"):
            if not isinstance(getattr(text, name, None), int):
                raise ValueError(
                    f"text_config: a text model of type {text.model_type!r} has no {name}, on which the audio adapter "
                    "depends."
                )
        if self.pad_token_id is None:
            raise ValueError(
                "text_config.pad_token_id: expected the id of padding, got None; set it, for example to the id of the "
                "end of a text."
            )
        check_choice(self, "layer_average", LAYER_AVERAGES)
        check_positive(self, "num_adapter_layers", "adapter_kernel_size", "adapter_stride")
        if self.adapter_kernel_size % 2 == 0:
            raise ValueError(f"adapter_kernel_size must be odd, got {self.adapter_kernel_size}.")


def _build(config: dict | PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of a part from its dictionary."""
    if isinstance(config, PreTrainedConfig):
        return config
    values = dict(config)
    model_type = values.pop("model_type", None)
    if model_type is None:
        raise ValueError("encoder_config and text_config must contain `model_type`, such as 'whisper' or 'mt5'.")
    if model_type == ConformerEncoderConfig.model_type:
        return ConformerEncoderConfig(**values)
    return AutoConfig.for_model(model_type, **values)


__all__ = ["SpeechLLMConfig"]
