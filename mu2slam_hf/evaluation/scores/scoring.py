# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of hypotheses per language and direction, their means, and tables."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import MetricValue, add_interval, compute_mean, compute_metric
from mu2slam_hf.evaluation.scores.score import Hypothesis, Score
from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.scores.unseen_words import split_words
from mu2slam_hf.models.task_types import TASK_TABLE, TRANSLATION_TASKS

MODEL = "model"
NEAREST_SENTENCE = "nearest"
MEAN = "mean"
# Rates of reference words and their characters.
_WORD_RATES = frozenset({"wer", "cer"})
_GROUP_METRICS = ("wer", "cer", "unseen_word_rate", "unseen_word_recall")
# Name of a group -> its languages.
ResourceGroups = Mapping[str, Sequence[str]]
# Metrics by name, from task, target language, and the hypotheses of one direction.
ComputeMetrics = Callable[[str, str, Sequence[Hypothesis]], dict[str, MetricValue]]


def score_hypotheses(
    hypotheses: Iterable[Hypothesis],
    *,
    system: str = MODEL,
    bootstrap: Bootstrap | None = None,
    resource_groups: ResourceGroups | None = None,
) -> list[Score]:
    """Scores of every task and direction, then the means.

    ASR is scored by WER and CER, translation by BLEU, chrF and TER, predicted languages by accuracy. Means are
    unweighted over languages (asr, lid) or directions (ast, mt): over all, and for translation also from English
    (`en-mean`) and into English (`mean-en`).

    Args:
        hypotheses: texts of the system with their references.
        system: name of the system.
        bootstrap: if given, scores and means have 95 % confidence intervals over utterances; the utterances of each
            language or direction are drawn apart, and means are over the same draws.
        resource_groups: name of a group -> languages; translation from each group into English has a mean too, of the
            group `<name>-resource`.
    """
    options: dict[str, Any] = {"bootstrap": bootstrap, "resource_groups": resource_groups}
    return [score for score, _ in score_with_resamples(hypotheses, system=system, **options)]


def score_with_resamples(
    hypotheses: Iterable[Hypothesis],
    *,
    system: str = MODEL,
    bootstrap: Bootstrap | None = None,
    resource_groups: ResourceGroups | None = None,
) -> list[tuple[Score, MetricValue]]:
    """As `score_hypotheses`, each score with its value, which has the scores of the resamples.

    Args:
        hypotheses: texts of the system with their references.
        system: name of the system.
        bootstrap: as in `score_hypotheses`.
        resource_groups: as in `score_hypotheses`.
    """
    values = _score(hypotheses, partial(compute_task_metrics, bootstrap=bootstrap), system=system)
    return values + _resource_means(values, resource_groups or {})


def score_groups(
    hypotheses: Iterable[Hypothesis],
    compute: ComputeMetrics,
    **fields: Any,
) -> list[Score]:
    """Scores of every task, condition and direction by any metrics, and their means.

    Args:
        hypotheses: texts of the system with their references.
        compute: metrics by name, from task, target language, and the hypotheses of one direction.
        **fields: further fields of the scores: `system`, `group`.
    """
    return [score for score, _ in _score(hypotheses, compute, **fields)]


def _score(
    hypotheses: Iterable[Hypothesis],
    compute: ComputeMetrics,
    **fields: Any,
) -> list[tuple[Score, MetricValue]]:
    groups: dict[tuple[str, bool, str, str], list[Hypothesis]] = defaultdict(list)
    for hypothesis in hypotheses:
        is_given, source, target = hypothesis.source_lang_given, hypothesis.source_lang, hypothesis.target_lang
        groups[hypothesis.task, is_given, source, target].append(hypothesis)
    values: list[tuple[Score, MetricValue]] = []
    for (task, is_given, source, target), group in sorted(
        groups.items(), key=lambda item: (item[0][0], not item[0][1])
    ):
        shared: dict[str, Any] = {"source_lang": source, "target_lang": target, "source_lang_given": is_given}
        # The draws of a bootstrap must not depend on the order in which utterances were decoded.
        ordered = sorted(group, key=lambda hypothesis: hypothesis.key)
        for metric, value in compute(task, target, ordered).items():
            values.append((make_score(value, task=task, metric=metric, **fields, **shared), value))
    return [*values, *mean_scores(values)]


