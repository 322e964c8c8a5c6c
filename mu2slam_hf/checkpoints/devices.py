# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Check of devices before a model is loaded."""

import re


def check_device(device: str) -> str:
    """Check that a device can be used; returns its name.

    Args:
        device: cpu, cuda, cuda:1, ...

    Raises:
        ValueError: the device is invalid or not available.
    """
    if str(device) == "cpu":  # always available; torch is not imported before the other arguments are checked
        return device
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # The first sentence: some messages go on with all backends.
        reason = re.split(r"(?<=[.:;]) |\n", str(error) or type(error).__name__)[0].rstrip(".:;")
        raise ValueError(
            f"device {str(device)!r} is not available: {reason}. Expected cpu, or cuda, cuda:1, ... for available GPUs"
        ) from error
    return device
