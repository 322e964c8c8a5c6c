# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""An exported model in onnxruntime beside the same in PyTorch: size and speed by batch size (extra: export).

Measured are encoder with CTC on features that were computed before, and transcription from waveforms, by beams. The
model is exported first, unless `--exported` is its folder. If a transcript of `transcribe_recordings` differs between
the two, the benchmark is refused; with int8, their number is printed in the table.
"""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.interleaved import measure_interleaved
from benchmarks.transcription_speed import find_recordings, transcribe
from mu2slam_hf.checkpoints import DEFAULT_NAME, load_checkpoint
from mu2slam_hf.checkpoints.onnx_folders import EXPORT_FILE, load_onnx
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.export.onnx_export import DTYPES, export_onnx
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript


def add_options(parser: argparse.ArgumentParser) -> None:
    """Checkpoint, recordings and sizes."""
    parser.add_argument("--model", default=DEFAULT_NAME, help="folder of a checkpoint (default: that of the package)")
    parser.add_argument("--exported", metavar="FOLDER", help="folder of its export (default: made now)")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="of an export that is made now (float32)")
    parser.add_argument("--audio", default="examples", help="folder of recordings (examples)")
    parser.add_argument("--manifest", help="table of recordings in place of --audio")
    parser.add_argument("--clips", type=int, default=16, help="number of recordings; 0: all of the manifest (16)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16], metavar="N")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4], metavar="N")


def read_recordings(options: argparse.Namespace) -> list[np.ndarray]:
    """Waveforms, shortest first."""
    if options.manifest is None:
        return find_recordings(options.audio, options.clips)
    records = read_manifest(options.manifest)[: options.clips or None]
    return sorted((load_audio(record.audio) for record in records), key=len)


@contextlib.contextmanager
def export(options: argparse.Namespace, model: Any, processor: Any) -> Iterator[Path]:
    """The folder of the exported model."""
    if options.exported is not None:
        yield Path(options.exported)
        return
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, processor, Path(folder, "exported"), dtype=options.dtype)
        yield Path(folder, "exported")


def count_differences(models: dict[str, Any], processor: Any, waveforms: list[np.ndarray]) -> int:
    """Number of recordings whose transcripts differ, by the search that is stored with the model.

    Raises:
        ValueError: a recording cannot be transcribed.
    """
    texts = []
    for model in models.values():
        results = list(transcribe_recordings(model, processor, waveforms, TranscriptionOptions(timestamps="word")))
        for result in results:
            if isinstance(result, ValueError):
                raise result
        texts.append([result.text for result in results if isinstance(result, Transcript)])
    return sum(first != second for first, second in zip(*texts, strict=True))


def encode(model: Any, batches: list[Any]) -> None:
    """Encoder, CTC and language head on all batches."""
    with torch.inference_mode():
        for inputs in batches:
            rows = torch.zeros(len(inputs["attention_mask"]), dtype=torch.int64)
            model.encode_speech(inputs[model.main_input_name], inputs["attention_mask"], rows)


def build_calls(
    options: argparse.Namespace, models: dict[str, Any], processor: Any, waveforms: list[np.ndarray]
) -> dict[tuple[str, int], dict[str, Any]]:
    """The work to measure by its name and batch size: a call for each backend."""
    calls: dict[tuple[str, int], dict[str, Any]] = {}
    for size in options.batch_sizes:
        batches = [
            processor(audio=waveforms[start : start + size], sampling_rate=SAMPLING_RATE, return_tensors="pt")
            for start in range(0, len(waveforms), size)
        ]
        calls["encoder and CTC", size] = {name: partial(encode, model, batches) for name, model in models.items()}
        for beams in options.beams:
            calls[f"transcription, beams {beams}", size] = {
                name: partial(transcribe, model, processor, waveforms, size, beams) for name, model in models.items()
            }
    return calls


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each kind of work, batch size and backend.

    Raises:
        RuntimeError: transcripts of an export in float32 differ from those in PyTorch.
    """
    model, processor = load_checkpoint(options.model)
    waveforms = read_recordings(options)
    rows: list[dict[str, object]] = []
    with export(options, model, processor) as folder:
        files = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))
        models = {"torch": model, "onnx": load_onnx(folder)[0]}
        different = count_differences(models, processor, waveforms)
        if different and files["dtype"] == "float32":
            raise RuntimeError(f"{different} of {len(waveforms)} transcripts differ from those in PyTorch")
        weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        megabytes = {"torch": weights / 1e6, "onnx": sum(files["files"].values()) / 1e6}
        seconds = sum(map(len, waveforms)) / SAMPLING_RATE
        for (work, size), calls in build_calls(options, models, processor, waveforms).items():
            times = measure_interleaved(calls, options.repeats)
            rows += [
                {
                    "work": f"{work}, {len(waveforms)} recordings, {seconds:.0f} s",
                    "batch": size,
                    "backend": f"{name}, {'float32' if name == 'torch' else files['dtype']}",
                    "megabytes": megabytes[name],
                    "milliseconds": 1e3 * spent["wall_seconds"],
                    "speed in relation to torch": times["torch"]["wall_seconds"] / spent["wall_seconds"],
                    "by process time": times["torch"]["process_seconds"] / spent["process_seconds"],
                    "transcripts that differ": 0 if name == "torch" else different,
                }
                for name, spent in times.items()
            ]
    return rows
