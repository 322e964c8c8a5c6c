# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Markdown tables and plots in the layout of the paper, made from the records of evaluations."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.markdown import format_table
from mu2slam_hf.data.corpora.covost2 import RESOURCE_GROUPS
from mu2slam_hf.data.corpora.fleurs import LANGUAGE_FAMILIES
from mu2slam_hf.data.figure_files import new_figure, save_figure
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.metrics import ERROR_METRICS, compute_mean
from mu2slam_hf.evaluation.scores.scoring import MEAN, MODEL

Direction = tuple[str, str]
_ENGLISH = "en"


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """Layout of one table of the paper.

    Attributes:
        source: the table of the paper.
        task: task of the scores.
        metrics: metrics of a cell; two are separated by a slash.
        system: system of the scores in a record, "model" for what a model writes.
        columns: title -> directions whose mean is shown, one for a single language.
    """

    source: str
    task: str
    metrics: tuple[str, ...]
    columns: Mapping[str, tuple[Direction, ...]]
    system: str = MODEL

    @property
    def directions(self) -> list[Direction]:
        """All directions, in the order of the columns."""
        return list(dict.fromkeys(direction for column in self.columns.values() for direction in column))


def _into_english(languages: Sequence[str]) -> tuple[Direction, ...]:
    return tuple((lang, _ENGLISH) for lang in languages)


def _single(languages: Sequence[str]) -> dict[str, tuple[Direction, ...]]:
    columns: dict[str, tuple[Direction, ...]] = {lang: ((lang, lang),) for lang in languages}
    return {**columns, "avg": tuple((lang, lang) for lang in languages)}


def _retrieval(
    source: str,
    columns: Mapping[str, Sequence[str]],
    metrics: tuple[str, ...] = ("recall@1", "wer"),
    text_lang: str | None = None,
) -> TableLayout:
    """A table of the paper on dual encoders: recordings, and the texts that are retrieved for them."""
    shown = {title: tuple((lang, text_lang or lang) for lang in languages) for title, languages in columns.items()}
    return TableLayout(
        source=f"{source} (dual encoder)",
        task="retrieval_speech_to_text",
        metrics=metrics,
        columns=shown,
        system="dot",
    )


