# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From log-mel frames to samples: short-time spectra and their inverse, Griffin-Lim, and a trained head.

Shapes: B rows, T frames, S samples, W length of the window and of the Fourier transform, F = W // 2 + 1 frequencies,
M mel bins. Frame t is centred on the middle of samples `[t * hop, (t + 1) * hop)`, as in the feature extractor, so
that T frames have exactly T * hop samples.
"""

import math

import torch
from torch import Tensor, nn

from .configuration_conformer import ConformerEncoderConfig
from .modules_text_resampling import ResidualConvolutions

SPECTRAL_WINDOWS = (256, 512, 1024)
"""Lengths in samples of the windows of the spectral loss."""

# exp of it is 100, far above the magnitude of full scale: bounds the samples of untrained weights.
_MAX_LOG_MAGNITUDE = math.log(100.0)
# Added to magnitudes before their logarithm: 82 dB below that of a full-scale sine in a window of 512.
_MAGNITUDE_FLOOR = 1e-2


def short_time_spectra(waveforms: Tensor, window: Tensor, hop: int) -> Tensor:
    """Spectra of the windows of waveforms.

    Args:
        waveforms: `(B, T * hop)` float.
        window: `(W,)` float.
        hop: samples of a frame.

    Returns:
        `(B, T, F)` complex.
    """
    before = (len(window) - hop) // 2
    padded = nn.functional.pad(waveforms, (before, len(window) - hop - before))
    return torch.fft.rfft(padded.unfold(-1, len(window), hop) * window)


def overlap_add(spectra: Tensor, window: Tensor, hop: int) -> Tensor:
    """Waveforms whose short-time spectra are nearest to given ones, in squares (Griffin and Lim 1984, Eq. 6).

    `x(n) = sum_t w(n - t hop) y_t(n) / sum_t w(n - t hop)^2` with `y_t` the inverse transform of frame t.

    Args:
        spectra: `(B, T, F)` complex.
        window: `(W,)` float.
        hop: samples of a frame.

    Returns:
        `(B, T * hop)` float.
    """
    num_frames, length = spectra.shape[1], len(window)
    frames = torch.fft.irfft(spectra, n=length) * window
    weights = window.square().expand(1, num_frames, -1)
    size = (1, (num_frames - 1) * hop + length)
    # (B, T, W) -> (B, W, T) -> (B, 1, 1, (T - 1) * hop + W)
    summed, envelope = (
        nn.functional.fold(rows.transpose(1, 2), size, (1, length), stride=(1, hop)) for rows in (frames, weights)
    )
    before = (length - hop) // 2
    inside = slice(before, before + num_frames * hop)
    return summed[:, 0, 0, inside] / envelope[:, 0, 0, inside].clamp(min=torch.finfo(envelope.dtype).eps)


def griffin_lim(
    magnitudes: Tensor, window: Tensor, hop: int, *, num_passes: int, momentum: float = 0.0, seed: int = 0
) -> Tensor:
    """Waveforms with given magnitudes of their short-time spectra.

    Paper: Griffin and Lim 1984; the momentum is that of Perraudin et al. 2013. Without it the distance of the
    magnitudes from those of the waveform does not grow in any pass.

    Args:
        magnitudes: `(B, T, F)` float, at least 0.
        window: `(W,)` float.
        hop: samples of a frame.
        num_passes: number of iterations.
        momentum: weight of the change of the last pass, in [0, 1).
        seed: seed of the first phases, which are the same for all rows.

    Returns:
        `(B, T * hop)` float.
    """
    generator = torch.Generator().manual_seed(seed)
    turns = torch.rand(magnitudes.shape[1:], generator=generator, dtype=torch.float32).to(magnitudes)
    spectra = torch.polar(magnitudes, (2 * math.pi * turns).expand_as(magnitudes).contiguous())
    before = torch.zeros_like(spectra)
    for _ in range(num_passes):
        consistent = short_time_spectra(overlap_add(spectra, window, hop), window, hop)
        direction = consistent + momentum * (consistent - before)
        before = consistent
        spectra = magnitudes * direction / direction.abs().clamp(min=torch.finfo(magnitudes.dtype).tiny)
    return overlap_add(spectra, window, hop)


def mel_to_magnitudes(log_mel: Tensor, inverse_filters: Tensor, scale: float) -> Tensor:
    """Magnitudes of spectra from log-mel power.

    Args:
        log_mel: `(B, T, M)` natural logarithm of the mel power.
        inverse_filters: `(M, F)`, the pseudo-inverse of the filters.
        scale: factor by which the power of a spectrum was multiplied before the filters.

    Returns:
        `(B, T, F)` float; frequencies for which the inverse is negative are 0.
    """
    return (log_mel.exp() @ inverse_filters / scale).clamp(min=0.0).sqrt()


class InverseSTFTHead(nn.Module):
    """Magnitudes and phases of every frame, and the inverse transform: samples without upsampling layers.

    Paper: Vocos (Siuzdak 2023), section 3. Choice: the convolutions are those of the Conformer.

    Args:
        config: width, number and kernel of the convolutions.
        num_mel_bins: M.
        num_frequencies: F.
    """

    def __init__(self, config: ConformerEncoderConfig, num_mel_bins: int, num_frequencies: int):
        super().__init__()
        self.embed = nn.Linear(num_mel_bins, config.hidden_size)
        self.convolutions = ResidualConvolutions(config, config.num_hidden_layers)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.linear = nn.Linear(config.hidden_size, 2 * num_frequencies)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Spectra `(B, T, F)` complex64 of scaled log-mel frames `(B, T, M)` without padding."""
        mask = torch.ones(log_mel.shape[:2], dtype=torch.bool, device=log_mel.device)
        states = self.norm(self.convolutions(self.embed(log_mel.to(self.embed.weight.dtype)), mask))
        logs, phases = self.linear(states).float().chunk(2, dim=-1)
        magnitudes = logs.clamp(max=_MAX_LOG_MAGNITUDE).exp()
        # The features do not see a constant offset: none is made.
        offset_free = torch.cat([torch.zeros_like(magnitudes[..., :1]), magnitudes[..., 1:]], dim=-1)
        return torch.polar(offset_free, phases)


def spectral_distance_sum(waveforms: Tensor, targets: Tensor, frame_mask: Tensor, hop: int) -> Tensor:
    """Distance of waveforms in short-time spectra of three resolutions, summed over frames.

    `sum_t 1/3 sum_w mean_f |log(|X_w(t, f)| + c) - log(|Y_w(t, f)| + c)|`, w the windows of `SPECTRAL_WINDOWS`.
    Choice: one hop for all windows, so that the loss is a sum over frames, whose number is known before the model has
    run.

    Args:
        waveforms: `(B, T * hop)` float.
        targets: `(B, T * hop)` float.
        frame_mask: `(B, T)` bool, True on frames that count.
        hop: samples of a frame.

    Returns:
        0-d, at least float32.
    """
    total = torch.zeros((), device=waveforms.device)
    for length in SPECTRAL_WINDOWS:
        window = torch.hann_window(length, device=waveforms.device)
        ours, theirs = (
            (short_time_spectra(rows.float(), window, hop).abs() + _MAGNITUDE_FLOOR).log()
            for rows in (waveforms, targets)
        )
        distances = (ours - theirs).abs().mean(dim=-1)
        total = total + distances.masked_fill(~frame_mask, 0.0).sum()
    return total / len(SPECTRAL_WINDOWS)
