# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of text understanding: accuracy of classes of pairs of texts, F1 and exact match of answers."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.processes import Processes
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.intervals import Bootstrap, wilson_interval
from mu2slam_hf.evaluation.scores.metrics import MetricValue, compute_accuracy
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.evaluation.scores.scoring import MODEL, make_score, mean_scores
from mu2slam_hf.evaluation.tasks.corpora import build_results
from mu2slam_hf.evaluation.tasks.question_answering import answer_questions, score_answers
from mu2slam_hf.models.modules_capabilities import capabilities_of

UNDERSTANDING_TASKS = ("nli", "qa")
CHANCE = "chance"


def evaluate_understanding(
    task: str,
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    *,
    batch_size: int = 32,
    seed: int = 0,
    bootstrap_samples: int = 0,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
    processes: Processes | None = None,
) -> EvaluationResults:
    """`score_understanding` with the record of the run.

    Args:
        task: as in `score_understanding`.
        model: as in `score_understanding`.
        processor: its processor.
        records: test records.
        batch_size: pairs of a batch.
        seed: seed of the bootstrap.
        bootstrap_samples: number of resamples for the 95 % confidence intervals of F1 and exact match; 0: no
            intervals. Accuracy always has Wilson's interval.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.
        processes: processes that share the work; each must call this function, and each returns the same scores.
    """
    started = time.perf_counter()
    bootstrap = Bootstrap(num_samples=bootstrap_samples, seed=seed) if bootstrap_samples else None
    scores = score_understanding(
        task, model, processor, records, batch_size=batch_size, bootstrap=bootstrap, processes=processes
    )
    return build_results(
        model,
        records,
        scores,
        model_name=model_name,
        data=data,
        settings={
            "tasks": [task],
            "batch_size": batch_size,
            "bootstrap_samples": bootstrap_samples,
            "num_processes": processes.count if processes else 1,
        },
        seed=seed,
        duration_seconds=time.perf_counter() - started,
    )


def score_understanding(
    task: str,
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    *,
    batch_size: int = 32,
    options: Mapping[str, Any] | None = None,
    bootstrap: Bootstrap | None = None,
    processes: Processes | None = None,
) -> list[Score]:
    """Scores by language, with their unweighted means, beside those of a baseline.

    Args:
        task: `nli`: accuracy of the classes of pairs (`extra["hypothesis"]`, `extra["gold_label"]`), beside chance;
            `qa`: F1 and exact match of answers (`extra["context"]`, `extra["answers"]`), beside the sentence of the
            passage that matches the question best.
        model: a model with the head of the task; for `qa` also an encoder-decoder.
        processor: its processor.
        records: test records.
        batch_size: pairs of a batch.
        options: arguments of the pipeline for `qa`.
        bootstrap: if given, F1 and exact match have 95 % confidence intervals.
        processes: processes that share the work.

    Raises:
        ValueError: an unknown task, a model without the head of the task, or no record with a known answer or class.
    """
    if task == "nli":
        scores = _score_inference(model, processor, records, batch_size, processes)
    elif task == "qa":
        if "qa" not in capabilities_of(model).tasks:
            raise ValueError(f"qa requires a model that answers questions, got {type(model).__name__}")
        scores = [
            _score(task, lang, metric, system, value)
            for (lang, system), values in score_answers(
                answer_questions(model, processor.tokenizer, records, processes=processes, **(options or {})),
                bootstrap=bootstrap,
            ).items()
            for metric, value in values.items()
        ]
    else:
        raise ValueError(f"task must be one of {', '.join(UNDERSTANDING_TASKS)}, got {task!r}")
    return [score for score, _ in [*scores, *mean_scores(scores)]]


@torch.no_grad()
def classify_pairs(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    batch_size: int = 32,
    processes: Processes | None = None,
) -> list[str]:
    """The class of each pair of texts.

    Args:
        model: a model for sequence classification.
        tokenizer: its tokenizer.
        pairs: first and second text.
        batch_size: pairs of a batch; pairs of similar length are in one batch.
        processes: processes that share the batches.
    """
    processes = processes or Processes()
    model.eval()
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]) + len(pairs[place][1]))
    results: list[tuple[int, str]] = []
    for start in processes.share(range(0, len(order), batch_size)):
        indices = order[start : start + batch_size]
        first, second = zip(*(pairs[place] for place in indices), strict=True)
        batch = tokenizer(list(first), list(second), padding=True, return_tensors="pt").to(model.device)
        for place, number in zip(indices, model(**batch).logits.argmax(dim=-1).tolist(), strict=True):
            results.append((place, model.config.id2label[number]))
    return [answer for _, answer in sorted(processes.gather(results))]


def _score_inference(
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    batch_size: int,
    processes: Processes | None,
) -> list[tuple[Score, MetricValue]]:
    chosen = [r for r in records if r.text and r.extra.get("hypothesis") and r.extra.get("gold_label")]
    labels = sorted(model.config.label2id or {})
    truth = sorted({str(record.extra["gold_label"]) for record in chosen})
    if not chosen:
        raise ValueError(f"none of the {len(records)} records is a pair with a class (hypothesis, gold_label)")
    if "classification" not in capabilities_of(model).tasks or not set(truth) <= set(labels):
        raise ValueError(
            f"nli requires a model with the classes {', '.join(truth)}; {type(model).__name__} has {', '.join(labels)}"
        )
    pairs = [(str(record.text), str(record.extra["hypothesis"])) for record in chosen]
    answers = classify_pairs(model, processor.tokenizer, pairs, batch_size=batch_size, processes=processes)
    groups: Mapping[str, list[tuple[str, str]]] = defaultdict(list)
    for record, answer in zip(chosen, answers, strict=True):
        groups[record.lang].append((str(record.extra["gold_label"]), answer))
    scores = []
    for lang, group in sorted(groups.items()):
        value = compute_accuracy([label for label, _ in group], [answer for _, answer in group])
        low, high = wilson_interval(sum(label == answer for label, answer in group), len(group))
        value = replace(value, signature="accuracy|interval:wilson", interval_low=low, interval_high=high)
        scores.append(_score("nli", lang, "accuracy", MODEL, value))
        chance = MetricValue(
            value=100.0 / len(labels), signature=f"accuracy|{len(labels)} classes", num_items=len(group)
        )
        scores.append(_score("nli", lang, "accuracy", CHANCE, chance))
    return scores


def _score(task: str, lang: str, metric: str, system: str, value: MetricValue) -> tuple[Score, MetricValue]:
    """A score and its value, without resamples: means over languages have no interval."""
    fields = {"source_lang": lang, "target_lang": lang, "source_lang_given": False, "system": system}
    return make_score(value, task=task, metric=metric, **fields), replace(value, resampled=None)
