# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The record of a sweep: JSON, tables in TSV and Markdown, and a plot (extra `plots`)."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.evaluation.figure_files import new_figure, save_figure
from mu2slam_hf.recipes.sweep import Sweep, SweepRun


def save_sweep(sweep: Sweep) -> list[Path]:
    """Write `sweep.json`, `sweep.tsv`, `sweep.md` and, if matplotlib is installed, `sweep.png` into its folder."""
    folder = Path(sweep.folder)
    rows = table_rows(sweep)
    texts = {
        "sweep.json": json.dumps(sweep.to_dict(), indent=1, ensure_ascii=False) + "\n",
        "sweep.tsv": "".join("\t".join(row) + "\n" for row in rows),
        "sweep.md": format_markdown(sweep),
    }
    written = []
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(folder / name)
    if importlib.util.find_spec("matplotlib") is not None and sweep.best is not None:
        save_plot(sweep, folder / "sweep.png")
        written.append(folder / "sweep.png")
    return written


def table_rows(sweep: Sweep) -> list[list[str]]:
    """A row of names, then one for each run: its values, the metric, all other metrics, and its folder."""
    others = sorted({name for run in sweep.runs for name in run.results or ()} - {sweep.metric})
    rows = [[*sweep.runs[0].values, sweep.metric, "status", *others, "folder"]]
    for run in sweep.runs:
        results = [_figure((run.results or {}).get(name)) for name in others]
        rows.append([*_cells(run), _figure(sweep.value_of(run)), _status(sweep, run), *results, Path(run.folder).name])
    return rows


def format_markdown(sweep: Sweep) -> str:
    """A table of values and metric, with the best run in bold and named below."""
    header = [*sweep.runs[0].values, sweep.metric, "status"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    best = sweep.best
    for run in sweep.runs:
        cells = [*_cells(run), _figure(sweep.value_of(run)), _status(sweep, run)]
        cells = [f"**{cell}**" if run is best and cell else cell for cell in cells]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return f"# Sweep of {sweep.recipe}\n\n" + "\n".join(lines) + f"\n\n{describe_best(sweep)}\n"


def describe_best(sweep: Sweep) -> str:
    """One sentence about the best run."""
    best = sweep.best
    if best is None:
        return "No run has a result."
    values = ", ".join(f"{name}={cell}" for name, cell in zip(best.values, _cells(best), strict=True))
    wanted = "largest" if sweep.greater_is_better else "smallest"
    return f"Best run ({wanted} {sweep.metric}, {_figure(sweep.value_of(best))}): {values} in {best.folder}"


def save_plot(sweep: Sweep, path: Path) -> None:
    """The metric over the values of the first axis, with one line for each combination of the other axes.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    ticks = [_shown(value) for value in sweep.axes[0].values]
    lines: dict[str, list[float]] = {}
    for run in sweep.runs:
        label = ", ".join(f"{name}={cell}" for name, cell in list(zip(run.values, _cells(run), strict=True))[1:])
        value = sweep.value_of(run)
        # Runs are ordered by the first axis, so a line has its points in the order of the ticks.
        lines.setdefault(label, []).append(float("nan") if value is None else value)
    for label, values in lines.items():
        axes.plot(range(len(ticks)), values, marker="o", label=label)
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(xlabel=next(iter(sweep.runs[0].values)), ylabel=sweep.metric)
    if len(lines) > 1:
        axes.legend(fontsize=8)
    save_figure(figure, path)


def _cells(run: SweepRun) -> list[str]:
    return [_shown(value) for value in run.values.values()]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _status(sweep: Sweep, run: SweepRun) -> str:
    if run.results is not None:
        return "best" if run is sweep.best else "finished"
    # A message may have several lines; a row of a table has one.
    return f"failed: {' '.join(run.error.split())}" if run.error else "not run"
