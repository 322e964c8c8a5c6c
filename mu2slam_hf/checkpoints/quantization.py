# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Weights of linear layers in 8 bits, by torchao through transformers."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TorchAoConfig

QUANTIZATIONS = ("int8", "int8_weight_only")


@contextmanager
def quiet_torchao() -> Iterator[None]:
    """Without torchao's warnings of kernels for GPUs, which it prints when transformers first imports it."""
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def check_quantization(name: str) -> str:
    """Check that a quantisation can be used; returns its name. Imports nothing heavy.

    Args:
        name: one of `QUANTIZATIONS`.

    Raises:
        ValueError: the name is unknown.
        ImportError: torchao is not installed.
    """
    if name not in QUANTIZATIONS:
        raise ValueError(f"expected a quantization of {', '.join(QUANTIZATIONS)}, got {name!r}")
    if importlib.util.find_spec("torchao") is None:
        raise ImportError(f"{name} requires torchao: pip install 'mu2slam-hf[quantization]'")
    return name


def build_quantization_config(name: str) -> "TorchAoConfig":
    """The `quantization_config` of `from_pretrained` for a quantisation.

    Args:
        name: "int8": weights have 8 bits and one scale for each output; the inputs of a layer are rounded likewise,
            row by row, and multiplied in 8 bits. "int8_weight_only": weights are stored so, and multiplied in the
            dtype of the model.

    Raises:
        ValueError: the name is unknown.
        ImportError: torchao is not installed.
    """
    check_quantization(name)
    import torch
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig
    from torchao.utils import should_reduce_range
    from transformers import TorchAoConfig

    config: Any
    if name == "int8":
        # Without 8-bit instructions, sums of products could overflow on a CPU.
        config = Int8DynamicActivationInt8WeightConfig(reduce_range=should_reduce_range(torch.device("cpu")))
    else:
        config = Int8WeightOnlyConfig()
    return TorchAoConfig(config)


def warn_of_slow_products(name: str) -> None:
    """Warn of "int8" on a processor without instructions for 8-bit integers."""
    from mu2slam_hf.models import modules_layers

    if name == "int8" and not modules_layers.multiplies_int8():
        warnings.warn(
            "this processor has no instructions for 8-bit integers (VNNI), without which int8 may take several times "
            "as long as float32; int8_weight_only saves as much memory and does not need them",
            stacklevel=5,
        )
