# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Whether a device can be used, before a model has been loaded for it."""


def check_device(device: str) -> str:
    """The name of a device, if something can be put there.

    Args:
        device: cpu, cuda, cuda:1, ...

    Raises:
        ValueError: no such device, here or anywhere.
    """
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"device {str(device)!r} cannot be used here: {reason}. Expected cpu, or cuda, cuda:1, ... where PyTorch "
            "finds such a GPU"
        ) from error
    return device
