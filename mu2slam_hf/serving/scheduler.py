# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The recognition of many requests together: one thread runs the model on windows of all of them in turn."""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.inference.live.transcriber import guess_words
from mu2slam_hf.inference.settled_segments import TranscribedRecording
from mu2slam_hf.inference.transcription import Transcriber, TranscriptionRequest
from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.inference.windows import Window
from mu2slam_hf.serving.errors import ApiError, stopping
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.served_models import ServedModel

logger = logging.getLogger(__name__)

# What is recognised at once of a recording whose text is shown while it grows.
_STREAM_SECONDS = 10.0


@dataclass(kw_only=True, eq=False)
class RecognitionTask:
    """A recording to recognise; whoever cancels `result` takes it back.

    Attributes:
        model: the model.
        file: the recording; closed when the task is over.
        name: of the recording, for messages.
        source_lang: spoken language; None means that it is predicted.
        target_langs: languages to translate into.
        on_text: called in the inference thread with the text of segments that cannot change any more, as it grows.
        result: the transcript, or the error.
        accepted: time of `time.monotonic`.
        started: the same of the first window; None before.
    """

    model: ServedModel
    file: BinaryIO
    name: str
    source_lang: str | None = None
    target_langs: tuple[str, ...] = ()
    on_text: Callable[[str], None] | None = None
    result: "Future[Transcript]" = field(default_factory=Future)
    accepted: float = field(default_factory=time.monotonic)
    started: float | None = None


@dataclass(kw_only=True, eq=False)
class GuessTask:
    """A piece of live speech of which the words are wanted soon, by CTC alone.

    Attributes:
        model: the model.
        waveform: `(n,)` float32.
        source_lang: spoken language; None means that it is predicted.
        result: the text.
    """

    model: ServedModel
    waveform: FloatArray
    source_lang: str | None = None
    result: "Future[str]" = field(default_factory=Future)


@dataclass(kw_only=True, eq=False)
class TextTask:
    """Texts to translate, as many as a batch may have.

    Attributes:
        model: the model.
        texts: sentences.
        source_lang: their language; None means that it is not known.
        target_lang: language to translate into.
        result: a translation for each text, or the error.
    """

    model: ServedModel
    texts: Sequence[str]
    target_lang: str
    source_lang: str | None = None
    result: "Future[list[str]]" = field(default_factory=Future)


class _OpenTask:
    """A task in the inference thread.

    Attributes:
        task: the task.
        transcriber: the window loop that it shares with others.
        recording: what is known of it; None before its first window.
        upcoming: the window to recognise next; None if there are no more.
        num_shown: characters that `on_text` has had.
    """

    def __init__(self, task: RecognitionTask, transcriber: Transcriber) -> None:
        self.task, self.transcriber = task, transcriber
        self.recording: TranscribedRecording | None = None
        self.upcoming: Window | None = None
        self.num_shown = 0
        self._windows: Iterator[Window] = iter(())

    def open(self, max_seconds: float) -> None:
        """Read the first window."""
        task = self.task
        self.recording = self.transcriber.open(
            TranscriptionRequest(
                source={"bytes": task.file, "path": task.name},
                source_lang=task.source_lang,
                target_langs=task.target_langs,
                max_seconds=max_seconds,
            )
        )
        self._windows = self.transcriber.read_windows(self.recording)
        self.advance()

    def advance(self) -> None:
        """Read the next window, or the end."""
        self.upcoming = next(self._windows, None)

    def restart(self) -> None:
        """Begin again, in a window loop of its own."""
        self.task.file.seek(0)
        self.transcriber, self.recording, self.upcoming = self.task.model.build_transcriber(), None, None

    def show(self) -> None:
        """Give what is settled to the reader, if there is one."""
        if self.task.on_text is None or self.recording is None:
            return
        text = " ".join(segment.text for segment in self.transcriber.settled(self.recording))
        if len(text) > self.num_shown:
            self.task.on_text(text[self.num_shown :])
            self.num_shown = len(text)

    def deadline(self, extra_seconds: float) -> float:
        """Until when it may take; a recording may take as long as it is."""
        return self.task.accepted + (self.recording.read_seconds if self.recording else 0.0) + extra_seconds


