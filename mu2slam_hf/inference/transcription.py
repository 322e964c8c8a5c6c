# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription and translation of recordings of any length.

A recording is read in blocks, cut at pauses, and its windows are recognised in batches with those of other recordings.
"""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mu2slam_hf.inference.ctc_windows import check_reads_whole
from mu2slam_hf.inference.journal import UnwrittenWindows, WindowJournal, WindowLanguage
from mu2slam_hf.inference.pauses import build_detector
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.settled_segments import SettledReader, TranscribedRecording, settled_segments
from mu2slam_hf.inference.transcripts import (
    Transcript,
    TranscriptSegment,
    join_segments,
    split_at_cut,
    with_words,
    without_overlap,
)
from mu2slam_hf.inference.window_loop import WindowLoop
from mu2slam_hf.inference.windows import RecognizedWindow, Window
from mu2slam_hf.models.generation_settings import find_chunk_seconds, find_min_language_probability
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.modules_capabilities import capabilities_of
from mu2slam_hf.models.modules_language_adapters import use_adapter

# Generation leaves tensors in reference cycles, hundreds of megabytes in an hour; to look for them takes 0.2 s.
_COLLECTED_SECONDS = 300.0
# Seconds of speech that are processed together until the first text is shown, so that it comes early.
_FIRST_SECONDS = 10.0


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
        whole_recording: encode each recording in one pass, with the attention inside chunks, and write what is between
            its pauses from that; memory grows with its length. Only for CTC models and transducers
            (`reads_whole_recordings` of their `Capabilities`) with `encoder_config.attention_chunk_frames`.
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
    whole_recording: bool = False
    chunk_length_s: float | None = None
    batch_seconds: float = 60.0
    min_language_probability: float | None = None
    vad: str = "energy"
    adapter_name: str | None = None
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)
    ctc_decoder: Callable[[np.ndarray], str] | None = None


@dataclass(frozen=True, kw_only=True)
class TranscriptionRequest:
    """A recording with languages of its own, in place of those of `TranscriptionOptions`.

    Attributes:
        source: the recording, see `stream_audio_source`.
        source_lang: spoken language; None means that it is predicted.
        target_langs: languages to translate into.
        max_seconds: a longer recording has an error as its result; None: any length.
        on_settled: called with the beginning of the transcript as soon as it cannot change any more, and whenever it
            has become longer: its segments are the first ones of the final transcript, its length is that of the whole
            recording, which must be readable twice. Only called while this recording is the next one whose transcript
            is awaited, and never for one with several channels.
        journal: windows of an earlier, interrupted run with the same recording, model and options, which are not
            recognised again; receives those that are. None: neither.
    """

    source: Any
    source_lang: str | None = None
    target_langs: tuple[str, ...] = ()
    max_seconds: float | None = None
    on_settled: Callable[[Transcript], None] | None = None
    journal: WindowJournal | None = None


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
        model: a model that recognises speech: `Mu2SLAMForConditionalGeneration`, a CTC model, ...
        processor: its processor.
        recordings: paths, URLs, bytes of files, arrays, mappings with `array` and `sampling_rate`, see
            `stream_audio_source`; or `TranscriptionRequest`s, which have languages of their own.
        options: what to write.
        progress: called with the number of seconds of audio that have been processed since the last call.

    Yields:
        for each recording, in order, its transcript, or the `AudioError` that says why it cannot be read.

    Raises:
        ValueError: an unknown language, options that the model does not support, a model that cannot transcribe, or
            one recording in place of several.
        ImportError: `vad` requires a package that is not installed.
    """
    if isinstance(recordings, (str, bytes, bytearray, os.PathLike, Mapping)):
        raise ValueError(f"recordings must be a list or another iterable of recordings, got {recordings!r:.60}.")
    transcriber = build_transcriber(model, processor, options or TranscriptionOptions(), progress)
    was_training = model.training
    model.eval()
    try:
        yield from transcriber.run(map(transcriber.open, recordings))
    finally:
        model.train(was_training)


