# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Folders of `mu2slam export`: how they are known, and loading of their models."""

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.folders import load_processor

BACKENDS = ("auto", "torch", "onnx")
"""What runs a model; auto: onnxruntime for a folder of `mu2slam export`, else PyTorch."""

EXPORT_FILE = "export.json"
"""Describes the content of such a folder."""

EXPORT_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""Packages of the extra, all needed for an export."""


def is_exported(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this is a folder of `mu2slam export`."""
    return (Path(name_or_path) / EXPORT_FILE).is_file()


def check_onnx_packages(names: Sequence[str], what: str) -> None:
    """Check that packages of the extra are installed.

    Raises:
        ImportError: some are not.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"{what} requires {', '.join(missing)}: pip install 'mu2slam-hf[export]'")


def check_backend(name_or_path: str, backend: str) -> str:
    """The backend of a model: torch or onnx.

    Args:
        name_or_path: folder or name on the Hub.
        backend: one of `BACKENDS`.

    Raises:
        ValueError: the backend is unknown, or cannot run this model.
        ImportError: onnxruntime is needed and not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"expected a backend of {', '.join(BACKENDS)}, got {backend!r}")
    exported = is_exported(name_or_path)
    if backend == "torch":
        check_has_weights(name_or_path)
    if backend == "onnx" and not exported:
        raise ValueError(
            f"{name_or_path}: expected a folder of `mu2slam export` for the backend onnx, found no {EXPORT_FILE}; "
            f"export the model first: mu2slam export --model {name_or_path} --output FOLDER"
        )
    if not exported:
        return "torch"
    check_onnx_packages(["onnxruntime"], f"{name_or_path}, an exported model,")
    return "onnx"


def check_has_weights(name_or_path: str | os.PathLike[str]) -> None:
    """Raise ValueError for a folder of `mu2slam export`, which PyTorch cannot load."""
    if is_exported(name_or_path):
        source = json.loads((Path(name_or_path) / EXPORT_FILE).read_text(encoding="utf-8")).get("model")
        raise ValueError(
            f"{name_or_path}: an exported model has no weights for PyTorch; use the checkpoint that it was made "
            f"from ({source}), or the backend onnx of `mu2slam transcribe`"
        )


def load_onnx(folder: str | os.PathLike[str]) -> tuple[Any, Any]:
    """Model, in evaluation mode, and processor of a folder of `mu2slam export`.

    The model is used as `Mu2SLAMForConditionalGeneration`: `generate`, `transcribe_recordings`, ...

    Raises:
        ValueError: a part of the folder is missing.
        ImportError: onnxruntime is not installed.
    """
    check_onnx_packages(["onnxruntime"], f"{folder}, an exported model,")
    from transformers import GenerationConfig

    from mu2slam_hf.checkpoints.onnx_model import GRAPHS, OnnxForConditionalGeneration
    from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig

    missing = [f"{name}.onnx" for name in GRAPHS if not (Path(folder) / f"{name}.onnx").is_file()]
    if missing:
        raise ValueError(f"{folder}: expected the graphs of `mu2slam export`, found no {', '.join(missing)}")
    processor = load_processor(folder)
    model = OnnxForConditionalGeneration(Mu2SLAMConfig.from_pretrained(folder), folder)
    model.generation_config = GenerationConfig.from_pretrained(folder)
    model._own_generation_config()
    return model.eval(), processor
