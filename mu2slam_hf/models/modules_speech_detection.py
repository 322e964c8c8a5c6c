# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Detectors of speech, which decide where the windows of a recording are.

Shapes: `n` samples, `F` frames of 10 ms.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .modules_pauses import FRAMES_PER_SECOND, PauseSettings, find_stretches

DETECTORS = ("energy", "silero")
"""Names of detectors: pauses by energy, or the neural network silero-vad (extra `vad`)."""

SpeechDetector = Callable[[np.ndarray, np.ndarray], list[tuple[int, int]]]
"""Function from a waveform `(n,)` float32 and its levels `(F,)` in dB (see `compute_levels`) to the stretches of
speech, first frame and frame after the last one of each, in order and without overlap."""

_MIN_SPEECH_MS = 100


class SileroDetector:
    """Stretches in which silero-vad hears speech. It is trained on many languages, and ignores noise and music.

    Args:
        sampling_rate: Hz, 8000 or 16000.
        settings: its shortest pause and its padding.

    Raises:
        ImportError: silero-vad is not installed.
        ValueError: another sampling rate.
    """

    def __init__(self, sampling_rate: int, settings: PauseSettings | None = None):
        if sampling_rate not in (8000, 16000):
            raise ValueError(f"silero-vad reads 8000 or 16000 Hz, but the model expects {sampling_rate} Hz.")
        self.sampling_rate = sampling_rate
        self.settings = settings or PauseSettings()
        self._model, self._find = _load_silero()

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray, levels: np.ndarray) -> list[tuple[int, int]]:
        """Stretches of speech of `(n,)` samples, with their padding; see `SpeechDetector`."""
        found = self._find(
            torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)),
            self._model,
            sampling_rate=self.sampling_rate,
            min_speech_duration_ms=_MIN_SPEECH_MS,
            min_silence_duration_ms=round(1000 * self.settings.min_pause_seconds),
            speech_pad_ms=round(1000 * self.settings.padding_seconds),
        )
        hop = self.sampling_rate // FRAMES_PER_SECOND
        stretches: list[tuple[int, int]] = []
        for stretch in found:
            first = max(stretch["start"] // hop, stretches[-1][1] if stretches else 0)
            stop = min(-(-stretch["end"] // hop), len(levels))
            if first < stop:
                stretches.append((first, stop))
        return stretches


def _load_silero() -> tuple[Any, Any]:
    """The network, whose weights are part of its package, and its function `get_speech_timestamps`."""
    num_threads = torch.get_num_threads()
    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError as error:
        raise ImportError(
            "vad='silero' requires the package silero-vad: pip install 'mu2slam-hf[vad]' (or use vad='energy')"
        ) from error
    finally:
        # Its import limits all of torch to one thread.
        torch.set_num_threads(num_threads)
    return load_silero_vad(), get_speech_timestamps


def build_detector(name: str, sampling_rate: int) -> SpeechDetector | None:
    """The detector of a name; None for the default of `cut_windows`, pauses by energy.

    Args:
        name: one of `DETECTORS`.
        sampling_rate: Hz.

    Raises:
        ValueError: an unknown name.
        ImportError: the package of the detector is not installed.
    """
    if name not in DETECTORS:
        raise ValueError(f"vad must be one of {', '.join(DETECTORS)}, got {name!r}.")
    return SileroDetector(sampling_rate) if name == "silero" else None


def build_energy_detector(settings: PauseSettings) -> SpeechDetector:
    """Stretches between pauses, by energy; see `find_stretches`."""

    def find(waveform: np.ndarray, levels: np.ndarray) -> list[tuple[int, int]]:
        return find_stretches(levels, settings)

    return find
