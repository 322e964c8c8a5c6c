# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints, which are renamed to their final name when they are complete, and averages of their weights."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

CHECKPOINT_PATTERN = re.compile(r"^checkpoint-(\d+)$")
INCOMPLETE_PREFIX = ".incomplete-"
WEIGHTS_FILES = ("model.safetensors", "adapter_model.safetensors")


def list_checkpoints(output_dir: str | Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first; incomplete ones have another name and are not listed."""
    folder = Path(output_dir)
    if not folder.is_dir():
        return []
    named = [(CHECKPOINT_PATTERN.match(path.name), path) for path in folder.iterdir()]
    return [path for _, path in sorted((int(match.group(1)), path) for match, path in named if match)]


def clear_incomplete(output_dir: str | Path) -> None:
    """Delete incomplete checkpoints of a killed run."""
    for path in Path(output_dir).glob(f"{INCOMPLETE_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def all_or_nothing(incomplete: str | Path, final: str | Path) -> Iterator[None]:
    """Delete a folder that could not be written completely, and raise an error with a remedy.

    Libraries report a full disk differently: safetensors with its own error class, torch with a RuntimeError
    of its stream writer.

    Raises:
        RuntimeError: if the folder could not be written, whatever the library raised.
    """
    incomplete, final = Path(incomplete), Path(final)
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if type(error) is RuntimeError and "PytorchStreamWriter" not in str(error):
            raise
        shutil.rmtree(incomplete, ignore_errors=True)
        complete = list_checkpoints(final.parent)
        raise RuntimeError(
            f"Could not write {final}: {error}. The incomplete folder was deleted; the last complete "
            f"checkpoint is {complete[-1] if complete else 'none'}. Free space and start again with resume."
        ) from error


def publish_checkpoint(incomplete: str | Path, final: str | Path) -> None:
    """Flush a finished checkpoint folder to the disk and rename it in one step.

    Raises:
        OSError: if the disk is full or the folder cannot be renamed; `incomplete` is then left unchanged.
    """
    incomplete, final = Path(incomplete), Path(final)
    for path in incomplete.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if final.exists():
        # The same update was saved before (a run resumed from an older checkpoint): the new one replaces it.
        shutil.rmtree(final)
    os.replace(incomplete, final)


def rotate_checkpoints(output_dir: str | Path, limit: int | None, protected: Sequence[str | Path] = ()) -> None:
    """Delete the oldest checkpoints until `limit` remain; `protected` ones are never deleted, but count."""
    if limit is None or limit <= 0:
        return
    kept = {Path(path).resolve() for path in protected}
    checkpoints = list_checkpoints(output_dir)
    for path in checkpoints[: max(0, len(checkpoints) - limit)]:
        if path.resolve() not in kept:
            shutil.rmtree(path, ignore_errors=True)


def average_checkpoints(checkpoints: Sequence[str | Path]) -> dict[str, Tensor]:
    """Mean of the weights of several checkpoints, accumulated in float64 and returned in their original dtype.

    Args:
        checkpoints: folders with one `model.safetensors` (or `adapter_model.safetensors`) each.

    Raises:
        ValueError: if the list is empty, a file is missing, or two checkpoints have different keys or shapes.
    """
    if not checkpoints:
        raise ValueError("Expected at least one checkpoint to average, got none.")
    sums: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    for folder in checkpoints:
        with safe_open(find_weights_file(folder), framework="pt") as file:
            keys = set(file.keys())
            if sums and keys != set(sums):
                odd = sorted(keys ^ set(sums))
                raise ValueError(f"{folder} has different weights than the other checkpoints, for example {odd[0]}.")
            for key in keys:
                tensor = file.get_tensor(key)
                if key in sums and sums[key].shape != tensor.shape:
                    shapes = f"{tuple(tensor.shape)} instead of {tuple(sums[key].shape)}"
                    raise ValueError(
                        f"{folder} has weights of another shape than the other checkpoints: {key}, {shapes}."
                    )
                dtypes[key] = tensor.dtype
                sums[key] = tensor.double() if key not in sums else sums[key].add_(tensor.double())
    return {key: (total / len(checkpoints)).to(dtypes[key]) for key, total in sums.items()}


def find_weights_file(folder: str | Path) -> Path:
    """The single safetensors file of a checkpoint folder.

    Raises:
        ValueError: if it has none (weights in several shards cannot be averaged).
    """
    for name in WEIGHTS_FILES:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise ValueError(f"{folder} has none of the files {', '.join(WEIGHTS_FILES)}.")
