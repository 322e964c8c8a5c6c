# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of language identification: accuracy and confusion of languages on a corpus."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.confusion import ConfusionMatrix, compute_confusion
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.evaluation.tasks.corpora import build_results
from mu2slam_hf.inference.language_identification import REFUSED, list_languages, predict_languages
from mu2slam_hf.models.generation_settings import find_min_language_probability


def evaluate_language_identification(
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    *,
    modality: str = "speech",
    min_probability: float | None = None,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> tuple[ConfusionMatrix, EvaluationResults]:
    """Evaluate language identification; returns the confusion matrix and the record of the evaluation.

    Args:
        model: as in `predict_languages`.
        processor: its processor.
        records: records with `audio`, or with `text` for the modality `text`; others are ignored.
        modality: "speech" or "text".
        min_probability: see `predict_languages`; `und` is wrong if the model supports the language, and correct if it
            does not.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Returns:
        the confusion matrix (including rows for languages that the model does not support); scores of the task `lid`:
        accuracy and macro F1 over supported languages, recall of each, and the share of `und` for unsupported
        languages, if any.

    Raises:
        ValueError: no record is suitable.
    """
    if modality not in ("speech", "text"):
        raise ValueError(f"modality must be 'speech' or 'text', got {modality!r}")
    usable = [record for record in records if (record.audio is not None if modality == "speech" else record.text)]
    if not usable:
        raise ValueError(f"none of the {len(records)} records has {'a recording' if modality == 'speech' else 'text'}")
    name = "audio" if modality == "speech" else "text"
    source: dict[str, Any] = {name: [getattr(record, name) for record in usable]}
    sizes = {"batch_seconds": batch_seconds, "batch_size": batch_size}
    min_probability = find_min_language_probability(model, min_probability)
    settings: dict[str, Any] = {"min_probability": min_probability, **sizes}
    started = time.perf_counter()
    guesses = predict_languages(model, processor, **source, **settings)
    seconds = time.perf_counter() - started
    references, answers = [record.lang for record in usable], [guess.lang for guess in guesses]
    matrix = compute_confusion(references, answers)
    results = build_results(
        model,
        usable,
        _scores(references, answers, set(list_languages(model)), min_probability),
        model_name=model_name,
        data={**(data or {}), "modality": modality},
        settings=settings,
        duration_seconds=seconds,
    )
    return matrix, results


def _scores(references: list[str], answers: list[str], known: set[str], min_probability: float) -> list[Score]:
    pairs = list(zip(references, answers, strict=True))
    signature = f"language head, refused below {min_probability:g}"

    def score(metric: str, value: float, lang: str, number: int) -> Score:
        direction: dict[str, Any] = {"source_lang": lang, "target_lang": lang, "source_lang_given": False}
        return Score(task="lid", metric=metric, value=value, num_items=number, signature=signature, **direction)

    scores = []
    inside = [pair for pair in pairs if pair[0] in known]
    if inside:
        matrix = compute_confusion(*map(list, zip(*inside, strict=True)))
        for lang, recall in matrix.recalls.items():
            scores.append(score("recall", recall, lang, sum(matrix.counts[matrix.references.index(lang)])))
        scores.append(score("accuracy", matrix.accuracy, "all", len(inside)))
        scores.append(score("macro_f1", matrix.macro_f1, "all", len(inside)))
    outside = [answer for reference, answer in pairs if reference not in known]
    if outside:
        scores.append(score("refused", 100.0 * outside.count(REFUSED) / len(outside), "unknown", len(outside)))
    return scores
