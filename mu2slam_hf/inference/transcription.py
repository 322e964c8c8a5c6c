# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription and translation of recordings of any length.

A recording is read in blocks, cut at pauses, and its windows are recognised in batches with those of other recordings.
"""

import gc
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.language_average import LanguageAverage
from mu2slam_hf.inference.pauses import build_detector
from mu2slam_hf.inference.recognition import RecognizedWindow, WindowRecognizer
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment, join_words, split_at_cut, without_overlap
from mu2slam_hf.inference.windows import RecordingEnd, Window, cut_windows
from mu2slam_hf.models.generation_settings import find_chunk_seconds, find_min_language_probability
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.models.modules_language_adapters import use_adapter

# The language of a recording is predicted once from this much speech, unless the recording is shorter.
_LANGUAGE_SECONDS = 60.0
# Windows are recognised together when there are this many batches.
_POOLED_BATCHES = 2


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions:
    """What to write for each recording.

    Attributes:
        source_lang: spoken language; None means that it is predicted.
        target_langs: languages to translate into, besides the transcript.
        timestamps: "word" or "token" for the times of words or tokens (characters, pieces); None for segments only. In
            languages that are written without spaces, the tokens are the words. The text does not depend on it.
        multilingual: predict the language of every segment instead of one for the whole recording.
        split_channels: transcribe the channels of a recording separately, as different speakers, not their mean.
        chunk_length_s: maximum seconds of speech that the model reads at once; None means that of the generation
            configuration (`chunk_length_s`), else 15. A recording that is not longer is read as it is.
        batch_seconds: maximum seconds of audio in a batch, including padding.
        min_language_probability: a language that is less probable is `und`; the text is then written in the most
            probable one. None means that of the generation configuration, else 0.
        vad: what decides where speech is: "energy", or "silero" for the neural network silero-vad (extra `vad`), which
            is stricter with noise and music, and removes what is not speech from short recordings too.
        adapter_name: adapter of the model for all recordings, "__base__" for the model without adapters; None: the one
            in use.
        generate_kwargs: passed to `generate`.
        ctc_decoder: only for CTC models: function from CTC log posteriors `(N, V)`, a numpy array, to their text, for
            example of a beam search with a language model. None means the best path.
    """

    source_lang: str | None = None
    target_langs: tuple[str, ...] = ()
    timestamps: str | None = None
    multilingual: bool = False
    split_channels: bool = False
    chunk_length_s: float | None = None
    batch_seconds: float = 60.0
    min_language_probability: float | None = None
    vad: str = "energy"
    adapter_name: str | None = None
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)
    ctc_decoder: Callable[[np.ndarray], str] | None = None


def transcribe_recordings(
    model: Any,
    processor: Any,
    recordings: Iterable[Any],
    options: TranscriptionOptions | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Transcript | ValueError]:
    """Transcribe recordings of any length, in bounded memory.

    Nothing is written for windows without speech; see `NoSpeechSettings`.

    Args:
        model: `Mu2SLAMForConditionalGeneration` or a CTC model of this package.
        processor: its processor.
        recordings: paths, URLs, bytes of files, arrays, mappings with `array` and `sampling_rate`; see
            `stream_audio_source`.
        options: what to write.
        progress: called with the number of seconds of audio that have been processed since the last call.

    Yields:
        for each recording, in order, its transcript, or the `AudioError` that tells why it cannot be read.

    Raises:
        ValueError: an unknown language, options that the model does not support, a model that cannot transcribe, or
            one recording in place of several.
        ImportError: `vad` requires a package that is not installed.
    """
    if isinstance(recordings, (str, bytes, bytearray, os.PathLike, Mapping)):
        raise ValueError(f"recordings must be a list or another iterable of recordings, got {recordings!r:.60}.")
    options = options or TranscriptionOptions()
    with use_adapter(model, options.adapter_name):
        transcriber = _Transcriber(model, processor, options, progress)
    was_training = model.training
    model.eval()
    try:
        for recording in recordings:
            transcriber.read(recording)
            yield from transcriber.finished()
        transcriber.recognize()
        yield from transcriber.finished()
    finally:
        model.train(was_training)


class _Recording:
    """A recording that is being transcribed."""

    def __init__(self) -> None:
        self.segments: list[TranscriptSegment] = []
        self.languages = LanguageAverage()
        self.num_samples: int | None = None
        self.error: AudioError | None = None
        self.last: dict[int | None, RecognizedWindow] = {}

    @property
    def is_read(self) -> bool:
        return self.num_samples is not None or self.error is not None

    @property
    def is_settled(self) -> bool:
        """Whether the language does not change any more."""
        return self.is_read or self.languages.seconds >= _LANGUAGE_SECONDS

    def hear(self, one: RecognizedWindow, seconds: float) -> None:
        """Count the languages of a window, as long as they are not settled."""
        if self.languages.seconds < _LANGUAGE_SECONDS and one.language_probabilities is not None:
            self.languages.add(one.language_probabilities, seconds)


class _Transcriber:
    """Collects windows of recordings, recognises them together and assembles transcripts."""

    def __init__(
        self, model: Any, processor: Any, options: TranscriptionOptions, progress: Callable[[float], None] | None
    ):
        self.options = options
        self.progress = progress
        row = processor.language_row(options.source_lang)
        # As the model calls it; `und` is the same as None.
        self.source_lang = processor.languages[row] if row else None
        self.recognizer = WindowRecognizer(
            model,
            processor,
            source_lang=self.source_lang,
            batch_seconds=options.batch_seconds,
            adapter_name=options.adapter_name,
            generate_kwargs=options.generate_kwargs,
            ctc_decoder=options.ctc_decoder,
        )
        if self.recognizer.is_ctc and options.target_langs:
            raise ValueError(
                "A CTC model only transcribes and cannot translate; use a Mu2SLAMForConditionalGeneration checkpoint."
            )
        for code in options.target_langs:
            processor.language_row(code)
        self.chunk_seconds = find_chunk_seconds(model, options.chunk_length_s)
        self.min_language_probability = find_min_language_probability(model, options.min_language_probability)
        self.detector = build_detector(options.vad, self.recognizer.sampling_rate)
        if options.timestamps not in (None, "word", "token"):
            raise ValueError(f"timestamps must be 'word', 'token' or None, got {options.timestamps!r}.")
        self.waiting: deque[_Recording] = deque()
        self.pool: list[tuple[_Recording, Window]] = []
        # Windows that have passed the encoder and wait until the language of their recording is settled.
        self.held: list[tuple[_Recording, RecognizedWindow]] = []
        self.pooled_seconds = 0.0
        self.read_seconds = 0.0

    def read(self, source: Any) -> None:
        """Read a recording; recognises windows whenever there are enough for batches."""
        recording = _Recording()
        self.waiting.append(recording)
        rate = self.recognizer.sampling_rate
        windows = cut_windows(
            stream_audio_source(source, rate, split_channels=self.options.split_channels),
            rate,
            self.chunk_seconds,
            detector=self.detector,
            blank_posteriors=self.recognizer.compute_blanks,
            progress=self._count,
        )
        while not recording.is_read:
            try:
                window = next(windows)
            except AudioError as error:
                recording.error = error
                self._forget(recording)
                return
            if isinstance(window, RecordingEnd):
                recording.num_samples = window.num_samples
                return
            self.pool.append((recording, window))
            self.pooled_seconds += len(window.waveform) / rate
            if self.pooled_seconds >= _POOLED_BATCHES * self.options.batch_seconds:
                self.recognize()

    def _forget(self, recording: _Recording) -> None:
        """Drop the windows of a recording."""
        self.pool = [(other, window) for other, window in self.pool if other is not recording]
        self.held = [(other, one) for other, one in self.held if other is not recording]
        self.pooled_seconds = sum(len(window.waveform) for _, window in self.pool) / self.recognizer.sampling_rate

    def _count(self, seconds: float) -> None:
        self.read_seconds += seconds
        # Long silence has no windows to recognise.
        if not self.pool and self.read_seconds >= _POOLED_BATCHES * self.options.batch_seconds:
            self._report()

    def _report(self) -> None:
        # Generation leaves tensors in reference cycles; over an hour they would be hundreds of megabytes.
        gc.collect()
        if self.progress is not None and self.read_seconds:
            self.progress(self.read_seconds)
            self.read_seconds = 0.0

    def recognize(self) -> None:
        """Recognise the windows that were collected, except those of a recording whose language is not settled."""
        pool, self.pool, self.pooled_seconds = self.pool, [], 0.0
        found = self.recognizer.encode([window for _, window in pool])
        encoded = [(recording, one) for (recording, _), one in zip(pool, found, strict=True) if one.has_speech]
        for recording, one in encoded:
            recording.hear(one, one.num_samples / self.recognizer.sampling_rate)
        encoded, self.held = self.held + encoded, []
        ready = [(recording, one) for recording, one in encoded if self._is_settled(recording, one)]
        self.held = [(recording, one) for recording, one in encoded if not self._is_settled(recording, one)]
        languages = [self._language(recording, one) for recording, one in ready]
        windows = [one for _, one in ready]
        self.recognizer.transcribe(windows, [written for _, _, written in languages], self.options.timestamps)
        for target in self.options.target_langs:
            self.recognizer.translate(windows, target)
        for (recording, one), language in zip(ready, languages, strict=True):
            if one.has_speech:
                self._add(recording, one, *language)
        self._report()

    def _is_settled(self, recording: _Recording, one: RecognizedWindow) -> bool:
        """Whether the language of a window is known, so that it does not depend on what is recognised together."""
        given = self.source_lang is not None or self.options.multilingual or one.language_probabilities is None
        return given or recording.is_settled

    def _language(self, recording: _Recording, one: RecognizedWindow) -> tuple[str, float | None, str | None]:
        """Language, its probability, and the language to write."""
        if self.source_lang is not None or one.language_probabilities is None:
            return self.source_lang or UNDETERMINED, None, self.source_lang
        if self.options.multilingual:
            code, probability = max(one.language_probabilities.items(), key=lambda item: item[1])
        else:
            code, probability = recording.languages.best()
        return code if probability >= self.min_language_probability else UNDETERMINED, probability, code

    def _add(
        self,
        recording: _Recording,
        one: RecognizedWindow,
        language: str,
        probability: float | None,
        written: str | None,
    ) -> None:
        """Add the segment of a window; words that two windows have heard at a cut are kept once."""
        window, rate = one.window, self.recognizer.sampling_rate
        words = list(one.words)
        previous = recording.last.get(window.channel)
        segments = recording.segments
        cut_sample = window.start_sample + window.core_start
        # The window before may have been without speech; then nothing is heard twice.
        follows = previous is not None and previous.window.start_sample + previous.window.core_stop == cut_sample
        if window.joins_previous and previous is not None and follows and words and previous.words:
            cut = cut_sample / rate
            kept, words = split_at_cut(previous.words, words, cut)
            place = max(i for i, segment in enumerate(segments) if segment.channel == window.channel)
            segments[place] = self._with_words(segments[place], kept)
            if not kept:
                del segments[place]
        recording.last[window.channel] = replace(one, words=tuple(words), states=None, log_probs=None)
        start = cut_sample / rate
        stop = (window.start_sample + window.core_stop) / rate
        segment = TranscriptSegment(
            start_seconds=start,
            end_seconds=stop,
            text=one.text,
            language=language,
            language_probability=probability,
            written_language=written,
            translations=one.translations,
            channel=window.channel,
        )
        if words:
            segment = self._with_words(segment, words, keep_text=len(words) == len(one.words))
        elif one.words:
            return
        segments.append(segment)

    def _with_words(
        self, segment: TranscriptSegment, words: Sequence[AlignedWord], keep_text: bool = False
    ) -> TranscriptSegment:
        """The segment with other words, from the start of the first to the end of the last one."""
        if not words:
            return segment
        return replace(
            segment,
            words=tuple(words),
            text=segment.text if keep_text else join_words(words),
            start_seconds=words[0].start_seconds,
            end_seconds=words[-1].end_seconds,
        )

    def finished(self) -> Iterator[Transcript | ValueError]:
        """Transcripts of recordings that are complete, in order."""
        pending = {id(recording) for recording, _ in (*self.pool, *self.held)}
        while self.waiting and self.waiting[0].is_read and id(self.waiting[0]) not in pending:
            yield self._assemble(self.waiting.popleft())

    def _assemble(self, recording: _Recording) -> Transcript | ValueError:
        if recording.error is not None:
            return recording.error
        assert recording.num_samples is not None
        segments = without_overlap(recording.segments)
        if self.options.timestamps is None:
            segments = [replace(segment, words=()) for segment in segments]
        seconds: dict[str, float] = defaultdict(float)
        for segment in segments:
            seconds[segment.language] += segment.end_seconds - segment.start_seconds
        language = max(seconds, key=lambda code: seconds[code]) if seconds else UNDETERMINED
        first = next((segment for segment in segments if segment.language == language), None)
        return Transcript(
            segments=tuple(segments),
            duration_seconds=recording.num_samples / self.recognizer.sampling_rate,
            language=language if first or self.source_lang is None else self.source_lang,
            language_probability=first.language_probability if first else None,
            written_language=first.written_language if first else None,
        )
