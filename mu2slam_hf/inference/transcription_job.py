# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A transcription job: recordings, model and options in one object, for a command, a server or a page."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Protocol

from mu2slam_hf import __version__
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.inference.journal import WindowJournal, identify_weights
from mu2slam_hf.inference.recordings import Recording, is_address
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript


class JobProgress(Protocol):
    """Receives the progress of a job."""

    def add(self, seconds: float) -> None:
        """Count seconds of audio that have been transcribed."""

    def skip(self, recording: Recording) -> None:
        """Do not count a recording that need not or cannot be transcribed."""


class TranscriptionEngine(Protocol):
    """Transcribes the recordings of a job."""

    def __call__(
        self,
        model: ModelChoice,
        requests: Iterable[TranscriptionRequest],
        options: TranscriptionOptions,
        progress: Callable[[float], None],
    ) -> Iterator[Transcript | ValueError]:
        """Load the model, and yield a result for each request, in order; see `transcribe_recordings`."""


def transcribe_here(
    model: ModelChoice,
    requests: Iterable[TranscriptionRequest],
    options: TranscriptionOptions,
    progress: Callable[[float], None],
) -> Iterator[Transcript | ValueError]:
    """Transcribe in this process."""
    loaded, processor = model.load()
    yield from transcribe_recordings(loaded, processor, requests, options, progress=progress)


@dataclass(frozen=True, kw_only=True)
class TranscriptionJob:
    """What to transcribe, with which model, and how.

    Attributes:
        model: the model.
        recordings: in the order of their results.
        options: languages, times, windows, generation; languages as the model calls them.
        unusable: messages of recordings that cannot be read, by name.
        engine: what transcribes; transcripts do not depend on it.
    """

    model: ModelChoice
    recordings: Sequence[Recording]
    options: TranscriptionOptions = field(default_factory=TranscriptionOptions)
    unusable: Mapping[str, str] = field(default_factory=dict)
    engine: TranscriptionEngine = transcribe_here

    def describe(self) -> dict[str, Any]:
        """What the transcripts depend on, besides the recordings; JSON types. Equal jobs have equal transcripts."""
        options = self.options
        adapter = None if options.adapter_name is None else self.model.adapters[options.adapter_name]
        return {
            "version": __version__,
            "model": identify_weights(self.model.path),
            "dtype": self.model.dtype,
            "quantization": self.model.quantization,
            "attention_chunk": self.model.attention_chunk_seconds,
            "source_lang": options.source_lang,
            "target_langs": list(options.target_langs),
            "word_times": options.timestamps is not None,
            "multilingual": options.multilingual,
            "channels": options.split_channels,
            "whole_recording": options.whole_recording,
            "chunk_length": options.chunk_length_s,
            "vad": options.vad,
            "adapter": None if adapter is None else identify_weights(adapter),
            "generation": dict(options.generate_kwargs),
        }

    def run(
        self,
        find_finished: Callable[[Recording], Transcript | None],
        progress: JobProgress,
        on_settled: Callable[[Recording, Transcript], None] | None = None,
        journal_of: Callable[[Recording], WindowJournal | None] | None = None,
    ) -> Iterator[tuple[Recording, Transcript | ValueError]]:
        """Transcripts, or the error of a recording that cannot be read, in the order of the recordings.

        The model is loaded when the first recording needs it; recordings are read when the model asks for them.

        Args:
            find_finished: the transcript of an earlier run, or None; may raise OSError.
            progress: receives the progress.
            on_settled: receives the beginning of the transcript of a long recording, see `TranscriptionRequest`.
            journal_of: gives the finished windows of a recording whose transcript is not finished.
        """
        # Recordings in order, with their result, or None if the model has to give it.
        results: deque[tuple[Recording, Transcript | ValueError | None]] = deque()
        pending = self._find_pending(find_finished, progress, results, on_settled, journal_of)
        for first in pending:  # the first recording that needs the model, if there is one
            for transcript in self.engine(self.model, chain([first], pending), self.options, progress.add):
                yield from self._take_known(results)
                yield results.popleft()[0], transcript
        yield from self._take_known(results)

    def _find_pending(
        self,
        find_finished: Callable[[Recording], Transcript | None],
        progress: JobProgress,
        results: deque[tuple[Recording, Transcript | ValueError | None]],
        on_settled: Callable[[Recording, Transcript], None] | None,
        journal_of: Callable[[Recording], WindowJournal | None] | None,
    ) -> Iterator[TranscriptionRequest]:
        for recording in self.recordings:
            known: Transcript | ValueError | None = None
            if recording.name in self.unusable:
                known = ValueError(self.unusable[recording.name])
            else:
                try:
                    known = find_finished(recording)
                except OSError as error:
                    known = ValueError(f"{recording.name}: cannot be read ({error.strerror})")
            results.append((recording, known))
            if known is None:
                # An address would be downloaded twice.
                is_local = isinstance(recording.source, bytes) or not is_address(recording.source)
                yield TranscriptionRequest(
                    source=recording.source,
                    source_lang=self.options.source_lang,
                    target_langs=self.options.target_langs,
                    on_settled=partial(on_settled, recording) if on_settled and is_local else None,
                    journal=journal_of(recording) if journal_of is not None else None,
                )
            else:
                progress.skip(recording)

    @staticmethod
    def _take_known(
        results: deque[tuple[Recording, Transcript | ValueError | None]],
    ) -> Iterator[tuple[Recording, Transcript | ValueError]]:
        """The results at the front that the model does not have to give."""
        while results and results[0][1] is not None:
            recording, known = results.popleft()
            assert known is not None
            yield recording, known