class Transcriber(WindowLoop[TranscribedRecording, Transcript]):
    """Recognises windows of recordings together and assembles transcripts."""

    uncollected_seconds = 0.0  # by all of them

    def __init__(
        self, model: Any, processor: Any, options: TranscriptionOptions, progress: Callable[[float], None] | None
    ):
        self.options, self.processor = options, processor
        self.capabilities = capabilities_of(model)
        if "asr" not in self.capabilities.tasks:
            raise ValueError(
                f"{type(model).__name__} cannot transcribe; use a Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC or "
                "MSLAMForCTC checkpoint."
            )
        self.recognizer = WindowRecognizer(
            model,
            processor,
            batch_seconds=options.batch_seconds,
            adapter_name=options.adapter_name,
            generate_kwargs=options.generate_kwargs,
            ctc_decoder=options.ctc_decoder,
        )
        # Checked before the first recording is read.
        if options.whole_recording:
            check_reads_whole(model)
        self.source_lang = self._known_language(options.source_lang)
        self._check_targets(options.target_langs)
        self.min_language_probability = find_min_language_probability(model, options.min_language_probability)
        if options.timestamps not in (None, "word", "token"):
            raise ValueError(f"timestamps must be 'word', 'token' or None, got {options.timestamps!r}.")
        # Windows that have passed the encoder and wait until the language of their recording is settled.
        self.unsettled: list[tuple[TranscribedRecording, RecognizedWindow]] = []
        self.finished, self.has_shown = UnwrittenWindows(), False
        super().__init__(
            sampling_rate=self.recognizer.sampling_rate,
            chunk_seconds=find_chunk_seconds(model, options.chunk_length_s),
            batch_seconds=options.batch_seconds,
            detector=build_detector(options.vad, self.recognizer.sampling_rate),
            split_channels=options.split_channels,
            compute_blanks=self.recognizer.compute_blanks if self.capabilities.has_ctc else None,
            encode_whole=self.recognizer.encode_whole if options.whole_recording else None,
            progress=progress,
        )
        self.full_pool_seconds = self.pool_seconds

    def open(self, item: Any) -> TranscribedRecording:
        """The state of a recording, or of a request with languages of its own."""
        is_request = isinstance(item, TranscriptionRequest)
        source_lang = self._known_language(item.source_lang) if is_request else self.source_lang
        if self.capabilities.reads_prompts:
            self.processor.build_prompt("asr", source_lang, None)  # an error if it names the language
        if not is_request:
            return TranscribedRecording(item, source_lang, self.options.target_langs)
        self._check_targets(item.target_langs)
        recording = TranscribedRecording(item.source, source_lang, item.target_langs, item.max_seconds)
        recording.journal = item.journal
        if item.on_settled is not None:
            recording.reader = SettledReader(item.source, item.on_settled, self.sampling_rate)
            if not self.has_shown:
                self.pool_seconds = min(self.pool_seconds, _FIRST_SECONDS)
        return recording

    def _known_language(self, code: str | None) -> str | None:
        """A language as the model calls it; None for `und`."""
        row = self.processor.language_row(code)
        return self.processor.languages[row] if row else None

    def _check_targets(self, target_langs: Sequence[str]) -> None:
        if target_langs and not self.capabilities.translates:
            raise ValueError(
                "A CTC model only transcribes and cannot translate; use a Mu2SLAMForConditionalGeneration checkpoint."
            )
        for code in target_langs:
            self.processor.language_row(code)

    def held(self) -> list[TranscribedRecording]:
        """Recordings whose language is not settled."""
        return [recording for recording, _ in self.unsettled]

    def forget(self, recording: TranscribedRecording) -> None:
        """Drop the windows of a recording."""
        super().forget(recording)
        self.unsettled = [(other, result) for other, result in self.unsettled if other is not recording]

    def process(self, pool: list[tuple[TranscribedRecording, Window]]) -> None:
        """Recognise windows, except those of a recording whose language is not settled."""
        results = self.recognizer.encode(
            [window for _, window in pool], [recording.source_lang for recording, _ in pool]
        )
        pairs = [(recording, result) for (recording, _), result in zip(pool, results, strict=True)]
        encoded = [(recording, result) for recording, result in pairs if result.has_speech]
        for recording, result in pairs:
            if result.has_speech:
                recording.count_language(result, result.num_samples / self.sampling_rate)
            else:
                self.finished.add(recording, result)
        encoded, self.unsettled = self.unsettled + encoded, []
        ready = [pair for pair in encoded if self._is_settled(*pair)]
        self.unsettled = [pair for pair in encoded if not self._is_settled(*pair)]
        while ready:
            count = self._count_together(ready)
            self._transcribe(ready[:count])
            ready = ready[count:]
            self._show_settled()
        if not self.unsettled:
            # The windows of whole pools, so that a resumed run has the same batches.
            self.finished.write()
        Transcriber.uncollected_seconds += sum(len(window.waveform) for _, window in pool) / self.sampling_rate
        if Transcriber.uncollected_seconds >= _COLLECTED_SECONDS:
            gc.collect()
            Transcriber.uncollected_seconds = 0.0

    def _count_together(self, ready: Sequence[tuple[TranscribedRecording, RecognizedWindow]]) -> int:
        """The number of windows to transcribe next: all of them, unless a reader waits for the first text."""
        if self.has_shown or not self.waiting or self.waiting[0].reader is None:
            return len(ready)
        ends = np.cumsum([result.num_samples / self.sampling_rate for _, result in ready])
        return 1 + int(np.searchsorted(ends[:-1], _FIRST_SECONDS))

    def _transcribe(self, ready: Sequence[tuple[TranscribedRecording, RecognizedWindow]]) -> None:
        """Write the texts of windows and add them to their recordings."""
        languages = [self._language(recording, result) for recording, result in ready]
        windows = [result for _, result in ready]
        self.recognizer.transcribe(windows, [written for _, _, written in languages], self.options.timestamps)
        for target in dict.fromkeys(target for recording, _ in ready for target in recording.target_langs):
            self.recognizer.translate(
                [result for recording, result in ready if target in recording.target_langs], target
            )
        for (recording, result), language in zip(ready, languages, strict=True):
            if result.has_speech:
                self._add(recording, result, language)
            self.finished.add(recording, result, language)

    def restore(self, recording: TranscribedRecording, window: Window) -> bool:
        """Take a window from the journal of its recording."""
        known = recording.journal.find(window) if recording.journal is not None else None
        if known is None:
            return False
        result = known.result
        if known.language is not None:
            recording.count_language(result, result.num_samples / self.sampling_rate)
            if result.has_speech:
                self._add(recording, result, known.language)
        return True

    def _show_settled(self) -> None:
        """Give the segments that cannot change any more to the reader of the next transcript."""
        recording = self.waiting[0] if self.waiting else None
        if recording is None or recording.reader is None or recording.error is not None:
            return
        reader, segments = recording.reader, self.settled(recording)
        if reader.wants(segments):
            assert reader.num_samples is not None
            reader.read(self._assemble(recording, segments, reader.num_samples))
            self.has_shown = True
            self.pool_seconds = self.full_pool_seconds

    def settled(self, recording: TranscribedRecording) -> list[TranscriptSegment]:
        """The first segments of a recording of one channel, which cannot change any more."""
        # Segments of several channels may come in another order.
        last = recording.last.get(None)
        return settled_segments(recording.segments, last, self.sampling_rate) if last else []

    def _is_settled(self, recording: TranscribedRecording, result: RecognizedWindow) -> bool:
        """Whether the language of a window is known, so that it does not depend on what is recognised together."""
        predicts = recording.source_lang is None and result.language_probabilities is not None
        return not predicts or self.options.multilingual or recording.is_settled

    def _language(self, recording: TranscribedRecording, result: RecognizedWindow) -> WindowLanguage:
        """Language, its probability, and the language to write."""
        if recording.source_lang is not None or result.language_probabilities is None:
            return recording.source_lang or UNDETERMINED, None, recording.source_lang
        if self.options.multilingual:
            code, probability = max(result.language_probabilities.items(), key=lambda item: item[1])
        else:
            code, probability = recording.languages.best()
        return code if probability >= self.min_language_probability else UNDETERMINED, probability, code

    def _add(self, recording: TranscribedRecording, result: RecognizedWindow, spoken: WindowLanguage) -> None:
        """Add the segment of a window; words that two windows have recognised at a cut are kept once."""
        language, probability, written = spoken
        window, rate, words = result.window, self.sampling_rate, list(result.words)
        previous, segments = recording.last.get(window.channel), recording.segments
        cut_sample = window.start_sample + window.core_start
        # The window before may have been without speech; then no word is recognised twice.
        follows = previous is not None and previous.window.start_sample + previous.window.core_stop == cut_sample
        if window.joins_previous and previous is not None and follows and words and previous.words:
            cut = cut_sample / rate
            kept, words = split_at_cut(previous.words, words, cut)
            place = max(i for i, segment in enumerate(segments) if segment.channel == window.channel)
            segments[place] = with_words(segments[place], kept)
            if not kept:
                del segments[place]
        recording.last[window.channel] = replace(result, words=tuple(words), states=None, log_probs=None)
        segment = TranscriptSegment(
            start_seconds=cut_sample / rate,
            end_seconds=(window.start_sample + window.core_stop) / rate,
            text=result.text,
            language=language,
            language_probability=probability,
            written_language=written,
            translations=result.translations,
            channel=window.channel,
            no_speech_probability=result.no_speech_probability,
        )
        if words:
            segment = with_words(segment, words, keep_text=len(words) == len(result.words))
        elif result.words:
            return
        segments.append(segment)

    def conclude(self, recording: TranscribedRecording) -> Transcript:
        """The transcript of a recording."""
        assert recording.num_samples is not None
        return self._assemble(recording, recording.segments, recording.num_samples)

    def _assemble(
        self, recording: TranscribedRecording, found: Sequence[TranscriptSegment], num_samples: int
    ) -> Transcript:
        """A transcript of these segments of a recording."""
        segments = without_overlap(found)
        if self.options.timestamps is None:
            segments = [replace(segment, words=()) for segment in segments]
        return join_segments(segments, num_samples / self.sampling_rate, recording.source_lang)


def build_transcriber(
    model: Any, processor: Any, options: TranscriptionOptions, progress: Callable[[float], None] | None = None
) -> Transcriber:
    """The window loop of `transcribe_recordings`, whose errors it raises, for callers that order the windows."""
    with use_adapter(model, options.adapter_name):
        return Transcriber(model, processor, options, progress)
