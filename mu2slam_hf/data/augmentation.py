# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Augmentation of waveforms and spectrograms; every draw is a function of (seed, epoch, copy, id).

Legend: n = samples, B = batch, T = 10 ms frames, F = mel bins, k = stacked frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor

from mu2slam_hf.data.acoustics import equalize, overdrive, reverberate
from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.data.random_keys import DrawKey, draw_generator
from mu2slam_hf.data.sound_features import fft_length
from mu2slam_hf.data.spectrograms import reweight_pauses, warp_frequencies

_EQUALIZER_BANDS = 7
SAMPLES_PER_FRAME = SAMPLING_RATE // 100
"""Samples in 10 ms, the unit of masks over time."""


@strict
@dataclass(kw_only=True)
class WaveformAugmentationConfig:
    """Augmentation of waveforms in training; everything is off by default.

    Attributes:
        speed_factors: factors to draw from; 1.1 is faster. Speed changes by resampling, so the pitch changes too.
        speed_from_epoch: epoch of the first speed perturbation (lengths must not depend on the step).
        gain_prob: share of utterances whose loudness changes.
        gain_db: lower and upper bound of the change in decibels.
        noise_prob: share of utterances with added noise, half of them white, half pink.
        noise_snr_db: lower and upper bound of the signal-to-noise ratio in decibels.
        band_limit_prob: share of utterances without frequencies above `band_limit_hz`, as on a telephone.
        band_limit_hz: upper end of the pass band.
        equalize_prob: share of utterances with the spectrum of another microphone, see `equalize`.
        equalize_db: largest gain or loss in decibels.
        reverb_prob: share of utterances with the reflections of a room, see `reverberate`.
        reverb_decay_seconds: lower and upper bound of the time in which they decay by 60 dB.
        reverb_direct_db: lower and upper bound of the energy of the direct sound in relation to them, in decibels.
        overdrive_prob: share of utterances with peaks cut off, as of an input level too high, see `overdrive`.
        overdrive_db: lower and upper bound of how far the highest peak exceeds the limit, in decibels.
        concatenate_prob: share of short utterances to which another of the same language and corpus is appended.
        concatenate_max_seconds: maximum length of each of the two.
        concatenate_gap_seconds: lower and upper bound of the silence between them.
        concatenate_from_epoch: epoch of the first concatenation.
        from_step: first optimizer step with gain, noise, band limit, other microphones and rooms, and overdrive.
    """

    speed_factors: tuple[float | int, ...] | list[float | int] = (1.0,)
    speed_from_epoch: int = 0
    gain_prob: float | int = 0.0
    gain_db: tuple[float | int, ...] | list[float | int] = (-10.0, 6.0)
    noise_prob: float | int = 0.0
    noise_snr_db: tuple[float | int, ...] | list[float | int] = (10.0, 40.0)
    band_limit_prob: float | int = 0.0
    band_limit_hz: float | int = 4000.0
    equalize_prob: float | int = 0.0
    equalize_db: float | int = 10.0
    reverb_prob: float | int = 0.0
    reverb_decay_seconds: tuple[float | int, ...] | list[float | int] = (0.1, 0.5)
    reverb_direct_db: tuple[float | int, ...] | list[float | int] = (0.0, 12.0)
    overdrive_prob: float | int = 0.0
    overdrive_db: tuple[float | int, ...] | list[float | int] = (0.0, 30.0)
    concatenate_prob: float | int = 0.0
    concatenate_max_seconds: float | int = 4.0
    concatenate_gap_seconds: tuple[float | int, ...] | list[float | int] = (0.1, 0.4)
    concatenate_from_epoch: int = 0
    from_step: int = 0

    def __post_init__(self) -> None:
        for effect in ("gain", "noise", "band_limit", "equalize", "reverb", "overdrive", "concatenate"):
            _check_share(f"{effect}_prob", getattr(self, f"{effect}_prob"))
        levels = ("gain_db", "noise_snr_db", "reverb_direct_db", "overdrive_db")
        for name in (*levels, "reverb_decay_seconds", "concatenate_gap_seconds"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or bounds[0] > bounds[1]:
                raise ValueError(f"`{name}` must be (lower, upper), got {bounds!r}")
        if not self.speed_factors or not all(0.5 <= factor <= 2.0 for factor in self.speed_factors):
            raise ValueError(f"`speed_factors` must be in [0.5, 2], got {self.speed_factors!r}")
        if self.concatenate_gap_seconds[0] < 0:
            raise ValueError(f"`concatenate_gap_seconds` must not be negative, got {self.concatenate_gap_seconds!r}")
        if self.reverb_decay_seconds[0] <= 0:
            raise ValueError(f"`reverb_decay_seconds` must be above 0, got {self.reverb_decay_seconds!r}")
        if self.overdrive_db[0] < 0:
            raise ValueError(f"`overdrive_db` must not be negative, got {self.overdrive_db!r}")
        if self.equalize_db < 0:
            raise ValueError(f"`equalize_db` must not be negative, got {self.equalize_db}")
        if not 0 < self.band_limit_hz <= SAMPLING_RATE / 2:
            raise ValueError(f"`band_limit_hz` must be in (0, {SAMPLING_RATE // 2}], got {self.band_limit_hz}")


@strict
@dataclass(kw_only=True)
class SpecAugmentConfig:
    """Masks and warping of log-mel features; off if all numbers are 0. For waveforms there are time masks only.

    Attributes:
        num_time_masks: number of masks over time per utterance.
        max_time_mask_frames: maximum width of a time mask, in 10 ms frames.
        max_time_mask_share: maximum width of a time mask as a share of the utterance.
        num_frequency_masks: number of masks over mel bins per utterance.
        max_frequency_mask_bins: maximum width of a frequency mask.
        prob: share of utterances with masks.
        warp_prob: share of utterances with a warped frequency axis, as of a speaker with a longer or shorter vocal
            tract; pitch and speed change apart from it, by `WaveformAugmentationConfig.speed_factors`.
        max_warp: largest change of the frequency axis: 0.1 for factors from 0.9 to 1.1, see `warp_frequencies`.
        pause_prob: share of utterances normalised as if their pauses were longer or shorter, see `reweight_pauses`.
        max_pause_factor: largest factor of their duration: 4 for factors from 1/4 to 4.
        from_step: first optimizer step with masks; CTC learns its alignment without them before.
        ramp_steps: number of steps over which widths grow from zero to their maximum.
    """

    num_time_masks: int = 2
    max_time_mask_frames: int = 40
    max_time_mask_share: float | int = 0.2
    num_frequency_masks: int = 2
    max_frequency_mask_bins: int = 20
    prob: float | int = 1.0
    warp_prob: float | int = 0.0
    max_warp: float | int = 0.1
    pause_prob: float | int = 0.0
    max_pause_factor: float | int = 4.0
    from_step: int = 0
    ramp_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("prob", "warp_prob", "pause_prob", "max_time_mask_share"):
            _check_share(name, getattr(self, name))
        if not 0 <= self.max_warp <= 0.5:
            raise ValueError(f"`max_warp` must be in [0, 0.5], got {self.max_warp}")
        if self.max_pause_factor < 1:
            raise ValueError(f"`max_pause_factor` must be at least 1, got {self.max_pause_factor}")
        names = ("num_time_masks", "max_time_mask_frames", "num_frequency_masks", "max_frequency_mask_bins")
        for name in (*names, "from_step", "ramp_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}")


class RunTimeStrength:
    """A number between 0 and 1 in shared memory: a value set by the main process holds in all loader processes.

    Prefetched batches keep the old value; for runs that must resume bit-exactly, use `from_step` and `ramp_steps`
    of the configuration instead.
    """

    def __init__(self, value: float = 1.0) -> None:
        self._shared = torch.full((1,), float(value)).share_memory_()

    @property
    def value(self) -> float:
        """The current strength."""
        return float(self._shared[0])

    @value.setter
    def value(self, value: float) -> None:
        _check_share("strength", value)
        self._shared[0] = value


class WaveformAugmenter:
    """Applies a `WaveformAugmentationConfig`.

    Args:
        config: probabilities and bounds.
        seed: seed of the run.
        sampling_rate: rate of the waveforms in Hz.
    """

    def __init__(
        self, config: WaveformAugmentationConfig, *, seed: int = 0, sampling_rate: int = SAMPLING_RATE
    ) -> None:
        self.config = config
        self.seed = seed
        self.sampling_rate = sampling_rate
        self.strength = RunTimeStrength()

    def speed_factor(self, key: DrawKey, example_id: str) -> float:
        """The factor for this draw; the sampler uses it too, because it changes the length."""
        if key.epoch < self.config.speed_from_epoch:
            return 1.0
        generator = draw_generator(self.seed, key, example_id, "speed")
        return float(self.config.speed_factors[int(generator.integers(len(self.config.speed_factors)))])

    def partner(self, key: DrawKey, example_id: str, num_candidates: int) -> tuple[int, float] | None:
        """Index of the short utterance to append, and seconds of silence before it; None for no concatenation."""
        if num_candidates == 0 or key.epoch < self.config.concatenate_from_epoch:
            return None
        generator = draw_generator(self.seed, key, example_id, "concatenate")
        if generator.random() >= self.config.concatenate_prob:
            return None
        gap = float(generator.uniform(*self.config.concatenate_gap_seconds))
        return int(generator.integers(num_candidates)), gap

    def __call__(
        self, waveform: FloatArray, key: DrawKey, example_id: str, *, speed_factor: float = 1.0
    ) -> FloatArray:
        """`(n,)` -> `(n / speed_factor,)`: speed, room, microphone, band limit, noise, overdrive, gain, in order."""
        waveform = change_speed(waveform, speed_factor, self.sampling_rate)
        strength = self.strength.value
        if key.step < self.config.from_step or strength == 0.0:
            return waveform
        waveform = self._change_acoustics(waveform, key, example_id, strength)
        generator = draw_generator(self.seed, key, example_id, "waveform")
        # All numbers are always drawn, so that a probability changes only its own effect.
        chances = generator.random(4)
        snr_db = float(generator.uniform(*self.config.noise_snr_db))
        gain_db = float(generator.uniform(*self.config.gain_db))
        if chances[0] < self.config.band_limit_prob * strength:
            waveform = limit_band(waveform, float(self.config.band_limit_hz), self.sampling_rate)
        if chances[1] < self.config.noise_prob * strength:
            waveform = add_noise(waveform, snr_db, generator, pink=bool(chances[3] < 0.5))
        waveform = self._overdrive(waveform, key, example_id, strength)
        if chances[2] < self.config.gain_prob * strength:
            waveform = waveform * np.float32(10.0 ** (gain_db / 20.0))
        return waveform

    def _overdrive(self, waveform: FloatArray, key: DrawKey, example_id: str, strength: float) -> FloatArray:
        """An input level that is too high."""
        generator = draw_generator(self.seed, key, example_id, "overdrive")
        chance, excess_db = generator.random(), float(generator.uniform(*self.config.overdrive_db))
        return overdrive(waveform, excess_db) if chance < self.config.overdrive_prob * strength else waveform

    def _change_acoustics(self, waveform: FloatArray, key: DrawKey, example_id: str, strength: float) -> FloatArray:
        """Another room and another microphone."""
        config = self.config
        generator = draw_generator(self.seed, key, example_id, "acoustics")
        chances = generator.random(2)
        decay_seconds = float(generator.uniform(*config.reverb_decay_seconds))
        direct_db = float(generator.uniform(*config.reverb_direct_db))
        gains_db = generator.uniform(-config.equalize_db, config.equalize_db, _EQUALIZER_BANDS)
        if chances[0] < config.reverb_prob * strength:
            waveform = reverberate(waveform, decay_seconds, direct_db, generator, self.sampling_rate)
        if chances[1] < config.equalize_prob * strength:
            waveform = equalize(waveform, gains_db.tolist(), self.sampling_rate)
        return waveform


class SpecAugment:
    """Time and frequency masks on normalised features: log-mel, stacked log-mel, or waveforms.

    Paper: section 3.2 uses SpecAugment in fine-tuning, without its sizes.
    Choice: masked cells become 0, which is the mean after the extractor's normalisation.
    Choice: stacked frames are masked as the 10 ms frames that they consist of. Time masks of a waveform are silence;
    it has no frequency masks.

    Args:
        config: numbers and sizes of the masks.
        seed: seed of the run.
    """

    def __init__(self, config: SpecAugmentConfig, *, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self.strength = RunTimeStrength()

    def current_strength(self, step: int) -> float:
        """Factor on the widths at an optimizer step, from 0 (off) to 1."""
        since = step - self.config.from_step
        if since < 0:
            return 0.0
        ramp = 1.0 if self.config.ramp_steps == 0 else min(1.0, (since + 1) / self.config.ramp_steps)
        return ramp * self.strength.value

    def __call__(
        self,
        features: Tensor,
        lengths: Sequence[int],
        keys: Sequence[DrawKey],
        ids: Sequence[str],
        *,
        num_stacked_frames: int = 1,
    ) -> Tensor:
        """Return a masked copy.

        Args:
            features: `(B, T, F)` float, normalised; `(B, T / k, k * F)` with stacked frames; or `(B, n)`.
            lengths: number of real positions of each utterance along the second axis.
            keys: draw of each row.
            ids: example id of each row.
            num_stacked_frames: k.
        """
        features = features.clone(memory_format=torch.contiguous_format)
        for row, (length, key, example_id) in enumerate(zip(lengths, keys, ids, strict=True)):
            strength = self.current_strength(key.step)
            if strength > 0:
                self._mask(features[row, :length], num_stacked_frames, key, example_id, strength)
        return features

    def _mask(self, features: Tensor, num_stacked_frames: int, key: DrawKey, example_id: str, strength: float) -> None:
        """Warp and mask one utterance in place: `(T, F)`, `(T / k, k * F)` or `(n,)`."""
        if features.ndim == 1:
            num_frames = -(-len(features) // SAMPLES_PER_FRAME)
            time_mask, _ = self.masks(num_frames, 0, key, example_id, strength)
            features[torch.from_numpy(np.repeat(time_mask, SAMPLES_PER_FRAME)[: len(features)])] = 0.0
            return
        # (T / k, k * F) -> (T, F), a view
        frames = features.unflatten(1, (num_stacked_frames, -1)).flatten(0, 1)
        pause_factor = self.pause_factor(key, example_id, strength)
        if pause_factor != 1.0:
            frames.copy_(reweight_pauses(frames, pause_factor))
        factor = self.warp_factor(key, example_id, strength)
        if factor != 1.0:
            frames.copy_(warp_frequencies(frames, factor))
        time_mask, frequency_mask = self.masks(len(frames), frames.shape[1], key, example_id, strength)
        frames[torch.from_numpy(time_mask)] = 0.0
        frames[:, torch.from_numpy(frequency_mask)] = 0.0

    def warp_factor(self, key: DrawKey, example_id: str, strength: float = 1.0) -> float:
        """Factor on the frequency axis for this draw; 1 for no warping."""
        generator = draw_generator(self.seed, key, example_id, "frequency_warp")
        chance, position = generator.random(2)
        if chance >= self.config.warp_prob:
            return 1.0
        return 1.0 + float(2.0 * position - 1.0) * self.config.max_warp * strength

    def pause_factor(self, key: DrawKey, example_id: str, strength: float = 1.0) -> float:
        """Factor on the duration of pauses for this draw, log-uniform; 1 for no change."""
        generator = draw_generator(self.seed, key, example_id, "pauses")
        chance, position = generator.random(2)
        if chance >= self.config.pause_prob:
            return 1.0
        return float(self.config.max_pause_factor) ** (float(2.0 * position - 1.0) * strength)

    def masks(
        self, num_frames: int, num_bins: int, key: DrawKey, example_id: str, strength: float = 1.0
    ) -> tuple[Any, Any]:
        """`(num_frames,)` and `(num_bins,)` bool arrays, True = masked."""
        config = self.config
        generator = draw_generator(self.seed, key, example_id, "spec_augment")
        time_mask, frequency_mask = np.zeros(num_frames, dtype=bool), np.zeros(num_bins, dtype=bool)
        if generator.random() >= config.prob:
            return time_mask, frequency_mask
        widest = min(config.max_time_mask_frames, int(config.max_time_mask_share * num_frames))
        for mask, count, bound in (
            (time_mask, config.num_time_masks, int(widest * strength)),
            (
                frequency_mask,
                config.num_frequency_masks,
                int(min(config.max_frequency_mask_bins, num_bins) * strength),
            ),
        ):
            for width_share, start_share in generator.random((count, 2)):
                width = int(width_share * (bound + 1))
                start = int(start_share * (len(mask) - width + 1))
                mask[start : start + width] = True
        return time_mask, frequency_mask


def change_speed(waveform: FloatArray, factor: float, sampling_rate: int = SAMPLING_RATE) -> FloatArray:
    """Change the speed by resampling, faster for factor > 1: `(n,)` -> about `(n / factor,)`."""
    if factor == 1.0:
        return waveform
    resampled = soxr.resample(waveform, sampling_rate * factor, sampling_rate, quality="HQ")
    return np.asarray(resampled, dtype=np.float32) if len(resampled) else waveform[:1]


def limit_band(waveform: FloatArray, cutoff_hz: float, sampling_rate: int = SAMPLING_RATE) -> FloatArray:
    """Remove frequencies above `cutoff_hz`, with a raised cosine over the 200 Hz below it to avoid ringing."""
    num_samples = len(waveform)
    size = fft_length(num_samples)
    spectrum = np.fft.rfft(waveform, size)
    frequencies = np.fft.rfftfreq(size, 1.0 / sampling_rate)
    position = np.clip((frequencies - (cutoff_hz - 200.0)) / 200.0, 0.0, 1.0)
    return np.fft.irfft(spectrum * (0.5 + 0.5 * np.cos(np.pi * position)), size)[:num_samples].astype(np.float32)


def add_noise(
    waveform: FloatArray, snr_db: float, generator: np.random.Generator, *, pink: bool = False
) -> FloatArray:
    """Add white or pink (1/f) noise at the given signal-to-noise ratio over the whole utterance."""
    noise = generator.standard_normal(len(waveform))
    if pink:
        size = fft_length(len(waveform))
        spectrum = np.fft.rfft(noise, size)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
        noise = np.fft.irfft(spectrum, size)[: len(waveform)]
    signal_power = float(np.mean(np.square(waveform, dtype=np.float64)))
    noise_power = float(np.mean(np.square(noise)))
    if signal_power == 0.0 or noise_power == 0.0:
        return waveform
    return (waveform + noise * np.sqrt(signal_power / noise_power / 10.0 ** (snr_db / 10.0))).astype(np.float32)


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"`{name}` must be in [0, 1], got {value}")
