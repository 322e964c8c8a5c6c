# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Errors of requests, in the form in which OpenAI's clients expect them."""

from collections.abc import Mapping
from typing import Any

from mu2slam_hf.inference.window_loop import RecordingTooLongError
from mu2slam_hf.models.modules_audio_decoders import AudioError

_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that is not answered.

    Args:
        status: status of the response, 4xx or 5xx.
        code: what is wrong, for programs.
        message: what was expected, what came, and what to do.
        param: the field that is wrong.
        headers: headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON object of the response."""
        kind = "server_error" if self.status >= 500 else _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def invalid_value(param: str, message: str) -> ApiError:
    """The error of a field with a value that is not accepted; its message starts with the name of the field."""
    return ApiError(400, "invalid_value", f"{param}: {message}", param=param)


def describe_error(error: Exception) -> ApiError:
    """An error of a recording as it is answered."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RecordingTooLongError):
        return ApiError(400, "audio_too_long", f"file: {error}; divide it", param="file")
    if isinstance(error, AudioError):
        return ApiError(400, "unreadable_audio", f"file: {error}", param="file")
    return internal_error()


def internal_error() -> ApiError:
    """The error of a request at which the server fails; it says nothing of the server."""
    return ApiError(500, "internal_error", "The server failed; its log gives the reason under the X-Request-ID.")


def stopping() -> ApiError:
    """The error of a request to a server that stops."""
    return ApiError(
        503, "stopping", "The server stops and accepts no more requests; send it to another one, or later."
    )
