# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options about the model of a command, shared by several commands."""

import argparse
from typing import Any

from mu2slam_hf.checkpoints.onnx_folders import BACKENDS
from mu2slam_hf.checkpoints.quantization import QUANTIZATIONS

DTYPES = ("float32", "bfloat16", "float16")
"""Types of the weights of a model in memory."""
_OTHER_DTYPES = {"fp32": "float32", "float": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}


def dtype_name(text: str) -> str:
    """The name of a type in torch: `float16` for `fp16`."""
    return _OTHER_DTYPES.get(text, text)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--device`, `--dtype`, `--quantization`, `--backend`."""
    add_model_option(parser)
    add_loading_options(parser)


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """`--device`, `--dtype`, `--quantization`, `--backend`."""
    add_device_option(parser, default="cpu")
    parser.add_argument(
        *("--dtype",),
        type=dtype_name,
        choices=DTYPES,
        default=DTYPES[0],
        help="type of the weights in memory (float32); fp16, bf16 and fp32 too",
    )
    parser.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        help="linear layers in 8 bits: int8 multiplies in 8 bits, int8_weight_only only stores the weights so (extra: "
        "quantization)",
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="what runs the model (auto: onnxruntime for a folder of `mu2slam export`, else PyTorch)",
    )


def add_model_option(parser: Any) -> None:
    """`--model`."""
    parser.add_argument(
        "--model", default="default", metavar="PATH", help="folder or Hub name; default: the checkpoint in the package"
    )


def add_device_option(parser: Any, *, default: str | None = None) -> None:
    """`--device`."""
    parser.add_argument("--device", default=default, help="cpu (default), cuda, cuda:1, ...")
