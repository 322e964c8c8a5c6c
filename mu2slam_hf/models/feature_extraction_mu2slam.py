# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Log-mel features of waveforms, in batches; the features of a clip do not depend on its batch or on chunking.

Shapes: `B` recordings, `n` samples, `T` frames of 10 ms, `M` mel bins, `F` frames of all recordings together.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, SequenceFeatureExtractor

from .modules_waveforms import read_waveforms

# Number of frames transformed at once. On the CPU a block stays in the cache. The last block is filled up: in blocks
# of one size all rows are computed by the same kernels, so that features do not depend on the place in a batch.
_BLOCK_FRAMES = 512
_DEVICE_BLOCK_FRAMES = 16384

# The filters are multiplied in this many groups, each with the frequencies that its filters cover.
_FILTER_GROUPS = 4


def frame_count(num_samples: int, hop_length: int = 160) -> int:
    """Number of feature frames of a waveform.

    Args:
        num_samples: number of samples at the feature extractor's rate.
        hop_length: samples per frame.

    Returns:
        `max(1, ceil(num_samples / hop_length))`.

    Choice: rounded up, so that the last samples are included and every clip has at least one frame.
    """
    return max(1, -(-int(num_samples) // hop_length))


def build_mel_filters(
    num_mel_bins: int, n_fft: int, sampling_rate: int, min_frequency: float, max_frequency: float
) -> torch.Tensor:
    """Triangular filters on Slaney's mel scale (linear below 1 kHz, logarithmic above).

    Args:
        num_mel_bins: `M`.
        n_fft: length of the Fourier transform in samples.
        sampling_rate: Hz.
        min_frequency: lower edge of the first filter in Hz.
        max_frequency: upper edge of the last filter in Hz.

    Returns:
        `(n_fft // 2 + 1, M)` float64; each filter has its peak 1 at its centre.

    Choice: Slaney's scale, not HTK's, because HTK's 80 filters are as narrow as 22 Hz apart at the low end, below the
    31 Hz resolution of a 512-point transform at 16 kHz, so adjacent filters would coincide; Slaney's are 37 Hz apart.
    Choice: peak 1 rather than area 1: wide high filters collect more power, which keeps soft consonants above the
    floor; the fixed mean and deviation per bin remove the level.
    """
    linear_slope, knee, log_step = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0

    def to_mel(frequency: float) -> float:
        if frequency < knee:
            return frequency / linear_slope
        return knee / linear_slope + math.log(frequency / knee) / log_step

    mel = torch.linspace(to_mel(min_frequency), to_mel(max_frequency), num_mel_bins + 2, dtype=torch.float64)
    knee_mel = knee / linear_slope
    edges = torch.where(mel < knee_mel, mel * linear_slope, knee * torch.exp((mel - knee_mel) * log_step))
    frequencies = torch.linspace(0, sampling_rate / 2, n_fft // 2 + 1, dtype=torch.float64)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0.0)


def _group_filters(filters: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """Groups of neighbouring filters: the first frequency that they cover, and their rows of `(n_fft // 2 + 1, M)`."""
    groups = []
    for columns in filters.tensor_split(min(_FILTER_GROUPS, filters.shape[1]), dim=1):
        covered = columns.any(dim=1).nonzero().flatten().tolist() or [0]
        groups.append((covered[0], columns[covered[0] : covered[-1] + 1].contiguous()))
    return groups


class Mu2SLAMFeatureExtractor(SequenceFeatureExtractor):
    """80-dimensional log-mel features with a fixed scale.

    Frame `t` is centred on the middle of samples `[t * hop_length, (t + 1) * hop_length)`, zeros around the clip, and
    there are `max(1, ceil(n / hop_length))` frames. Every frame depends on its own window only: no statistic of the
    clip is used, so features of a chunk equal the same frames of the whole clip.

    Args:
        feature_size: mel bins `M`.
        sampling_rate: Hz; audio at other rates is resampled.
        hop_length: samples per frame.
        win_length: samples under the Hann window.
        n_fft: length of the Fourier transform.
        min_frequency: lower edge of the filters in Hz.
        max_frequency: upper edge of the filters in Hz; None means half the sampling rate.
        mel_floor: lower bound of the mel power; a full-scale sine in the centre of a bin has a power of about 1.
        mean: fixed mean of the natural-log mel power per bin, `M` floats; None means `DEFAULT_MEAN` in every bin.
        std: fixed deviation per bin, `M` floats above 0; None means `DEFAULT_STD` in every bin.
        padding_value: written on frames after the end; 0 is the mean.
        return_attention_mask: whether the mask is returned by default.

    Raises:
        ValueError: inconsistent sizes, or statistics whose length is not `feature_size`.

    Paper: section 3.1, 80-dimensional log-mel with 25 ms windows every 10 ms.
    Choice: fixed mean and deviation per bin, not per utterance, and an absolute floor: transcripts must not change
    with chunking, and in 8 kHz recordings 20 of the 80 bins are empty, which per-utterance scaling turns into noise.
    Choice: the floor is 7 decades under full-scale speech, whose strongest bins reach about 0.1.
    Choice: the mean of each window is subtracted first, which removes a constant offset.
    Choice: computed in float32, as the model that reads them. On recordings the log power differs from that of float64
    by less than 1e-5 in bins at most 40 dB below the strongest of their frame, and by 1e-4 in the weakest.
    """

    model_input_names = ["input_features", "attention_mask"]

    # Measured over real telephone and studio speech in 14 languages: -14.1 +- 4.1; see `fit_statistics`.
    DEFAULT_MEAN = -14.0
    DEFAULT_STD = 4.0

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16000,
        hop_length: int = 160,
        win_length: int = 400,
        n_fft: int = 512,
        min_frequency: float = 20.0,
        max_frequency: float | None = None,
        mel_floor: float = 1e-8,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        padding_value: float = 0.0,
        return_attention_mask: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            return_attention_mask=return_attention_mask,
            **kwargs,
        )
        if not 0 < hop_length <= win_length <= n_fft:
            raise ValueError(
                f"Expected 0 < hop_length <= win_length <= n_fft, got {hop_length}, {win_length} and {n_fft}."
            )
        top = sampling_rate / 2 if max_frequency is None else max_frequency
        if not 0 <= min_frequency < top <= sampling_rate / 2:
            raise ValueError(
                f"Expected 0 <= min_frequency < max_frequency <= {sampling_rate / 2:g} Hz, got {min_frequency:g} and "
                f"{top:g}."
            )
        if mel_floor <= 0:
            raise ValueError(f"mel_floor must be above 0 (its logarithm is taken), got {mel_floor}.")
        self.hop_length = hop_length
        self.win_length = win_length
        self.n_fft = n_fft
        self.min_frequency = min_frequency
        self.max_frequency = max_frequency
        self.mel_floor = mel_floor
        self.mean = self._check_statistics("mean", mean)
        self.std = self._check_statistics("std", std)
        # transformers omits these two attributes from the saved file.
        self.mel_filters = build_mel_filters(feature_size, n_fft, sampling_rate, min_frequency, top)
        self.window = torch.hann_window(win_length, periodic=True, dtype=torch.float64)

    def _check_statistics(self, name: str, values: list[float] | None) -> list[float] | None:
        """`values` as a list of `M` finite floats, or None."""
        if values is None:
            return None
        values = [float(value) for value in np.asarray(values, dtype=np.float64).reshape(-1)]
        if len(values) != self.feature_size or not all(math.isfinite(value) for value in values):
            raise ValueError(f"{name} must hold {self.feature_size} finite numbers, got {len(values)}.")
        if name == "std" and min(values) <= 0:
            raise ValueError(f"std must be above 0 in every bin, got {min(values)}.")
        return values

    def frame_count(self, num_samples: int) -> int:
        """Frames `T` of a clip of `num_samples` samples at `sampling_rate`."""
        return frame_count(num_samples, self.hop_length)

    def compute_log_mel(self, waveforms: list[np.ndarray], device: str | torch.device = "cpu") -> list[torch.Tensor]:
        """Natural-log mel power before the fixed scaling.

        Args:
            waveforms: `B` float arrays `(n,)` at `sampling_rate`.
            device: device of the computation.

        Returns:
            `B` float32 tensors `(T, M)`, on the CPU.
        """
        lengths = [self.frame_count(waveform.shape[0]) for waveform in waveforms]
        # All clips are concatenated in one buffer, separated by enough zeros that no window covers two clips: batched
        # without padding to the longest clip.
        gap = -(-(self.win_length - self.hop_length) // self.hop_length)
        starts = np.cumsum([0] + [length + gap for length in lengths])
        block = _BLOCK_FRAMES if torch.device(device).type == "cpu" else _DEVICE_BLOCK_FRAMES
        num_frames = -(-int(starts[-1]) // block) * block
        before = (self.n_fft - self.hop_length) // 2 - (self.n_fft - self.win_length) // 2
        buffer = torch.zeros((num_frames - 1) * self.hop_length + self.win_length + self.hop_length)
        for start, waveform in zip(starts[:-1], waveforms, strict=True):
            offset = int(start) * self.hop_length + before
            buffer[offset : offset + waveform.shape[0]] = torch.from_numpy(np.ascontiguousarray(waveform))
        log_mel = self._transform(buffer.to(device), num_frames, block).cpu()
        return [log_mel[start : start + length] for start, length in zip(starts[:-1], lengths, strict=True)]

    def _transform(self, samples: torch.Tensor, num_frames: int, block: int) -> torch.Tensor:
        """Samples, a window every `hop_length` -> `(num_frames, M)` natural-log mel power, `block` rows at a time."""
        device, width = samples.device, self.win_length
        frames = samples.unfold(0, width, self.hop_length)  # a view
        # Windows overlap: their means are sums of stretches that every window and hop is a multiple of.
        stretch = math.gcd(width, self.hop_length)
        sums = samples[: samples.shape[0] // stretch * stretch].view(-1, stretch).sum(dim=1)
        means = sums.unfold(0, width // stretch, self.hop_length // stretch).sum(dim=1).div_(width)
        window = self.window.to(device, torch.float32)
        # Scaled so that a sine of amplitude 1 has power 1 at its frequency, independent of the window.
        scale = (2.0 / float(self.window.sum())) ** 2
        groups = [
            (first, rows.to(device, torch.float32).mul_(scale)) for first, rows in _group_filters(self.mel_filters)
        ]
        windowed = torch.zeros(block, self.n_fft, device=device)
        spectrum = torch.empty(block, self.n_fft // 2 + 1, dtype=torch.complex64, device=device)
        squares = torch.empty(*spectrum.shape, 2, device=device)
        power = torch.empty(spectrum.shape, device=device)
        mel = torch.empty(num_frames, self.feature_size, device=device)
        for start in range(0, num_frames, block):
            rows = slice(start, start + block)
            torch.sub(frames[rows], means[rows, None], out=windowed[:, :width])
            windowed[:, :width].mul_(window)
            torch.fft.rfft(windowed, out=spectrum)
            torch.square(torch.view_as_real(spectrum), out=squares)
            torch.add(squares[..., 0], squares[..., 1], out=power)
            done = 0
            for first, filters in groups:
                num_frequencies, num_bins = filters.shape
                torch.mm(power[:, first : first + num_frequencies], filters, out=mel[rows, done : done + num_bins])
                done += num_bins
            mel[rows].clamp_(min=self.mel_floor).log_()
        return mel

    def normalize(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Fixed scaling per bin of `(..., M)` float32, in place."""
        mean, std = self._statistics(log_mel.device)
        return log_mel.sub_(mean).div_(std)

    def unscale(self, features: torch.Tensor) -> torch.Tensor:
        """Natural-log mel power `(..., M)` float32 of scaled features: the inverse of `normalize`."""
        mean, std = self._statistics(features.device)
        return features * std + mean

    def _statistics(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation, `(M,)` float32 or 0-d."""
        mean = self.DEFAULT_MEAN if self.mean is None else self.mean
        std = self.DEFAULT_STD if self.std is None else self.std
        options: dict[str, Any] = {"dtype": torch.float32, "device": device}
        return torch.tensor(mean, **options), torch.tensor(std, **options)

    def fit_statistics(
        self, waveforms: Iterable[Any], sampling_rate: float | None = None, batch_size: int = 32
    ) -> "Mu2SLAMFeatureExtractor":
        """Set `mean` and `std` per bin from recordings.

        Args:
            waveforms: recordings in any form that `__call__` accepts; read once, `batch_size` at a time.
            sampling_rate: Hz of the recordings that do not include their own rate.
            batch_size: number of recordings per pass.

        Returns:
            self.

        Raises:
            ValueError: no recordings.

        Choice: a deviation is at least 1 and at least half the median over the bins. In 8 kHz data the bins above 4
        kHz are at the floor; divided by their own tiny deviation, wide-band clips would get huge values there.
        """
        count, total, squares = 0, torch.zeros(self.feature_size).double(), torch.zeros(self.feature_size).double()
        batch: list[Any] = []

        def accumulate() -> None:
            nonlocal count, total, squares
            block = self.compute_log_mel(read_waveforms(batch, sampling_rate, self.sampling_rate))
            log_mel = torch.cat(block).double()
            count += log_mel.shape[0]
            total += log_mel.sum(dim=0)
            squares += log_mel.square().sum(dim=0)
            batch.clear()

        for waveform in waveforms:
            batch.append(waveform)
            if len(batch) == batch_size:
                accumulate()
        if batch:
            accumulate()
        if count == 0:
            raise ValueError("fit_statistics needs at least one recording.")
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=0.0).sqrt()
        std = std.clamp(min=max(1.0, 0.5 * float(std.median())))
        self.mean = [round(value, 4) for value in mean.tolist()]
        self.std = [round(value, 4) for value in std.tolist()]
        return self

    def pad(self, processed_features: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """As in `SequenceFeatureExtractor.pad`; the mask is returned as int64, 1 on real frames."""
        padded = super().pad(processed_features, *args, **kwargs)
        mask = padded.get("attention_mask")
        if isinstance(mask, torch.Tensor):
            padded["attention_mask"] = mask.long()
        elif isinstance(mask, np.ndarray) and mask.dtype != object:  # rows of different lengths have dtype object
            padded["attention_mask"] = mask.astype(np.int64)
        elif mask is not None:
            padded["attention_mask"] = [np.asarray(row).astype(np.int64) for row in mask]
        return padded

    def __call__(
        self,
        audio: Any,
        sampling_rate: float | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = "pt",
        device: str | torch.device = "cpu",
    ) -> BatchFeature:
        """Features of one recording or a batch.

        Args:
            audio: see `modules_waveforms.read_waveforms`: arrays, tensors, lists of them, mappings with their rate;
                mono or stereo, any usual sample type.
            sampling_rate: Hz of the audio; None means the feature extractor's own rate.
            padding: True or "longest", "max_length", or False.
            max_length: number of frames to pad to with `padding="max_length"`.
            truncation: whether to truncate at `max_length` frames.
            pad_to_multiple_of: pad the number of frames to a multiple of this.
            return_attention_mask: None means the default of this feature extractor.
            return_tensors: "pt", "np" or None (lists of arrays).
            device: device of the computation; the result is on the CPU.

        Returns:
            `input_features` `(B, T, M)` float32 and `attention_mask` `(B, T)` int64, 1 on real frames.

        Raises:
            ValueError: invalid audio; the message contains the index of the recording and the reason.
        """
        waveforms = read_waveforms(audio, sampling_rate, self.sampling_rate)
        features = [self.normalize(log_mel).numpy() for log_mel in self.compute_log_mel(waveforms, device)]
        return self.pad(
            BatchFeature({"input_features": features}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
            return_tensors=return_tensors,
        )


__all__ = ["Mu2SLAMFeatureExtractor", "build_mel_filters", "frame_count"]
