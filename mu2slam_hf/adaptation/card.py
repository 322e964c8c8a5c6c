# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model card of an adapted model."""

from collections.abc import Sequence
from typing import Any

from mu2slam_hf.adaptation.data_report import DataReport
from mu2slam_hf.adaptation.plan import Plan
from mu2slam_hf.adaptation.report_text import describe_amount, language_name
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.hub.cards import CardFacts, DataSource, card_template, render_card


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
        licence="other",
        licence_note="That of the recordings and of the model it started from. State it before you publish the model.",
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
