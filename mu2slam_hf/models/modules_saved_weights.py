# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Permissions of saved weights."""

from pathlib import Path
from shutil import copymode


def share_weights(folder) -> None:
    """Give the weights of a saved model or adapter the permissions of its configuration.

    safetensors creates files that only their owner can read; the configuration follows the umask.

    Args:
        folder: folder that `save_pretrained` has written. Other folders are left as they are.
    """
    configuration = next(Path(folder).glob("*config.json"), None)
    for weights in Path(folder).glob("*.safetensors") if configuration else ():
        copymode(configuration, weights)
