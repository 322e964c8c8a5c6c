# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription and translation of recordings of any length.

A recording is read in blocks, cut at pauses, and its windows are recognised in batches with those of other recordings.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .generation_settings import DEFAULT_CHUNK_SECONDS as DEFAULT_CHUNK_SECONDS
from .generation_settings import find_chunk_seconds, find_min_language_probability
from .language_codes import UNDETERMINED
from .modules_audio_files import stream_audio_source
from .modules_speech_detection import build_detector
from .processing_alignment import AlignedWord, default_level
from .processing_languages import LanguageAverage
from .processing_recognition import RecognizedWindow, WindowRecognizer
from .processing_transcripts import Transcript, TranscriptSegment
from .processing_windows import RecordingEnd, Window, cut_windows

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
        timestamps: "word" or "token" for the times of words or tokens (characters, pieces); None for segments only.
        multilingual: predict the language of every segment instead of one for the whole recording.
        split_channels: transcribe the channels of a recording separately, as different speakers, not their mean.
        chunk_length_s: maximum seconds of speech that the model reads at once; None means that of the generation
            configuration (`chunk_length_s`), else 15. A recording that is not longer is read as it is.
        batch_seconds: maximum seconds of audio in a batch, including padding.
        min_language_probability: a language that is less probable is `und`; the text is then written in the most
            probable one. None means that of the generation configuration, else 0.
        vad: what decides where speech is: "energy", or "silero" for the neural network silero-vad (extra `vad`), which
            is stricter with noise and music, and removes what is not speech from short recordings too.
        generate_kwargs: passed to `generate`.
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
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)


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
        ValueError: an unknown language, options that the model does not support, or a model that cannot transcribe.
        ImportError: `vad` requires a package that is not installed.
    """
    transcriber = _Transcriber(model, processor, options or TranscriptionOptions(), progress)
    try:
        was_training = model.training
        model.eval()
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
        self.error: ValueError | None = None
        self.last: dict[int | None, RecognizedWindow] = {}

    @property
    def is_read(self) -> bool:
        return self.num_samples is not None or self.error is not None

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
        self.recognizer = WindowRecognizer(
            model,
            processor,
            source_lang=options.source_lang,
            batch_seconds=options.batch_seconds,
            generate_kwargs=options.generate_kwargs,
        )
        if self.recognizer.is_ctc and options.target_langs:
            raise ValueError(
                "A CTC model only transcribes and cannot translate; use a Mu2SLAMForConditionalGeneration checkpoint."
            )
        for code in options.target_langs:
            processor.language_row(code)
        self.chunk_seconds = find_chunk_seconds(model, options.chunk_length_s)
        self.min_language_probability = find_min_language_probability(model, options.min_language_probability)
        if options.timestamps not in (None, "word", "token"):
            raise ValueError(f"timestamps must be 'word', 'token' or None, got {options.timestamps!r}.")
        self.detector = build_detector(options.vad, self.recognizer.sampling_rate)
        self.level = options.timestamps or default_level(options.source_lang)
        self.waiting: deque[_Recording] = deque()
        self.pool: list[tuple[_Recording, Window]] = []
        self.pooled_seconds = 0.0
        self.read_seconds = 0.0

    def read(self, source: Any) -> None:
        """Read a recording; recognises windows whenever there are enough for batches."""
        recording = _Recording()
        self.waiting.append(recording)
        rate = self.recognizer.sampling_rate
        try:
            blocks = stream_audio_source(source, rate, split_channels=self.options.split_channels)
            windows = cut_windows(
                blocks,
                rate,
                self.chunk_seconds,
                detector=self.detector,
                blank_posteriors=self.recognizer.compute_blanks,
                progress=self._count,
            )
            for window in windows:
                if isinstance(window, RecordingEnd):
                    recording.num_samples = window.num_samples
                    continue
                self.pool.append((recording, window))
                self.pooled_seconds += len(window.waveform) / rate
                if self.pooled_seconds >= _POOLED_BATCHES * self.options.batch_seconds:
                    self.recognize()
        except ValueError as error:
            recording.error = error
            self.pool = [(other, window) for other, window in self.pool if other is not recording]

    def _count(self, seconds: float) -> None:
        self.read_seconds += seconds

    def recognize(self) -> None:
        """Recognise the windows that were collected."""
        pool, self.pool, self.pooled_seconds = self.pool, [], 0.0
        found = self.recognizer.encode([window for _, window in pool])
        heard = list(zip([recording for recording, _ in pool], found, strict=True))
        for recording, one in heard:
            if one.has_speech:
                recording.hear(one, one.num_samples / self.recognizer.sampling_rate)
        languages = [self._language(recording, one) for recording, one in heard]
        self.recognizer.transcribe(found, [written for _, _, written in languages], self.level)
        for target in self.options.target_langs:
            self.recognizer.translate(found, target)
        for (recording, one), language in zip(heard, languages, strict=True):
            if one.has_speech:
                self._add(recording, one, *language)
        if self.progress is not None and self.read_seconds:
            self.progress(self.read_seconds)
            self.read_seconds = 0.0

    def _language(self, recording: _Recording, one: RecognizedWindow) -> tuple[str, float | None, str | None]:
        """Language, its probability, and the language to write."""
        if self.options.source_lang is not None or one.language_probabilities is None:
            return self.options.source_lang or UNDETERMINED, None, self.options.source_lang
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
        if window.joins_previous and previous is not None and words and previous.words:
            cut = (window.start_sample + window.core_start) / rate
            kept, words = split_at_cut(previous.words, words, cut)
            place = max(i for i, segment in enumerate(segments) if segment.channel == window.channel)
            segments[place] = self._with_words(segments[place], kept)
            if not kept:
                del segments[place]
        recording.last[window.channel] = replace(one, words=tuple(words), states=None, log_probs=None)
        start = (window.start_sample + window.core_start) / rate
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
        separator = "" if self.level == "token" else " "
        return replace(
            segment,
            words=tuple(words),
            text=segment.text if keep_text else separator.join(word.text for word in words),
            start_seconds=words[0].start_seconds,
            end_seconds=words[-1].end_seconds,
        )

    def finished(self) -> Iterator[Transcript | ValueError]:
        """Transcripts of recordings that are complete, in order."""
        pending = {id(recording) for recording, _ in self.pool}
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
            language=language if first or self.options.source_lang is None else self.options.source_lang,
            language_probability=first.language_probability if first else None,
            written_language=first.written_language if first else None,
        )


def split_at_cut(
    earlier: Sequence[AlignedWord], later: Sequence[AlignedWord], cut_seconds: float
) -> tuple[list[AlignedWord], list[AlignedWord]]:
    """Words of two overlapping windows, those of the overlap once.

    The windows are separated where fewest words of either are cut in two, close to the cut.

    Args:
        earlier: words of the first window, in order, with times in the recording.
        later: words of the second window.
        cut_seconds: where the recording was cut.

    Returns:
        the words of the first window before the separation, and those of the second one after it.
    """
    overlap_start, overlap_stop = later[0].start_seconds - 0.5, earlier[-1].end_seconds + 0.5

    def cost(place: float) -> tuple[int, float]:
        halved = sum(word.start_seconds < place < word.end_seconds for word in (*earlier, *later))
        return halved, abs(place - cut_seconds)

    edges = [edge for word in (*earlier, *later) for edge in (word.start_seconds, word.end_seconds)]
    places = [cut_seconds, *(edge for edge in edges if overlap_start <= edge <= overlap_stop)]
    separation = min(places, key=cost)

    def middle(word: AlignedWord) -> float:
        return (word.start_seconds + word.end_seconds) / 2

    kept = [word for word in earlier if middle(word) < separation]
    rest = [word for word in later if middle(word) >= separation]
    # The same word on both sides of the separation, because the windows disagree about its time.
    if kept and rest and kept[-1].text == rest[0].text and rest[0].start_seconds < kept[-1].end_seconds:
        rest = rest[1:]
    return kept, rest


def without_overlap(segments: Sequence[TranscriptSegment]) -> list[TranscriptSegment]:
    """Segments by start, none before the end of the previous one of its channel; words likewise."""
    ordered: list[TranscriptSegment] = []
    ends: dict[int | None, float] = defaultdict(float)
    for segment in sorted(segments, key=lambda segment: segment.start_seconds):
        start = max(segment.start_seconds, ends[segment.channel])
        words = []
        end = start
        for word in segment.words:
            first = max(word.start_seconds, end)
            end = max(word.end_seconds, first)
            words.append(replace(word, start_seconds=first, end_seconds=end))
        ends[segment.channel] = end = max(segment.end_seconds, end)
        ordered.append(replace(segment, start_seconds=start, end_seconds=end, words=tuple(words)))
    return ordered
