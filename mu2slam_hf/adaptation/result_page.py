# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The result of an adaptation as one HTML file: scores, learning curves, samples before and after."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.pages import draw_png, render_page
from mu2slam_hf.adaptation.scores import Sample, choose_samples

TEMPLATE = Path(__file__).with_name("result_template.html")
_CURVES = {
    "Loss": {"training": "loss", "development": "eval_loss"},
    "Error rates of CTC on the development recordings, %": {"characters": "eval_ctc_cer", "words": "eval_ctc_wer"},
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the page shows.

    Attributes:
        title: name of the model.
        reasons: title -> what was chosen and why.
        before: title -> score of the start, in percent; empty if it was not scored.
        after: title -> score of the model, in percent.
        samples_before: outputs of the start.
        samples_after: outputs of the model.
        curves: from `read_curves`.
    """

    title: str
    reasons: Mapping[str, str]
    before: Mapping[str, float]
    after: Mapping[str, float]
    samples_before: Sequence[Sample]
    samples_after: Sequence[Sample]
    curves: Sequence[Mapping[str, Any]]


def read_curves(run_dir: Path) -> list[dict[str, Any]]:
    """The logs of a run, or of its stages one after the other, with consecutive numbers of updates.

    Updates that a killed run had made after its last checkpoint were made again; the later log counts.
    """
    logs: list[dict[str, Any]] = []
    offset = 0
    for file in sorted(run_dir.rglob("log.jsonl")):
        own: dict[tuple[int, bool], dict[str, Any]] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:  # the run was killed while it wrote
                continue
            own[entry["step"], "eval_loss" in entry] = {**entry, "step": entry["step"] + offset}
        logs += [own[key] for key in sorted(own)]
        offset = logs[-1]["step"] if logs else 0
    return logs


def render_result(outcome: Outcome) -> str:
    """The page; without plots, if matplotlib is not installed."""
    before = {(sample.key, sample.target_lang): sample.hypothesis for sample in outcome.samples_before}
    return render_page(
        TEMPLATE,
        lambda: plot_curves(outcome.curves),
        title=outcome.title,
        scores=[(title, outcome.before.get(title), value) for title, value in outcome.after.items()],
        reasons=outcome.reasons,
        samples=[
            (sample, before.get((sample.key, sample.target_lang))) for sample in choose_samples(outcome.samples_after)
        ],
        num_samples=len(outcome.samples_after),
    )


def plot_curves(logs: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Title -> PNG file of the curves that the logs have.

    Raises:
        ImportError: matplotlib is not installed.
    """
    plots = {}
    for title, lines in _CURVES.items():
        points = {name: _points(logs, key) for name, key in lines.items()}
        points = {name: own for name, own in points.items() if own}
        if points:
            plots[title] = draw_png(partial(_plot_lines, points))
    return plots


def _plot_lines(lines: Mapping[str, Sequence[tuple[int, float]]], axes: Any) -> None:
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="." if len(points) < 40 else None, label=name)
    axes.set_xlabel("updates")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()


def _points(logs: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    """(update, figure); a sum of losses only where all of its parts were computed.

    In a run of few updates each is an entry, and one on texts has neither CTC nor losses of speech.
    """
    entries = [entry for entry in logs if key in entry]
    if key.endswith("loss"):
        parts = [sum(name.startswith(f"{key}_") for name in entry) for entry in entries]
        entries = [entry for entry, count in zip(entries, parts, strict=True) if count == max(parts)]
    return [(entry["step"], entry[key]) for entry in entries]
