# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model of a command."""

import argparse
from typing import Any

from mu2slam_hf.cli.collection import resume_collection
from mu2slam_hf.cli.options import quiet_libraries


def load_model(
    args: argparse.Namespace, *, any_class: bool = True, adapters: dict[str, str] | None = None
) -> tuple[Any, Any]:
    """Model and processor of `add_model_options`, without messages of transformers.

    Args:
        args: arguments of the command.
        any_class: whether the model may be of any class of the package, or only for conditional generation.
        adapters: folders of adapters by name, for a model for conditional generation.
    """
    from mu2slam_hf.checkpoints import load_any_checkpoint, load_checkpoint

    quiet_libraries()
    options = {"device": args.device, "dtype": args.dtype, "quantization": args.quantization}
    if adapters:
        loaded = load_checkpoint(args.model, adapters=adapters, **options)
    else:
        loaded = (load_any_checkpoint if any_class else load_checkpoint)(args.model, **options)
    resume_collection()
    return loaded
