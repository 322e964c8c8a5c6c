# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of hypotheses per language and direction, their means, and tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
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
from mu2slam_hf.evaluation.unseen_words import TrainingWords, compute_unseen_words, split_words

MODEL = "model"
NEAREST_SENTENCE = "nearest"
MEAN = "mean"
SEEN_WORDS = "seen words"
UNSEEN_WORDS = "unseen words"
_METRICS = {
    "asr": ("wer", "cer"),
    "ast": ("bleu", "chrf"),
    "mt": ("bleu", "chrf"),
    "lid": ("accuracy",),
    "nli": ("accuracy",),
    "qa": ("f1", "exact_match"),
}
_GROUP_METRICS = ("wer", "cer", "unseen_word_rate", "unseen_word_recall")
_TRANSLATION_TASKS = ("ast", "mt")


def score_hypotheses(hypotheses: Iterable[Hypothesis], *, system: str = MODEL) -> list[Score]:
    """Scores of every task and direction, then the means.

    ASR is scored by WER and CER, translation by BLEU and chrF, predicted languages by accuracy. Means are unweighted
    over languages (asr, lid) or directions (ast, mt): over all, and for translation also from English (`en-mean`) and
    into English (`mean-en`).
    """
    return _score(hypotheses, _compute, system=system)


def score_word_groups(hypotheses: Iterable[Hypothesis], training_words: TrainingWords) -> list[Score]:
    """Scores of transcription for recordings with and without words that the training texts do not have.

    The group `seen words` has the recordings whose words all occur in the training texts, `unseen words` those with at
    least one that does not; recordings whose reference has no word are in neither. Both groups have WER, CER and
    `unseen_word_rate`, the share of unseen words among the reference words; `unseen words` also has
    `unseen_word_recall`, the share of unseen words that are recognised.

    Args:
        hypotheses: those of other tasks than asr are ignored.
        training_words: words of the training texts.
    """
    groups: dict[str, list[Hypothesis]] = {SEEN_WORDS: [], UNSEEN_WORDS: []}
    for hypothesis in hypotheses:
        words = split_words(hypothesis.reference) if hypothesis.task == "asr" else []
        if words:
            is_seen = not training_words.find_unseen(words, hypothesis.target_lang)
            groups[SEEN_WORDS if is_seen else UNSEEN_WORDS].append(hypothesis)

    def compute(task: str, target_lang: str, group: Sequence[Hypothesis]) -> dict[str, MetricValue]:
        texts = [h.reference for h in group], [h.hypothesis for h in group]
        return _compute(task, target_lang, group) | compute_unseen_words(*texts, training_words, target_lang)

    return [score for name, group in groups.items() for score in _score(group, compute, group=name)]


def _score(
    hypotheses: Iterable[Hypothesis],
    compute: Callable[[str, str, Sequence[Hypothesis]], dict[str, MetricValue]],
    **fields: Any,
) -> list[Score]:
    groups: dict[tuple[str, bool, str, str], list[Hypothesis]] = defaultdict(list)
    for hypothesis in hypotheses:
        told, source, target = hypothesis.source_lang_given, hypothesis.source_lang, hypothesis.target_lang
        groups[hypothesis.task, told, source, target].append(hypothesis)
    scores = []
    for (task, told, source, target), group in sorted(groups.items(), key=lambda item: (item[0][0], not item[0][1])):
        shared: dict[str, Any] = {"source_lang": source, "target_lang": target, "source_lang_given": told}
        for metric, value in compute(task, target, group).items():
            scores.append(Score(task=task, metric=metric, **fields, **shared, **vars(value)))
    return [*scores, *_means(scores)]


def translate_by_baseline(hypotheses: Iterable[Hypothesis], baseline: NearestSentenceBaseline) -> list[Hypothesis]:
    """Translations of the baseline for every translation request.

    Text translation looks up the source text; speech translation looks up what *the same model* recognised in the
    recording, so the hypotheses must include the ASR of every translated recording.
    """
    hypotheses = list(hypotheses)
    recognised = {(h.id, h.source_lang, h.source_lang_given): h.hypothesis for h in hypotheses if h.task == "asr"}
    asked: dict[tuple[str, str], list[tuple[Hypothesis, str]]] = defaultdict(list)
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
        asked[hypothesis.source_lang, hypothesis.target_lang].append((hypothesis, source))
    answers = []
    for (source_lang, target_lang), pairs in asked.items():
        translations = baseline.translate([source for _, source in pairs], source_lang, target_lang)
        answers += [replace(pair[0], hypothesis=text) for pair, text in zip(pairs, translations, strict=True)]
    return answers


def format_scores(scores: Sequence[Score]) -> str:
    """Plain-text tables, one per task and condition, and one for groups of recordings.

    Scores of baselines are shown next to those of the model.
    """
    blocks = []
    for task, metrics in _METRICS.items():
        for told in (True, False):
            chosen = [s for s in scores if s.task == task and s.source_lang_given == told]
            whole, grouped = [s for s in chosen if s.group is None], [s for s in chosen if s.group is not None]
            blocks += [_format_block(task, told, whole, metrics)] if whole else []
            blocks += [_format_block(task, told, grouped, _GROUP_METRICS)] if grouped else []
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


def _format_block(task: str, told: bool, scores: Sequence[Score], metrics: Sequence[str]) -> str:
    systems = list(dict.fromkeys(score.system for score in scores))
    columns = [(metric, system) for metric in metrics for system in systems]
    values: dict[tuple[str, str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    counts: dict[tuple[str, str, str], int] = {}
    for score in scores:
        key = (score.source_lang, score.target_lang, score.group or "")
        values[key][score.metric, score.system] = score.value
        counts.setdefault(key, score.num_items)
    titles = [metric.replace("_", " ") + (f" ({system})" if system != MODEL else "") for metric, system in columns]
    rows = [[task.upper(), "n", *titles]]
    # Means last, regardless of the names of the languages.
    for key in sorted(values, key=lambda key: (MEAN in key, key)):
        source, target, group = key
        name = (source if source == target else f"{source}-{target}") + (f", {group}" if group else "")
        cells = [values[key].get(column) for column in columns]
        rows.append([name, str(counts[key]), *("-" if cell is None else f"{cell:.1f}" for cell in cells)])
    lines = align_columns(rows)
    condition = "source language given" if told else "source language not given"
    return "\n".join([f"{lines[0]}   [{condition}]", *lines[1:]])
