# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The report of a study: a Markdown page with a table of verdicts and one of each finding, its values, and plots."""

import importlib.util
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lab.markdown import format_table
from lab.studies.seed_comparison import VERDICT_RULE, SeedComparison
from lab.studies.study import RECORDS_FOLDER, Study
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.figure_files import new_figure, save_figure
from mu2slam_hf.evaluation.scores.metrics import ERROR_METRICS

VALUES_FILE = "values.json"
_METRIC_NAMES = {
    **{"recall@1": "R@1", "wer": "WER", "cer": "CER", "bleu": "BLEU", "chrf": "chrF", "ter": "TER"},
    "language_accuracy": "language accuracy",
}
_FINDING_TITLES = (
    *("variant", "by seed", "mean", "standard deviation", "difference", "95 % interval", "better", "expected"),
    "verdict",
)
_TASK_NAMES = {"asr": "speech recognition", "ast": "speech translation", "mt": "text translation"}
_TASK_NAMES |= {"retrieval_speech_to_text": "texts for recordings", "retrieval_text_to_speech": "recordings for texts"}


def save_study(study: Study) -> list[Path]:
    """Write `README.md`, `values.json` and, if matplotlib is installed, a plot of each finding, into the folder."""
    path = study.folder / "README.md"
    written = [study.folder / VALUES_FILE]
    with atomic_path(written[0]) as temporary:
        temporary.write_text(json.dumps(collect_values(study), indent=1) + "\n", encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is not None:
        for name in study.file.findings:
            if _values(study, name):
                written.append(study.folder / f"{name}.svg")
                save_plot(study, name, written[-1])
    with atomic_path(path) as temporary:
        temporary.write_text(format_report(study), encoding="utf-8")
    return [path, *written]


def collect_values(study: Study) -> dict[str, dict[str, Any]]:
    """Of each finding with results: `metric`, `reference`, and by variant `expected` and the `values` by seed."""
    return {
        name: {
            "metric": finding.metric,
            "reference": finding.reference,
            "variants": {
                variant: {"expected": finding.variants[variant].expected, "values": values}
                for variant, values in _values(study, name).items()
            },
        }
        for name, finding in study.file.findings.items()
        if _values(study, name)
    }


def format_report(study: Study) -> str:
    """The page: notes, the rule of verdicts, all verdicts, then each finding with its plot."""
    file = study.file
    runs = study.unique_runs
    done = sum(run.load_record() is not None for run in runs)
    seeds = ", ".join(map(str, file.seeds))
    lines = [f"# {file.title}", ""]
    lines += [file.notes.strip(), ""] if file.notes else []
    lines += [
        f"{done} of {len(runs)} runs are done (seeds {seeds}); [records]({RECORDS_FOLDER}/). Values are means over "
        "languages or directions, in percent.",
        "",
        VERDICT_RULE,
        "",
    ]
    rows = []
    for name, finding in file.findings.items():
        title = f"[{name}](#{name})"
        for variant in finding.variants:
            if variant == finding.reference:
                continue
            expected = finding.variants[variant].expected
            compared = study.compare(name, variant)
            difference = f"{compared.difference:+.1f} {_METRIC_NAMES[finding.metric]}" if compared else ""
            verdict = compared.verdict(expected) if compared else "not run"
            rows.append([title, variant, difference, expected or "", verdict])
            title = ""
    lines += format_table(("finding", "variant", "difference", "expected", "verdict"), rows, "llrll")
    for name in file.findings:
        lines += ["", *_format_finding(study, name)]
    return "\n".join(lines) + "\n"


def _format_finding(study: Study, name: str) -> list[str]:
    finding = study.file.findings[name]
    best = "lower" if finding.metric in ERROR_METRICS else "higher"
    languages = "" if finding.group is None else f" of {finding.group} languages"
    metric = f"{_METRIC_NAMES[finding.metric]} of {_TASK_NAMES[finding.task]}{languages}, {best} is better"
    lines = [f"## {name}", "", finding.hypothesis.strip(), "", f"Reference: {finding.reference}. {metric}.", ""]
    rows = []
    for variant, section in finding.variants.items():
        values = study.values_of(name, variant)
        cells = [variant, " ".join(f"{value:.1f}" for value in values.values())]
        cells += [f"{fmean(values.values()):.1f}" if values else ""]
        cells += [f"{stdev(values.values()):.1f}" if len(values) > 1 else ""]
        compared = None if variant == finding.reference else study.compare(name, variant)
        cells += _comparison_cells(compared)
        cells += [section.expected or "", compared.verdict(section.expected) if compared else ""]
        rows.append(cells)
    lines += format_table(_FINDING_TITLES, rows, "llrrrlrll")
    if (study.folder / f"{name}.svg").is_file():
        lines += ["", f"![{metric}, by variant and seed]({name}.svg)"]
    return lines


def _comparison_cells(compared: SeedComparison | None) -> list[str]:
    """Difference, interval, and how many seeds are better."""
    if compared is None:
        return ["", "", ""]
    low, high = compared.interval_low, compared.interval_high
    interval = "" if low is None or high is None else f"[{low:+.1f}, {high:+.1f}]"
    return [f"{compared.difference:+.1f}", interval, f"{compared.num_better} of {compared.num_seeds}"]


def save_plot(study: Study, name: str, path: Path) -> None:
    """SVG of a finding: a line for each seed over the variants, and means with standard deviations.

    Raises:
        ImportError: matplotlib is not installed.
    """
    finding, values = study.file.findings[name], _values(study, name)
    places = {variant: place for place, variant in enumerate(finding.variants)}
    figure = new_figure(7, 3.5)
    axes = figure.add_subplot()
    for seed in study.file.seeds:
        points = [(places[variant], found[seed]) for variant, found in values.items() if seed in found]
        axes.plot(*zip(*points, strict=True), color="#bbb", marker=".", linewidth=0.8) if points else None
    means = [fmean(found.values()) for found in values.values()]
    spreads = [stdev(found.values()) if len(found) > 1 else 0.0 for found in values.values()]
    axes.errorbar([places[v] for v in values], means, spreads, fmt="o", color="#1f5fa8", capsize=4, zorder=3)
    axes.set_xticks(range(len(places)), [v if v != finding.reference else f"{v}\n(reference)" for v in places])
    axes.set_ylabel(f"{_METRIC_NAMES[finding.metric]}, {_TASK_NAMES[finding.task]}")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="y", color="#eee")
    save_figure(figure, path)


def _values(study: Study, name: str) -> dict[str, dict[int, float]]:
    """Variant -> seed -> value, of the variants with results."""
    found = {variant: study.values_of(name, variant) for variant in study.file.findings[name].variants}
    return {variant: values for variant, values in found.items() if values}
