# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A process that serves an application until a signal stops it."""

import logging
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from mu2slam_hf.serving.app import ServingApp

# After the time in which requests are finished, for their answers to arrive.
_LAST_SECONDS = 5
# Of a WebSocket: base64 of 15 seconds of speech.
_MAX_MESSAGE_BYTES = 1_000_000


class _Server(uvicorn.Server):
    """Prints its address when it answers; the first signal lets requests finish, the second one does not."""

    def __init__(self, config: uvicorn.Config, app: "ServingApp") -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        for sock in sockets or []:
            host, port = sock.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            page = f"\nmu2slam shows its page at http://{shown}:{port}/" if self._app.has_page else ""
            print(f"mu2slam serves at http://{shown}:{port}/v1{page}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, or stop at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._app.stop()


def serve(app: "ServingApp", sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, and finish the requests that were accepted before.

    Args:
        app: the application.
        sock: from `open_socket`; closed at the end.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("mu2slam_hf.serving")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    config = uvicorn.Config(
        app.app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=_MAX_MESSAGE_BYTES,
        timeout_graceful_shutdown=round(app.limits.grace_seconds) + _LAST_SECONDS,
    )
    with sock:
        _Server(config, app).run([sock])


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address.

    Args:
        host: address or name of the interface.
        port: its port; 0 for a free one.

    Raises:
        OSError: the address is in use or not available.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise OSError(f"--host {host} --port {port}: cannot be served ({error.strerror})") from error
    return sock
