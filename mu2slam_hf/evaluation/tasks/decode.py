# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Decoding of records to hypotheses, in batches of similar length, with a JSONL file that can be resumed.

Recordings are transcribed and translated by `transcribe_recordings`, texts by `translate`, as in the commands: what is
scored is what users get, with the windows, the language decision and the detection of speech.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm.auto import tqdm

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.hypotheses import HypothesisFile
from mu2slam_hf.evaluation.records.processes import Processes
from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.inference.language_identification import predict_languages
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.inference.translation import translate
from mu2slam_hf.models.modules_capabilities import capabilities_of
from mu2slam_hf.models.modules_lengths import group_by_size
from mu2slam_hf.models.task_types import SCORED_TASKS, TASKS

SPEECH_TASKS = tuple(task for task in SCORED_TASKS if TASKS[task].source == "speech")
TEXT_TASKS = tuple(task for task in SCORED_TASKS if TASKS[task].source == "text")


@dataclass(frozen=True, kw_only=True)
class DecodingRequest:
    """A text to generate, with its reference.

    Attributes:
        record: the source record; its audio is loaded with its batch.
        task: asr, ast or mt.
        target_lang: language to generate.
        source_lang_given: whether the source language is given to the model.
        reference: the reference text.
    """

    record: SpeechTextRecord
    task: str
    target_lang: str
    source_lang_given: bool
    reference: str

    @property
    def key(self) -> str:
        """Unique name of the request within an evaluation."""
        condition = "given" if self.source_lang_given else "guessed"
        return f"{self.record.key}>{self.target_lang}/{self.task}/{condition}"

    @property
    def size(self) -> float:
        """Size by which batches are sorted: seconds of audio, or characters of text."""
        return float(len(self.record.text or "")) if self.task in TEXT_TASKS else self.record.duration_seconds or 0.0


def build_requests(
    records: Iterable[SpeechTextRecord], tasks: Sequence[str] = SCORED_TASKS, *, source_lang_given: bool = True
) -> list[DecodingRequest]:
    """All requests for a set of records: ASR of all with audio and text, AST and MT into every translation.

    Args:
        records: validated records.
        tasks: subset of asr, ast, mt.
        source_lang_given: whether the source language is given to the model.
    """
    unknown = sorted(set(tasks) - set(SCORED_TASKS))
    if unknown:
        raise ValueError(f"unknown tasks {unknown}; expected some of {', '.join(SCORED_TASKS)}")
    requests = []
    for record in records:
        for task in tasks:
            if task in SPEECH_TASKS and record.audio is None:
                continue
            if task in TEXT_TASKS and not record.text:
                continue
            keeps_language = TASKS[task].same_language
            references = {record.lang: record.text} if keeps_language else dict(record.translations)
            shared: dict[str, Any] = {"record": record, "task": task, "source_lang_given": source_lang_given}
            requests += [
                DecodingRequest(target_lang=target_lang, reference=reference, **shared)
                for target_lang, reference in references.items()
                if reference
            ]
    return requests


def make_batches(
    requests: Sequence[DecodingRequest], *, batch_seconds: float = 60.0, batch_size: int = 32
) -> Iterator[list[DecodingRequest]]:
    """Batches of one modality (of texts: one task) and condition each, longest first, for little padding.

    All requests for a recording in one condition are in one batch: transcript and translations need one pass of the
    encoder.

    Args:
        requests: requests to batch.
        batch_seconds: maximum seconds of audio in a batch, including padding; a longer clip is a batch of its own.
        batch_size: maximum number of recordings or texts in a batch.
    """
    if batch_size < 1 or batch_seconds <= 0:
        raise ValueError(f"batch_size and batch_seconds must be positive, got {batch_size} and {batch_seconds}")
    groups: dict[tuple[str, bool], dict[str, list[DecodingRequest]]] = defaultdict(lambda: defaultdict(list))
    for request in requests:
        is_speech = request.task in SPEECH_TASKS
        source = request.record.key if is_speech else request.key
        groups["" if is_speech else request.task, request.source_lang_given][source].append(request)
    for (text_task, _), sources in groups.items():
        ordered = [sources[key] for key in sorted(sources)]
        budget = float("inf") if text_task else batch_seconds
        for indices in group_by_size([source[0].size for source in ordered], budget, batch_size):
            yield [request for index in indices for request in ordered[index]]


