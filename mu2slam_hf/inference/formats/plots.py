# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plots of a recording with its recognised words. Requires the extra `plots` (matplotlib)."""

import math
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray, load_audio
from mu2slam_hf.data.figure_files import new_figure, save_figure
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor

MAX_ROW_SECONDS = 15.0
"""Length of a row; a longer recording is divided into rows of equal length."""

MAX_ROWS = 20
"""Rows of a figure; a longer recording has several figures, of at most 300 s each."""

_AXES_PER_ROW = 3  # waveform, spectrogram, words
_HEIGHTS = (0.7, 1.3, 0.55)  # inches
_WIDTH = 11.0
_ENVELOPE_COLUMNS = 1500
_FONT_SIZES = (5.0, 10.0)
_POWER_RANGE_DB = 70.0
_NO_CONFIDENCE = "0.85"
_FREQUENCIES = {"250": 250.0, "1k": 1000.0, "4k": 4000.0}


def plot_recording(
    waveform: Any,
    sampling_rate: int,
    words: Sequence[Any],
    *,
    title: str | None = None,
    segments: Sequence[Any] | None = None,
    file: str | os.PathLike[str] | None = None,
) -> list[Any]:
    """Plot waveform, log-mel spectrogram and words of a recording, the words coloured by confidence.

    A recording of up to `MAX_ROW_SECONDS` has one row of three axes; a longer one is divided into the fewest rows of
    equal length that are not longer. A figure has at most `MAX_ROWS` rows: recordings above 300 s have several
    figures.

    Args:
        waveform: samples `(n,)`, `(n, channels)` or `(channels, n)`, or any other source of `load_audio`.
        sampling_rate: rate of an array in Hz; files have their own.
        words: objects with `text`, `start_seconds`, `end_seconds` and `confidence` (0 to 1, or None), such as
            `AlignedWord`. Words outside the recording are omitted.
        title: title of each figure.
        segments: parts of the recording that were transcribed, with `start_seconds` and `end_seconds`; the rest of
            the waveform is drawn in grey. None means all of it.
        file: path to write; the extension determines the format (png, svg, pdf). All figures of a recording are pages
            of one pdf; in other formats the second and following ones are `<name>-2.<extension>` and so on.

    Returns:
        the figures (`matplotlib.figure.Figure`).

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: invalid audio, or an extension that matplotlib cannot write.
    """
    samples = load_audio(waveform, source_rate=sampling_rate)
    rows = list(_split_rows(len(samples) / SAMPLING_RATE))
    figures = []
    for first in range(0, len(rows), MAX_ROWS):
        page = rows[first : first + MAX_ROWS]
        figure = new_figure(_WIDTH, sum(_HEIGHTS) * len(page) + 0.9)
        axes = figure.subplots(
            _AXES_PER_ROW * len(page), 1, squeeze=False, gridspec_kw={"height_ratios": _HEIGHTS * len(page)}
        )[:, 0]
        for number, (start, end) in enumerate(page):
            wave_axes, mel_axes, word_axes = axes[_AXES_PER_ROW * number : _AXES_PER_ROW * (number + 1)]
            piece = samples[round(start * SAMPLING_RATE) : max(round(end * SAMPLING_RATE), 1)]
            _plot_waveform(wave_axes, piece, start, end, segments)
            _plot_spectrogram(mel_axes, piece, start, end)
            _plot_words(word_axes, words, start, end)
        axes[-1].set_xlabel("seconds")
        _add_confidence_scale(figure, list(axes))
        if title is not None:
            pages = "" if len(rows) <= MAX_ROWS else f" ({page[0][0]:.0f} to {page[-1][1]:.0f} s)"
            figure.suptitle(title + pages, fontsize=11, parse_math=False)
        figures.append(figure)
    if file is not None:
        _save_figures(figures, Path(file))
    return figures


def _split_rows(duration_seconds: float) -> Iterator[tuple[float, float]]:
    """Start and end of each row in seconds."""
    count = max(1, math.ceil(duration_seconds / MAX_ROW_SECONDS))
    for row in range(count):
        yield duration_seconds * row / count, duration_seconds * (row + 1) / count