def make_score(value: MetricValue, **fields: Any) -> Score:
    """The score of a record.

    Args:
        value: the value, its signature and its interval.
        **fields: the other fields of `Score`.
    """
    names = ("value", "signature", "num_items", "interval_low", "interval_high")
    return Score(**{name: getattr(value, name) for name in names}, **fields)


def format_scores(scores: Sequence[Score]) -> str:
    """Plain-text tables, one per task and condition, and one for groups of recordings.

    Scores of baselines are shown next to those of the model.
    """
    blocks = []
    for task, kind in TASK_TABLE.items():
        metrics = kind.metrics
        for is_given in (True, False):
            chosen = [s for s in scores if s.task == task and s.source_lang_given == is_given]
            whole, grouped = [s for s in chosen if s.group is None], [s for s in chosen if s.group is not None]
            blocks += [_format_block(task, is_given, whole, (*metrics, "language_accuracy"))] if whole else []
            group_metrics = (*(metrics if task in TRANSLATION_TASKS else _GROUP_METRICS), "language_accuracy")
            blocks += [_format_block(task, is_given, grouped, group_metrics)] if grouped else []
    signatures = sorted({score.signature for score in scores if score.source_lang != MEAN != score.target_lang})
    return "\n\n".join([*blocks, "\n".join(["signatures:", *(f"  {signature}" for signature in signatures)])])


def compute_task_metrics(
    task: str, target_lang: str, group: Sequence[Hypothesis], *, bootstrap: Bootstrap | None = None
) -> dict[str, MetricValue]:
    """All metrics of a task for the hypotheses of one language or direction.

    Without a word in any reference there are no WER and CER; a warning says so.

    Args:
        task: asr, ast, mt or lid.
        target_lang: language of the texts.
        group: hypotheses with their references.
        bootstrap: if given, the values have 95 % confidence intervals.
    """
    references, hypotheses = [h.reference for h in group], [h.hypothesis for h in group]
    metrics = TASK_TABLE[task].metrics
    if not any(map(split_words, references)):
        metrics = tuple(metric for metric in metrics if metric not in _WORD_RATES)
        if metrics != TASK_TABLE[task].metrics:
            warnings.warn(
                f"no reference of {task} in {target_lang} has a word: it has no error rate, and is in no mean",
                stacklevel=2,
            )
    return {
        metric: compute_metric(metric, references, hypotheses, target_lang=target_lang, bootstrap=bootstrap)
        for metric in metrics
    }


def mean_scores(values: Sequence[tuple[Score, MetricValue]]) -> list[tuple[Score, MetricValue]]:
    """Means over languages or directions of every task, condition, metric and system, see `score_hypotheses`.

    Args:
        values: scores with their values.
    """
    groups: dict[tuple[str, bool, str, str], list[tuple[Score, MetricValue]]] = defaultdict(list)
    for score, value in values:
        groups[score.task, score.source_lang_given, score.metric, score.system].append((score, value))
    means = []
    for (task, _, _, _), group in groups.items():
        subsets = {(MEAN, MEAN): group}
        if task in TRANSLATION_TASKS:
            subsets["en", MEAN] = [pair for pair in group if pair[0].source_lang == "en"]
            subsets[MEAN, "en"] = [pair for pair in group if pair[0].target_lang == "en"]
        for (source, target), members in subsets.items():
            if members:
                means.append(_mean(members, source_lang=source, target_lang=target, group=members[0][0].group))
    return means


