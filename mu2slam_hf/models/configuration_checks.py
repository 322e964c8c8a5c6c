# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checks of single fields that several configurations share."""

from collections.abc import Sequence

from transformers import PreTrainedConfig


def check_choice(config: PreTrainedConfig, name: str, choices: Sequence[str]) -> None:
    """Check that a field has one of the known values; raises ValueError."""
    value = getattr(config, name)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.")


def check_positive(config: PreTrainedConfig, *names: str) -> None:
    """Check that integer fields are at least 1; raises ValueError."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1; got {getattr(config, name)}.")


def check_multiple(config: PreTrainedConfig, name: str, divisor: str) -> None:
    """Check that a field is a multiple of another one; raises ValueError."""
    value, step = getattr(config, name), getattr(config, divisor)
    if value % step:
        raise ValueError(f"{name} ({value}) must be a multiple of {divisor} ({step}).")
