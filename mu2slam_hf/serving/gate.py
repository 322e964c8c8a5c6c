# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What every request passes: its id, the key, the number of requests at a time, and its line in the log."""

import hmac
import logging
import re
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mu2slam_hf.serving.admission import Admission
from mu2slam_hf.serving.errors import ApiError, internal_error
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.request_log import record_request

logger = logging.getLogger(__name__)

REALTIME = "/v1/realtime"
ENDPOINTS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/models", REALTIME, "/health", "/metrics")
_LIMITED = ENDPOINTS[:2]
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}")
CLIENT_GONE = 499
"""Status in the log of a request whose client did not wait for the answer."""


class RequestGate:
    """An ASGI application around another one.

    Args:
        app: the application.
        admission: counts requests of the API.
        metrics: counts requests.
        api_keys: keys of which one must be given for `/v1`; none for everybody.
    """

    def __init__(
        self,
        app: ASGIApp,
        admission: Admission,
        metrics: ServingMetrics,
        api_keys: Sequence[str] = (),
    ) -> None:
        self.app, self._admission, self._metrics = app, admission, metrics
        self._api_keys = [key.encode() for key in api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        started = time.monotonic()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        entry: dict[str, Any] = {"id": request_id, "path": scope["path"][:200], "status": CLIENT_GONE, "code": ""}
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
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                admitted.close()  # before the client has the end, after which it may send the next request
            await send(message)

        admitted = ExitStack()
        try:
            with admitted:
                admitted.enter_context(self._admit(scope, headers))
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

    def _admit(self, scope: Scope, headers: Headers) -> AbstractContextManager[None]:
        """Count a request while it is answered.

        Raises:
            ApiError: no valid key, too many requests, or a server that stops.
        """
        key = self._check_key(headers) if scope["path"].startswith("/v1/") and self._api_keys else None
        if scope["type"] == "websocket":
            return self._admission.admit_session()
        if scope["path"] not in _LIMITED or scope["method"] != "POST":
            return nullcontext()
        return self._admission.admit(key or (scope.get("client") or ("",))[0])

    def _check_key(self, headers: Headers) -> str:
        """The key of a request."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip().encode() if scheme.lower() == "bearer" else b""
        if not is_known_key(given, self._api_keys):
            message = "Expected a key of this server, as 'Authorization: Bearer KEY'; " + (
                "the one that came is not known." if given else "none came."
            )
            raise ApiError(401, "invalid_api_key", message, headers={"WWW-Authenticate": "Bearer"})
        return key.strip()

    def _record(self, entry: dict[str, Any], scope: Scope, seconds: float) -> None:
        """Count a request, and write its line, without its text."""
        endpoint = next((known for known in ENDPOINTS if entry["path"].startswith(known)), "other")
        # The files of a page are many, and say nothing.
        level = logging.DEBUG if endpoint == "other" and entry["status"] < 400 else logging.INFO
        line = {**entry, "method": scope.get("method", "WEBSOCKET")}
        record_request(self._metrics, endpoint, line, seconds, level=level)


def is_known_key(given: bytes, keys: Sequence[bytes]) -> bool:
    """Whether a key is one of several; all are compared, in a time that does not depend on them."""
    return bool(sum([hmac.compare_digest(given, known) for known in keys]))


async def respond(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an error."""
    scope["state"]["entry"]["code"] = error.code
    await JSONResponse(error.body(), error.status, error.headers)(scope, receive, send)
