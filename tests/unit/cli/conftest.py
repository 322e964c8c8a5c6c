# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A model that is replaced by a table: "recordings" are small files whose content is what is said in them."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.cli import main, models
from mu2slam_hf.inference import transcription_job
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment


def say(content, options):
    """A transcript: one segment per line of the content, one second per word; lines may start with a language."""
    segments, here = [], 0.0
    for number, line in enumerate(content.splitlines()):
        language, _, text = line.rpartition(": ")
        texts = text.split()
        words = [
            AlignedWord(text=one, start_seconds=here + place, end_seconds=here + place + 0.9, score=-0.1)
            for place, one in enumerate(texts)
        ]
        uncertain = language == "und"
        segments.append(
            TranscriptSegment(
                start_seconds=here,
                end_seconds=here + len(texts),
                text=text,
                language=options.source_lang or language or "es",
                language_probability=None if options.source_lang else 0.984,
                written_language="es" if uncertain else None,
                words=tuple(words) if options.timestamps else (),
                translations={lang: f"{lang} {text}" for lang in options.target_langs},
                channel=number % 2 if options.split_channels else None,
            )
        )
        here += len(texts) + 1.0
    language = segments[0].language if segments else "und"
    return Transcript(
        segments=tuple(segments),
        duration_seconds=here + 0.5,
        language=language,
        language_probability=segments[0].language_probability if segments else None,
        written_language=segments[0].written_language if segments else None,
    )


@pytest.fixture
def heard(monkeypatch):
    """What the replaced model was asked: options, contents; `interrupt_at` stops a run before that recording.

    With `shows_beginnings`, it gives the beginnings of a transcript that are asked for.
    """
    log = SimpleNamespace(options=None, contents=[], loaded=0, interrupt_at=None, shows_beginnings=False)

    def load(choice):
        log.loaded += 1
        return None, None

    def transcribe_recordings(model, processor, recordings, options=None, *, progress=None):
        log.options = options
        for request in recordings:
            recording = request.source
            content = recording if isinstance(recording, bytes) else b"address " + os.fsencode(recording)
            if isinstance(recording, str) and Path(recording).exists():
                content = Path(recording).read_bytes()
            if log.interrupt_at == len(log.contents):
                raise KeyboardInterrupt
            log.contents.append(content.decode())
            if content == b"broken":
                yield ValueError(f"{recording}: cannot be decoded")
                continue
            transcript = say(content.decode(), options)
            if log.shows_beginnings and request.on_settled is not None:
                for count in range(2, len(transcript.segments) + 1):
                    request.on_settled(replace(transcript, segments=transcript.segments[:count]))
            progress(transcript.duration_seconds)
            yield transcript

    monkeypatch.setattr(ModelChoice, "load", load)
    monkeypatch.setattr(models.CommandModel, "load", load)
    monkeypatch.setattr(transcription_job, "transcribe_recordings", transcribe_recordings)
    return log


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Creates files with contents in the current folder."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")

    def create(**contents):
        for name, content in contents.items():
            path = Path(name.replace("__", "/") + ".wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    return create


@pytest.fixture
def transcribe(capsys):
    def call(*arguments):
        status = main(["transcribe", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