_FLEURS = sorted(lang for languages in LANGUAGE_FAMILIES.values() for lang in languages)
# Those of CoVoST 2 that are translated into English, on whose speech PaLM 2 DE was trained. Its text counts 20.
_SEEN = sorted(lang for languages in RESOURCE_GROUPS.values() for lang in languages)
_GROUPS = {name: _into_english(languages) for name, languages in RESOURCE_GROUPS.items()}
_INTO_ENGLISH = tuple(direction for group in _GROUPS.values() for direction in group)
_FROM_ENGLISH = tuple((_ENGLISH, lang) for lang in "ar ca cy de et fa id ja lv mn sl sv ta tr zh".split())
LAYOUTS: dict[str, TableLayout] = {
    "covost2": TableLayout(
        source="Table 1",
        task="ast",
        metrics=("bleu",),
        columns={
            **{f"xx-en {name}": directions for name, directions in _GROUPS.items()},
            "xx-en avg": _INTO_ENGLISH,
            "en-xx avg": _FROM_ENGLISH,
            "all avg": _INTO_ENGLISH + _FROM_ENGLISH,
        },
    ),
    "covost2-xx-en": TableLayout(
        source="Table 7",
        task="ast",
        metrics=("bleu",),
        columns={**{source: ((source, target),) for source, target in _INTO_ENGLISH}, **_GROUPS, "all": _INTO_ENGLISH},
    ),
    "covost2-en-xx": TableLayout(
        source="Table 8",
        task="ast",
        metrics=("bleu",),
        columns={**{target: ((source, target),) for source, target in _FROM_ENGLISH}, "all": _FROM_ENGLISH},
    ),
    "voxpopuli": TableLayout(
        source="Table 9",
        task="asr",
        metrics=("wer",),
        columns=_single("en de it fr es pl ro hu nl cs sl fi hr sk".split()),
    ),
    "xnli": TableLayout(
        source="Table 10",
        task="nli",
        metrics=("accuracy",),
        columns=_single("en ar bg de el es fr hi ru sw th tr ur vi zh".split()),
    ),
    "tydiqa": TableLayout(
        source="Table 11",
        task="qa",
        metrics=("f1", "exact_match"),
        columns=_single("ar bn en fi id ko ru sw te".split()),
    ),
    "fleurs-retrieval": _retrieval("Tables 1 and 6", {**{lang: [lang] for lang in _FLEURS}, "avg": _FLEURS}),
    "fleurs-retrieval-families": _retrieval("Table 2", {**LANGUAGE_FAMILIES, "all": _FLEURS}, ("recall@1",)),
    "fleurs-retrieval-seen": _retrieval(
        "Figure 2", {"seen": _SEEN, "unseen": [lang for lang in _FLEURS if lang not in _SEEN], "all": _FLEURS}
    ),
    "fleurs-speech-translation-retrieval": _retrieval(
        "Figure 3", {lang: [lang] for lang in ("de", "fr", "nl", "pl")}, ("recall@1", "bleu"), _ENGLISH
    ),
}


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """The values of a table.

    Attributes:
        layout: its layout.
        task: task of the scores.
        metrics: metrics of a cell.
        shared: languages or directions that all systems have.
        columns: title -> those of its directions that all systems have; columns without any are left out.
        cells: system -> title -> value of each metric.
        sizes: system -> number of parameters, as text.
    """

    layout: TableLayout
    task: str
    metrics: tuple[str, ...]
    shared: Sequence[Direction]
    columns: Mapping[str, Sequence[Direction]]
    cells: Mapping[str, Mapping[str, Sequence[float]]]
    sizes: Mapping[str, str]

    @property
    def coverage(self) -> str:
        """What is averaged."""
        missing = [direction for direction in self.layout.directions if direction not in self.shared]
        text = f"Layout of {self.layout.source} of the paper, task {self.task}. "
        text += "Means are over the languages shown by all systems"
        if not missing:
            return f"{text}: all {len(self.shared)}."
        names = ", ".join(source if source == target else f"{source}-{target}" for source, target in missing)
        return f"{text}: {len(self.shared)} of {len(self.layout.directions)}, without {names}."


def compute_paper_table(
    layout: TableLayout,
    systems: Mapping[str, Sequence[EvaluationResults]],
    *,
    task: str | None = None,
    metrics: Sequence[str] | None = None,
    system: str | None = None,
) -> PaperTable:
    """Compute the cells of a table.

    Means are over the languages or directions that all systems have, so that rows can be compared. If a record has
    scores with and without the source language given, those with it are shown.

    Args:
        layout: one of `LAYOUTS`.
        systems: name of a system -> its records; a system may have one for each part of the corpus.
        task: task instead of that of the layout, for example mt.
        metrics: metrics instead of those of the layout.
        system: system of the scores instead of that of the layout, for example `mean`.

    Raises:
        ValueError: no systems, a system without scores of the layout, or with two scores for one cell.
    """
    task, metrics = task or layout.task, tuple(metrics or layout.metrics)
    if not systems:
        raise ValueError("a table needs at least one system")
    layout = replace(layout, system=system or layout.system)
    values = {name: _find_values(name, records, layout, task, metrics) for name, records in systems.items()}
    shared = [d for d in layout.directions if all(d in found for found in values.values())]
    if not shared:
        raise ValueError("the systems have no language or direction of the table in common")
    columns = {
        title: [direction for direction in directions if direction in shared]
        for title, directions in layout.columns.items()
    }
    columns = {title: directions for title, directions in columns.items() if directions}
    cells = {
        name: {
            title: [compute_mean([found[d][metric] for d in directions]) for metric in metrics]
            for title, directions in columns.items()
        }
        for name, found in values.items()
    }
    sizes = {name: _format_size(records) for name, records in systems.items()}
    return PaperTable(
        layout=layout, task=task, metrics=metrics, shared=shared, columns=columns, cells=cells, sizes=sizes
    )


