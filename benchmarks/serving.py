# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Times of requests to `mu2slam serve` by the number of clients, its throughput beside offline batches, its memory.

Each client sends the recordings of the folder one after the other. The texts must be those of the offline batches.
Requires the extra: serve.
"""

import argparse
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.transcription_speed import SUFFIXES
from mu2slam_hf.checkpoints import DEFAULT_NAME, load_any_checkpoint
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings

_BOUNDARY = "benchmark"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Checkpoint, recordings and clients."""
    parser.add_argument("--model", default=DEFAULT_NAME, help="folder of a checkpoint (default: that of the package)")
    parser.add_argument("--audio", default="examples", help="folder of recordings (examples)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], metavar="N")
    parser.add_argument("--requests", type=int, default=192, help="requests for each number of clients (192)")


@contextmanager
def start_server(model: str, threads: int) -> Iterator[tuple[str, int]]:
    """Host with port, and process id, of a server that runs until the end of the block."""
    command = [sys.executable, "-m", "mu2slam_hf", "serve", "--port", "0", "--threads", str(threads), "--model", model]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield urlsplit(process.stdout.readline().split()[-1]).netloc, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def send(host: str, recordings: list[bytes]) -> list[tuple[str, float]]:
    """Text and seconds of each recording, over one connection."""
    results = []
    connection = http.client.HTTPConnection(host)
    for content in recordings:
        body = b"".join(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
            for name, value in (("model", b"whisper-1"), ('file"; filename="recording', content))
        )
        started = time.perf_counter()
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        connection.request("POST", "/v1/audio/transcriptions", body + f"--{_BOUNDARY}--\r\n".encode(), headers)
        answer = json.loads(connection.getresponse().read())
        if "text" not in answer:
            raise ValueError(f"expected a transcript, got {answer}")
        results.append((answer["text"], time.perf_counter() - started))
    connection.close()
    return results


def resident_megabytes(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for offline batches, and one for each number of clients."""
    paths = sorted(path for path in Path(options.audio).rglob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise ValueError(f"{options.audio}: expected recordings ({', '.join(SUFFIXES)}) in this folder, found none")
    contents = list(itertools.islice(itertools.cycle([path.read_bytes() for path in paths]), options.requests))
    model, processor = load_any_checkpoint(options.model)
    started = time.perf_counter()
    transcripts = list(transcribe_recordings(model, processor, contents, TranscriptionOptions(timestamps="word")))
    offline_seconds = time.perf_counter() - started
    texts, audio_seconds = [], 0.0
    for transcript in transcripts:
        if isinstance(transcript, ValueError):
            raise transcript
        texts.append(transcript.text)
        audio_seconds += transcript.duration_seconds
    offline = audio_seconds / offline_seconds
    rows = [describe_row("offline", [], offline, 1.0, 0.0)]
    with start_server(options.model, options.threads) as (host, pid):
        send(host, contents[: len(paths)])
        for num_clients in options.clients:
            started = time.perf_counter()
            with ThreadPoolExecutor(num_clients) as pool:
                shares = [contents[number::num_clients] for number in range(num_clients)]
                results = list(pool.map(lambda share: send(host, share), shares))
            seconds = time.perf_counter() - started
            for number, result in enumerate(results):
                if [text for text, _ in result] != texts[number::num_clients]:
                    raise ValueError(f"with {num_clients} clients, a text differs from that of the offline batches")
            times = [one for result in results for _, one in result]
            throughput = audio_seconds / seconds
            rows.append(
                describe_row(str(num_clients), times, throughput, throughput / offline, resident_megabytes(pid))
            )
    return rows


def describe_row(name: str, times: list[float], throughput: float, share: float, megabytes: float) -> dict[str, Any]:
    """A row; without times of requests and memory for offline batches."""
    return {
        "clients": name,
        "p50 seconds": float(np.percentile(times, 50)) if times else "",
        "p95 seconds": float(np.percentile(times, 95)) if times else "",
        "audio seconds per second": throughput,
        "of offline batches": share,
        "resident MB": megabytes or "",
    }
