# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The endpoints of a server, those of OpenAI's API for audio, as an ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.serving.admission import Admission
from mu2slam_hf.serving.errors import ApiError, describe_error
from mu2slam_hf.serving.gate import ENDPOINTS, REALTIME, RequestGate
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.live_session import LiveSession
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.request_log import describe_work
from mu2slam_hf.serving.scheduler import RecognitionScheduler, RecognitionTask
from mu2slam_hf.serving.served_models import ServedModels
from mu2slam_hf.serving.transcription_request import AudioRequest, read_request
from mu2slam_hf.serving.transcription_response import describe_text, format_event, format_response
from mu2slam_hf.serving.uploads import read_form, unless_disconnected

logger = logging.getLogger(__name__)

# A stream without text has a comment this often, so that proxies keep the connection.
_KEEP_ALIVE_SECONDS = 15.0
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class ServingApp:
    """The endpoints.

    Args:
        models: the models.
        limits: what is accepted.
        api_keys: see `RequestGate`.

    Attributes:
        limits: what is accepted.
        app: the application for an ASGI server.
        scheduler: recognises; it runs while the application does.
    """

    def __init__(
        self, models: ServedModels, limits: ServingLimits | None = None, *, api_keys: Sequence[str] = ()
    ) -> None:
        self._models, self.limits = models, limits or ServingLimits()
        self._metrics = ServingMetrics()
        self.scheduler = RecognitionScheduler(list(models.models.values()), self.limits, self._metrics)
        self._admission = Admission(self.limits, self.scheduler, self._metrics)
        self._api_keys = api_keys
        self._page: Any = None
        self.app = app = FastAPI(lifespan=self._live, openapi_url=None)
        app.add_middleware(RequestGate, admission=self._admission, metrics=self._metrics, api_keys=api_keys)
        for kind in (ApiError, AudioError, HTTPException):  # others are answered by the gate
            app.add_exception_handler(kind, _answer_error)
        app.add_api_route(ENDPOINTS[0], self.transcribe, methods=["POST"], response_model=None)
        app.add_api_route(ENDPOINTS[1], self.translate, methods=["POST"], response_model=None)
        app.add_api_websocket_route(REALTIME, self.listen)
        app.add_api_route("/v1/models", self.list_models)
        app.add_api_route("/v1/models/{name:path}", self.describe_model)
        app.add_api_route("/health", self.report_health)
        app.add_api_route("/metrics", self.report_metrics)

    @property
    def has_page(self) -> bool:
        """Whether `add_page` was called."""
        return self._page is not None

    def add_page(self) -> None:
        """Show a page at `/` for people; with keys, it asks for one of them as a password.

        Raises:
            ImportError: the extra `page` is not installed.
        """
        from mu2slam_hf.serving.page_requests import PageRequests, make_page_folder

        make_page_folder()
        from mu2slam_hf.serving.page import mount_page

        # What the API does not have stays an error of the API.
        self.app.add_api_route("/v1/{rest:path}", self.refuse, methods=_METHODS)
        requests = PageRequests(self._models, self.scheduler, self.limits, self._admission, self._metrics)
        self._page = mount_page(self.app, requests, self._api_keys)

    def stop(self) -> None:
        """Finish what was accepted, and accept no more; may be called in a signal handler."""
        self.scheduler.drain()
        if self._page is not None:
            self._page.stop_event.set()

    @asynccontextmanager
    async def _live(self, app: FastAPI) -> AsyncIterator[None]:
        self.scheduler.start()
        yield
        await asyncio.to_thread(self.scheduler.close)

    async def transcribe(self, request: Request) -> Response:
        """The text of a recording, in its own language."""
        return await self._recognize(request, translates=False)

    async def translate(self, request: Request) -> Response:
        """The text of a recording in another language, English by default."""
        return await self._recognize(request, translates=True)

    async def listen(self, socket: WebSocket) -> None:
        """The text of speech while it goes on."""
        await socket.accept()
        await LiveSession(socket, self._models, self.scheduler, self.limits).run()

    async def refuse(self, request: Request, rest: str) -> Response:
        """The error of an address or a method that the API does not have."""
        is_known = request.url.path in ENDPOINTS
        raise HTTPException(405 if is_known else 404, "Method Not Allowed" if is_known else "Not Found")

    async def list_models(self) -> dict[str, Any]:
        """All models."""
        return {"object": "list", "data": [model.describe() for model in self._models.models.values()]}

    async def describe_model(self, name: str) -> dict[str, Any]:
        """One model."""
        return self._models.find(name).describe()

    async def report_health(self) -> Response:
        """Whether requests are accepted."""
        status = "stopping" if self.scheduler.is_stopping else "ok" if self.scheduler.is_alive else "failed"
        return JSONResponse({"status": status}, 200 if status == "ok" else 503)

    async def report_metrics(self) -> Response:
        """Numbers for Prometheus."""
        return Response(self._metrics.format(), media_type=CONTENT_TYPE_LATEST)

    async def _recognize(self, request: Request, *, translates: bool) -> Response:
        form = await read_form(request, self.limits)
        try:
            wanted = read_request(form, self._models, translates=translates)
        except ApiError:
            await form.close()
            raise
        task = RecognitionTask(
            model=wanted.model,
            file=wanted.upload.file,
            name=wanted.name,
            source_lang=wanted.source_lang,
            target_langs=(wanted.target_lang,) if wanted.target_lang else (),
        )
        headers = {"X-Ignored-Fields": _printable(", ".join(wanted.ignored))} if wanted.ignored else {}
        if wanted.stream:
            return await self._stream(request, wanted, task, headers)
        self.scheduler.submit(task)
        try:
            transcript = await unless_disconnected(request, asyncio.wrap_future(task.result))
        finally:
            task.result.cancel()
        request.state.entry |= describe_work(task, transcript)
        content, media_type = await asyncio.to_thread(format_response, transcript, wanted)
        return Response(content, media_type=media_type, headers=headers)

    async def _stream(
        self, request: Request, wanted: AudioRequest, task: RecognitionTask, headers: dict[str, str]
    ) -> Response:
        """The text as it grows; an error before the first text has its own status."""
        loop = asyncio.get_running_loop()
        texts: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(text: str | None) -> None:
            loop.call_soon_threadsafe(texts.put_nowait, text)

        task.on_text = tell
        task.result.add_done_callback(lambda result: tell(None))
        self.scheduler.submit(task)
        try:
            first = await unless_disconnected(request, _next_text(texts))
            if first is None:
                task.result.result()  # raises its error
        except BaseException:
            task.result.cancel()
            raise
        events = self._events(request, wanted, task, texts, first)
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-cache", **headers}
        )

    async def _events(
        self,
        request: Request,
        wanted: AudioRequest,
        task: RecognitionTask,
        texts: "asyncio.Queue[str | None]",
        text: str | None,
    ) -> AsyncIterator[str]:
        num_sent = 0
        try:
            while text is not None:
                yield _format_delta(text) if text else ": waiting\n\n"
                num_sent += len(text)
                text = await _next_text(texts)
            transcript = task.result.result()
            if rest := transcript.text[num_sent:]:
                yield _format_delta(rest)
            request.state.entry |= describe_work(task, transcript)
            yield format_event({"type": "transcript.text.done", **describe_text(transcript, wanted)})
        except Exception as error:
            api_error = describe_error(error)
            if api_error.status == 500:
                logger.exception("request %s failed", request.state.entry["id"])
            request.state.entry["code"] = api_error.code
            yield format_event(api_error.body())
        finally:
            task.result.cancel()


async def _next_text(texts: "asyncio.Queue[str | None]") -> str | None:
    """The next text; "" if it takes long, None after the last one."""
    try:
        return await asyncio.wait_for(texts.get(), _KEEP_ALIVE_SECONDS)
    except TimeoutError:
        return ""


def _format_delta(text: str) -> str:
    return format_event({"type": "transcript.text.delta", "delta": text})


def _printable(text: str) -> str:
    """A text for a header."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text[:200])


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        message = f"{error.detail}; the endpoints are {', '.join(ENDPOINTS)}"
        error = ApiError(error.status_code, code, message, headers=error.headers)
    api_error = describe_error(error)
    request.state.entry["code"] = api_error.code
    return JSONResponse(api_error.body(), api_error.status, api_error.headers)