def decode_requests(
    requests: Sequence[DecodingRequest],
    model: Any,
    processor: Any,
    *,
    output_path: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
    progress: bool = True,
    processes: Processes | None = None,
    **generate_kwargs: Any,
) -> list[Hypothesis]:
    """Write a hypothesis for every request; an interrupted run can be resumed.

    Batches do not depend on the number of processes, and so the hypotheses do not either.

    Args:
        requests: from `build_requests`.
        model: a model with the capabilities of the tasks; its mode (train or eval) is restored afterwards.
        processor: its processor.
        output_path: JSONL file, written batch by batch. Hypotheses that it already contains are not generated again.
        settings: settings that affect the hypotheses (model, options); stored in the first line of the file.
        batch_seconds: see `make_batches`.
        batch_size: see `make_batches`.
        progress: show a progress bar.
        processes: processes that share the batches; each must call this function, and each returns all hypotheses.
        **generate_kwargs: passed to `generate`.

    Returns:
        One hypothesis per request, in the order of the requests.

    Raises:
        ValueError: the model does not have a task, or the file was created with other settings.
        AudioError: a recording cannot be read.
    """
    check_tasks(model, {request.task for request in requests})
    processes = processes or Processes()
    store = HypothesisFile(output_path, {**(settings or {}), "generate": generate_kwargs}, processes)
    waiting = [request for request in requests if request.key not in store.hypotheses]
    was_training = model.training
    model.eval()
    batches = processes.share(list(make_batches(waiting, batch_seconds=batch_seconds, batch_size=batch_size)))
    num_items = sum(map(len, batches))
    start = len(requests) - len(waiting)
    bar = tqdm(total=start + num_items, initial=start, disable=not (progress and processes.is_main), desc="decode")
    try:
        for batch in batches:
            decode = _transcribe if batch[0].task in SPEECH_TASKS else _translate
            texts = decode(batch, model, processor, batch_seconds, generate_kwargs)
            store.add([_hypothesis(request, text) for request, text in zip(batch, texts, strict=True)])
            bar.update(len(batch))
    finally:
        bar.close()
        model.train(was_training)
    store.collect()
    return [store.hypotheses[request.key] for request in requests]


def check_tasks(model: Any, tasks: Iterable[str]) -> None:
    """Raises ValueError if a model does not have one of the tasks."""
    known = capabilities_of(model).tasks
    missing = sorted(set(tasks) - set(known))
    if missing:
        raise ValueError(
            f"{type(model).__name__} cannot be evaluated on {', '.join(missing)}; it has the tasks "
            f"{', '.join(known) or '(none)'}"
        )


def identify_languages(
    records: Iterable[SpeechTextRecord],
    model: Any,
    processor: Any,
    *,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
    processes: Processes | None = None,
) -> list[Hypothesis]:
    """Predict the language of every recording, as hypotheses of the task `lid` with the true language as reference."""
    processes = processes or Processes()
    requests = build_requests(records, ["asr"], source_lang_given=False)
    hypotheses = []
    was_training = model.training
    for batch in processes.share(list(make_batches(requests, batch_seconds=batch_seconds, batch_size=batch_size))):
        audio = [load_audio(request.record.audio) for request in batch]
        guesses = predict_languages(model, processor, audio=audio, batch_seconds=batch_seconds)
        for request, guess in zip(batch, guesses, strict=True):
            hypotheses.append(replace(_hypothesis(request, guess.lang), task="lid", reference=request.record.lang))
    model.train(was_training)
    return processes.gather(hypotheses)


def _transcribe(
    batch: Sequence[DecodingRequest],
    model: Any,
    processor: Any,
    batch_seconds: float,
    generate_kwargs: Mapping[str, Any],
) -> list[str]:
    """Transcripts and translations of recordings, each recording read once."""
    targets: dict[str, tuple[SpeechTextRecord, list[str]]] = {}
    for request in batch:
        _, own = targets.setdefault(request.record.key, (request.record, []))
        own += [] if TASKS[request.task].same_language else [request.target_lang]
    recordings = [
        TranscriptionRequest(
            source=load_audio(record.audio),
            source_lang=_known_language(record.lang, model, processor) if batch[0].source_lang_given else None,
            target_langs=tuple(own),
        )
        for record, own in targets.values()
    ]
    options = TranscriptionOptions(batch_seconds=batch_seconds, generate_kwargs=generate_kwargs)
    transcripts: dict[str, Transcript] = {}
    for key, result in zip(targets, transcribe_recordings(model, processor, recordings, options), strict=True):
        if isinstance(result, ValueError):
            raise result
        transcripts[key] = result
    return [
        transcripts[request.record.key].text
        if TASKS[request.task].same_language
        else transcripts[request.record.key].translation(request.target_lang)
        for request in batch
    ]


def _known_language(code: str, model: Any, processor: Any) -> str | None:
    """A given language; None for a model that does not choose among languages and does not know this one."""
    return code if capabilities_of(model).translates or code in processor.languages else None


def _translate(
    batch: Sequence[DecodingRequest],
    model: Any,
    processor: Any,
    batch_seconds: float,
    generate_kwargs: Mapping[str, Any],
) -> list[str]:
    """Translations of texts."""
    return translate(
        model,
        processor,
        [request.record.text or "" for request in batch],
        source_lang=[request.record.lang for request in batch] if batch[0].source_lang_given else None,
        target_lang=[request.target_lang for request in batch],
        task=batch[0].task,
        batch_size=len(batch),
        **generate_kwargs,
    )


def _hypothesis(request: DecodingRequest, text: str) -> Hypothesis:
    return Hypothesis(
        key=request.key,
        id=request.record.id,
        task=request.task,
        source_lang=request.record.lang,
        target_lang=request.target_lang,
        source_lang_given=request.source_lang_given,
        source_text=request.record.text,
        reference=request.reference,
        hypothesis=text,
    )
