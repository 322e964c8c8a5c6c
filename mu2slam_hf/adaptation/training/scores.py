# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores and samples of a model on the development recordings, before and after training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.report.dev_split import DevSplit
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.tasks.corpora import EvaluationSettings, evaluate_corpus

MAX_SCORED = 100
_NUM_SAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A development recording with what a model writes.

    Attributes:
        key: key of the record.
        target_lang: language that is written.
        reference: transcript or translation.
        hypothesis: output of the model.
    """

    key: str
    target_lang: str
    reference: str
    hypothesis: str


def scored_records(split: DevSplit, languages: Sequence[str]) -> list[SpeechTextRecord]:
    """Development records with only those texts that training does not have, at most `MAX_SCORED`.

    Args:
        split: the split.
        languages: the spoken language, then those of the translations.
    """
    scored = {lang: {record.key for record in split.scored(lang)} for lang in languages}
    records = []
    for record in split.dev:
        text = record.text if record.key in scored[languages[0]] else None
        translations = {lang: record.translations[lang] for lang in languages[1:] if record.key in scored[lang]}
        if text is not None or translations:
            records.append(replace(record, text=text, translations=translations))
    return spread_evenly(records, MAX_SCORED)


def score_model(
    model: Any, processor: Any, records: Sequence[SpeechTextRecord], *, name: str, folder: Path, stem: str
) -> EvaluationResults:
    """Transcribe and translate records, and write `<stem>.json` and `<stem>.hypotheses.jsonl`.

    An interrupted evaluation is continued; a finished one is read.

    Args:
        model: in evaluation mode.
        processor: its processor.
        records: from `scored_records`.
        name: name of the model for the record.
        folder: folder of the two files.
        stem: their name.
    """
    path, hypotheses = folder / f"{stem}.json", folder / f"{stem}.hypotheses.jsonl"
    if not path.is_file():
        results = evaluate_corpus(
            model,
            processor,
            records,
            EvaluationSettings(tasks=("asr", "ast")),
            model_name=name,
            data={"corpus": "development recordings"},
            hypotheses_path=hypotheses,
            progress=False,
        )
        results.save(path)
    return EvaluationResults.load(path)


def read_samples(path: Path) -> list[Sample]:
    """Outputs in a file of hypotheses, in the order of their keys; none without a file.

    Args:
        path: JSONL that `evaluate_corpus` has written; its first line has the settings.
    """
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    names = [item.name for item in fields(Sample)]
    samples = [Sample(**{name: row[name] for name in names}) for row in rows]
    return sorted(samples, key=lambda sample: sample.key)


def choose_samples(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that a report shows: a fixed rule, not a choice by hand."""
    return spread_evenly(list(samples), _NUM_SAMPLES)


def main_scores(results: EvaluationResults, languages: Sequence[str]) -> dict[str, float]:
    """`asr CER`, `asr WER`, and for each translation `fr BLEU`, `fr chrF`, in percent."""
    scores: dict[str, float] = {}
    for metric, title in (("cer", "CER"), ("wer", "WER")):
        for score in results.find(task="asr", metric=metric, source_lang=languages[0], group=None):
            scores[f"{title} of transcription"] = score.value
    for lang in languages[1:]:
        for metric, title in (("bleu", "BLEU"), ("chrf", "chrF")):
            for score in results.find(task="ast", metric=metric, source_lang=languages[0], target_lang=lang):
                scores[f"{title} of translation into {lang}"] = score.value
    return scores


def mean_error(scores: Mapping[str, float]) -> float:
    """Mean of the error rates and, for translations, of what is missing to 100 in BLEU and chrF.

    Choice: every score that the user sees counts the same, so that a little less of one error does not outweigh much
    worse translations.

    Args:
        scores: from `main_scores`.
    """
    errors = [value if title.startswith(("CER", "WER")) else 100.0 - value for title, value in scores.items()]
    return sum(errors) / len(errors)


def is_better(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Whether the first of two models has the lower `mean_error`; False without scores.

    Args:
        first: from `main_scores`.
        second: likewise, on the same recordings.
    """
    return bool(first) and first.keys() == second.keys() and mean_error(first) < mean_error(second)