def _resource_means(
    values: Sequence[tuple[Score, MetricValue]], resource_groups: ResourceGroups
) -> list[tuple[Score, MetricValue]]:
    groups: dict[tuple[str, bool, str, str], list[tuple[Score, MetricValue]]] = defaultdict(list)
    for name, languages in resource_groups.items():
        for score, value in values:
            is_into_english = score.task in TRANSLATION_TASKS and score.target_lang == "en"
            if is_into_english and score.source_lang.split("-")[0] in languages:
                groups[score.task, score.source_lang_given, score.metric, name].append((score, value))
    return [
        _mean(members, source_lang=MEAN, target_lang="en", group=f"{name}-resource")
        for (_, _, _, name), members in groups.items()
    ]


def score_language_groups(scores: Sequence[Score], groups: Mapping[str, Sequence[str]]) -> list[Score]:
    """Unweighted means over groups of source languages, of every task, metric and system, without intervals.

    Args:
        scores: scores of languages and directions; means among them are ignored.
        groups: name of a group -> its languages. The scores have the group `<name> languages`, those of a view (such
            as `right language`) `<name> languages, <view>`.
    """
    members: dict[tuple[str, str, str, bool, str], list[Score]] = defaultdict(list)
    for name, languages in groups.items():
        for score in scores:
            if MEAN not in (score.source_lang, score.target_lang) and score.source_lang.split("-")[0] in languages:
                group = f"{name} languages" + (f", {score.group}" if score.group else "")
                members[score.task, score.metric, score.system, score.source_lang_given, group].append(score)
    return [
        Score(
            task=task,
            metric=metric,
            system=system,
            source_lang_given=is_given,
            group=group,
            value=compute_mean([score.value for score in own]),
            source_lang=MEAN,
            target_lang=MEAN,
            num_items=len(own),
            signature="unweighted mean",
        )
        for (task, metric, system, is_given, group), own in members.items()
    ]


def _mean(members: Sequence[tuple[Score, MetricValue]], **fields: Any) -> tuple[Score, MetricValue]:
    mean, first = compute_mean_value([value for _, value in members]), members[0][0]
    shared = {name: getattr(first, name) for name in ("task", "metric", "source_lang_given", "system")}
    return make_score(mean, **shared, **fields), mean


def compute_mean_value(values: Sequence[MetricValue]) -> MetricValue:
    """Unweighted mean of scores, with an interval if all of them were resampled.

    Args:
        values: scores of languages or directions.
    """
    mean = MetricValue(
        value=compute_mean([value.value for value in values]), signature="unweighted mean", num_items=len(values)
    )
    resampled = [value.resampled for value in values if value.resampled is not None]
    return add_interval(mean, np.mean(resampled, axis=0)) if len(resampled) == len(values) else mean


def format_value(score: Score) -> str:
    """A score with one decimal, and its interval in brackets if it has one."""
    if score.interval_low is None or score.interval_high is None:
        return f"{score.value:.1f}"
    return f"{score.value:.1f} [{score.interval_low:.1f}, {score.interval_high:.1f}]"


def _format_block(task: str, is_given: bool, scores: Sequence[Score], metrics: Sequence[str]) -> str:
    systems = list(dict.fromkeys(score.system for score in scores))
    present = {(score.metric, score.system) for score in scores}
    columns = [(metric, system) for metric in metrics for system in systems if (metric, system) in present]
    values: dict[tuple[str, str, str], dict[tuple[str, str], str]] = defaultdict(dict)
    counts: dict[tuple[str, str, str], int] = {}
    for score in scores:
        key = (score.source_lang, score.target_lang, score.group or "")
        values[key][score.metric, score.system] = format_value(score)
        counts.setdefault(key, score.num_items)
    titles = [metric.replace("_", " ") + (f" ({system})" if system != MODEL else "") for metric, system in columns]
    rows = [[task.upper(), "n", *titles]]
    # Means last, regardless of the names of the languages.
    for key in sorted(values, key=lambda key: (MEAN in key, key)):
        source, target, group = key
        name = (source if source == target else f"{source}-{target}") + (f", {group}" if group else "")
        cells = [values[key].get(column) for column in columns]
        rows.append([name, str(counts[key]), *(cell or "-" for cell in cells)])
    lines = align_columns(rows)
    condition = "source language given" if is_given else "source language not given"
    return "\n".join([f"{lines[0]}   [{condition}]", *lines[1:]])
