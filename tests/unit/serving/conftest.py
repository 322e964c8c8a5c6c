# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A model that is replaced by a table: a "recording" is a file whose words are windows of one second each."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.inference.window_loop import RecordingTooLongError
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.serving.served_models import ServedModel, ServedModels

RATE = 10
LANGUAGES = ["und", "en", "es", "fr"]


class KnownTranscriber:
    """Like `Transcriber`; the word "broken" cannot be read, "poison" fails with all windows of its batch."""

    sampling_rate = RATE

    def __init__(self, log):
        self.log = log
        self.recognizer = SimpleNamespace(translate_texts=self.translate_texts)

    def translate_texts(self, texts, source_lang, target_lang):
        assert self.log.may_run.wait(10)
        self.log.texts.append((list(texts), source_lang, target_lang))
        if "poison" in texts:
            raise RuntimeError("a text failed")
        return [f"{target_lang}-{text}" if text else "" for text in texts]

    def open(self, request):
        content = request.source["bytes"].read().decode()
        words = [] if content == "silence" else content.split()
        return SimpleNamespace(
            words=words,
            request=request,
            read_seconds=0.0,
            num_samples=None,
            error=None,
            segments=[],
            is_read=False,
        )

    def read_windows(self, recording):
        for number, word in enumerate(recording.words):
            recording.read_seconds += 1.0
            if word == "broken":
                recording.error = AudioError(f"{recording.request.source['path']}: cannot be decoded")
            if recording.read_seconds > recording.request.max_seconds:
                recording.error = RecordingTooLongError("too long")
            if recording.error:
                recording.is_read = True
                return
            if word == "crash":
                raise RuntimeError("a decoder crashed")
            yield SimpleNamespace(waveform=np.zeros(RATE), number=number, word=word)
        recording.num_samples, recording.is_read = RATE * len(recording.words), True

    def process(self, pool):
        assert self.log.may_run.wait(10)
        self.log.batches.append([window.word for _, window in pool])
        self.log.threads.add(threading.current_thread().name)
        if any(window.word == "poison" for _, window in pool):
            raise RuntimeError("a window failed")
        for recording, window in pool:
            assert window.number == len(recording.segments), "windows must come in order, each once"
            target_langs = recording.request.target_langs
            recording.segments.append(
                TranscriptSegment(
                    start_seconds=float(window.number),
                    end_seconds=window.number + 1.0,
                    text=window.word,
                    language=recording.request.source_lang or "es",
                    translations={lang: f"{lang}-{window.word}" for lang in target_langs},
                )
            )

    def held(self):
        return []

    def forget(self, recording):
        recording.words = []

    def settled(self, recording):
        return recording.segments[:-1]

    def conclude(self, recording):
        language = recording.request.source_lang or ("es" if recording.segments else "und")
        seconds = recording.num_samples / RATE
        return Transcript(segments=tuple(recording.segments), duration_seconds=seconds, language=language)


@pytest.fixture
def log():
    """What the replaced models were asked; they wait while `may_run` is cleared."""
    may_run = threading.Event()
    may_run.set()
    return SimpleNamespace(batches=[], texts=[], threads=set(), may_run=may_run)


@pytest.fixture
def models(log):
    """Two models, of which the second one cannot translate."""

    def tokenize(text, add_special_tokens):
        return {"input_ids": [len(word) for word in text.split()]}

    return ServedModels(
        [
            ServedModel(
                name=name,
                languages=LANGUAGES,
                translates=name == "default",
                tokenizer=tokenize,
                build_transcriber=lambda: KnownTranscriber(log),
                created=1_700_000_000,
            )
            for name in ("default", "other")
        ]
    )
