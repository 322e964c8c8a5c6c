# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loading of the paper's micro-batches (4 recordings of 15 s, 8 texts, ASR, AST of 8 s, MT) from streams of shards.

The first row is the process that draws, the second what the training process does for a batch while another one draws,
the others what one loader process does with a batch: decoding to 16 kHz, by the format of the recordings.
"""

import argparse
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.corpora.webdataset import WebDatasetReader
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.example_streams import StreamSource, build_stream_sources
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.data.sampling.stream_sampler import StreamBatchSampler
from mu2slam_hf.training.batch_tracking import TrackedBatchSampler

SHARES = {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1}
SECONDS = {"speech": 15.0, "asr": 8.0, "ast": 8.0}
NUM_SHARDS, NUM_SAMPLES, NUM_RECORDINGS = 4, 32, 4
NUM_BATCHES = 50
# Name -> extension, rate, and options of soundfile.
FORMATS: dict[str, tuple[str, int, dict[str, str]]] = {
    "Vorbis, 16 kHz": ("ogg", 16_000, {"format": "OGG", "subtype": "VORBIS"}),
    "Opus, 48 kHz": ("opus", 48_000, {"format": "OGG", "subtype": "OPUS"}),
    "FLAC, 16 kHz": ("flac", 16_000, {"format": "FLAC"}),
}


def make_recording(seconds: float, file_format: str, generator: np.random.Generator) -> bytes:
    """A file with harmonics of a moving pitch and noise below 8 kHz, in syllables of 0.25 s."""
    _, rate, options = FORMATS[file_format]
    time_axis = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 0.3 * time_axis)) / rate
    voiced = sum(np.sin(number * phase) / number for number in range(1, 30))
    noise = np.fft.rfft(generator.standard_normal(len(time_axis)))
    noise[round(8000 * seconds) :] = 0
    samples = (voiced + 0.3 * np.fft.irfft(noise, len(time_axis))) * np.abs(np.sin(4 * np.pi * time_axis))
    buffer = io.BytesIO()
    sf.write(buffer, (0.1 * samples).astype(np.float32), rate, **options)
    return buffer.getvalue()


def write_shards(folder: Path, file_format: str) -> None:
    """Archives of recordings for each task with speech, and tables of pairs of texts."""
    generator = np.random.default_rng(0)
    for task, seconds in SECONDS.items():
        recordings = [make_recording(seconds, file_format, generator) for _ in range(NUM_RECORDINGS)]
        for shard in range(NUM_SHARDS):
            with tarfile.open(folder / f"{task}-{shard}.tar", "w") as archive:
                for number in range(NUM_SAMPLES):
                    key = f"{shard:02}{number:04}"
                    row = {"text": "x" * 120, "lang": "en", "translations": {"de": "y" * 120}}
                    audio = recordings[number % NUM_RECORDINGS]
                    files = {f"{key}.{FORMATS[file_format][0]}": audio, f"{key}.json": json.dumps(row).encode()}
                    for name, content in files.items():
                        info = tarfile.TarInfo(name)
                        info.size = len(content)
                        archive.addfile(info, io.BytesIO(content))
    for shard in range(NUM_SHARDS):
        rows = [
            {"id": str(n), "text": "x" * 350, "lang": "en", "translations": {"de": "y" * 350}} for n in range(2000)
        ]
        (folder / f"text-{shard}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def build_sampler(folder: Path) -> StreamBatchSampler:
    """The sampler of one process over these shards."""
    sources: list[StreamSource] = []
    for task in SHARES:
        kind, pattern = (WebDatasetReader, f"{task}-*.tar") if task in SECONDS else (ManifestShardReader, "*.jsonl")
        shards = {"en": sorted(map(str, folder.glob(pattern)))}
        sources += build_stream_sources(kind(corpus="c"), task, corpus="c", shards=shards, sizes={"en": 1.0})
    return StreamBatchSampler(sources, MixtureConfig(shares=SHARES))


def repeat(batches: Iterator[Any], use: Callable[[Any], Any]) -> Callable[[], None]:
    """A function that uses the next `NUM_BATCHES`."""

    def run() -> None:
        for batch in islice(batches, NUM_BATCHES):
            use(batch)

    return run


def measure_training_process(folder: Path, repeats: int) -> float:
    """Median seconds of processor time for a batch in the thread that trains."""
    tracked = TrackedBatchSampler(build_sampler(folder), in_process=True)
    batches = iter(tracked)
    times = []
    for number in range(NUM_BATCHES * repeats):
        time.sleep(0.02)
        started = time.thread_time()
        next(batches)
        tracked.mark_consumed(1)
        times += [time.thread_time() - started] if number >= 10 else []
    batches.close()
    return float(np.median(times))


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each part: milliseconds for a batch, and batches per second."""
    with tempfile.TemporaryDirectory() as name:
        systems: dict[str, Callable[[], None]] = {}
        dataset = ExampleDataset()
        in_training = 0.0
        for number, file_format in enumerate(FORMATS):
            folder = Path(name, str(number))
            folder.mkdir()
            write_shards(folder, file_format)
            if number == 0:
                in_training = measure_training_process(folder, options.repeats)
                systems["drawing"] = repeat(iter(build_sampler(folder)), len)
            kept: list[list[DrawKey]] = list(islice(build_sampler(folder), 5))
            systems[f"decoding, {file_format}"] = repeat(cycle(kept), lambda keys: [dataset[key] for key in keys])
        times = measure_interleaved(systems, options.repeats)
    seconds = {system: both["process_seconds"] / NUM_BATCHES for system, both in times.items()}
    seconds = {"drawing": seconds.pop("drawing"), "training process": in_training, **seconds}
    return [
        {"part": part, "milliseconds for a batch": 1000 * each, "batches per second": 1 / each}
        for part, each in seconds.items()
    ]
