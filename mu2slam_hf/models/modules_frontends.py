# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Front ends: convolutional subsampling, those of imported speech encoders, and construction from a configuration.

Shapes: B batch, T stacked frames (50 Hz) or samples, N encoder frames, C channels, D width.
"""

import math

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from .configuration_conformer import ConformerEncoderConfig
from .modules_layers import ChannelNorm, at_least_float32, linear
from .modules_lengths import at_least, conv_output_length, length_mask, receptive_field, valid_conv_length

# Output frames that `conv2d` computes at once of a longer recording, in inference: a minute.
_BLOCK_FRAMES = 1500


class StackedFrames(nn.Module):
    """Normalisation and projection of already stacked features, as in w2v-BERT 2.0."""

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.feature_size, eps=config.layer_norm_eps)
        self.linear = nn.Linear(config.feature_size, config.hidden_size)

    def forward(self, input_features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Project a batch of utterances.

        Args:
            input_features: `(B, T, num_stacked_frames * num_mel_bins)` float.
            lengths: `(B,)` int64, number of real frames of each utterance; None when none is padded.

        Returns:
            `(B, T, D)`; frames past `lengths` hold arbitrary finite values.
        """
        states = _clear_padding(input_features.to(self.norm.weight.dtype), lengths)
        return linear(self.linear, self.norm(states))


class WaveformConvolution(nn.Module):
    """One convolution over time without padding, its normalisation and activation. Shape: (B, C, T) -> (B, C', T').

    New weights preserve the variance of the signal, as in wav2vec 2.0; with a small fixed deviation it would vanish
    after seven layers.
    """

    def __init__(self, config: ConformerEncoderConfig, index: int):
        super().__init__()
        in_channels = config.conv_dim[index - 1] if index else 1
        width, eps = config.conv_dim[index], 1e-5  # value of the original model, regardless of its configuration
        self.kernel_size, self.stride = config.conv_kernel[index], config.conv_stride[index]
        self.conv = nn.Conv1d(in_channels, width, self.kernel_size, stride=self.stride, bias=config.conv_bias)
        # For models outside its package, transformers calls the initialisation only for modules that own parameters,
        # so the flag is set on the layer that owns them.
        self.conv.keeps_variance = True  # type: ignore[assignment]
        self.norm: nn.Module | None = None
        if config.feat_extract_norm == "layer":
            self.norm = nn.LayerNorm(width, eps=eps)
        elif index == 0:
            self.norm = UtteranceNorm(width, eps=eps)
        self.activation = ACT2FN[config.feat_extract_activation]

    def forward(self, states: Tensor, lengths: Tensor | None) -> Tensor:
        """Convolve `states` `(B, C, T)`; `lengths` `(B,)` int64 are the real frames of the output, or None."""
        states = self.conv(states)
        if isinstance(self.norm, UtteranceNorm):
            states = self.norm(states, lengths)
        elif self.norm is not None:
            states = self.norm(states.transpose(1, 2)).transpose(1, 2)
        return self.activation(states)


