# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of the Auto classes of transformers that load models."""

from typing import Any

from mu2slam_hf.checkpoints.model_types import ModelType


def find_auto_name(model: Any, model_type: ModelType) -> str:
    """Name of the Auto class that loads a model with its heads; `AutoModel` for types that have no heads.

    Raises:
        ValueError: the model has no heads.
    """
    for name, model_class in model_type.models.items():
        if (name != "AutoModel" or len(model_type.models) == 1) and type(model) is model_class:
            return name
    expected = ", ".join(sorted({cls.__name__ for name, cls in model_type.models.items() if name != "AutoModel"}))
    raise ValueError(f"expected a model with its heads ({expected}), got {type(model).__name__}")
