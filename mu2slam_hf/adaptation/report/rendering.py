# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The report as text and as one HTML file, and the template engine behind them; plots are inside the page."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mu2slam_hf.adaptation.reading.read_data import FINDING_KINDS, Finding, FindingKind
from mu2slam_hf.adaptation.report.data_report import Amount, DataReport, Utterance
from mu2slam_hf.data.figure_files import new_figure
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES

_SIZE = (5.6, 3.2)
_DPI = 130


def render(template: Path, **values: Any) -> str:
    """Fill a Jinja2 template; undefined names are an error, and values are escaped in files that end in .html.

    Args:
        template: the file; it may use the filters `amount`, `guesses`, `hours`, `language` and `plural`.
        **values: the values of the template.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=template.suffix == ".html",
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": describe_amount, "guesses": describe_guesses, "hours": format_hours}
    environment.filters |= {"language": language_name, "plural": plural}
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def render_page(template: Path, plot: Callable[[], Mapping[str, bytes]], **values: Any) -> str:
    """Fill a template with plots; without them, if matplotlib is not installed.

    Args:
        template: see `render`; it also gets `plots` (title -> `data:` address) and `plots_missing`.
        plot: makes the plots: title -> PNG file.
        **values: the values of the template.
    """
    try:
        encoded = {title: base64.b64encode(png).decode("ascii") for title, png in plot().items()}
    except ImportError:
        return render(template, plots={}, plots_missing=True, **values)
    plots = {title: f"data:image/png;base64,{content}" for title, content in encoded.items()}
    return render(template, plots=plots, plots_missing=False, **values)


def draw_png(plot: Callable[[Any], None]) -> bytes:
    """A plot as a PNG file.

    Args:
        plot: draws on axes of matplotlib.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(*_SIZE)
    plot(figure.add_subplot())
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def describe_amount(amount: Amount) -> str:
    """`1,200 utterances, 2.5 h, 3 speakers (1 of them guessed from file names), 12 sessions`."""
    if not amount.utterances:
        return "nothing"
    speakers = plural(amount.speakers, "speaker") if amount.speakers else "unknown speakers"
    if amount.guessed_speakers:
        speakers += f" ({describe_guesses(amount)})"
    parts = (plural(amount.utterances, "utterance"), format_hours(amount.hours), speakers)
    return ", ".join([*parts, plural(amount.sessions, "session")])


def describe_guesses(amount: Amount) -> str:
    """How many of the speakers are guessed; empty if none is."""
    if not amount.guessed_speakers:
        return ""
    whose = "" if amount.guessed_speakers == amount.speakers else f"{amount.guessed_speakers:,} of them "
    return f"{whose}guessed from file names"


def format_hours(hours: float) -> str:
    """`2.5 h`, or `14 min`, or `30 s`."""
    if hours >= 1.0:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if hours >= 1 / 30 else f"{3600 * hours:.0f} s"


def language_name(lang: str) -> str:
    """`Mboshi (mdw)`; the code alone, if the language has no name here."""
    name = LANGUAGE_NAMES.get(lang.split("-")[0])
    return f"{name} ({lang})" if name else lang


def plural(count: int, noun: str) -> str:
    """`1 file`, `1,200 files`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


_FOLDER = Path(__file__).parent
_SEVERITY_TITLES = {"left_out": "Left out", "check": "Used, but please check"}
_MAX_EXAMPLES = 5
_PARTS = (("train", "training", "#3b6ea5"), ("dev", "development", "#d98032"))
# More points than this cover one another.
_MAX_POINTS = 5000
_FEW_POINTS = 500


def format_report(report: DataReport, max_examples: int = _MAX_EXAMPLES) -> str:
    """The report for a terminal.

    Args:
        report: the report.
        max_examples: findings of each kind that are listed; the files have all.
    """
    values = _shared_values(report)
    width = max(len(title) for title, _ in values["summary"])
    return render(_FOLDER / "report.txt", width=width, max_examples=max_examples, **values).rstrip("\n")


def render_html(report: DataReport, *, samples_per_frame: int = 640) -> str:
    """The report for a browser; without plots, if matplotlib is not installed.

    Args:
        report: the report.
        samples_per_frame: see `plot_report`.
    """
    plot = partial(plot_report, report, samples_per_frame)
    return render_page(_FOLDER / "report.html", plot, **_shared_values(report))


def _shared_values(report: DataReport) -> dict[str, Any]:
    """Values of both templates: report, rows of the summary, findings by severity and kind, lines about reading."""
    by_kind = [(FINDING_KINDS[kind], findings) for kind, findings in report.findings_by_kind().items()]
    severities: dict[str, list[tuple[FindingKind, list[Finding]]]] = {
        title: [(kind, findings) for kind, findings in by_kind if kind.severity == severity]
        for severity, title in _SEVERITY_TITLES.items()
    }
    summary = render(_FOLDER / "summary.txt", report=report).split("\n")
    return {
        "report": report,
        "summary": [row.split("\t") for row in summary],
        "severities": severities,
        "reading": _reading_lines(report),
    }


def _reading_lines(report: DataReport) -> list[str]:
    """What was decided while reading."""
    lines = [f"{count:,} x {choice}" for choice, count in report.choices.items()]
    for lang, count in report.other_translations.items():
        lines.append(f"{count:,} x a translation into {language_name(lang)} that is not used (--to {lang} uses it)")
    if report.num_decomposed:
        lines.append(f"{report.num_decomposed:,} x a text with separate accents, which were joined with their letters")
    return lines


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
    values = [
        [getattr(utterance, name) for utterance in utterances if utterance.part == part] for part, _, _ in _PARTS
    ]
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
        own = [utterance for utterance in utterances[::step] if utterance.part == part]
        if own:
            seconds, sizes = [utterance.seconds for utterance in own], [_size(utterance) for utterance in own]
            axes.plot(seconds, sizes, ".", markersize=size, alpha=0.6, color=color, label=title, markeredgewidth=0)
    longest = max(utterance.seconds for utterance in utterances)
    highest = 1.1 * max(map(_size, utterances))
    has_tokens = utterances[0].tokens is not None
    if has_tokens:
        axes.plot([0, longest], [0, longest * 16_000 / samples_per_frame], color="0.4", linewidth=1)
    axes.set(xlabel="seconds", ylabel="tokens" if has_tokens else "characters")
    axes.set(xlim=(0, 1.05 * longest), ylim=(0, highest))
    axes.legend(frameon=False, loc="upper left", markerscale=10 / size)
    _remove_frame(axes)


def _size(utterance: Utterance) -> int:
    return utterance.characters if utterance.tokens is None else utterance.tokens


def _remove_frame(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
