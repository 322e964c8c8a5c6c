# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription of speech that is still going on: words while they are spoken, the text of a piece at its end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.inference.live.pieces import LivePiece, LiveSpeech, LocalAgreement
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.transcription import TranscriptionOptions, build_transcriber
from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.inference.windows import Window

PIECE_SECONDS = 15.0
"""Speech without a pause is cut after this time."""


@dataclass(frozen=True, kw_only=True)
class LiveText:
    """What is known of a piece of speech.

    Attributes:
        start_seconds: its beginning.
        text: of a piece that goes on, the words that do not change any more until its end; else its transcript.
        transcript: the transcript of a piece that is over, with times from its beginning; None before.
        translations: of a piece that is over, by language.
    """

    start_seconds: float
    text: str
    transcript: Transcript | None = None
    translations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether the piece is over."""
        return self.transcript is not None


def guess_words(
    recognizer: WindowRecognizer, pieces: Sequence[FloatArray], source_langs: Sequence[str | None]
) -> list[str]:
    """The words of growing pieces by CTC alone, without a search.

    Args:
        recognizer: the model.
        pieces: `(n,)` float32 each.
        source_langs: spoken languages; None means that it is predicted.
    """
    windows = [Window(waveform=piece, start_sample=0, core_start=0, core_stop=len(piece)) for piece in pieces]
    return [recognizer.read_best_path(encoded) for encoded in recognizer.encode(windows, source_langs)]


class LiveTranscriber:
    """Transcribes samples as they come.

    Every `step_seconds`, CTC guesses at the words since the last pause; those with which two guesses in a row begin
    stay. At a pause the piece is transcribed as a recording is, by the decoder, and translated.

    Args:
        model: a model that transcribes and has a CTC head.
        processor: its processor.
        options: how pieces are transcribed.
        step_seconds: time between two guesses.
        min_pause_seconds: a pause that ends a piece.

    Raises:
        ValueError: as `transcribe_recordings`, or the model has no CTC head.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        options: TranscriptionOptions | None = None,
        *,
        step_seconds: float = 0.15,
        min_pause_seconds: float = 0.5,
    ) -> None:
        self._transcriber = build_transcriber(model, processor, options or TranscriptionOptions())
        if not self._transcriber.capabilities.has_ctc:
            raise ValueError(f"{type(model).__name__} has no CTC head, which live transcription needs.")
        self._step, self._pause = step_seconds, min_pause_seconds
        self._pending: list[FloatArray] = []
        self._begin()

    @property
    def sampling_rate(self) -> int:
        """Of the samples, in Hz."""
        return self._transcriber.sampling_rate

    def add(self, samples: FloatArray) -> Iterator[LiveText]:
        """What is known after some more samples.

        Args:
            samples: `(n,)` float32.

        Yields:
            texts of pieces that are over, then that of the growing piece if it has more words that stay.
        """
        self._pending.append(samples)
        if sum(map(len, self._pending)) < self._step * self.sampling_rate:
            return
        joined, self._pending = np.concatenate(self._pending), []
        for piece in self._speech.add(joined):
            yield self._transcribe(piece)
        start = self._speech.start_sample
        if start is not None and self._agreement.add(self._guess()):
            yield LiveText(start_seconds=start / self.sampling_rate, text=" ".join(self._agreement.words))

    def finish(self) -> Iterator[LiveText]:
        """The text of what was not over, at the end of the samples."""
        pending = [*self._pending, np.zeros(0, dtype=np.float32)]
        pieces = [*self._speech.add(np.concatenate(pending)), self._speech.finish()]
        yield from (self._transcribe(piece) for piece in pieces if piece is not None)
        self._begin()

    def _begin(self) -> None:
        self._speech = LiveSpeech(self.sampling_rate, PIECE_SECONDS, self._pause)
        self._agreement = LocalAgreement()
        self._pending = []

    def _guess(self) -> str:
        pieces = [self._speech.growing.copy()]
        return guess_words(self._transcriber.recognizer, pieces, [self._transcriber.source_lang])[0]

    def _transcribe(self, piece: LivePiece) -> LiveText:
        self._agreement = LocalAgreement()
        source = {"array": piece.waveform, "sampling_rate": self.sampling_rate}
        (transcript,) = self._transcriber.run([self._transcriber.open(source)])
        if isinstance(transcript, ValueError):
            raise transcript
        return LiveText(
            start_seconds=piece.start_sample / self.sampling_rate,
            text=transcript.text,
            transcript=transcript,
            translations={lang: transcript.translation(lang) for lang in self._transcriber.options.target_langs},
        )