class RecognitionScheduler:
    """Takes one window of every waiting request in turn until there is a batch, so that none waits behind a long one.

    Args:
        models: all models.
        limits: `audio_seconds`, `extra_seconds`, `batch_seconds` and `grace_seconds` are used.
        metrics: counts windows and times.

    Attributes:
        is_stopping: whether no more requests should be accepted.
        turn_seconds: duration of the last batch.
    """

    def __init__(self, models: Sequence[ServedModel], limits: ServingLimits, metrics: ServingMetrics) -> None:
        self.turn_seconds = 1.0
        self._limits, self._metrics = limits, metrics
        self._shared = {model.name: model.build_transcriber() for model in models}
        self._changed = threading.Condition()
        self._arrived: deque[RecognitionTask] = deque()
        self._guesses: deque[GuessTask] = deque()
        self._texts: deque[TextTask] = deque()
        self._tasks: list[_OpenTask] = []
        self._is_closed = False
        self._stop_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)

    @property
    def is_stopping(self) -> bool:
        """Whether `drain` was called."""
        return self._stop_at is not None

    @property
    def is_alive(self) -> bool:
        """Whether the inference thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the inference thread."""
        self._thread.start()

    def submit(self, task: RecognitionTask) -> None:
        """Recognise a recording; from any thread."""
        with self._changed:
            self._arrived.append(task)
            self._changed.notify()

    def submit_guess(self, guess: GuessTask) -> None:
        """Guess at words before the next batch; from any thread."""
        with self._changed:
            self._guesses.append(guess)
            self._changed.notify()

    def submit_text(self, task: TextTask) -> None:
        """Translate texts between two batches of windows; from any thread."""
        with self._changed:
            self._texts.append(task)
            self._changed.notify()

    def sampling_rate_of(self, model: ServedModel) -> int:
        """The sampling rate of a model in Hz."""
        return self._shared[model.name].sampling_rate

    def drain(self) -> None:
        """Finish what was accepted within `grace_seconds`; may be called in a signal handler."""
        self._stop_at = time.monotonic() + self._limits.grace_seconds

    def close(self) -> None:
        """Finish everything, and end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait_for_work():
            self.take_turn()

    def _wait_for_work(self) -> bool:
        """Wait until there is work; False if there will be none."""
        with self._changed:
            while not (self._has_work() or self._is_closed):
                self._changed.wait()
            return self._has_work()

    def _has_work(self) -> bool:
        return bool(self._arrived or self._guesses or self._texts or self._tasks)

    def take_turn(self) -> None:
        """Recognise a batch of windows of one window loop, and end the tasks that are over; in one thread only."""
        with self._changed:
            arrived, self._arrived = self._arrived, deque()
        self._write_guesses()
        self._translate_texts()
        self._tasks += [_OpenTask(task, self._shared[task.model.name]) for task in arrived]
        self._drop_overdue()
        if not self._tasks:
            return
        started = time.monotonic()
        transcriber = self._tasks[0].transcriber
        group = [open_task for open_task in self._tasks if open_task.transcriber is transcriber]
        pool, group = self._take_windows(group)
        # The other window loops are next, then those of this one that were not reached.
        self._tasks = [open_task for open_task in self._tasks if open_task.transcriber is not transcriber] + group
        try:
            if pool or transcriber.held():
                transcriber.process(
                    [(open_task.recording, window) for open_task, window in pool if open_task.recording is not None]
                )
            self._conclude(group)
        except Exception as error:
            self._recover([open_task for open_task in group if open_task.recording is not None], error)
        self.turn_seconds = time.monotonic() - started
        self._metrics.compute_seconds.inc(self.turn_seconds)

    def _write_guesses(self) -> None:
        """Answer all guesses, those of one model together."""
        with self._changed:
            guesses, self._guesses = self._guesses, deque()
        for model in dict.fromkeys(guess.model for guess in guesses):
            group = [guess for guess in guesses if guess.model is model and not guess.result.cancelled()]
            recognizer = self._shared[model.name].recognizer
            try:
                texts = guess_words(
                    recognizer, [guess.waveform for guess in group], [guess.source_lang for guess in group]
                )
            except Exception as error:
                logger.error("a guess at %d pieces failed", len(group), exc_info=error)
                texts = [""] * len(group)
            for guess, text in zip(group, texts, strict=True):
                settle(guess.result, text)

    def _translate_texts(self) -> None:
        """Answer the first text task; the others wait for the next turns, so that recordings do too."""
        with self._changed:
            task = self._texts.popleft() if self._texts else None
        if task is None or task.result.cancelled():
            return
        recognizer = self._shared[task.model.name].recognizer
        try:
            texts = recognizer.translate_texts(task.texts, task.source_lang, task.target_lang)
        except Exception as error:
            settle(task.result, error)
        else:
            settle(task.result, texts)

    def _drop_overdue(self) -> None:
        """End tasks that nobody waits for, or that have taken too long."""
        now = time.monotonic()
        for open_task in list(self._tasks):
            if open_task.task.result.cancelled():
                self._end(open_task, None)
            elif self._stop_at is not None and now > self._stop_at:
                self._end(open_task, stopping())
            elif now > open_task.deadline(self._limits.extra_seconds):
                message = (
                    f"The recording was not recognised within its length and {self._limits.extra_seconds:.0f} s: the "
                    "server is too busy; send it again later."
                )
                self._end(open_task, ApiError(504, "deadline_exceeded", message))

    def _take_windows(self, group: Sequence[_OpenTask]) -> tuple[list[tuple[_OpenTask, Window]], list[_OpenTask]]:
        """A window of each task in turn, until there are enough for a batch; and the tasks in their new order."""
        pool: list[tuple[_OpenTask, Window]] = []
        seconds = 0.0
        waiting = deque(group)
        exhausted: list[_OpenTask] = []
        sated: list[_OpenTask] = []
        own_seconds: dict[int, float] = defaultdict(float)
        while waiting and seconds < self._limits.batch_seconds:
            open_task = waiting.popleft()
            try:
                if open_task.recording is None:
                    self._open(open_task)
                window = open_task.upcoming
                if window is not None:
                    open_task.advance()
            except Exception as error:  # of a decoder; AudioError is the result of the recording
                self._end(open_task, error)
                pool = [(other, taken) for other, taken in pool if other is not open_task]
                continue
            if window is None:
                exhausted.append(open_task)
                continue
            pool.append((open_task, window))
            length = len(window.waveform) / open_task.transcriber.sampling_rate
            seconds += length
            own_seconds[id(open_task)] += length
            is_sated = open_task.task.on_text is not None and own_seconds[id(open_task)] >= _STREAM_SECONDS
            (sated if is_sated else waiting).append(open_task)
        if pool:
            self._metrics.batch_windows.observe(len(pool))
            self._metrics.batch_seconds.observe(seconds)
            self._metrics.audio_seconds.inc(seconds)
        return pool, [*exhausted, *waiting, *sated]

    def _open(self, open_task: _OpenTask) -> None:
        if open_task.task.started is None:
            open_task.task.started = time.monotonic()
            self._metrics.queue_seconds.observe(open_task.task.started - open_task.task.accepted)
        open_task.open(self._limits.audio_seconds)

    def _conclude(self, group: Sequence[_OpenTask]) -> None:
        """End the tasks of which all windows are recognised; show what is settled of the others."""
        for open_task in group:
            recording = open_task.recording
            if recording is None or open_task not in self._tasks:
                continue
            if recording.error is not None:
                self._end(open_task, recording.error)
            elif recording.is_read and open_task.upcoming is None and recording not in open_task.transcriber.held():
                self._end(open_task, open_task.transcriber.conclude(recording))
            else:
                open_task.show()

    def _recover(self, group: Sequence[_OpenTask], error: Exception) -> None:
        """After an unexpected error, which of several tasks has caused it is found by running each by itself."""
        logger.error("recognition of %d requests failed", len(group), exc_info=error)
        for open_task in group:
            if open_task not in self._tasks or open_task.recording is None:
                continue
            if len(group) == 1:
                self._end(open_task, error)
            else:
                open_task.transcriber.forget(open_task.recording)
                open_task.restart()

    def _end(self, open_task: _OpenTask, result: Transcript | Exception | None) -> None:
        """Remove a task, and give its result to those who wait for it."""
        if open_task in self._tasks:
            self._tasks.remove(open_task)
        if open_task.recording is not None:
            open_task.transcriber.forget(open_task.recording)
        open_task.task.file.close()
        if result is not None:
            settle(open_task.task.result, result)


def settle(future: "Future[Any]", result: Any) -> None:
    """Give a result or an error to those who wait for it, unless they have cancelled it."""
    try:
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:  # cancelled
        pass
