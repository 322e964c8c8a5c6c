# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the page of a server asks: recordings and texts, for which the limits and errors of the API hold."""

import asyncio
import functools
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.data.text import clean_text
from mu2slam_hf.inference.formats.plots import MAX_ROW_SECONDS, MAX_ROWS, plot_recording
from mu2slam_hf.inference.formats.transcripts import format_transcript, output_suffixes, translated_languages
from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.serving.admission import Admission
from mu2slam_hf.serving.errors import ApiError, describe_error, invalid_value
from mu2slam_hf.serving.gate import CLIENT_GONE
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.request_log import describe_work, record_request
from mu2slam_hf.serving.scheduler import RecognitionScheduler, RecognitionTask, TextTask
from mu2slam_hf.serving.served_models import ServedModels
from mu2slam_hf.serving.transcription_request import read_source_language, read_target_language

logger = logging.getLogger(__name__)

DOCUMENTS = ("srt", "vtt", "json", "textgrid", "tsv")
"""Formats of the files of a transcript."""
PICTURE_SECONDS = MAX_ROWS * MAX_ROW_SECONDS
"""What a picture shows of a longer recording."""
# Lines of a text that are translated at once, between two batches of recordings.
_LINES = 16


class PageRequests:
    """Answers the page.

    Args:
        models: the models.
        scheduler: recognises and translates.
        limits: what is accepted; `field_bytes` is the size of a text.
        admission: counts the requests, with those of the API.
        metrics: counts them by status.
    """

    def __init__(
        self,
        models: ServedModels,
        scheduler: RecognitionScheduler,
        limits: ServingLimits,
        admission: Admission,
        metrics: ServingMetrics,
    ) -> None:
        self.models, self.limits = models, limits
        self._scheduler, self._admission, self._metrics = scheduler, admission, metrics

    async def transcribe(
        self, file: str | None, *, model: str, source: str = "", target: str = "", client: str = ""
    ) -> Transcript:
        """The transcript of a recording, with its words.

        Args:
            file: path of the recording.
            model: name of the model.
            source: spoken language; "" if it is to be predicted.
            target: language to translate into; "" for none.
            client: address of the client.

        Raises:
            ApiError: the sentence to show.
        """
        with self._answer(client) as entry:
            served = self.models.find(model)
            source_lang = read_source_language(source, served)
            target_lang = read_target_language(target, served) if target else None
            if not file:
                raise ApiError(400, "missing_field", "file: choose a recording, or record one; none came")
            task = RecognitionTask(
                model=served,
                file=Path(file).open("rb"),
                name=Path(file).name,
                source_lang=source_lang,
                target_langs=() if target_lang in (None, source_lang) else (target_lang,),
            )
            self._scheduler.submit(task)
            try:
                transcript = await asyncio.wrap_future(task.result)
            finally:
                task.result.cancel()
            entry |= describe_work(task, transcript)
            return transcript

    async def translate(self, text: str, *, model: str, target: str, source: str = "", client: str = "") -> str:
        """The translation of a text, each line by itself; arguments and errors as of `transcribe`."""
        with self._answer(client) as entry:
            served = self.models.find(model)
            entry["model"] = served.name
            source_lang = read_source_language(source, served, is_spoken=False)
            target_lang = read_target_language(target, served)
            if source_lang == target_lang:
                raise invalid_value("target_language", f"expected another language than that of the text, {source}")
            if len(text.encode()) > self.limits.field_bytes:
                message = f"The text has more than {self.limits.field_bytes / 1000:g} kB; divide it."
                raise ApiError(413, "text_too_large", message)
            lines = [clean_text(line) for line in text.splitlines()]
            if not any(lines):
                raise ApiError(400, "missing_field", "text: expected a text to translate; it is empty")
            translations: list[str] = []
            for start in range(0, len(lines), _LINES):
                task = TextTask(
                    model=served,
                    texts=lines[start : start + _LINES],
                    source_lang=source_lang,
                    target_lang=target_lang,
                )
                self._scheduler.submit_text(task)
                try:
                    batch: list[str] = await asyncio.wrap_future(task.result)
                finally:
                    task.result.cancel()
                translations += batch
            return "\n".join(translations)

    @contextmanager
    def _answer(self, client: str) -> Iterator[dict[str, Any]]:
        """Admit a request and write its line in the log, to which the block may add; its errors become `ApiError`."""
        started = time.monotonic()
        entry: dict[str, Any] = {"id": uuid.uuid4().hex, "path": "page", "status": CLIENT_GONE, "code": ""}
        try:
            with self._admission.admit(client):
                yield entry
            entry["status"] = 200
        except Exception as error:
            api_error = describe_error(error)
            entry["status"], entry["code"] = api_error.status, api_error.code
            if api_error.status == 500:
                logger.exception("request %s failed", entry["id"])
                message = f"The server failed; its log gives the reason under {entry['id']}."
                api_error = ApiError(500, api_error.code, message)
            raise api_error from None
        finally:
            record_request(self._metrics, "page", entry, time.monotonic() - started)


def write_documents(transcript: Transcript, folder: Path, recording: str) -> list[Path]:
    """Write a transcript in all of `DOCUMENTS`, as `mu2slam transcribe --word-times` does.

    Args:
        transcript: with or without speech.
        folder: an existing folder.
        recording: name of the file of the recording.

    Returns:
        the files.
    """
    files = []
    target_langs = translated_languages(transcript)
    for name in DOCUMENTS:
        for suffix, lang in output_suffixes(name, target_langs).items():
            text = format_transcript(
                transcript, name, target_lang=lang, target_langs=target_langs, head={"file": recording}
            )
            files.append(folder / f"{Path(recording).stem}{suffix}")
            files[-1].write_text(text, encoding="utf-8")
    return files


def draw_recording(recording: str | os.PathLike[str], transcript: Transcript, file: Path) -> None:
    """Write a picture of a recording and its words, of a long one of its first `PICTURE_SECONDS`."""
    blocks, num_samples = [], 0
    limit = round(PICTURE_SECONDS * SAMPLING_RATE)
    for block in stream_audio_source(os.fspath(recording), SAMPLING_RATE):
        blocks.append(block[:, 0])
        num_samples += len(block)
        if num_samples >= limit:
            break
    note = "" if transcript.duration_seconds <= PICTURE_SECONDS else f", the first {PICTURE_SECONDS:.0f} s"
    plot_recording(
        np.concatenate(blocks)[:limit],
        SAMPLING_RATE,
        transcript.words,
        title=Path(recording).name + note,
        segments=transcript.segments,
        file=file,
    )


def make_page_folder() -> str:
    """The folder for files of pages, which only this process uses, and removes at its end.

    Gradio's own one is shared by all users of a machine. Gradio reads the place from the environment, partly when it
    is imported.
    """
    if "GRADIO_TEMP_DIR" not in os.environ:
        os.environ["GRADIO_TEMP_DIR"] = _own_folder().name
    return os.environ["GRADIO_TEMP_DIR"]


@functools.cache
def _own_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="mu2slam-page-")
