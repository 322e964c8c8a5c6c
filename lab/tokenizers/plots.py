# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plots of assessments of speech tokenizers. Requires the extra `plots` (matplotlib)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.tokenizers.assessment import TokenizerAssessment
from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.data.figure_files import new_figure, save_figure
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor

# The figures of a plot share an axis from 0 to 1.
_GROUPS = {
    "invariance": (
        *("speed_0.9", "speed_1.1", "gain_-12db", "shift_10ms", "noise_20db", "noise_10db", "white_20db"),
        *("reverberation", "context"),
    ),
    "phones": (
        *("phone_purity", "phone_purity_chance", "phone_information", "phone_information_chance"),
        *("phone_nmi", "phone_nmi_chance", "speaker_agreement", "speaker_agreement_chance"),
        *("pitch_agreement", "language_agreement", "language_agreement_chance"),
    ),
}


def save_plots(assessments: Sequence[TokenizerAssessment], folder: str | os.PathLike[str]) -> list[Path]:
    """Save `usage.png`, `invariance.png` and `phones.png`, each with all tokenizers, if measured.

    Raises:
        ImportError: matplotlib is not installed.
    """
    folder = Path(folder)
    written = []
    if any(assessment.counts for assessment in assessments):
        figure = new_figure(7, 4)
        _plot_usage(figure.add_subplot(), assessments)
        written.append(_save(figure, folder / "usage.png"))
    for name, keys in _GROUPS.items():
        measured = [key for key in keys if any(key in assessment.figures for assessment in assessments)]
        if measured:
            figure = new_figure(8, 4)
            _plot_bars(figure.add_subplot(), assessments, measured)
            written.append(_save(figure, folder / f"{name}.png"))
    return written


def _save(figure: Any, path: Path) -> Path:
    save_figure(figure, path)
    return path


def _plot_usage(axes: Any, assessments: Sequence[TokenizerAssessment]) -> None:
    """Share of frames per entry, most frequent first."""
    for assessment in assessments:
        counts = np.sort(np.asarray(assessment.counts, dtype=np.float64))[::-1]
        if counts.sum() > 0:
            axes.plot(np.arange(1, len(counts) + 1), counts / counts.sum(), label=assessment.name)
    axes.set(xscale="log", yscale="log", xlabel="rank of the entry", ylabel="share of frames")
    axes.legend()


def _plot_bars(axes: Any, assessments: Sequence[TokenizerAssessment], keys: Sequence[str]) -> None:
    width = 0.8 / len(assessments)
    places = np.arange(len(keys))
    for number, assessment in enumerate(assessments):
        values = [assessment.figures.get(key, 0.0) for key in keys]
        axes.bar(places + (number + 0.5) * width - 0.4, values, width, label=assessment.name)
    axes.set_xticks(places, [key.replace("_", "\n") for key in keys], fontsize=7)
    axes.set_ylim(0, 1)
    axes.legend()


def save_spectrograms(waveforms: Mapping[str, FloatArray], path: str | os.PathLike[str]) -> None:
    """Save the log-mel spectrograms of recordings at 16 kHz below one another, within 60 dB of the strongest frame.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(8, 2.2 * len(waveforms))
    extractor = Mu2SLAMFeatureExtractor()
    rows = figure.subplots(len(waveforms), 1, squeeze=False)[:, 0]
    for axes, (name, samples) in zip(rows, waveforms.items(), strict=True):
        decibels = 10.0 / np.log(10.0) * extractor.compute_log_mel([samples])[0].numpy()
        top, extent = float(decibels.max()), (0.0, len(samples) / 16000, 0, decibels.shape[1])
        axes.imshow(decibels.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - 60.0, vmax=top)
        axes.set(title=name, ylabel="mel bin")
    save_figure(figure, path)
