# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What every request passes: its id, the key, the number of requests at a time, and its line in the log."""

import hmac
import json
import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mu2slam_hf.serving.errors import ApiError, internal_error, stopping
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.scheduler import RecognitionScheduler

logger = logging.getLogger(__name__)

REALTIME = "/v1/realtime"
ENDPOINTS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/models", REALTIME, "/health", "/metrics")
_LIMITED = ENDPOINTS[:2]
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}")
_CLIENT_GONE = 499


class RequestGate:
    """An ASGI application around another one.

    Args:
        app: the application.
        limits: `requests` and `client_requests` are used.
        scheduler: refuses requests when it is stopping.
        metrics: counts requests.
        api_keys: keys of which one must be given for `/v1`; none for everybody.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ServingLimits,
        scheduler: RecognitionScheduler,
        metrics: ServingMetrics,
        api_keys: Sequence[str] = (),
    ) -> None:
        self.app, self._limits, self._scheduler, self._metrics = app, limits, scheduler, metrics
        self._api_keys = [key.encode() for key in api_keys]
        self._active: Counter[str] = Counter()
        self._num_sessions = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        started = time.monotonic()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        entry: dict[str, Any] = {"id": request_id, "path": scope["path"][:200], "status": _CLIENT_GONE, "code": ""}
        scope.setdefault("state", {})["entry"] = entry

        has_begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "websocket.accept":
                has_begun = True
                entry["status"] = 101
            elif message["type"] in ("http.response.start", "websocket.http.response.start"):
                has_begun = True
                entry["status"] = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            with self._admit(scope, headers):
                await self.app(scope, receive, send_with_id)
        except ApiError as error:
            await respond(error, scope, receive, send_with_id)
        except ClientDisconnect:
            pass
        except Exception:
            logger.exception("request %s failed", request_id)
            if not has_begun:
                await respond(internal_error(), scope, receive, send_with_id)
        finally:
            self._record(entry, scope, time.monotonic() - started)

    @contextmanager
    def _admit(self, scope: Scope, headers: Headers) -> Iterator[None]:
        """Count a request while it is answered.

        Raises:
            ApiError: no valid key, too many requests, or a server that stops.
        """
        key = self._check_key(headers) if scope["path"].startswith("/v1/") and self._api_keys else None
        retry = {"Retry-After": str(max(1, round(self._scheduler.turn_seconds)))}
        if scope["type"] == "websocket":
            if self._scheduler.is_stopping:
                raise stopping()
            if self._num_sessions >= self._limits.sessions:
                message = f"The server has {self._limits.sessions} live transcriptions already; try again later."
                raise ApiError(429, "queue_full", message, headers=retry)
            with self._count_session():
                yield
            return
        if scope["path"] not in _LIMITED or scope["method"] != "POST":
            yield
            return
        if self._scheduler.is_stopping:
            raise stopping()
        client = key or (scope.get("client") or ("",))[0]
        if self._active.total() >= self._limits.requests:
            message = f"The server has {self._limits.requests} requests already; send it again later."
            raise ApiError(429, "queue_full", message, headers=retry)
        if self._active[client] >= self._limits.client_requests:
            message = f"You have {self._limits.client_requests} requests already; wait for an answer before the next."
            raise ApiError(429, "too_many_requests", message, headers=retry)
        self._active[client] += 1
        self._metrics.active.inc()
        try:
            yield
        finally:
            self._active -= Counter({client: 1})  # forgets those that have none
            self._metrics.active.dec()

    @contextmanager
    def _count_session(self) -> Iterator[None]:
        self._num_sessions += 1
        self._metrics.sessions.inc()
        try:
            yield
        finally:
            self._num_sessions -= 1
            self._metrics.sessions.dec()

    def _check_key(self, headers: Headers) -> str:
        """The key of a request."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip().encode() if scheme.lower() == "bearer" else b""
        # All are compared, in a time that does not depend on them.
        if not sum([hmac.compare_digest(given, known) for known in self._api_keys]):
            message = "Expected a key of this server, as 'Authorization: Bearer KEY'; " + (
                "the one that came is not known." if given else "none came."
            )
            raise ApiError(401, "invalid_api_key", message, headers={"WWW-Authenticate": "Bearer"})
        return key.strip()

    def _record(self, entry: dict[str, Any], scope: Scope, seconds: float) -> None:
        """Count a request, and write its line, without its text."""
        endpoint = next((known for known in ENDPOINTS if entry["path"].startswith(known)), "other")
        self._metrics.requests.labels(endpoint, entry["status"], entry["code"]).inc()
        self._metrics.request_seconds.labels(endpoint).observe(seconds)
        logger.info(
            "%s", json.dumps({**entry, "method": scope.get("method", "WEBSOCKET"), "seconds": round(seconds, 3)})
        )


async def respond(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an error."""
    scope["state"]["entry"]["code"] = error.code
    await JSONResponse(error.body(), error.status, error.headers)(scope, receive, send)
