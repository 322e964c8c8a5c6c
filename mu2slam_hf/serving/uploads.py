# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of the form of a request, no further than its limits; its file is never on disk under a name."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from mu2slam_hf.serving.errors import ApiError
from mu2slam_hf.serving.limits import ServingLimits

Result = TypeVar("Result")


async def read_form(request: Request, limits: ServingLimits) -> FormData:
    """The fields of a request.

    Raises:
        ApiError: it is no form, too large, too slow, or has too many fields.
        ClientDisconnect: the client has gone.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise ApiError(
            415, "unsupported_media_type", f"The request must be multipart/form-data, but is {kind[:80] or 'untyped'}."
        )
    max_bytes = limits.upload_megabytes * 1_000_000
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large(limits)
    num_bytes = 0

    async def receive() -> Any:
        nonlocal num_bytes
        message = await request.receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > max_bytes:
            raise too_large(limits)
        return message

    counted = Request(request.scope, receive)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await counted.form(max_files=1, max_fields=limits.fields, max_part_size=limits.field_bytes)
    except TimeoutError:
        message = f"The request did not arrive within {limits.upload_seconds:.0f} s; send a smaller file."
        raise ApiError(408, "upload_timeout", message) from None
    except HTTPException as error:
        raise ApiError(400, "invalid_form", f"The form of the request cannot be read: {error.detail}") from None


def too_large(limits: ServingLimits) -> ApiError:
    """The error of a request that is too large."""
    message = f"The request has more than {limits.upload_megabytes:g} MB; compress or divide the recording."
    return ApiError(413, "file_too_large", message, param="file")


async def unless_disconnected(request: Request, awaited: Awaitable[Result]) -> Result:
    """The result of something that is cancelled when the client goes away.

    Raises:
        ClientDisconnect: the client has gone.
    """
    result = asyncio.ensure_future(awaited)
    gone = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({result, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnect
        return result.result()
    finally:
        gone.cancel()
        result.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
