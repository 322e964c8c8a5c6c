# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A recording that is being transcribed, and the beginning of its transcript that cannot change any more."""

from collections.abc import Callable, Sequence
from typing import Any

from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.inference.journal import WindowJournal
from mu2slam_hf.inference.language_average import LanguageAverage
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.inference.window_loop import RecordingState
from mu2slam_hf.inference.windows import RecognizedWindow
from mu2slam_hf.models.modules_audio_decoders import AudioError

# The language of a recording is predicted once from this much speech, unless the recording is shorter.
_LANGUAGE_SECONDS = 60.0


def settled_segments(
    segments: Sequence[TranscriptSegment], last: RecognizedWindow, sampling_rate: int
) -> list[TranscriptSegment]:
    """The first segments of a recording that no later window can change, by start.

    Args:
        segments: all segments, in the order of their windows, of one channel.
        last: the last window with speech.
        sampling_rate: Hz.
    """
    # Of a window that was cut inside speech, the next one may take words, and it has the second before the cut too.
    is_open = last.num_samples > last.window.core_stop
    stop = last.window.start_sample + (0 if is_open else last.window.core_stop)
    final = sorted(segments[:-1] if is_open else segments, key=lambda segment: segment.start_seconds)
    return [segment for segment in final if segment.start_seconds * sampling_rate <= stop]


class SettledReader:
    """A function that reads the beginning of a transcript, and what it has been given so far.

    Args:
        source: the recording.
        read: is called with the transcript of the beginning; its length is that of the whole recording.
        sampling_rate: Hz.
    """

    def __init__(self, source: Any, read: Callable[[Transcript], None], sampling_rate: int) -> None:
        self.read = read
        self._source = source
        self._sampling_rate = sampling_rate
        self._num_read = 0
        self._num_samples: int | None = None

    def wants(self, segments: Sequence[TranscriptSegment]) -> bool:
        """Whether the settled segments are more than before; at least two: one alone is printed without times."""
        if len(segments) < 2 or len(segments) == self._num_read or self.num_samples is None:
            return False
        self._num_read = len(segments)
        return True

    @property
    def num_samples(self) -> int | None:
        """The length of the recording, read once more for it, as headers may be wrong; None after an error."""
        if self._num_samples is None and self._source is not None:
            source, self._source = self._source, None
            blocks = stream_audio_source(source, self._sampling_rate, on_damage=lambda message: None)
            try:
                self._num_samples = sum(len(block) for block in blocks)
            except AudioError:  # reported where the transcription reaches it
                pass
        return self._num_samples


class TranscribedRecording(RecordingState):
    """A recording that is being transcribed."""

    def __init__(
        self, source: Any, source_lang: str | None, target_langs: Sequence[str], max_seconds: float | None = None
    ) -> None:
        super().__init__(source, source_lang, max_seconds)
        self.target_langs = target_langs
        self.reader: SettledReader | None = None
        self.journal: WindowJournal | None = None
        self.segments: list[TranscriptSegment] = []
        self.languages = LanguageAverage()
        self.last: dict[int | None, RecognizedWindow] = {}

    @property
    def is_settled(self) -> bool:
        """Whether the language does not change any more."""
        return self.is_read or self.languages.seconds >= _LANGUAGE_SECONDS

    def count_language(self, result: RecognizedWindow, seconds: float) -> None:
        """Count the languages of a window, as long as they are not settled."""
        if self.languages.seconds < _LANGUAGE_SECONDS and result.language_probabilities is not None:
            self.languages.add(result.language_probabilities, seconds)
