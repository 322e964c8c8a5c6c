# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of a model on a corpus: decoding, scoring, comparison with a baseline, and a record of the run."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

import mu2slam_hf
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.processes import Processes
from mu2slam_hf.evaluation.records.results import (
    EvaluationResults,
    current_commit,
    current_time,
    describe_command,
    describe_machine,
    describe_versions,
)
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.score import Hypothesis, Score
from mu2slam_hf.evaluation.scores.scoring import (
    NEAREST_SENTENCE,
    ResourceGroups,
    score_hypotheses,
    score_language_groups,
)
from mu2slam_hf.evaluation.scores.unseen_words import TrainingWords
from mu2slam_hf.evaluation.scores.views import (
    TextLanguageIdentifier,
    Transliterator,
    confuse_languages,
    score_language_accuracy,
    score_plain_translations,
    score_transliterated,
    score_word_groups,
)
from mu2slam_hf.evaluation.tasks.baseline import NearestSentenceBaseline, translate_by_baseline
from mu2slam_hf.evaluation.tasks.decode import build_requests, decode_requests, identify_languages
from mu2slam_hf.models.task_types import SCORED_TASKS


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Attributes:
        tasks: some of `SCORED_TASKS`: asr, ast, mt.
        source_lang_given: conditions to test: source language given (True), predicted (False), or both. If it is
            predicted and asr is one of the tasks, the predictions are scored too (task `lid`).
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.
        seed: seed of the run and of the bootstrap; unused by greedy and beam search.
        bootstrap_samples: number of resamples for the 95 % confidence intervals of the scores; 0: no intervals.
        language_accuracy: whether to score the language of the texts too, see `score_language_accuracy`.
        confusable_languages: languages that texts may be in besides those of the model, for the language accuracy.
        language_groups: name -> source languages, over which all scores have means, see `score_language_groups`.
        transliterate: whether to score transcription in Latin letters too, see `score_transliterated`.
        plain_translations: whether to score translations in lower case without punctuation too, see
            `score_plain_translations`.
        generate: options of the model's `generate`.
    """

    tasks: Sequence[str] = SCORED_TASKS
    source_lang_given: Sequence[bool] = (True,)
    batch_seconds: float = 60.0
    batch_size: int = 32
    seed: int = 0
    bootstrap_samples: int = 0
    language_accuracy: bool = False
    confusable_languages: Sequence[str] = ()
    language_groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    transliterate: bool = False
    plain_translations: bool = False
    generate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bootstrap(self) -> Bootstrap | None:
        """The bootstrap of the scores, if there is one."""
        return Bootstrap(num_samples=self.bootstrap_samples, seed=self.seed) if self.bootstrap_samples else None


def evaluate_corpus(
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    settings: EvaluationSettings | None = None,
    *,
    train_records: Sequence[SpeechTextRecord] | None = None,
    training_words: TrainingWords | None = None,
    resource_groups: ResourceGroups | None = None,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
    hypotheses_path: str | os.PathLike[str] | None = None,
    progress: bool = True,
    processes: Processes | None = None,
) -> EvaluationResults:
    """Score a model on records, per language and direction.

    Args:
        model: `Mu2SLAMForConditionalGeneration`.
        processor: its processor.
        records: test records; ASR requires audio and text, AST audio and translations, MT text and translations.
        settings: tasks, conditions, batches, generation.
        train_records: if given, translations are also scored for `NearestSentenceBaseline` over these records.
        training_words: if given, transcription is also scored for recordings with and without words that are not among
            these, see `score_word_groups`.
        resource_groups: if given, translation into English also has means over these groups of source languages, see
            `score_hypotheses`.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.
        hypotheses_path: JSONL of all hypotheses; an interrupted evaluation resumes from it.
        progress: show a progress bar.
        processes: processes that share the decoding, of `start_processes`; each must call this function, and each
            returns the same scores.

    Raises:
        ValueError: no record is suitable for the tasks, or a bootstrap of too few resamples.
        ImportError: an extra is missing that a setting requires.
    """
    settings = settings or EvaluationSettings()
    bootstrap = settings.bootstrap
    torch.manual_seed(settings.seed)
    candidates = [*model.config.languages, *settings.confusable_languages]
    identifier = TextLanguageIdentifier(candidates) if settings.language_accuracy else None
    transliterator = Transliterator() if settings.transliterate else None
    description = describe_evaluated_model(model, model_name)
    identity = {"model": description, "data": dict(data or {})}
    started = time.perf_counter()
    hypotheses = _decode(model, processor, records, settings, identity, hypotheses_path, progress, processes)
    seconds = time.perf_counter() - started
    options: dict[str, Any] = {"bootstrap": bootstrap, "resource_groups": resource_groups}
    scores: list[Score] = score_hypotheses(hypotheses, **options)
    if train_records is not None:
        answers = translate_by_baseline(hypotheses, NearestSentenceBaseline(train_records))
        scores += score_hypotheses(answers, system=NEAREST_SENTENCE, **options)
    used: dict[str, Any] = {**asdict(settings), "num_hypotheses": len(hypotheses)}
    used["num_processes"] = processes.count if processes else 1
    if training_words is not None:
        scores += score_word_groups(hypotheses, training_words, bootstrap=bootstrap)
        used["num_training_words"] = training_words.num_words
    if identifier is not None:
        scores += score_language_accuracy(hypotheses, identifier, bootstrap=bootstrap)
    if transliterator is not None:
        scores += score_transliterated(hypotheses, transliterator, bootstrap=bootstrap)
    if settings.plain_translations:
        scores += score_plain_translations(hypotheses, bootstrap=bootstrap)
    scores += score_language_groups(scores, settings.language_groups)
    results = build_results(
        model,
        records,
        scores,
        model_name=model_name,
        data=data,
        settings=used,
        seed=settings.seed,
        duration_seconds=seconds,
    )
    if identifier is None:
        return results
    matrices = confuse_languages(hypotheses, identifier)
    return replace(results, output_languages={task: asdict(matrix) for task, matrix in matrices.items()})


def build_results(
    model: Any,
    records: Sequence[SpeechTextRecord],
    scores: Sequence[Score],
    *,
    model_name: str,
    data: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    duration_seconds: float = 0.0,
) -> EvaluationResults:
    """Create the record of an evaluation by this process.

    Args:
        model: evaluated model.
        records: test records.
        scores: results.
        model_name: path or name of the model.
        data: corpus, split and options.
        settings: settings of the evaluation.
        seed: seed of the run.
        duration_seconds: duration of the evaluation.
    """
    return EvaluationResults(
        command=describe_command(),
        created=current_time(),
        git_commit=current_commit(Path(mu2slam_hf.__file__).parent),
        machine=describe_machine(str(model.device)),
        versions=describe_versions(),
        model=describe_evaluated_model(model, model_name),
        data={**(data or {}), **_describe_records(records)},
        settings=dict(settings or {}),
        seed=seed,
        duration_seconds=round(duration_seconds, 1),
        scores=tuple(scores),
    )


def _decode(
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    settings: EvaluationSettings,
    identity: Mapping[str, Any],
    path: str | os.PathLike[str] | None,
    progress: bool,
    processes: Processes | None,
) -> list[Hypothesis]:
    conditions = tuple(dict.fromkeys(settings.source_lang_given))
    requests = [
        request
        for is_given in conditions
        for request in build_requests(records, settings.tasks, source_lang_given=is_given)
    ]
    if not requests:
        raise ValueError(f"none of the {len(records)} records is suitable for the tasks {', '.join(settings.tasks)}")
    hypotheses = decode_requests(
        requests,
        model,
        processor,
        output_path=path,
        settings=identity,
        batch_seconds=settings.batch_seconds,
        batch_size=settings.batch_size,
        progress=progress,
        processes=processes,
        **settings.generate,
    )
    if False in conditions and "asr" in settings.tasks:
        limits: dict[str, Any] = {"batch_seconds": settings.batch_seconds, "batch_size": settings.batch_size}
        hypotheses += identify_languages(records, model, processor, processes=processes, **limits)
    return hypotheses


def describe_evaluated_model(model: Any, name: str) -> dict[str, Any]:
    """Name, class, size and fingerprint of a model's weights, and how they were quantised, if they were."""
    description = {
        "name": name,
        "class": type(model).__name__,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "weights_sha256": hash_parameters(model),
    }
    quantization = getattr(model.config, "quantization_config", None)
    return description if quantization is None else description | {"quantization": quantization.to_dict()}


def hash_parameters(model: Any) -> str:
    """SHA-256 over names, shapes and values of all parameters, the same on every device and for every dtype copy.

    Of quantised parameters, the values that they stand for.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().dequantize().float().cpu().contiguous().numpy()
        digest.update(f"{name}{tuple(values.shape)}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _describe_records(records: Sequence[SpeechTextRecord]) -> dict[str, Any]:
    return {
        "num_records": len(records),
        "audio_seconds": round(sum(record.duration_seconds or 0.0 for record in records), 1),
        "languages": sorted({record.lang for record in records}),
    }
