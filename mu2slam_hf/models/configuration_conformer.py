# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the Conformer speech encoder that every model of the package contains."""

import math
from collections.abc import Sequence

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

FRONTENDS = ("conv2d", "stacked_frames", "waveform")
CONV_NORMS = ("group", "layer", "batch")
POSITION_EMBEDDINGS_TYPES = ("sinusoidal", "relative", "relative_key", "rotary", "none")
FEAT_EXTRACT_NORMS = ("group", "layer")
ADAPTER_POSITIONS = ("after", "feed_forward")
ADAPTER_FIELDS = ("adapter_size", "num_adapters", "adapter_position", "adapter_start_layer")
"""Fields of what can be added to a trained encoder without changing it."""
SAMPLES_PER_FEATURE_FRAME = 160


@strict
class ConformerEncoderConfig(PreTrainedConfig):
    r"""Configuration of a [`ConformerEncoder`] and its front end.

    Paper: section 2.1 and 3.1, "an identical Conformer layer from SLAM and mSLAM": 24 layers of width 1024,
    feed-forward 4096, 8 heads, convolution kernel 5 (the defaults here).

    Args:
        hidden_size (`int`, *optional*, defaults to 1024): Width D of the encoder.
        num_hidden_layers (`int`, *optional*, defaults to 24): Number of Conformer layers.
        num_attention_heads (`int`, *optional*, defaults to 8): Number of attention heads.
        intermediate_size (`int`, *optional*, defaults to 4096): Width of both half-step feed-forward modules.
        hidden_act (`str`, *optional*, defaults to `"silu"`): Activation of feed-forward and convolution modules.
        conv_depthwise_kernel_size (`int`, *optional*, defaults to 5): Kernel size of the depthwise convolution, odd.
        conv_norm (`str`, *optional*, defaults to `"group"`): Normalisation after the depthwise convolution.
            `group`: statistics over the frames of one sequence (as in the paper); `layer`: per frame, independent of
            packing, chunking and padding; `batch`: over all real frames of the batch in training, running statistics
            in evaluation (for imported weights).
        conv_norm_groups (`int`, *optional*, defaults to 8): Number of channel groups for `conv_norm="group"`.
        conv_causal (`bool`, *optional*, defaults to `False`): Whether the depthwise convolution covers past frames
            only.
        convolution_bias (`bool`, *optional*, defaults to `True`): Whether the convolution module has biases.
        attention_bias (`bool`, *optional*, defaults to `True`): Whether the attention and feed-forward projections
            have biases.
        position_embeddings_type (`str`, *optional*, defaults to `"sinusoidal"`): `sinusoidal`: added to the input;
            `rotary`: rotates queries and keys; `relative`: relative positions as in Transformer-XL; `relative_key`: a
            learned embedding per clipped distance; `none`.
        rope_base (`float`, *optional*, defaults to 10000.0): Base of the wavelengths of `rotary`.
        rotary_before_projection (`bool`, *optional*, defaults to `False`): Whether `rotary` rotates the input of the
            query and key projections, as in Wav2Vec2Conformer, instead of their output.
        left_max_position_embeddings (`int`, *optional*, defaults to 64): Maximum distance to past frames that
            `relative_key` distinguishes.
        right_max_position_embeddings (`int`, *optional*, defaults to 8): Maximum distance to future frames, likewise.
        attention_chunk_frames (`int`, *optional*): Number of frames of a chunk; attention stays inside the chunks of a
            sequence, convolutions cross them. None: full attention. Paper: USM (Zhang et al. 2023) section 2.3, chunks
            of 8 seconds (200 frames of `conv2d`), so that the receptive field does not grow with the layers. Choice:
            positions restart in each chunk.
        adapter_size (`int`, *optional*, defaults to 0): Size of the bottleneck of the residual adapters of languages
            inside the layers; 0: none.
        num_adapters (`int`, *optional*, defaults to 1): Number of languages with adapters, the first ones of the
            model's `languages`. All others use those of row 0, `und`.
        adapter_position (`str`, *optional*, defaults to `"after"`): `after`: one adapter after each layer, as in
            Maestro-U; `feed_forward`: two in each layer, parallel to the feed-forward modules, as in USM.
        adapter_start_layer (`int`, *optional*, defaults to 0): First layer with adapters.
        final_layer_norm (`bool`, *optional*, defaults to `False`): Whether a normalisation follows the last layer.
        hidden_dropout (`float`, *optional*, defaults to 0.0): Dropout on every residual branch.
        attention_dropout (`float`, *optional*, defaults to 0.0): Dropout on attention weights.
        activation_dropout (`float`, *optional*, defaults to 0.0): Dropout inside the feed-forward modules.
        embedding_dropout (`float`, *optional*, defaults to 0.0): Dropout on the encoder's input.
        frontend (`str`, *optional*, defaults to `"conv2d"`): `conv2d`: two stride-2 convolutions, 100 Hz to 25 Hz;
            `stacked_frames`: normalises and projects features that are already stacked (w2v-BERT 2.0: 2 x 80 at 50
            Hz); `waveform`: convolutions over samples (wav2vec 2.0: 50 Hz).
        num_mel_bins (`int`, *optional*, defaults to 80): Number of log-mel bins M per 10 ms frame.
        num_stacked_frames (`int`, *optional*, defaults to 2): Number of 10 ms frames per input frame of
            `stacked_frames`.
        conv_dim (`list[int]`, *optional*): Number of channels of each convolution of `waveform`.
        conv_kernel (`list[int]`, *optional*): Kernel size of each of these convolutions.
        conv_stride (`list[int]`, *optional*): Stride of each of these convolutions.
        conv_bias (`bool`, *optional*, defaults to `False`): Whether these convolutions have biases.
        feat_extract_norm (`str`, *optional*, defaults to `"group"`): Normalisation inside `waveform`: `group`: after
            the first convolution, each channel over the time of one utterance; `layer`: per frame, after each.
        feat_extract_activation (`str`, *optional*, defaults to `"gelu"`): Activation of these convolutions.
        subsampling_conv_channels (`list[int]`, *optional*, defaults to `[128, 32]`): Number of channels of the two
            convolutions. Choice: as in w2v-BERT; the paper specifies only the strides.
        subsampling_keeps_variance (`bool`, *optional*, defaults to `False`): Whether new weights of `conv2d` preserve
            the variance of the features instead of using `initializer_range`, see `ConvolutionalSubsampling`.
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
    rotary_before_projection: bool = False
    left_max_position_embeddings: int = 64
    right_max_position_embeddings: int = 8
    attention_chunk_frames: int | None = None
    adapter_size: int = 0
    num_adapters: int = 1
    adapter_position: str = "after"
    adapter_start_layer: int = 0
    final_layer_norm: bool = False
    hidden_dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    activation_dropout: float | int = 0.0
    embedding_dropout: float | int = 0.0
    frontend: str = "conv2d"
    num_mel_bins: int = 80
    num_stacked_frames: int = 2
    conv_dim: list[int] | tuple[int, ...] = (512,) * 7
    conv_kernel: list[int] | tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: list[int] | tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    subsampling_conv_channels: list[int] | tuple[int, ...] = (128, 32)
    subsampling_keeps_variance: bool = False
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        for key in ("subsampling_conv_channels", "conv_dim", "conv_kernel", "conv_stride"):
            setattr(self, key, list(getattr(self, key)))
        super().__post_init__(**kwargs)

    @property
    def subsampling_factor(self) -> int:
        """Number of feature frames (`waveform`: samples) per encoder frame."""
        if self.frontend == "waveform":
            return math.prod(self.conv_stride)
        return 1 if self.frontend == "stacked_frames" else 4

    @property
    def samples_per_frame(self) -> int:
        """Number of 16 kHz samples per encoder frame: 640 for `conv2d`, 320 for the public weights."""
        frame = {"waveform": 1, "stacked_frames": self.num_stacked_frames * SAMPLES_PER_FEATURE_FRAME}
        return self.subsampling_factor * frame.get(self.frontend, SAMPLES_PER_FEATURE_FRAME)

    @property
    def feature_size(self) -> int:
        """Size of one frame of `input_features`; 1 for the samples that `waveform` reads."""
        if self.frontend == "waveform":
            return 1
        return self.num_mel_bins * (self.num_stacked_frames if self.frontend == "stacked_frames" else 1)

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for values from which no encoder can be built."""
        check_multiple(self, "hidden_size", "num_attention_heads")
        if self.conv_depthwise_kernel_size % 2 == 0:
            raise ValueError(f"conv_depthwise_kernel_size must be odd, got {self.conv_depthwise_kernel_size}.")
        if self.conv_norm == "group" and self.hidden_size % self.conv_norm_groups != 0:
            raise ValueError(
                f"conv_norm='group' requires hidden_size ({self.hidden_size}) to be a multiple of conv_norm_groups "
                f"({self.conv_norm_groups})."
            )
        if self.position_embeddings_type == "relative" and self.hidden_size % 2:
            raise ValueError("position_embeddings_type='relative' requires an even hidden_size.")
        if min(self.left_max_position_embeddings, self.right_max_position_embeddings) < 0:
            raise ValueError("left_max_position_embeddings and right_max_position_embeddings cannot be negative.")
        check_positive(self, "num_stacked_frames")
        if self.attention_chunk_frames is not None:
            check_positive(self, "attention_chunk_frames")
        if self.position_embeddings_type == "rotary" and (self.hidden_size // self.num_attention_heads) % 2:
            raise ValueError("position_embeddings_type='rotary' requires an even head size.")
        if len(self.subsampling_conv_channels) != 2:
            raise ValueError(
                "subsampling_conv_channels must hold two numbers, one for each stride-2 convolution, got "
                f"{list(self.subsampling_conv_channels)}."
            )
        check_choice(self, "frontend", FRONTENDS)
        check_choice(self, "conv_norm", CONV_NORMS)
        check_choice(self, "position_embeddings_type", POSITION_EMBEDDINGS_TYPES)
        check_choice(self, "feat_extract_norm", FEAT_EXTRACT_NORMS)
        check_choice(self, "adapter_position", ADAPTER_POSITIONS)
        check_positive(self, "num_adapters")
        if self.adapter_size < 0:
            raise ValueError(f"adapter_size cannot be negative, got {self.adapter_size}.")
        if self.adapter_size and not 0 <= self.adapter_start_layer < self.num_hidden_layers:
            raise ValueError(
                f"adapter_start_layer must be one of the {self.num_hidden_layers} layers of the encoder, counted from "
                f"0; got {self.adapter_start_layer}."
            )
        self._validate_convolutions()

    def _validate_convolutions(self):
        """Check that the three lists of `waveform` describe the same convolutions."""
        lengths = {key: len(getattr(self, key)) for key in ("conv_dim", "conv_kernel", "conv_stride")}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(
                f"conv_dim, conv_kernel and conv_stride must have the same length, at least 1; got {lengths}."
            )
        if min(*self.conv_dim, *self.conv_kernel, *self.conv_stride) < 1:
            raise ValueError("conv_dim, conv_kernel and conv_stride must hold positive numbers.")


__all__ = ["ConformerEncoderConfig"]


def check_choice(config: PreTrainedConfig, name: str, choices: Sequence[str]) -> None:
    """Check that a field has one of the known values; raises ValueError."""
    value = getattr(config, name)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.")


def check_positive(config: PreTrainedConfig, *names: str) -> None:
    """Check that integer fields are at least 1; raises ValueError."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1; got {getattr(config, name)}.")


def check_multiple(config: PreTrainedConfig, name: str, divisor: str) -> None:
    """Check that a field is a multiple of another one; raises ValueError."""
    value, step = getattr(config, name), getattr(config, divisor)
    if value % step:
        raise ValueError(f"{name} ({value}) must be a multiple of {divisor} ({step}).")
