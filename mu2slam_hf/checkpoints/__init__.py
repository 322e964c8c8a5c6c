# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The checkpoint included in the package, and loading of any checkpoint by name or path."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.checkpoints.devices import check_device
from mu2slam_hf.checkpoints.folders import (
    check_model_type,
    check_nothing_missing,
    errors_of_checkpoint,
    load_processor,
    read_config,
)
from mu2slam_hf.checkpoints.integrity import (
    check_checkpoint_files,
    check_finite,
    check_generation_settings,
)
from mu2slam_hf.checkpoints.onnx_folders import check_has_weights
from mu2slam_hf.checkpoints.quantization import build_quantization_config, quiet_torchao, warn_of_slow_products

if TYPE_CHECKING:
    from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

DEFAULT_NAME = "default"


def default_checkpoint() -> str:
    """Folder of the tiny checkpoint included in the package: English, Spanish, French, Italian, Russian.

    It can be passed to `from_pretrained` and `pipeline(..., model=default_checkpoint())` like any other folder.
    """
    return str(Path(__file__).parent / DEFAULT_NAME)


def load_default(**kwargs: Any) -> tuple["Mu2SLAMForConditionalGeneration", "Mu2SLAMProcessor"]:
    """Model (evaluation mode, float32 by default) and processor of the included checkpoint.

    Args:
        **kwargs: passed to `load_checkpoint`.
    """
    return load_checkpoint(DEFAULT_NAME, **kwargs)


@quiet_torchao()
def load_checkpoint(
    name_or_path: str = DEFAULT_NAME,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    quantization: str | None = None,
    adapters: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> tuple["Mu2SLAMForConditionalGeneration", "Mu2SLAMProcessor"]:
    """Model and processor of a checkpoint.

    Args:
        name_or_path: "default", a folder, or a name on the Hub.
        device: device of the model.
        dtype: dtype of the weights in memory; "auto" for the dtype in which they are stored. Choice: float32 also for
            weights stored as bfloat16, which is slow on most CPUs.
        quantization: "int8" or "int8_weight_only" for linear layers in 8 bits (see `build_quantization_config`); a
            checkpoint that was saved in 8 bits is loaded as it is.
        adapters: folders of adapters by name (see `load_adapter`); the last one is in use.
        **kwargs: passed to `from_pretrained` of the model.

    Raises:
        ValueError: the path has no checkpoint or no processor, the checkpoint is of another model type or damaged, the
            device is not available, or the quantisation is unknown.
        ImportError: `quantization` is given, and torchao is not installed.
    """
    folder = _find_folder(name_or_path)
    check_model_type(folder, "mu2slam")
    check_has_weights(folder)
    kwargs |= _read_quantization(quantization, device)
    check_device(device)
    check_checkpoint_files(folder)
    processor = load_processor(folder)
    check_generation_settings(folder)
    from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration

    with errors_of_checkpoint(folder):
        model = Mu2SLAMForConditionalGeneration.from_pretrained(folder, dtype=_read_dtype(dtype), **kwargs)
    check_finite(folder, model)
    return _load_adapters(model, processor, adapters).to(device).eval(), processor


@quiet_torchao()
def load_any_checkpoint(
    name_or_path: str = DEFAULT_NAME,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    quantization: str | None = None,
    adapters: Mapping[str, str] | None = None,
) -> tuple[Any, "Mu2SLAMProcessor"]:
    """Model and processor of a checkpoint of any class of the package.

    Args:
        name_or_path: as in `load_checkpoint`.
        device: device of the model.
        dtype: as in `load_checkpoint`.
        quantization: as in `load_checkpoint`.
        adapters: as in `load_checkpoint`.

    Raises:
        ValueError: the path has no checkpoint or no processor, the class is not part of the package, weights are
            missing or not finite, a file is damaged, the device is not available, or the quantisation is unknown.
        ImportError: `quantization` is given, and torchao is not installed.
    """
    options = _read_quantization(quantization, device)
    folder = _find_folder(name_or_path)
    config = read_config(folder)
    check_has_weights(folder)
    from mu2slam_hf.checkpoints.model_types import MODEL_TYPES, model_class_of

    model_class: Any = model_class_of(config)
    if model_class is None:
        known = {known.__name__ for model_type in MODEL_TYPES.values() for known in model_type.models.values()}
        name = (config.get("architectures") or [f"type {config.get('model_type')}"])[0]
        raise ValueError(f"{folder}: {name} is not a model of this package: {', '.join(sorted(known))}")
    check_device(device)
    check_checkpoint_files(folder)
    processor = load_processor(folder)
    if model_class.can_generate():
        check_generation_settings(folder)
    with errors_of_checkpoint(folder):
        model, info = model_class.from_pretrained(
            folder, dtype=_read_dtype(dtype), output_loading_info=True, **options
        )
    check_nothing_missing(folder, model, info)
    check_finite(folder, model)
    return _load_adapters(model, processor, adapters).to(device).eval(), processor


def _load_adapters(model: Any, processor: Any, adapters: Mapping[str, str] | None) -> Any:
    for name, folder in (adapters or {}).items():
        model.load_adapter(folder, name)
        processor.load_adapter(folder)
    return model


def _find_folder(name_or_path: str) -> str:
    """Path or Hub name of a checkpoint."""
    return default_checkpoint() if name_or_path == DEFAULT_NAME else name_or_path


def _read_dtype(dtype: str) -> Any:
    import torch

    return dtype if dtype == "auto" else getattr(torch, dtype)


def _read_quantization(name: str | None, device: str) -> dict[str, Any]:
    if name is None:
        return {}
    config = build_quantization_config(name)
    if device == "cpu":
        warn_of_slow_products(name)
    return {"quantization_config": config}
