# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints, which are renamed to their final name when they are complete, and averages of their weights."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers.utils import logging

from mu2slam_hf.atomic_files import as_write_error

logger = logging.get_logger(__name__)

CHECKPOINT_PATTERN = re.compile(r"^checkpoint-(\d+)$")
INCOMPLETE_PREFIX = ".incomplete-"
PARTS_NAME = "checkpoint_parts.json"
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

    Raises:
        OSError: the folder could not be written, whatever the library raised.
    """
    incomplete, final = Path(incomplete), Path(final)
    try:
        yield
    except Exception as error:
        write_error = as_write_error(error, final)
        if write_error is None:
            raise
        shutil.rmtree(incomplete, ignore_errors=True)
        complete = list_checkpoints(final.parent)
        reason = write_error.strerror or write_error
        raise OSError(
            f"{final}: could not be written: {reason}. The incomplete folder was deleted; "
            f"the last complete checkpoint is {complete[-1] if complete else 'none'}. Free space and start again with "
            "resume."
        ) from error


def list_parts(checkpoint: str | Path) -> None:
    """Write the names and lengths of all files of a finished checkpoint into it, for `check_parts`."""
    files = [path for path in sorted(Path(checkpoint).rglob("*")) if path.is_file()]
    parts = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}
    (Path(checkpoint) / PARTS_NAME).write_text(json.dumps(parts, indent=1), encoding="utf-8")


def check_parts(checkpoint: str | Path) -> None:
    """Check that a checkpoint has all its files at their full lengths, as `list_parts` has written them.

    A run that is resumed without the state of its optimizer, scheduler or random generators would go on with other
    weights. The checkpoints of former versions have no list and are not checked.

    Raises:
        ValueError: files are missing or have another length.
    """
    file = Path(checkpoint) / PARTS_NAME
    if not file.is_file():
        return
    damaged = []
    try:
        sizes = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        sizes, damaged = {}, [f"{PARTS_NAME} is not readable"]
    for name, size in sizes.items():
        part = Path(checkpoint) / name
        if not part.is_file():
            damaged.append(f"{name} is missing")
        elif part.stat().st_size != size:
            damaged.append(f"{name} has {part.stat().st_size} bytes instead of {size}")
    if damaged:
        raise ValueError(f"{checkpoint} is damaged: {', '.join(damaged)}; resume from an earlier checkpoint")


def find_intact_checkpoint(output_dir: str | Path) -> Path | None:
    """The newest checkpoint of a run that is not damaged, with a warning of each newer one; None without any.

    Raises:
        ValueError: there are checkpoints, and all are damaged.
    """
    errors = []
    for checkpoint in reversed(list_checkpoints(output_dir)):
        try:
            check_parts(checkpoint)
        except ValueError as error:
            errors.append(str(error))
            continue
        for message in errors:
            logger.warning(f"{message}. Resuming from {checkpoint}.")
        return checkpoint
    if errors:
        raise ValueError(f"{errors[0]}. There is no other; remove it to start anew.")
    return None


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
