# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of hypotheses per language and direction, their means, and tables."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from mu2slam_hf.evaluation.baseline import NearestSentenceBaseline
from mu2slam_hf.evaluation.decode import Hypothesis
from mu2slam_hf.evaluation.metrics import (
    MetricValue,
    compute_accuracy,
    compute_bleu,
    compute_cer,
    compute_chrf,
    compute_mean,
    compute_wer,
)
from mu2slam_hf.evaluation.results import Score
from mu2slam_hf.evaluation.tables import align_columns

MODEL = "model"
NEAREST_SENTENCE = "nearest"
MEAN = "mean"
_METRICS = {"asr": ("wer", "cer"), "ast": ("bleu", "chrf"), "mt": ("bleu", "chrf"), "lid": ("accuracy",)}
_TRANSLATION_TASKS = ("ast", "mt")


def score_hypotheses(hypotheses: Iterable[Hypothesis], *, system: str = MODEL) -> list[Score]:
    """Scores of every task and direction, then the means.

    ASR is scored by WER and CER, translation by BLEU and chrF, predicted languages by accuracy. Means are unweighted
    over languages (asr, lid) or directions (ast, mt): over all, and for translation also from English (`en-mean`) and
    into English (`mean-en`).
    """
    groups: dict[tuple[str, bool, str, str], list[Hypothesis]] = defaultdict(list)
    for hypothesis in hypotheses:
        told, source, target = hypothesis.source_lang_given, hypothesis.source_lang, hypothesis.target_lang
        groups[hypothesis.task, told, source, target].append(hypothesis)
    scores = []
    for (task, told, source, target), group in sorted(groups.items(), key=lambda item: (item[0][0], not item[0][1])):
        shared: dict[str, Any] = {"source_lang": source, "target_lang": target, "source_lang_given": told}
        for metric, value in _compute(task, target, group).items():
            scores.append(Score(task=task, metric=metric, system=system, **shared, **vars(value)))
    return [*scores, *_means(scores)]


def translate_by_baseline(hypotheses: Iterable[Hypothesis], baseline: NearestSentenceBaseline) -> list[Hypothesis]:
    """Translations of the baseline for every translation request.

    Text translation looks up the source text; speech translation looks up what *the same model* recognised in the
    recording, so the hypotheses must include the ASR of every translated recording.
    """
    hypotheses = list(hypotheses)
    recognised = {(h.id, h.source_lang, h.source_lang_given): h.hypothesis for h in hypotheses if h.task == "asr"}
    answers = []
    for hypothesis in hypotheses:
        if (
            hypothesis.task not in _TRANSLATION_TASKS
            or (hypothesis.source_lang, hypothesis.target_lang) not in baseline.directions
        ):
            continue
        source = hypothesis.source_text
        if hypothesis.task == "ast":
            source = recognised.get((hypothesis.id, hypothesis.source_lang, hypothesis.source_lang_given))
        if source is None:
            raise ValueError(
                f"{hypothesis.key}: the baseline translates the recognised text, but there is no ASR hypothesis; "
                "evaluate asr together with ast"
            )
        answer = baseline.translate(source, hypothesis.source_lang, hypothesis.target_lang)
        answers.append(replace(hypothesis, hypothesis=answer))
    return answers


def format_scores(scores: Sequence[Score]) -> str:
    """Plain-text tables, one per task and condition; scores of baselines are shown next to those of the model."""
    blocks = []
    for task in _METRICS:
        for told in (True, False):
            chosen = [s for s in scores if s.task == task and s.source_lang_given == told]
            if chosen:
                blocks.append(_format_block(task, told, chosen))
    signatures = sorted({score.signature for score in scores if score.source_lang != MEAN != score.target_lang})
    return "\n\n".join([*blocks, "\n".join(["signatures:", *(f"  {signature}" for signature in signatures)])])


def _compute(task: str, target_lang: str, group: Sequence[Hypothesis]) -> dict[str, MetricValue]:
    references, hypotheses = [h.reference for h in group], [h.hypothesis for h in group]
    if task == "lid":
        return {"accuracy": compute_accuracy(references, hypotheses)}
    if task == "asr":
        return {"wer": compute_wer(references, hypotheses), "cer": compute_cer(references, hypotheses)}
    return {
        "bleu": compute_bleu(references, hypotheses, target_lang=target_lang),
        "chrf": compute_chrf(references, hypotheses),
    }


def _means(scores: Sequence[Score]) -> list[Score]:
    groups: dict[tuple[str, bool, str], list[Score]] = defaultdict(list)
    for score in scores:
        groups[score.task, score.source_lang_given, score.metric].append(score)
    means = []
    for (task, _, _), group in groups.items():
        subsets = {(MEAN, MEAN): group}
        if task in _TRANSLATION_TASKS:
            subsets["en", MEAN] = [score for score in group if score.source_lang == "en"]
            subsets[MEAN, "en"] = [score for score in group if score.target_lang == "en"]
        for (source, target), members in subsets.items():
            if members:
                value = compute_mean([score.value for score in members])
                mean = replace(members[0], value=value, num_items=len(members), signature="unweighted mean")
                means.append(replace(mean, source_lang=source, target_lang=target))
    return means


def _format_block(task: str, told: bool, scores: Sequence[Score]) -> str:
    systems = list(dict.fromkeys(score.system for score in scores))
    columns = [(metric, system) for metric in _METRICS[task] for system in systems]
    values: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    counts: dict[tuple[str, str], int] = {}
    for score in scores:
        direction = (score.source_lang, score.target_lang)
        values[direction][score.metric, score.system] = score.value
        counts.setdefault(direction, score.num_items)
    # Means last, regardless of the names of the languages.
    directions = sorted(values, key=lambda pair: (MEAN in pair, pair))
    rows = [[task.upper(), "n", *(m if s == MODEL else f"{m} ({s})" for m, s in columns)]]
    for source, target in directions:
        name = source if source == target else f"{source}-{target}"
        cells = [values[source, target].get(column) for column in columns]
        rows.append([name, str(counts[source, target]), *("-" if cell is None else f"{cell:.1f}" for cell in cells)])
    lines = align_columns(rows)
    condition = "source language given" if told else "source language not given"
    return "\n".join([f"{lines[0]}   [{condition}]", *lines[1:]])
