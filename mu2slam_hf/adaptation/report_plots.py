# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plots of the report. Requires matplotlib (extra `adapt` or `plots`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mu2slam_hf.adaptation.data_report import DataReport, Utterance
from mu2slam_hf.adaptation.pages import draw_png

_PARTS = (("train", "training", "#3b6ea5"), ("dev", "development", "#d98032"))
# More points than this cover one another.
_MAX_POINTS = 5000
_FEW_POINTS = 500


def plot_report(report: DataReport, samples_per_frame: int = 640) -> dict[str, bytes]:
    """Plots of lengths.

    Args:
        report: the report.
        samples_per_frame: 16 kHz samples per encoder frame, for the line of texts that are too long.

    Returns:
        description of a plot -> PNG file; empty if nothing is transcribed.

    Raises:
        ImportError: matplotlib is not installed.
    """
    if not report.utterances:
        return {}

    seconds, characters = "Length of the recordings", "Length of the texts"
    return {
        seconds: draw_png(lambda axes: _plot_histogram(axes, report.utterances, "seconds", "seconds")),
        characters: draw_png(lambda axes: _plot_histogram(axes, report.utterances, "characters", "characters")),
        "Text against recording; the line is the most text that fits into a recording": draw_png(
            lambda axes: _plot_lengths(axes, report.utterances, samples_per_frame)
        ),
    }


def _plot_histogram(axes: Any, utterances: Sequence[Utterance], name: str, label: str) -> None:
    values = [[getattr(one, name) for one in utterances if one.part == part] for part, _, _ in _PARTS]
    edges = np.histogram_bin_edges(np.concatenate([np.asarray(own, dtype=np.float64) for own in values]), bins=40)
    titles, colors = [title for _, title, _ in _PARTS], [color for _, _, color in _PARTS]
    axes.hist(values, bins=edges, stacked=True, label=titles, color=colors)
    axes.set(xlabel=label, ylabel="utterances", xlim=(0, None))
    axes.legend(frameon=False, loc="upper right")
    _remove_frame(axes)


def _plot_lengths(axes: Any, utterances: Sequence[Utterance], samples_per_frame: int) -> None:
    step = max(1, -(-len(utterances) // _MAX_POINTS))
    # A few points must be seen, many must not hide one another.
    size = 5 if len(utterances) > _FEW_POINTS else 10
    for part, title, color in _PARTS:
        own = [one for one in utterances[::step] if one.part == part]
        if own:
            seconds, sizes = [one.seconds for one in own], [_size(one) for one in own]
            axes.plot(seconds, sizes, ".", markersize=size, alpha=0.6, color=color, label=title, markeredgewidth=0)
    longest = max(one.seconds for one in utterances)
    highest = 1.1 * max(map(_size, utterances))
    has_tokens = utterances[0].tokens is not None
    if has_tokens:
        axes.plot([0, longest], [0, longest * 16_000 / samples_per_frame], color="0.4", linewidth=1)
    axes.set(xlabel="seconds", ylabel="tokens" if has_tokens else "characters")
    axes.set(xlim=(0, 1.05 * longest), ylim=(0, highest))
    axes.legend(frameon=False, loc="upper left", markerscale=10 / size)
    _remove_frame(axes)


def _size(one: Utterance) -> int:
    return one.characters if one.tokens is None else one.tokens


def _remove_frame(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
