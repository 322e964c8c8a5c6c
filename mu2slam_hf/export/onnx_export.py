# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Export of an encoder-decoder to ONNX: a folder that `mu2slam transcribe` and `mu2slam serve` run in onnxruntime."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mu2slam_hf import __version__
from mu2slam_hf.atomic_files import atomic_path, check_free_folder
from mu2slam_hf.checkpoints.onnx_folders import EXPORT_FILE, EXPORT_PACKAGES, check_onnx_packages, load_onnx
from mu2slam_hf.export.export_check import ExportCheck, build_sounds, compare_models
from mu2slam_hf.export.graphs import build_graphs
from mu2slam_hf.export.onnx_files import SharedWeights, quantize_graph, trace_graph
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration

DTYPES = ("float32", "int8")
"""Types of the weights of products in an export."""


def export_onnx(
    model: Any,
    processor: Any,
    folder: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    waveforms: Sequence[np.ndarray] = (),
    source: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExportCheck:
    """Write the graphs of a model, its configurations and its processor; nothing is left if the check fails.

    Args:
        model: a `Mu2SLAMForConditionalGeneration` in float32 on the CPU, in evaluation mode. Its base model is
            exported; merge adapters first.
        processor: its processor.
        folder: new or empty folder.
        dtype: "float32", or "int8": products with weights are computed in 8 bits.
        waveforms: recordings on which the result is compared with the model; default: generated sounds.
        source: where the model is from; written to `export.json`.
        progress: receives the name of each step.

    Raises:
        ValueError: the folder is not empty, the model cannot be exported, or the result differs from the model.
        ImportError: a package of the extra is not installed.
    """
    check_onnx_packages(EXPORT_PACKAGES, "the export to ONNX")
    if dtype not in DTYPES:
        raise ValueError(f"expected a dtype of {', '.join(DTYPES)}, got {dtype!r}")
    check_exportable(model)
    report = progress or (lambda step: None)
    with atomic_path(check_free_folder(folder)) as temporary:
        temporary.mkdir()
        with SharedWeights(temporary) as weights:
            for name, graph in build_graphs(model, processor).items():
                report(f"exporting {name}.onnx")
                traced = trace_graph(graph)
                if dtype == "int8":
                    with tempfile.TemporaryDirectory() as between:
                        weights.save(quantize_graph(traced, Path(between)), temporary / f"{name}.onnx")
                else:
                    weights.save(traced, temporary / f"{name}.onnx")
        config = deepcopy(model.config)
        config.architectures = [type(model).__name__]
        config.save_pretrained(temporary)
        model.generation_config.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        report("comparing with PyTorch")
        sounds = list(waveforms) or build_sounds(processor.feature_extractor.sampling_rate)
        check = compare_models(model, load_onnx(temporary)[0], processor, sounds)
        failures = check.find_failures(dtype)
        if failures:
            raise ValueError(
                f"the exported graphs do not compute what the model does in PyTorch ({'; '.join(failures)}); nothing "
                f"was written. Tested versions are in constraints.txt; here are {_list_versions()}"
            )
        text = json.dumps(_describe(source, dtype, temporary, check), indent=2) + "\n"
        (temporary / EXPORT_FILE).write_text(text, encoding="utf-8")
    return check


def check_exportable(model: Any) -> None:
    """Raise ValueError for a model of another class, on another device or in another type."""
    name = type(model).__name__
    if not isinstance(model, Mu2SLAMForConditionalGeneration):
        raise ValueError(f"expected a Mu2SLAMForConditionalGeneration checkpoint for the export to ONNX, got {name}")
    kinds = {(str(tensor.device), str(tensor.dtype).removeprefix("torch.")) for tensor in model.parameters()}
    if kinds != {("cpu", "float32")}:
        got = ", ".join(f"{dtype} on {device}" for device, dtype in sorted(kinds))
        raise ValueError(f"expected weights in float32 on the CPU for the export to ONNX, got {got}")
    encoder_config: Any = model.config.encoder_config
    if encoder_config.attention_chunk_frames is not None:
        raise ValueError(
            "attention inside chunks cannot be exported to ONNX, whose windows are short; call "
            "model.set_attention_chunk(None)"
        )
    if getattr(model, "peft_config", None):
        raise ValueError("adapters cannot be exported to ONNX; merge them into the model, or load it without them")


def _list_versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("torch", *EXPORT_PACKAGES))


def _describe(source: str | None, dtype: str, folder: Path, check: ExportCheck) -> dict[str, Any]:
    """Content of `export.json`."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".onnx", ".bin"))
    return {
        "format": "onnx",
        "model": source,
        "dtype": dtype,
        "versions": {
            "mu2slam-hf": __version__,
            **{name: version(name) for name in ("torch", "transformers", *EXPORT_PACKAGES)},
        },
        "files": {path.name: path.stat().st_size for path in files},
        "check": check.describe(),
    }