def render_paper_table(table: PaperTable) -> str:
    """Markdown: a row for each system, the best value of a column in bold, and a line that says what is averaged."""
    values = list(table.cells.values())
    rows = [
        [name, table.sizes[name], *(_format_cell(title, row[title], values, table.metrics) for title in table.columns)]
        for name, row in table.cells.items()
    ]
    titles = [" / ".join(table.metrics), "parameters", *table.columns]
    return "\n".join([*format_table(titles, rows, "l" + "r" * (len(titles) - 1)), "", table.coverage])


def save_paper_plot(table: PaperTable, path: str | os.PathLike[str]) -> None:
    """Bars of all systems for each column, one plot below the other for each metric.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(max(6.0, 0.25 * len(table.columns) * (len(table.cells) + 1)), 3.0 * len(table.metrics))
    width = 0.8 / len(table.cells)
    for place, metric in enumerate(table.metrics):
        axes = figure.add_subplot(len(table.metrics), 1, place + 1)
        for number, (name, row) in enumerate(table.cells.items()):
            lefts = [column + (number + 0.5) * width - 0.4 for column in range(len(table.columns))]
            axes.bar(lefts, [row[title][place] for title in table.columns], width, label=name)
        axes.set_xticks(range(len(table.columns)), [title.replace(" ", "\n") for title in table.columns], fontsize=8)
        axes.set_ylabel(f"{metric} ({table.task})")
        axes.grid(axis="y", color="#eee")
        axes.set_axisbelow(True)
        if place == 0:
            axes.legend(fontsize=8)
    save_figure(figure, path)


def _find_values(
    name: str, records: Sequence[EvaluationResults], layout: TableLayout, task: str, metrics: Sequence[str]
) -> dict[Direction, dict[str, float]]:
    """Direction -> metric -> value, for the directions of the layout that have all metrics."""
    found: dict[Direction, dict[str, float]] = {}
    wanted = {"task": task, "system": layout.system}
    conditions = {score.source_lang_given for record in records for score in record.find(**wanted)}
    for record in records:
        for score in record.find(**wanted, group=None, source_lang_given=True in conditions):
            if score.metric not in metrics or MEAN in (score.source_lang, score.target_lang):
                continue
            direction = (score.source_lang.split("-")[0], score.target_lang.split("-")[0])
            if score.metric in found.setdefault(direction, {}):
                raise ValueError(f"{name}: two scores for {task} {'-'.join(direction)} {score.metric}")
            found[direction][score.metric] = score.value
    complete = {d: row for d, row in found.items() if d in layout.directions and len(row) == len(metrics)}
    if not complete:
        raise ValueError(
            f"{name}: the record has no {' and '.join(metrics)} of the task {task} for a language of {layout.source} "
            "of the paper"
        )
    return complete


def _format_cell(
    title: str, values: Sequence[float], rows: Sequence[Mapping[str, Sequence[float]]], metrics: Sequence[str]
) -> str:
    """Values with one decimal, bold if they are the best of several rows."""
    parts = []
    for place, (metric, value) in enumerate(zip(metrics, values, strict=True)):
        best = min if metric in ERROR_METRICS else max
        is_best = len(rows) > 1 and value == best(row[title][place] for row in rows)
        parts.append(f"**{value:.1f}**" if is_best else f"{value:.1f}")
    return " / ".join(parts)


def _format_size(records: Sequence[EvaluationResults]) -> str:
    sizes = {int(record.model["num_parameters"]) for record in records if "num_parameters" in record.model}
    return " / ".join(f"{size / 1e6:.1f}M" for size in sorted(sizes))
