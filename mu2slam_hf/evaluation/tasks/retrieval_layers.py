# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Retrieval by the states of each layer: where in an encoder speech and text share a space.

Paper: the talk on shared representations of speech and text, its table of recall by unimodal and shared layers.
"""

import os
import re
from collections.abc import Sequence

from mu2slam_hf.data.figure_files import new_figure, save_figure
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.evaluation.scores.scoring import MEAN
from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.tasks.pair_scores import LAYER_SCORES
from mu2slam_hf.evaluation.tasks.retrieval import ALL, CHANCE, DIRECTIONS, UNTRAINED

_SYSTEM = re.compile(rf"({UNTRAINED}:)?layer (\d+): (\w+)")


def format_layers(results: EvaluationResults) -> str:
    """A plain-text table of recall@1 with a row for each layer: both directions, all scores.

    The rows below are the best layer of the untrained model, if it was scored, and chance.

    Args:
        results: of `evaluate_retrieval` with `layer="all"`.
    """
    columns = [(direction, name) for direction in DIRECTIONS for name in LAYER_SCORES]
    layers = _read_layers(results)
    rows = [["layer", *(f"{_ARROWS[direction]} {name}" for direction, name in columns)]]
    rows += [
        [str(layer), *(f"{values[column]:.1f}" for column in columns)]
        for prefix, layer, values in layers
        if not prefix
    ]
    untrained = [values for prefix, _, values in layers if prefix]
    if untrained:
        rows.append([UNTRAINED, *(f"{max(values[column] for values in untrained):.1f}" for column in columns)])
    chance = {direction: _recalls(results, direction, CHANCE)[0] for direction in DIRECTIONS}
    rows.append([CHANCE, *(f"{chance[direction].value:.1f}" for direction, _ in columns)])
    first = chance[DIRECTIONS[0]]
    return "\n".join(["recall@1, percent", *align_columns(rows), f"{first.num_items} queries, {first.signature}"])


def save_layers_plot(results: EvaluationResults, path: str | os.PathLike[str]) -> None:
    """Save a plot of recall@1 over the layers, speech to text and back; untrained models are dashed.

    Args:
        results: of `evaluate_retrieval` with `layer="all"`.
        path: path of the file; its extension determines the format (png, svg, pdf); without one png.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(9.0, 3.6)
    for axes, direction in zip(figure.subplots(1, len(DIRECTIONS), sharey=True), DIRECTIONS, strict=True):
        for prefix in ("", f"{UNTRAINED}:"):
            layers = [(layer, values) for found, layer, values in _read_layers(results) if found == prefix]
            for color, name in enumerate(LAYER_SCORES if layers else ()):
                axes.plot(
                    [layer for layer, _ in layers],
                    [values[direction, name] for _, values in layers],
                    color=f"C{color}",
                    linestyle="--" if prefix else "-",
                    marker=None if prefix else "o",
                    label=f"{prefix}{name}",
                )
        axes.set(title=direction.replace("_", " "), xlabel="layer", ylim=(0, 100))
    figure.axes[0].set_ylabel("recall@1, percent")
    figure.axes[-1].legend(fontsize=7)
    save_figure(figure, path)


_ARROWS = {"speech_to_text": "to text", "text_to_speech": "to speech"}


def _read_layers(results: EvaluationResults) -> list[tuple[str, int, dict[tuple[str, str], float]]]:
    """Prefix of the model, layer, and recall@1 by direction and score; in the order of the record."""
    layers: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for direction in DIRECTIONS:
        for score in _recalls(results, direction):
            match = _SYSTEM.fullmatch(score.system)
            if match:
                layers.setdefault((match[1] or "", int(match[2])), {})[direction, match[3]] = score.value
    return [(prefix, layer, values) for (prefix, layer), values in layers.items()]


def _recalls(results: EvaluationResults, direction: str, system: str | None = None) -> Sequence[Score]:
    """Scores of recall@1 over everything, or within languages their mean."""
    wanted = {"task": f"retrieval_{direction}", "metric": "recall@1", **({"system": system} if system else {})}
    return results.find(source_lang=ALL, **wanted) or results.find(source_lang=MEAN, **wanted)
