# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the one speech encoder that every family of the package holds."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

FRONTENDS = ("conv2d", "stacked_frames", "waveform")
CONV_NORMS = ("group", "layer", "batch")
POSITION_EMBEDDINGS_TYPES = ("sinusoidal", "relative", "relative_key", "rotary")
IMPLEMENTED = {
    "frontend": ("conv2d",),
    "conv_norm": ("group", "layer"),
    "position_embeddings_type": ("sinusoidal", "rotary"),
}


@strict
class ConformerEncoderConfig(PreTrainedConfig):
    r"""Shape of a [`ConformerEncoder`] and of the front end that feeds it.

    Paper: section 2.1 and 3.1, "an identical Conformer layer from SLAM and mSLAM": 24 layers of width 1024,
    feed-forward 4096, 8 heads, convolution kernel 5 (the defaults here).

    Args:
        hidden_size (`int`, *optional*, defaults to 1024): Width D of the encoder.
        num_hidden_layers (`int`, *optional*, defaults to 24): Conformer layers.
        num_attention_heads (`int`, *optional*, defaults to 8): Attention heads; they share `hidden_size`.
        intermediate_size (`int`, *optional*, defaults to 4096): Width of both half-step feed-forward modules.
        hidden_act (`str`, *optional*, defaults to `"silu"`): Activation of feed-forward and convolution modules.
        conv_depthwise_kernel_size (`int`, *optional*, defaults to 5): Taps of the depthwise convolution, odd.
        conv_norm (`str`, *optional*, defaults to `"group"`): Normalisation after the depthwise convolution.
            `group`: statistics over the frames of one sequence (paper configurations); `layer`: per frame, so that
            packing, chunking and padding cannot change it; `batch`: reserved for imported weights.
        conv_norm_groups (`int`, *optional*, defaults to 8): Channel groups of `conv_norm="group"`.
        conv_causal (`bool`, *optional*, defaults to `False`): Whether the depthwise convolution sees the past only.
        convolution_bias (`bool`, *optional*, defaults to `True`): Bias of the convolution module.
        attention_bias (`bool`, *optional*, defaults to `True`): Bias of attention and feed-forward projections.
        position_embeddings_type (`str`, *optional*, defaults to `"sinusoidal"`): `sinusoidal` is added to the
            input; `rotary` turns queries and keys; `relative` and `relative_key` are reserved.
        rope_base (`float`, *optional*, defaults to 10000.0): Longest wavelength base of `rotary`.
        hidden_dropout (`float`, *optional*, defaults to 0.0): Dropout on every residual branch.
        attention_dropout (`float`, *optional*, defaults to 0.0): Dropout on attention weights.
        activation_dropout (`float`, *optional*, defaults to 0.0): Dropout inside the feed-forward modules.
        embedding_dropout (`float`, *optional*, defaults to 0.0): Dropout on the encoder's input.
        frontend (`str`, *optional*, defaults to `"conv2d"`): `conv2d`: two stride-2 convolutions, 100 Hz to 25 Hz;
            `stacked_frames` and `waveform` are reserved for imported weights.
        num_mel_bins (`int`, *optional*, defaults to 80): Log-mel bins M of the input features.
        subsampling_conv_channels (`list[int]`, *optional*, defaults to `[128, 32]`): Channels of the two
            convolutions. Choice: as in the w2v-BERT line; the paper gives only the strides.
        layer_norm_eps (`float`, *optional*, defaults to 1e-05): Epsilon of every normalisation.
        initializer_range (`float`, *optional*, defaults to 0.02): Standard deviation of the initial weights.
    """

    model_type = "mu2slam_conformer"

    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 8
    intermediate_size: int = 4096
    hidden_act: str = "silu"
    conv_depthwise_kernel_size: int = 5
    conv_norm: str = "group"
    conv_norm_groups: int = 8
    conv_causal: bool = False
    convolution_bias: bool = True
    attention_bias: bool = True
    position_embeddings_type: str = "sinusoidal"
    rope_base: float | int = 10000.0
    hidden_dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    activation_dropout: float | int = 0.0
    embedding_dropout: float | int = 0.0
    frontend: str = "conv2d"
    num_mel_bins: int = 80
    subsampling_conv_channels: list[int] | tuple[int, ...] = (128, 32)
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        self.subsampling_conv_channels = list(self.subsampling_conv_channels)
        super().__post_init__(**kwargs)

    @property
    def subsampling_factor(self) -> int:
        """Feature frames per encoder frame."""
        return 4

    def validate_architecture(self):
        """Part of `@strict` validation: reject what no encoder can be built from, in words."""
        if self.hidden_size % self.num_attention_heads != 0:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})."
            )
        if self.conv_depthwise_kernel_size % 2 == 0:
            raise ValueError(f"conv_depthwise_kernel_size must be odd, got {self.conv_depthwise_kernel_size}.")
        if self.conv_norm == "group" and self.hidden_size % self.conv_norm_groups != 0:
            raise ValueError(
                f"conv_norm='group' needs hidden_size ({self.hidden_size}) to be a multiple of conv_norm_groups "
                f"({self.conv_norm_groups})."
            )
        if self.position_embeddings_type == "rotary" and (self.hidden_size // self.num_attention_heads) % 2:
            raise ValueError("position_embeddings_type='rotary' needs an even head size.")
        if len(self.subsampling_conv_channels) != 2:
            raise ValueError(
                "subsampling_conv_channels needs two numbers, one for each stride-2 convolution, got "
                f"{list(self.subsampling_conv_channels)}."
            )
        for key, known in (
            ("frontend", FRONTENDS),
            ("conv_norm", CONV_NORMS),
            ("position_embeddings_type", POSITION_EMBEDDINGS_TYPES),
        ):
            value = getattr(self, key)
            if value not in known:
                raise ValueError(f"{key} must be one of {', '.join(known)}; got {value!r}.")
            if value not in IMPLEMENTED[key]:
                raise ValueError(
                    f"{key}={value!r} is reserved for imported weights and not available in this release; "
                    f"use one of {', '.join(IMPLEMENTED[key])}."
                )


__all__ = ["ConformerEncoderConfig"]