class UtteranceNorm(ChannelNorm):
    """Normalisation of each channel over the time of one utterance, excluding padding.

    nn.GroupNorm with one channel per group, as in the original model, would include padding.
    """

    def forward(self, hidden_states: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalise `hidden_states` `(B, C, T)`; `lengths` `(B,)` int64 are its real frames, or None."""
        states = at_least_float32(hidden_states)
        if lengths is None:
            mean = states.mean(-1, keepdim=True)
            variance = states.var(-1, keepdim=True, unbiased=False)
        else:
            real = length_mask(lengths, states.shape[-1])[:, None]
            count = lengths.clamp(min=1)[:, None, None]
            mean = states.masked_fill(~real, 0.0).sum(-1, keepdim=True) / count
            variance = (states - mean).masked_fill(~real, 0.0).square().sum(-1, keepdim=True) / count
        states = (states - mean) * torch.rsqrt(variance + self.eps)
        states = states * at_least_float32(self.weight)[:, None] + at_least_float32(self.bias)[:, None]
        return states.to(hidden_states.dtype)


class WaveformConvolutions(nn.Module):
    """Convolutions from samples to frames, normalisation and projection, as in wav2vec 2.0.

    A frame is real if all of its samples are; an utterance that is too short for one frame is padded with silence,
    both alone and in a batch.
    """

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        self.conv_layers = nn.ModuleList(WaveformConvolution(config, i) for i in range(len(config.conv_dim)))
        self.norm = nn.LayerNorm(config.conv_dim[-1], eps=config.layer_norm_eps)
        self.linear = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.shortest = receptive_field(config.conv_kernel, config.conv_stride)

    def forward(self, input_values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode a batch of utterances.

        Args:
            input_values: `(B, samples)` float at 16 kHz.
            lengths: `(B,)` int64, number of real samples of each utterance; None when none is padded.

        Returns:
            `(B, N, D)`; frames past `encoder_length(lengths, config)` hold arbitrary finite values.
        """
        states = _clear_padding(input_values.to(self.norm.weight.dtype), lengths)
        states = nn.functional.pad(states, (0, max(0, self.shortest - states.shape[1])))
        if lengths is not None:
            lengths = at_least(lengths, self.shortest)
        # (B, samples) -> (B, 1, samples)
        states = states[:, None]
        for layer in self.conv_layers:
            if lengths is not None:
                lengths = valid_conv_length(lengths, layer.kernel_size, layer.stride)
            states = layer(states, lengths)
        # (B, C, N) -> (B, N, C)
        return linear(self.linear, self.norm(states.transpose(1, 2)))


def build_frontend(config: ConformerEncoderConfig) -> nn.Module:
    """Build the front end `config.frontend`."""
    kinds = {"conv2d": ConvolutionalSubsampling, "stacked_frames": StackedFrames, "waveform": WaveformConvolutions}
    return kinds[config.frontend](config)


def select_speech_input(
    config: ConformerEncoderConfig, input_features: Tensor | None, input_values: Tensor | None
) -> Tensor | None:
    """Select the speech input of the front end, if one is given.

    Args:
        config: configuration with the front end.
        input_features: `(B, T, config.feature_size)` float, or None.
        input_values: `(B, samples)` float at 16 kHz, or None.

    Raises:
        ValueError: the input is for another front end.
    """
    if config.frontend == "waveform":
        wrong, name = input_features, "input_features"
        expected = "input_values (batch, samples), a waveform at 16 kHz"
    else:
        wrong, name = input_values, "input_values"
        expected = f"input_features (batch, frames, {config.feature_size})"
    if wrong is not None:
        raise ValueError(
            f"This model has the front end {config.frontend!r}, which expects {expected}; got {name} of shape "
            f"{tuple(wrong.shape)}."
        )
    return input_values if config.frontend == "waveform" else input_features


def check_speech_shape(config: ConformerEncoderConfig, speech: Tensor | None) -> None:
    """Check that the shape of speech matches the front end.

    Raises:
        ValueError: the shape differs; the message contains the expected and the received shape.
    """
    shape = () if speech is None else tuple(speech.shape)
    if config.frontend == "waveform":
        fits, expected = len(shape) == 2, "input_values (batch, samples)"
    else:
        fits = len(shape) == 3 and shape[-1] == config.feature_size
        expected = f"input_features (batch, frames, {config.feature_size})"
    if not fits:
        given = "none" if speech is None else f"a tensor of shape {shape}"
        raise ValueError(f"The front end {config.frontend!r} of this model expects {expected}; got {given}.")


class SpeechFrontendMixin:
    """The method of the encoders that runs their front end, `subsampling`."""

    def embed_speech(self, input_features: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Latent speech representations S: before masking, and without language, modality and position.

        Args:
            input_features: `(B, T, M)` float, or `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)`, 1 on real frames (samples), or None.

        Returns:
            `(B, N, D)`.
        """
        check_speech_shape(self.config.encoder_config, input_features)
        lengths = None if attention_mask is None else attention_mask.to(torch.int64).sum(-1)
        return self.subsampling(input_features, lengths)


def dummy_speech(config: ConformerEncoderConfig, device: torch.device) -> Tensor:
    """A deterministic utterance of three encoder frames: `(1, T, feature_size)`, or `(1, samples)`."""
    if config.frontend == "waveform":
        shape = (1, receptive_field(config.conv_kernel, config.conv_stride) + 2 * config.subsampling_factor)
    else:
        shape = (1, 3 if config.frontend == "stacked_frames" else 11, config.feature_size)
    return torch.arange(math.prod(shape), dtype=torch.float32, device=device).mul(0.37).sin().view(shape)


def _clear_padding(states: Tensor, lengths: Tensor | None) -> Tensor:
    """Set padding to zero; selected, not multiplied, because padding may hold NaN. Shape: (B, T, ...)."""
    if lengths is None:
        return states
    real = length_mask(lengths, states.shape[1])
    real = real[..., None] if states.ndim == 3 else real
    return torch.where(real, states, torch.zeros((), dtype=states.dtype, device=states.device))


class ConvolutionalSubsampling(nn.Module):
    """Two 2-D convolutions of stride (2, 2), then a linear map to the encoder's width.

    Paper: section 2.1, "two 2D-convolutional layers with strides (2, 2)" and "a subsequent linear projection".
    Choice: kernel 3, padding 1, ReLU; padding frames are zeroed before every convolution, so that their values cannot
    affect real frames.
    Choice: new weights use `initializer_range` like all others, or with `subsampling_keeps_variance` preserve the
    variance of the features (Kaiming). The second is for encoders that add positions to S: at the size of the paper
    `initializer_range` makes S 93 times smaller than these, and small mSLAMs learned with S at their scale a little
    better (results/studies, "A small mSLAM"). Encoders with rotary positions, which are not added, learned worse with
    it: CTC of a small Mu2SLAM was 3.70 after 300 updates instead of 3.16. With S multiplied by 16, the scale of token
    embeddings, it was the same after 225 updates (6.71, without 6.55, per piece), and the language loss had not
    fallen (1.68, without 1.25).
    """

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        first, second = config.subsampling_conv_channels
        self.conv1 = nn.Conv2d(1, first, kernel_size=3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1)
        num_bins = conv_output_length(conv_output_length(config.num_mel_bins))
        self.linear = nn.Linear(second * num_bins, config.hidden_size)
        for module in (self.conv1, self.conv2, self.linear):
            module.keeps_variance = config.subsampling_keeps_variance  # type: ignore[assignment]

    def forward(self, input_features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Subsample a batch of utterances.

        Args:
            input_features: `(B, T, M)` float.
            lengths: `(B,)` int64, number of real frames of each utterance; None when none is padded.

        Returns:
            `(B, N, D)`; frames past `encoder_length(lengths)` hold arbitrary finite values.
        """
        num_frames = conv_output_length(conv_output_length(input_features.shape[1]))
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or num_frames <= _BLOCK_FRAMES:
            return self._subsample(input_features, lengths)
        # The channels of a long recording would need more memory than all layers.
        blocks = []
        for first in range(0, num_frames, _BLOCK_FRAMES):
            # One more frame on either side: the convolutions reach that far.
            before = min(first, 1)
            start, stop = 4 * (first - before), 4 * (first + _BLOCK_FRAMES + 1)
            rest = None if lengths is None else (lengths - start).clamp(min=0)
            states = self._subsample(input_features[:, start:stop], rest)
            blocks.append(states[:, before : before + _BLOCK_FRAMES])
        return torch.cat(blocks, dim=1)

    def _subsample(self, input_features: Tensor, lengths: Tensor | None) -> Tensor:
        # (B, T, M) -> (B, 1, T, M)
        states = input_features.to(self.conv1.weight.dtype).unsqueeze(1)
        for conv in (self.conv1, self.conv2):
            if lengths is not None:
                frame_mask = length_mask(lengths, states.shape[2])[:, None, :, None]
                # Selected, not multiplied: padding may hold NaN or infinite values.
                states = torch.where(frame_mask, states, torch.zeros((), dtype=states.dtype, device=states.device))
                lengths = conv_output_length(lengths)
            states = nn.functional.relu(conv(states))
        # (B, C, N, M / 4) -> (B, N, C * M / 4)
        states = states.transpose(1, 2).flatten(2)
        return linear(self.linear, states)