def _plot_waveform(axes: Any, samples: FloatArray, start: float, end: float, segments: Sequence[Any] | None) -> None:
    """The lowest and highest sample of each column, in grey outside the segments."""
    columns = min(_ENVELOPE_COLUMNS, len(samples))
    parts = np.array_split(samples, columns)
    times = start + (np.arange(columns) + 0.5) * (end - start) / columns
    low, high = np.array([part.min() for part in parts]), np.array([part.max() for part in parts])
    is_heard = np.full(columns, segments is None)
    for segment in segments or ():
        is_heard |= (times >= segment.start_seconds) & (times < segment.end_seconds)
    axes.fill_between(times, low, high, color="0.75", linewidth=0.4)
    axes.fill_between(times, low, high, where=is_heard, color="C0", linewidth=0.4)
    peak = max(float(np.abs(samples).max()), 1e-3)
    axes.set(xlim=(start, end), ylim=(-1.1 * peak, 1.1 * peak), yticks=[], xticks=[])


def _plot_spectrogram(axes: Any, samples: FloatArray, start: float, end: float) -> None:
    """The log-mel features of the models before their scaling, within `_POWER_RANGE_DB` of the strongest one."""
    extractor = Mu2SLAMFeatureExtractor(sampling_rate=SAMPLING_RATE)
    decibels = 10.0 / math.log(10.0) * extractor.compute_log_mel([samples])[0].numpy()
    num_bins = extractor.feature_size
    top = float(decibels.max())
    extent = (start, end, -0.5, num_bins - 0.5)
    axes.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=top - _POWER_RANGE_DB,
        vmax=top,
    )
    # The centre of a filter is where its weight is largest.
    hertz = extractor.mel_filters.numpy().argmax(axis=0) * SAMPLING_RATE / extractor.n_fft
    indices = [float(np.interp(frequency, hertz, np.arange(num_bins))) for frequency in _FREQUENCIES.values()]
    axes.set_yticks(indices, list(_FREQUENCIES), fontsize=7)
    axes.set_ylabel("Hz", fontsize=8)
    axes.set(xlim=(start, end), xticks=[])


def _plot_words(axes: Any, words: Sequence[Any], start: float, end: float) -> None:
    """A box for each word that overlaps the row; its text is in the row that contains its middle."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    shown = [word for word in words if word.end_seconds > start and word.start_seconds < end]
    # Long rows have little room for each word: neighbours take turns in two lines.
    num_lines = 2 if end - start > 0.4 * MAX_ROW_SECONDS else 1
    inches = _WIDTH * 0.85 / max(end - start, 1e-6)
    for number, word in enumerate(shown):
        color = _NO_CONFIDENCE if word.confidence is None else colormaps["viridis"](word.confidence)
        bottom = (num_lines - 1 - number % num_lines) / num_lines
        left, right = max(word.start_seconds, start), min(word.end_seconds, end)
        axes.add_patch(
            Rectangle((left, bottom), right - left, 1.0 / num_lines, facecolor=color, edgecolor="white", linewidth=0.8)
        )
        middle = (word.start_seconds + word.end_seconds) / 2
        if start <= middle < end or (middle >= end and word is words[-1]):
            is_dark = word.confidence is not None and word.confidence < 0.6
            axes.text(
                (left + right) / 2,
                bottom + 0.5 / num_lines,
                word.text,
                ha="center",
                va="center",
                color="white" if is_dark else "black",
                fontsize=_font_size(word.text, (right - left) * inches),
                # Letters wider than their box stay inside the row.
                clip_on=True,
            )
    axes.set(xlim=(start, end), ylim=(0.0, 1.0), yticks=[])
    axes.tick_params(labelsize=7)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _font_size(text: str, inches: float) -> float:
    """Points at which a text is about `inches` wide, within `_FONT_SIZES`."""
    num_letters = sum(not unicodedata.combining(char) for char in text)
    smallest, largest = _FONT_SIZES
    return min(largest, max(smallest, 72.0 * inches / (0.62 * max(num_letters, 1))))


def _add_confidence_scale(figure: Any, axes: list[Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = figure.colorbar(ScalarMappable(Normalize(0.0, 1.0), "viridis"), ax=axes, aspect=30, pad=0.01)
    scale.set_label("confidence of the word", fontsize=8)
    scale.ax.tick_params(labelsize=7)


def _save_figures(figures: list[Any], path: Path) -> None:
    """Write the figures; every file is complete or not there."""
    format_name = path.suffix.removeprefix(".").lower()
    if format_name not in figures[0].canvas.get_supported_filetypes():
        supported = ", ".join(sorted(figures[0].canvas.get_supported_filetypes()))
        raise ValueError(f"{path}: the extension must be one of {supported}, got {path.suffix!r}")
    if format_name == "pdf":
        from matplotlib.backends.backend_pdf import PdfPages

        with atomic_path(path) as temporary, PdfPages(temporary) as pages:
            for figure in figures:
                figure.savefig(pages, format="pdf")
        return
    for number, figure in enumerate(figures, start=1):
        page = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        save_figure(figure, page)
