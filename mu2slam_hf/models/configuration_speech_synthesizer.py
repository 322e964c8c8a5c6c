# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the speech synthesizer, which makes a waveform of speech ids."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig, SpeechT5HifiGanConfig

from .configuration_conformer import ConformerEncoderConfig, check_choice, check_positive

VOCODERS = ("griffin_lim", "istft", "hifigan")
SAMPLES_PER_ID = 640
FRAMES_PER_ID = 4

# Small layers whose result for a row does not depend on the other rows and on padding.
_SIZES: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 768,
}
_ENCODER = {**_SIZES, "conv_depthwise_kernel_size": 7, "conv_norm": "layer", "position_embeddings_type": "rotary"}
_ENCODER |= {"attention_chunk_frames": 50, "final_layer_norm": True}
_FRAME_LAYERS: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 128,
}
_FRAME_LAYERS |= {"conv_depthwise_kernel_size": 7, "conv_norm": "layer", "position_embeddings_type": "none"}
_HEAD = {**_FRAME_LAYERS, "hidden_size": 256, "num_hidden_layers": 4}
# Upsampling by the 160 samples of a frame.
_HIFIGAN = {"upsample_rates": [5, 4, 4, 2], "upsample_kernel_sizes": [11, 8, 8, 4]}


@strict
class SpeechSynthesizerConfig(PreTrainedConfig):
    r"""Configuration of [`SpeechSynthesizerModel`].

    Choice: speech ids have a fixed rate of 25 Hz, so that no model of durations is needed between ids and sound. All
    lengths follow from it: an id is four log-mel frames and 640 samples at 16 kHz.

    Args:
        num_speech_tokens (`int`, *optional*, defaults to 1024): Number of entries of the codebook.
        encoder_config (`dict` or [`ConformerEncoderConfig`], *optional*): The layers at 25 Hz. Values that are not
            given are those of a small encoder with rotary positions and attention inside chunks of 2 seconds, which is
            the length of a training example.
        frame_config (`dict` or [`ConformerEncoderConfig`], *optional*): Width, number and kernel of the convolutions
            at 100 Hz before the log-mel frames.
        languages (`list[str]`, *optional*, defaults to `["und"]`): Languages of the training data, after `und`.
        speakers (`list[str]`, *optional*, defaults to `["und"]`): Voices of the training data, after `und`.
        default_speakers (`dict[str, str]`, *optional*): The voice of a language that is used where none is named.
        vocoder (`str`, *optional*, defaults to `"griffin_lim"`): From log-mel frames to samples. `griffin_lim`: by
            iterations, without weights; `istft`: a trained head of magnitudes and phases, as in Vocos; `hifigan`: a
            trained `SpeechT5HifiGan` of transformers.
        vocoder_config (`dict` or `PreTrainedConfig`, *optional*): For `istft` a [`ConformerEncoderConfig`], whose
            width, number of layers and kernel are those of its convolutions; for `hifigan` a `SpeechT5HifiGanConfig`.
        griffin_lim_passes (`int`, *optional*, defaults to 32): Number of iterations.
        griffin_lim_momentum (`float`, *optional*, defaults to 0.9): Momentum of the iterations, 0 for none.
        features (`dict`, *optional*): Settings of the [`Mu2SLAMFeatureExtractor`] whose log-mel frames are predicted.
        initializer_range (`float`, *optional*, defaults to 0.02): Standard deviation of the initial weights.
    """

    model_type = "mu2slam_speech_synthesizer"
    sub_configs = {"encoder_config": ConformerEncoderConfig, "frame_config": ConformerEncoderConfig}

    num_speech_tokens: int = 1024
    encoder_config: dict | PreTrainedConfig | None = None
    frame_config: dict | PreTrainedConfig | None = None
    languages: list[str] | tuple[str, ...] = ("und",)
    speakers: list[str] | tuple[str, ...] = ("und",)
    default_speakers: dict[str, str] | None = None
    vocoder: str = "griffin_lim"
    vocoder_config: dict | PreTrainedConfig | None = None
    griffin_lim_passes: int = 32
    griffin_lim_momentum: float | int = 0.9
    features: dict | None = None
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        for name, defaults in (("encoder_config", _ENCODER), ("frame_config", _FRAME_LAYERS)):
            setattr(self, name, _complete(getattr(self, name), defaults, ConformerEncoderConfig))
        if self.vocoder == "istft":
            self.vocoder_config = _complete(self.vocoder_config, _HEAD, ConformerEncoderConfig)
        elif self.vocoder == "hifigan":
            defaults = {**_HIFIGAN, "model_in_dim": self.num_mel_bins}
            self.vocoder_config = _complete(self.vocoder_config, defaults, SpeechT5HifiGanConfig)
        else:
            self.vocoder_config = None
        self.languages, self.speakers = list(self.languages), list(self.speakers)
        super().__post_init__(**kwargs)

    @property
    def num_mel_bins(self) -> int:
        """Number of log-mel bins M of a frame."""
        return (self.features or {}).get("feature_size", 80)

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for values from which no model can be built."""
        check_choice(self, "vocoder", VOCODERS)
        check_positive(self, "num_speech_tokens", "griffin_lim_passes")
        if not 0 <= self.griffin_lim_momentum < 1:
            raise ValueError(f"griffin_lim_momentum must be at least 0 and below 1; got {self.griffin_lim_momentum}.")
        if self.encoder_config.position_embeddings_type == "sinusoidal":
            raise ValueError("encoder_config.position_embeddings_type must not be 'sinusoidal'; use 'rotary'.")
        for name in ("languages", "speakers"):
            if next(iter(getattr(self, name)), None) != "und":
                raise ValueError(f"{name} must begin with 'und'; got {getattr(self, name)[:3]}.")
        for lang, speaker in (self.default_speakers or {}).items():
            if lang not in self.languages or speaker not in self.speakers:
                raise ValueError(f"default_speakers has {lang}: {speaker}, which languages and speakers do not have.")
        settings = {"sampling_rate": 16000, "hop_length": SAMPLES_PER_ID // FRAMES_PER_ID, **(self.features or {})}
        if settings["sampling_rate"] != 16000 or settings["hop_length"] * FRAMES_PER_ID != SAMPLES_PER_ID:
            raise ValueError(
                "features must have 16000 Hz and a hop_length of 160 samples, four frames for each id; got "
                f"{settings['sampling_rate']} Hz and {settings['hop_length']}."
            )
        if self.vocoder == "hifigan" and math.prod(self.vocoder_config.upsample_rates) != settings["hop_length"]:
            raise ValueError(
                f"vocoder_config.upsample_rates must multiply to the {settings['hop_length']} samples of a frame; got "
                f"{self.vocoder_config.upsample_rates}."
            )


def _complete(config: dict | PreTrainedConfig | None, defaults: dict, config_class: type) -> PreTrainedConfig:
    """The configuration of a part, with defaults for what is not given."""
    if isinstance(config, PreTrainedConfig):
        return config
    return config_class(**{**defaults, **{k: v for k, v in (config or {}).items() if k != "model_type"}})


__all__ = ["VOCODERS", "SpeechSynthesizerConfig"]
