# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Decoding of records to hypotheses, in batches of similar length, with a JSONL file that can be resumed."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm.auto import tqdm

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.hypotheses import Hypothesis, HypothesisFile
from mu2slam_hf.evaluation.processes import Processes
from mu2slam_hf.inference.translation import generate_texts, guess_languages
from mu2slam_hf.models.modules_lengths import group_by_size

SPEECH_TASKS = ("asr", "ast")
TEXT_TASKS = ("mt",)
EVALUATION_TASKS = (*SPEECH_TASKS, *TEXT_TASKS)


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
        told = "given" if self.source_lang_given else "guessed"
        return f"{self.record.key}>{self.target_lang}/{self.task}/{told}"

    @property
    def size(self) -> float:
        """Size by which batches are sorted: seconds of audio, or characters of text."""
        return float(len(self.record.text or "")) if self.task in TEXT_TASKS else self.record.duration_seconds or 0.0


def build_requests(
    records: Iterable[SpeechTextRecord], tasks: Sequence[str] = EVALUATION_TASKS, *, source_lang_given: bool = True
) -> list[DecodingRequest]:
    """All requests for a set of records: ASR of all with audio and text, AST and MT into every translation.

    Args:
        records: validated records.
        tasks: subset of asr, ast, mt.
        source_lang_given: whether the source language is given to the model.
    """
    unknown = sorted(set(tasks) - set(EVALUATION_TASKS))
    if unknown:
        raise ValueError(f"unknown tasks {unknown}; expected some of {', '.join(EVALUATION_TASKS)}")
    requests = []
    for record in records:
        for task in tasks:
            if task in SPEECH_TASKS and record.audio is None:
                continue
            if task in TEXT_TASKS and not record.text:
                continue
            references = {record.lang: record.text} if task == "asr" else dict(record.translations)
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
    """Batches of one task and condition each, longest first, for little padding and early out-of-memory errors.

    Args:
        requests: requests to batch.
        batch_seconds: maximum seconds of audio in a batch, including padding; a longer clip is a batch of its own.
        batch_size: maximum number of requests in a batch.
    """
    if batch_size < 1 or batch_seconds <= 0:
        raise ValueError(f"batch_size and batch_seconds must be positive, got {batch_size} and {batch_seconds}")
    groups: dict[tuple[str, bool], list[DecodingRequest]] = defaultdict(list)
    for request in requests:
        groups[request.task, request.source_lang_given].append(request)
    for (task, _), group in groups.items():
        ordered = sorted(group, key=lambda request: request.key)
        budget = batch_seconds if task in SPEECH_TASKS else float("inf")
        for places in group_by_size([request.size for request in ordered], budget, batch_size):
            yield [ordered[place] for place in places]


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
    """Generate a hypothesis for every request; an interrupted run can be resumed.

    Batches do not depend on the number of processes, and so the hypotheses do not either.

    Args:
        requests: from `build_requests`.
        model: `Mu2SLAMForConditionalGeneration`.
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
        ValueError: the file was created with other settings.
    """
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
            texts = _generate_batch(batch, model, processor, generate_kwargs)
            store.add([_hypothesis(request, text) for request, text in zip(batch, texts, strict=True)])
            bar.update(len(batch))
    finally:
        bar.close()
        model.train(was_training)
    store.collect()
    return [store.hypotheses[request.key] for request in requests]


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
    model.eval()
    for batch in processes.share(list(make_batches(requests, batch_seconds=batch_seconds, batch_size=batch_size))):
        guesses = guess_languages(model, processor, [load_audio(request.record.audio) for request in batch])
        for request, guess in zip(batch, guesses, strict=True):
            hypotheses.append(replace(_hypothesis(request, guess), task="lid", reference=request.record.lang))
    model.train(was_training)
    return processes.gather(hypotheses)


def _generate_batch(
    batch: Sequence[DecodingRequest], model: Any, processor: Any, generate_kwargs: Mapping[str, Any]
) -> list[str]:
    first = batch[0]
    told = first.source_lang_given
    # Without a given source language, the target language of ASR, which is the same, must not be given either.
    return generate_texts(
        model,
        processor,
        audio=[load_audio(request.record.audio) for request in batch] if first.task in SPEECH_TASKS else None,
        text=[request.record.text or "" for request in batch] if first.task in TEXT_TASKS else None,
        source_lang=[request.record.lang for request in batch] if told else None,
        target_lang=[request.target_lang for request in batch] if told or first.task != "asr" else None,
        task=first.task,
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
