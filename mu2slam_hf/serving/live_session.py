# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A live transcription by OpenAI's realtime protocol: words while they are spoken, texts at pauses."""

import asyncio
import io
import time
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile
import soxr
from starlette.websockets import WebSocket, WebSocketDisconnect

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.inference.live.pieces import LivePiece, LiveSpeech, LocalAgreement
from mu2slam_hf.serving.errors import ApiError, describe_error
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.live_protocol import LiveSettings, decode_samples, read_message, read_settings
from mu2slam_hf.serving.scheduler import GuessTask, RecognitionScheduler, RecognitionTask
from mu2slam_hf.serving.served_models import ServedModels

# A piece of speech without a pause, and one whose end only the client knows.
_PIECE_SECONDS = 15.0
_COMMITTED_SECONDS = 60.0
# Pieces that are recognised at a time.
_MAX_TASKS = 8
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class LiveSession:
    """One client.

    Args:
        socket: its connection, accepted.
        models: the models.
        scheduler: recognises.
        limits: `session_seconds` and `idle_seconds` are used.
    """

    def __init__(
        self, socket: WebSocket, models: ServedModels, scheduler: RecognitionScheduler, limits: ServingLimits
    ) -> None:
        self._socket, self._models, self._scheduler, self._limits = socket, models, scheduler, limits
        self._id = f"sess_{uuid.uuid4().hex}"
        self._settings = LiveSettings(model=next(iter(models.models.values())))
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: asyncio.Task[None] | None = None
        self._guess: asyncio.Task[None] | None = None
        self._pending: list[FloatArray] = []
        self._resampler: Any = None
        self._previous_item: str | None = None
        self._is_speaking = False
        self._next_item()
        self._begin()

    async def run(self) -> None:
        """Answer until the client goes away, or a limit ends the session."""
        await self._send("session.created", session=self._settings.describe(self._id))
        end = time.monotonic() + self._limits.session_seconds
        try:
            while True:
                left = min(end - time.monotonic(), self._limits.idle_seconds)
                message = await asyncio.wait_for(self._socket.receive(), left)
                if message["type"] == "websocket.disconnect":
                    return
                try:
                    await self._answer(read_message(message.get("text") or ""))
                except ApiError as error:
                    await self._send("error", error=error.body()["error"])
        except TimeoutError:
            if time.monotonic() >= end:
                await self._socket.close(1000, "the session has its maximum length")
            else:
                await self._socket.close(1001, "nothing came for too long")
        finally:
            for task in [*self._tasks]:
                task.cancel()

    async def _answer(self, message: Mapping[str, Any]) -> None:
        """Handle a message of the client.

        Raises:
            ApiError: it is not accepted.
        """
        kind = message["type"]
        if kind == "session.update":
            settings = read_settings(message.get("session"), self._settings, self._models)
            await self._flush()
            await self._finish(self._speech.finish())
            self._settings = settings
            self._begin()
            await self._send("session.updated", session=self._settings.describe(self._id))
        elif kind == "input_audio_buffer.append":
            await self._listen(message)
        elif kind == "input_audio_buffer.commit":
            await self._flush()
            piece = self._speech.finish()
            if piece is None and self._settings.pause_seconds is None:
                raise ApiError(400, "input_audio_buffer_commit_empty", "There is no audio to commit.")
            await self._finish(piece)
        elif kind == "input_audio_buffer.clear":
            self._pending = []
            self._speech.clear()
            self._next_item()
            await self._send("input_audio_buffer.cleared")
        else:
            raise ApiError(400, "invalid_value", f"type: {kind[:80]!r} is not known in a transcription", param="type")

    async def _listen(self, message: Mapping[str, Any]) -> None:
        """Take samples; from time to time, look for words and pauses."""
        samples = self._resampler.resample_chunk(decode_samples(message))
        self._pending.append(samples)
        if sum(map(len, self._pending)) < self._settings.step_seconds * self._sampling_rate:
            return
        await self._look()
        if self._speech.start_sample is not None and (self._guess is None or self._guess.done()):
            self._guess = self._spawn(self._guess_words())

    async def _look(self) -> None:
        """Look for pauses in what has come."""
        pending, self._pending = self._pending, []
        for samples in pending:
            for piece in await asyncio.to_thread(self._speech.add, samples):
                await self._start(piece.start_sample)
                await self._finish(piece)
        if self._speech.start_sample is not None:
            await self._start(self._speech.start_sample)

    async def _flush(self) -> None:
        """Look at the last samples too, which the resampler has kept."""
        self._pending.append(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        self._resampler = self._build_resampler()
        await self._look()

    async def _start(self, sample: int) -> None:
        """Report the beginning of speech, once."""
        if not self._is_speaking and self._settings.pause_seconds is not None:
            await self._send(
                "input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=self._milliseconds(sample)
            )
        self._is_speaking = True

    async def _finish(self, piece: LivePiece | None) -> None:
        """Have a piece recognised that is over."""
        if piece is None:
            return
        if self._is_speaking and self._settings.pause_seconds is not None:
            end = self._milliseconds(piece.start_sample + len(piece.waveform))
            await self._send("input_audio_buffer.speech_stopped", item_id=self._item, audio_end_ms=end)
        await self._send("input_audio_buffer.committed", item_id=self._item, previous_item_id=self._previous_item)
        file = io.BytesIO()
        soundfile.write(file, piece.waveform, self._sampling_rate, format="WAV", subtype="FLOAT")
        file.seek(0)
        task = RecognitionTask(
            model=self._settings.model, file=file, name="the piece", source_lang=self._settings.language
        )
        while len(self._tasks) >= _MAX_TASKS:  # the client is faster than the model
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._scheduler.submit(task)
        self._last = self._spawn(self._complete(self._item, task, self._last))
        self._previous_item = self._item
        self._next_item()

    async def _complete(self, item: str, task: RecognitionTask, before: "asyncio.Task[None] | None") -> None:
        """Send the text of a piece, after those of the pieces before it."""
        try:
            transcript = await asyncio.wrap_future(task.result)
        except Exception as error:
            await self._send(f"{_TRANSCRIPTION}.failed", item_id=item, content_index=0, **describe_error(error).body())
            return
        if before is not None:
            await asyncio.wait({before})
        await self._send(
            f"{_TRANSCRIPTION}.completed",
            item_id=item,
            content_index=0,
            transcript=transcript.text,
            languages=[{"code": code} for code in dict.fromkeys(segment.language for segment in transcript.segments)],
            usage={"type": "duration", "seconds": round(transcript.duration_seconds, 3)},
        )

    async def _guess_words(self) -> None:
        """Send the words of the growing piece that have come to stay."""
        item, settings = self._item, self._settings
        task = GuessTask(model=settings.model, waveform=self._speech.growing.copy(), source_lang=settings.language)
        self._scheduler.submit_guess(task)
        words = self._agreement.add(await asyncio.wrap_future(task.result)) if item == self._item else []
        if words and item == self._item:
            joint = " " if len(self._agreement.words) > len(words) else ""
            delta = joint + " ".join(words)
            await self._send(f"{_TRANSCRIPTION}.delta", item_id=item, content_index=0, delta=delta)

    def _begin(self) -> None:
        """Listen with new settings."""
        settings = self._settings
        self._sampling_rate = self._scheduler.sampling_rate_of(settings.model)
        length = _COMMITTED_SECONDS if settings.pause_seconds is None else _PIECE_SECONDS
        self._speech = LiveSpeech(self._sampling_rate, length, settings.pause_seconds)
        self._resampler = self._build_resampler()
        self._pending = []

    def _build_resampler(self) -> Any:
        return soxr.ResampleStream(self._settings.rate, self._sampling_rate, 1, dtype="float32")

    def _next_item(self) -> None:
        self._item, self._is_speaking, self._agreement = self._new_item(), False, LocalAgreement()

    @staticmethod
    def _new_item() -> str:
        return f"item_{uuid.uuid4().hex}"

    def _milliseconds(self, sample: int) -> int:
        return round(1000 * sample / self._sampling_rate)

    def _spawn(self, coroutine: Any) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _send(self, kind: str, **content: Any) -> None:
        try:
            await self._socket.send_json({"type": kind, "event_id": f"event_{uuid.uuid4().hex}", **content})
        except (WebSocketDisconnect, RuntimeError):  # the client has gone, which `run` finds out
            pass
