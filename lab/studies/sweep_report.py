# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The record of a sweep: JSON, tables in TSV and Markdown, and a plot (extra `plots`)."""

import importlib.util
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lab.markdown import format_table
from lab.studies.seed_comparison import student_interval
from lab.studies.sweep import Sweep, SweepRun
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.figure_files import new_figure, save_figure


def save_sweep(sweep: Sweep) -> list[Path]:
    """Write `sweep.json`, `sweep.tsv`, `sweep.md` and, if matplotlib is installed, `sweep.png` into its folder.

    With replicates also `sweep_means.tsv`: all metrics, averaged over them.
    """
    folder = Path(sweep.folder)
    rows = table_rows(sweep)
    texts = {
        "sweep.json": json.dumps(sweep.to_dict(), indent=1, ensure_ascii=False) + "\n",
        "sweep.tsv": "".join("\t".join(row) + "\n" for row in rows),
        "sweep.md": format_markdown(sweep),
    }
    if sweep.replicates is not None:
        texts["sweep_means.tsv"] = "".join("\t".join(row) + "\n" for row in mean_rows(sweep))
    written = []
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(folder / name)
    if importlib.util.find_spec("matplotlib") is not None and any(run.results is not None for run in sweep.runs):
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


def mean_rows(sweep: Sweep) -> list[list[str]]:
    """Metrics averaged over the replicates, the metric of the sweep first.

    A row of names, then one for each combination of the other axes and metric: number of finished runs, mean, standard
    deviation, and the bounds of Student's 95 % interval of the mean, which takes the runs as independent.
    """
    axes = [name for name in sweep.runs[0].values if name != sweep.replicates]
    rows = [[*axes, "metric", "runs", "mean", "standard deviation", "low", "high"]]
    others = sorted({name for run in sweep.runs for name in run.results or ()} - {sweep.metric})
    for group in sweep.groups:
        results = [run.results for run in group if run.results is not None]
        found = {name: [one[name] for one in results if name in one] for name in others}
        main = [value for run in group if (value := sweep.value_of(run)) is not None]
        for name, values in {sweep.metric: main, **found}.items():
            if values:
                figures = [fmean(values), stdev(values) if len(values) > 1 else None, *student_interval(values)]
                cells = [_shown(group[0].values[axis]) for axis in axes]
                rows.append([*cells, name, str(len(values)), *map(_figure, figures)])
    return rows


def format_markdown(sweep: Sweep) -> str:
    """A table of values and metric, with the best run in bold and named below."""
    titles, *rows = (row[: len(sweep.runs[0].values) + 2] for row in table_rows(sweep))
    rows = [[f"**{cell}**" if row[-1] == "best" and cell else cell for cell in row] for row in rows]
    lines = format_table(titles, rows, "l" * len(titles))
    return f"# Sweep of {sweep.recipe}\n\n" + "\n".join(lines) + f"\n\n{describe_best(sweep)}\n"


def describe_best(sweep: Sweep) -> str:
    """One sentence about the best run."""
    wanted = "largest" if sweep.greater_is_better else "smallest"
    if sweep.replicates is not None:
        return _describe_best_mean(sweep, wanted)
    best = sweep.best
    if best is None:
        return "No run has a result."
    values = ", ".join(f"{name}={cell}" for name, cell in zip(best.values, _cells(best), strict=True))
    return f"Best run ({wanted} {sweep.metric}, {_figure(sweep.value_of(best))}): {values} in {best.folder}"


def _describe_best_mean(sweep: Sweep, wanted: str) -> str:
    means = [row for row in mean_rows(sweep)[1:] if row[-6] == sweep.metric]
    if not means:
        return "No run has a result."
    best = (max if sweep.greater_is_better else min)(means, key=lambda row: float(row[-4]))
    names = [name for name in sweep.runs[0].values if name != sweep.replicates]
    values = ", ".join(f"{name}={cell}" for name, cell in zip(names, best[:-6], strict=True))
    number, mean, deviation = best[-5], best[-4], best[-3] or "-"
    shown = f"mean {sweep.metric} {mean}, standard deviation {deviation}, {number} runs"
    return f"Best values ({wanted} mean): {values}: {shown}" if values else f"Over {sweep.replicates}: {shown}"


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
