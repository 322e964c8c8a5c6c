# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A process that draws the batches of a sampler, so that the training process neither opens nor parses files."""

import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch.multiprocessing

from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.data.shared_counts import count_as_sampler

_FAILED = b""


class PackedKeys:
    """The keys of a micro-batch as bytes: the training process hands them on, and a loader process unpacks them."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[DrawKey]:
        return iter(pickle.loads(self._content))


def draw_in_process(
    sampler: ResumableBatchSampler, num_ahead: int = 8
) -> Iterator[tuple[PackedKeys, Callable[[], dict[str, Any]]]]:
    """Micro-batches of a sampler, drawn ahead in a process of its own.

    A thread receives them, so that the caller only waits if none is ready.

    Args:
        sampler: the sampler; its state in this process does not change.
        num_ahead: number of micro-batches that are received ahead; about as many are drawn beyond them.

    Yields:
        The keys of a micro-batch, and a function that returns the state of the sampler after it.

    Raises:
        Exception: what the sampler raised, in its place among the batches.
        RuntimeError: the process ended unexpectedly, for example because the machine had no memory left.
    """
    context = torch.multiprocessing.get_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_draw, args=(sampler, receiver, sender), name="sampler", daemon=True)
    process.start()
    sender.close()
    received: queue.Queue[tuple[bytes, bytes] | None] = queue.Queue(num_ahead)
    stopped = threading.Event()
    thread = threading.Thread(target=_receive, args=(receiver, received, stopped), name="sampler", daemon=True)
    thread.start()
    try:
        while (both := received.get()) is not None:
            keys, state = both
            if keys == _FAILED:
                raise pickle.loads(state)
            yield PackedKeys(keys), lambda state=state: dict(pickle.loads(state))  # type: ignore[misc]
        process.join(1.0)
        raise RuntimeError(
            f"the process that reads the streams ended unexpectedly (exit code {process.exitcode}); if it was killed, "
            "the machine may have too little memory: lower data.block_size"
        )
    finally:
        stopped.set()
        process.terminate()
        process.join()
        thread.join()
        receiver.close()


def _draw(sampler: ResumableBatchSampler, receiver: Any, sender: Any) -> None:
    """Draw and send without end; runs in the process of the sampler."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    receiver.close()
    count_as_sampler()
    try:
        for keys in sampler:
            sender.send_bytes(pickle.dumps(keys, protocol=pickle.HIGHEST_PROTOCOL))
            sender.send_bytes(pickle.dumps(sampler.state_dict(), protocol=pickle.HIGHEST_PROTOCOL))
    except BrokenPipeError:
        return
    except Exception as error:
        sender.send_bytes(_FAILED)
        sender.send_bytes(_packed_error(error))


def _packed_error(error: Exception) -> bytes:
    """The error, or one with its text if it cannot be sent."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return content


def _receive(receiver: Any, received: "queue.Queue[tuple[bytes, bytes] | None]", stopped: threading.Event) -> None:
    """Put what the process sends into a queue, and None at its end."""
    while not stopped.is_set():
        both: tuple[bytes, bytes] | None = None
        with suppress(EOFError, OSError):
            both = (receiver.recv_bytes(), receiver.recv_bytes())
        while not stopped.is_set():
            with suppress(queue.Full):
                received.put(both, timeout=0.1)
                break
        if both is None:
            return
