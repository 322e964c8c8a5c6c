# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Damaged checkpoints: files that are not what their names say, and weights that are not numbers."""

import json
import math
import os
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.folders import ADVICE, find_base_model, first_line, is_path

_OBJECT_FILES = (
    "adapter_config.json",
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
GENERATION_FILE = "generation_config.json"


def check_checkpoint_files(name_or_path: str | os.PathLike[str]) -> None:
    """Check the files of a local checkpoint folder before it is loaded. A name on the Hub is not checked.

    Args:
        name_or_path: a folder, or a name on the Hub.

    Raises:
        ValueError: a file is not JSON or not an object, has numbers that are not finite, or is not safetensors.
    """
    if not is_path(str(name_or_path)):
        return
    folder = Path(name_or_path)
    for name in _OBJECT_FILES:
        if (folder / name).is_file():
            _check_object(folder / name)
    for file in sorted(folder.glob("*.safetensors")):
        _check_safetensors(file)


def check_generation_settings(name_or_path: str | os.PathLike[str]) -> None:
    """Raise an error for a local folder without `generation_config.json`, which transformers ignores.

    A model would decode with other settings than those that it was evaluated with, and without its thresholds for
    silence.

    Raises:
        ValueError: the file is missing.
    """
    folder = Path(name_or_path)
    if is_path(str(folder)) and find_base_model(folder) is None and not (folder / GENERATION_FILE).is_file():
        raise ValueError(
            f"{folder}: has no {GENERATION_FILE}, and would be decoded with other settings than those of its "
            f"evaluation; {ADVICE}, or write one with `GenerationConfig().save_pretrained(folder)`"
        )


def _check_object(file: Path) -> None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not valid JSON ({first_line(error)}); {ADVICE}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, got {type(content).__name__}; {ADVICE}")
    # The thresholds of a tokenizer are infinite by design; settings of generation are not.
    if file.name == GENERATION_FILE and not _is_finite(content):
        raise ValueError(f"{file}: has a number that is NaN or infinite; {ADVICE}")


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _check_safetensors(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt"):
            return
    except (SafetensorError, OSError) as error:
        with file.open("rb") as opened:
            start = opened.read(64).lstrip()
        reason = first_line(error)
        if start.startswith(b"version https://git-lfs"):
            reason = "it is a pointer of Git LFS; `git lfs pull` downloads the file itself"
        elif start[:1] == b"<":
            reason = "it is a web page"
        raise ValueError(f"{file}: not a safetensors file ({reason}); {ADVICE}") from None


def check_finite(name_or_path: str | os.PathLike[str], model: Any) -> None:
    """Raise an error for weights or buffers that are NaN or infinite, which would be read as silence.

    Raises:
        ValueError: names the first tensor.
    """
    from torch import Tensor

    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta or not tensor.is_floating_point():
            continue
        # Weights in 8 bits are a class of their own without `isfinite`.
        values = tensor.detach() if type(tensor.data) is Tensor else tensor.dequantize()
        if not bool(values.isfinite().all()):
            raise ValueError(
                f"{name_or_path}: the weight {name} has values that are NaN or infinite, of a training that diverged "
                "or of a damaged file; use an earlier checkpoint"
            )
