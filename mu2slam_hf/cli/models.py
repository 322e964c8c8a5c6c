# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model of a command."""

import argparse
from typing import Any

from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.cli.collection import resume_collection
from mu2slam_hf.cli.options import quiet_libraries


class CommandModel(ModelChoice):
    """A model that is loaded without messages of transformers, and at the end of the start-up of the program."""

    def load(self) -> tuple[Any, Any]:
        """Model and processor."""
        quiet_libraries()
        loaded = super().load()
        resume_collection()
        return loaded


def chosen_model(args: argparse.Namespace, adapters: dict[str, str] | None = None) -> CommandModel:
    """The model of `add_model_options`.

    Args:
        args: arguments of the command.
        adapters: folders of adapters by name.
    """
    return CommandModel(
        name=args.model,
        device=args.device,
        dtype=args.dtype,
        quantization=args.quantization,
        adapters=adapters or {},
        backend=args.backend,
        attention_chunk_seconds=getattr(args, "attention_chunk", None),
    )


def load_model(args: argparse.Namespace, *tasks: str) -> tuple[Any, Any]:
    """Load the model of `add_model_options`.

    Args:
        args: arguments of the command.
        *tasks: tasks that the model must have, see `Capabilities`.

    Raises:
        ValueError: the model does not have a task.
    """
    choice = chosen_model(args)
    for task in tasks:
        choice.check_task(task)
    return choice.load()
