# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Inputs and results of the speech recognition pipeline, from recordings and to dictionaries as in transformers."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.models.modules_audio_decoders import AudioError

TIMESTAMPS = (True, "word", "char")
"""Values of `return_timestamps`: segments, words, characters (pieces)."""

# Keys of a mapping that are read; all others are passed on to the result.
_AUDIO_KEYS = ("array", "raw", "path", "bytes", "sampling_rate", "stride")


class RecognitionIterator:
    """Results of a pipeline, in the order of the inputs.

    Args:
        inputs: recordings, see [`Mu2SLAMSpeechRecognitionPipeline`].
        transcribe: function from an iterable of recordings to their transcripts or errors, in order.
        formatter: converts transcripts.
        one_by_one: give each result before the next recording is asked for.

    The next result is a ValueError if the recording cannot be read; the iteration can be continued after it.
    """

    def __init__(
        self,
        inputs: Any,
        transcribe: Callable[[Iterable[Any]], Iterator[Transcript | ValueError]],
        formatter: "ResultFormatter",
        one_by_one: bool = False,
    ):
        self.inputs = inputs
        self.formatter = formatter
        self._waiting: deque[PipelineInput] = deque()
        sources = self._read_inputs()
        one_by_one_found = chain.from_iterable(transcribe([source]) for source in sources)
        self._transcripts = one_by_one_found if one_by_one else transcribe(sources)

    def _read_inputs(self) -> "Iterator[PipelineInput]":
        inputs = self.inputs
        # Data sets of torch do not have to be iterable.
        indices = None if hasattr(inputs, "__iter__") else range(len(inputs))
        for source in inputs if indices is None else (inputs[index] for index in indices):
            self._waiting.append(PipelineInput(source))
            yield self._waiting[-1]

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> "RecognitionIterator":
        return self

    def __next__(self) -> dict[str, Any]:
        transcript = next(self._transcripts)
        source = self._waiting.popleft()
        if isinstance(transcript, ValueError):
            raise transcript
        return {**self.formatter(transcript, source.stride_seconds), **source.extra}


class PipelineInput:
    """An input of a pipeline, checked when it is read.

    Args:
        source: see [`Mu2SLAMSpeechRecognitionPipeline`].
    """

    def __init__(self, source: Any):
        self.source = source
        self.extra: dict[str, list[Any]] = {}
        self.stride_seconds = (0.0, 0.0)
        if isinstance(source, Mapping):
            self.extra = {key: [value] for key, value in source.items() if key not in _AUDIO_KEYS}

    def read_audio(self) -> Any:
        """The recording, in a form that `stream_audio_source` accepts.

        Raises:
            AudioError: a mapping lacks keys, or its stride is invalid.
        """
        source, self.source = self.source, None  # not kept until the result
        if hasattr(source, "read_audio"):
            return source.read_audio()
        if not isinstance(source, Mapping):
            return source
        has_samples = source.get("raw") is not None or source.get("array") is not None
        has_file = source.get("bytes") is not None or source.get("path") is not None
        rate = source.get("sampling_rate")
        if not has_file and not has_samples or has_samples and rate is None:
            raise AudioError(
                f"{source.get('path') or 'the audio'}: a mapping must contain `sampling_rate` and `raw` or `array`, "
                f"or else `bytes` or `path`; got the keys {', '.join(map(repr, source)) or 'none'}. For the column of "
                "a data set, pass KeyDataset(dataset, column)."
            )
        if source.get("stride") is not None:
            if not has_samples:
                raise AudioError("stride requires `raw` or `array` and `sampling_rate`.")
            self.stride_seconds = tuple(samples / rate for samples in source["stride"])
        return {key: source[key] for key in _AUDIO_KEYS if source.get(key) is not None}


@dataclass(frozen=True, kw_only=True)
class ResultFormatter:
    """Converts transcripts to results of the pipeline.

    Attributes:
        target_lang: language of the text; None for the transcript.
        timestamps: True, "word", "char" or None; see [`Mu2SLAMSpeechRecognitionPipeline`].
        with_language: whether to add the spoken language.

    Raises:
        ValueError: times of words of a translation.
    """

    target_lang: str | None = None
    timestamps: bool | str | None = None
    with_language: bool = False

    def __post_init__(self) -> None:
        if self.target_lang is not None and self.timestamps in ("word", "char"):
            raise ValueError(
                f"return_timestamps={self.timestamps!r} is not supported for translations, whose words have no times: "
                "pass return_timestamps=True for the times of segments, or omit target_lang and task for the "
                "transcript. (If target_lang is the spoken language, pass it as source_lang.)"
            )

    def __call__(self, transcript: Transcript, stride_seconds: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
        """The result of a recording.

        Args:
            transcript: with words (with `timestamps="char"`, tokens).
            stride_seconds: what is not reported at the beginning and end.
        """
        duration = transcript.duration_seconds
        segments: Sequence[TranscriptSegment] = transcript.segments
        if any(stride_seconds):
            if self.target_lang is not None or self.timestamps == "char":
                raise ValueError("stride is supported for segments and words of transcripts only.")
            first, last = stride_seconds[0], duration - stride_seconds[1]
            segments = [item for segment in segments if (item := _within(segment, first, last)) is not None]
        texts = [self._text(segment) for segment in segments]
        result: dict[str, Any] = {"text": " ".join(text for text in texts if text)}
        if self.timestamps or self.with_language:
            result["chunks"] = [
                chunk
                for segment, text in zip(segments, texts, strict=True)
                for chunk in self._chunks(segment, text, duration)
            ]
        if self.with_language:
            result["language"] = transcript.language
        return result

    def _text(self, segment: TranscriptSegment) -> str:
        return segment.text if self.target_lang is None else segment.translations.get(self.target_lang, "")

    def _chunks(self, segment: TranscriptSegment, text: str, duration: float) -> Iterator[dict[str, Any]]:
        results: list[tuple[str, Any, Any]]
        if self.timestamps in ("word", "char"):
            results = [(word.text, word.start_seconds, word.end_seconds) for word in segment.words]
            if not results:  # a text too long for the recording
                words = "".join(text.split()) if self.timestamps == "char" else text.split()
                results = [(word, None, None) for word in words]
        else:
            results = [(text, segment.start_seconds, segment.end_seconds)] if text else []
        for content, start, end in results:
            chunk: dict[str, Any] = {"text": content}
            if self.timestamps:
                times = (None if time is None else min(round(time, 3), duration) for time in (start, end))
                chunk["timestamp"] = tuple(times)
            yield chunk | ({"language": segment.language} if self.with_language else {})


def _within(segment: TranscriptSegment, first: float, last: float) -> TranscriptSegment | None:
    """The segment with its words whose middles are between two times; None if there are none."""
    if not segment.words:
        return segment if first <= (segment.start_seconds + segment.end_seconds) / 2 < last else None
    words = [word for word in segment.words if first <= (word.start_seconds + word.end_seconds) / 2 < last]
    if not words:
        return None
    if len(words) == len(segment.words):
        return segment
    return replace(
        segment,
        words=tuple(words),
        text=" ".join(word.text for word in words),
        start_seconds=words[0].start_seconds,
        end_seconds=words[-1].end_seconds,
    )
