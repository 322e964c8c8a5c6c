# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Confusion matrix of languages or other classes, with its table and plot."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu2slam_hf.data.figure_files import new_figure, save_figure
from mu2slam_hf.evaluation.scores.tables import align_columns


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrix:
    """Counts of predicted labels for each true label.

    Attributes:
        references: true labels, the rows.
        predictions: predicted labels, the columns; may contain labels that no item has (such as `und`).
        counts: one row per true label.
    """

    references: tuple[str, ...]
    predictions: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def num_items(self) -> int:
        """Number of items."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float:
        """Percentage of correctly labelled items."""
        right = sum(self.count(label, label) for label in self.references)
        return 100.0 * right / self.num_items

    @property
    def recalls(self) -> Mapping[str, float]:
        """Recall of each true label in percent; labels without items are omitted."""
        totals = {label: sum(row) for label, row in zip(self.references, self.counts, strict=True)}
        return {label: 100.0 * self.count(label, label) / total for label, total in totals.items() if total}

    @property
    def macro_f1(self) -> float:
        """Unweighted mean F1 in percent over the true labels that have items."""
        scores = []
        for label, row in zip(self.references, self.counts, strict=True):
            given = sum(self.count(other, label) for other in self.references)
            if sum(row):
                scores.append(200.0 * self.count(label, label) / (sum(row) + given))
        return sum(scores) / len(scores)

    def count(self, reference: str, prediction: str) -> int:
        """Number of items of `reference` labelled `prediction`; 0 for labels that do not occur."""
        if reference not in self.references or prediction not in self.predictions:
            return 0
        return self.counts[self.references.index(reference)][self.predictions.index(prediction)]


def compute_confusion(
    references: Sequence[str], predictions: Sequence[str], labels: Sequence[str] | None = None
) -> ConfusionMatrix:
    """Compute a confusion matrix.

    Args:
        references: true labels.
        predictions: predicted labels, in the same order.
        labels: order of the rows, which may include labels that do not occur; default: all labels that occur, sorted.
            Other predicted labels (such as `und`) are appended as columns.

    Raises:
        ValueError: the lists differ in length or are empty, or a true label is not in `labels`.
    """
    if len(references) != len(predictions):
        raise ValueError(f"got {len(references)} true labels but {len(predictions)} predictions")
    if not references:
        raise ValueError("a confusion matrix requires at least one item")
    rows = sorted(set(references)) if labels is None else list(dict.fromkeys(labels))
    missing = sorted(set(references) - set(rows))
    if missing:
        raise ValueError(f"true labels {missing} are not in the labels {rows}")
    columns = [*rows, *sorted(set(predictions) - set(rows))]
    counts = Counter(zip(references, predictions, strict=True))
    return ConfusionMatrix(
        references=tuple(rows),
        predictions=tuple(columns),
        counts=tuple(tuple(counts[row, column] for column in columns) for row in rows),
    )


def format_confusion(matrix: ConfusionMatrix) -> str:
    """A plain-text table: one row per true label, with its recall; zeros are shown as dots."""
    recalls = matrix.recalls
    rows = [["true \\ given", *matrix.predictions, "recall"]]
    for label, counts in zip(matrix.references, matrix.counts, strict=True):
        recall = f"{recalls[label]:.1f}" if label in recalls else "-"
        rows.append([label, *(str(count) if count else "." for count in counts), recall])
    summary = f"accuracy {matrix.accuracy:.1f} %, macro F1 {matrix.macro_f1:.1f} %, {matrix.num_items} items"
    return "\n".join([*align_columns(rows), summary])


def save_confusion_plot(matrix: ConfusionMatrix, path: str | os.PathLike[str], title: str = "") -> Path:
    """Save a plot of the matrix, coloured by the share within each row.

    Args:
        matrix: the counts.
        path: path of the file; its extension determines the format (png, svg, pdf); without one png.
        title: title of the plot.

    Raises:
        ImportError: matplotlib is not installed.
    """
    path = Path(path)
    height, width = len(matrix.references), len(matrix.predictions)
    figure = new_figure(2.5 + 0.5 * width, 2.0 + 0.45 * height)
    axes: Any = figure.add_subplot()
    shares = [[count / max(sum(row), 1) for count in row] for row in matrix.counts]
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for row, counts in enumerate(matrix.counts):
        for column, count in enumerate(counts):
            if count:
                # White text on dark cells.
                color = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color)
    axes.set_xticks(range(width), matrix.predictions, rotation=45 if width > 8 else 0)
    axes.set_yticks(range(height), matrix.references)
    axes.set(xlabel="given", ylabel="true", title=title or f"accuracy {matrix.accuracy:.1f} %")
    save_figure(figure, path)
    return path
