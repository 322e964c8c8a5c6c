# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The result of an adaptation: the model card, and an HTML file with scores, learning curves and samples."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from mu2slam_hf.adaptation.report.data_report import DataReport
from mu2slam_hf.adaptation.report.rendering import describe_amount, draw_png, language_name, render_page
from mu2slam_hf.adaptation.training.plan import Plan
from mu2slam_hf.adaptation.training.scores import Sample, choose_samples
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.hub.cards import CardFacts, DataSource, card_template, render_card

TEMPLATE = Path(__file__).with_name("results.html")
_CURVES = {
    "Loss": {"training": "loss", "development": "eval_loss"},
    "Error rates of CTC on the development recordings, %": {"characters": "eval_ctc_cer", "words": "eval_ctc_wer"},
}


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


def render_result(
    *,
    title: str,
    reasons: Mapping[str, str],
    before: Mapping[str, float],
    after: Mapping[str, float],
    samples_before: Sequence[Sample],
    samples_after: Sequence[Sample],
    curves: Sequence[Mapping[str, Any]],
) -> str:
    """The page; without plots, if matplotlib is not installed.

    Args:
        title: name of the model.
        reasons: title -> what was chosen and why.
        before: title -> score of the start, in percent; empty if it was not scored.
        after: title -> score of the model, in percent.
        samples_before: outputs of the start.
        samples_after: outputs of the model.
        curves: from `read_curves`.
    """
    earlier = {(sample.key, sample.target_lang): sample.hypothesis for sample in samples_before}
    shown = choose_samples(samples_after)
    return render_page(
        TEMPLATE,
        lambda: plot_curves(curves),
        title=title,
        scores=[(name, before.get(name), value) for name, value in after.items()],
        reasons=reasons,
        samples=[(sample, earlier.get((sample.key, sample.target_lang))) for sample in shown],
        num_samples=len(samples_after),
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


def render_adapted_card(
    model: Any,
    report: DataReport,
    plan: Plan,
    *,
    name: str,
    target_langs: Sequence[str],
    num_scored: int,
    seed: int,
    results: Sequence[EvaluationResults],
) -> str:
    """Content of `README.md`, for a folder with the code of its classes.

    Args:
        model: the adapted model.
        report: about its data.
        plan: how it was trained.
        name: title.
        target_langs: languages that it was trained to translate into.
        num_scored: number of development recordings that were scored.
        seed: seed of the run.
        results: scores; empty without development recordings.
    """
    spoken = language_name(report.lang)
    into = f" and translates it into {', '.join(map(language_name, target_langs))}" if target_langs else ""
    train = report.amounts["train"]
    facts = CardFacts(
        name=name,
        summary=f"Transcribes {spoken}{into}. Adapted from {plan.start.name} by `mu2slam adapt`.",
        licence=_read_licence(plan.start.folder),
        licence_note="That of the model it started from, with its attribution in LICENSE if it has one, and of the "
        "recordings. State the latter before you publish the model.",
        data=[
            DataSource(
                name="own recordings",
                use=describe_amount(train),
                licence="to be stated by the owner",
                hours=round(train.hours, 2),
            )
        ],
        command="mu2slam train --recipe adaptation/recipe.yaml",
        recipe="adaptation/recipe.yaml",
        seed=seed,
        intended_use=f"Transcription{' and translation' if target_langs else ''} of {spoken}, for recordings like "
        "those of its training: the same speakers, rooms and subjects.",
        limits=[
            f"It was trained on {train.hours:.2f} h: expect many more errors on other speakers, microphones and "
            "subjects.",
            f"The scores are those of {num_scored:,} development recordings, by which the weights were chosen too: "
            "they are slightly better than scores on new recordings.",
            "Other languages of the model it started from may have become worse, unless they were replayed.",
        ],
        tried=[f"{title}: {text}" for title, text in plan.reasons.items()],
    )
    return render_card(
        card_template("adapted"),
        facts,
        model=model,
        model_type=MODEL_TYPES[model.config.model_type],
        has_code=True,
        languages=(report.lang, *target_langs),
        results=results,
    )


def _read_licence(folder: str | None) -> str:
    """The licence that the card of a local model states; "other" without one."""
    card = Path(folder or "") / "README.md"
    if folder is None or not card.is_file():
        return "other"
    return str(ModelCard.load(card).data.license or "other")
