# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The checkpoint that ships in the package, and loading of any checkpoint by name or path."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

DEFAULT_NAME = "default"


def default_checkpoint() -> str:
    """Folder of the checkpoint that ships in the package: English, Spanish, French, Italian, Russian; tiny.

    `from_pretrained` and `pipeline(..., model=default_checkpoint())` take it like any other folder.
    """
    return str(Path(__file__).parent / DEFAULT_NAME)


def load_default(**kwargs: Any) -> tuple["Mu2SLAMForConditionalGeneration", "Mu2SLAMProcessor"]:
    """Model (evaluation mode, float32 unless `dtype` says otherwise) and processor of the shipped checkpoint.

    Args:
        **kwargs: go to `load_checkpoint`.
    """
    return load_checkpoint(DEFAULT_NAME, **kwargs)


def load_checkpoint(
    name_or_path: str = DEFAULT_NAME, *, device: str = "cpu", dtype: str = "float32", **kwargs: Any
) -> tuple["Mu2SLAMForConditionalGeneration", "Mu2SLAMProcessor"]:
    """Model and processor of a checkpoint.

    Args:
        name_or_path: "default", a folder, or a name on the Hub.
        device: where the model goes.
        dtype: of the weights in memory; "auto" for the one they are stored in. Choice: float32 also for weights
            stored as bfloat16, which most processors compute with slowly.
        **kwargs: go to the model's `from_pretrained`.

    Raises:
        ValueError: a path without a checkpoint, or a checkpoint of another kind of model.
    """
    folder = _find_folder(name_or_path)
    import torch
    from transformers import AutoConfig

    from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

    config = AutoConfig.from_pretrained(folder)
    if config.model_type != Mu2SLAMForConditionalGeneration.config_class.model_type:
        raise ValueError(f"{folder}: expected a model of type mu2slam, got {config.model_type!r}")
    model = Mu2SLAMForConditionalGeneration.from_pretrained(
        folder, dtype=dtype if dtype == "auto" else getattr(torch, dtype), **kwargs
    )
    return model.to(device).eval(), Mu2SLAMProcessor.from_pretrained(folder)


def load_any_checkpoint(
    name_or_path: str = DEFAULT_NAME, *, device: str = "cpu", dtype: str = "float32"
) -> tuple[Any, "Mu2SLAMProcessor"]:
    """Model and processor of a checkpoint of any class of the package, as its configuration names it.

    Args:
        name_or_path: as in `load_checkpoint`; for commands that need an encoder or a CTC head, not a whole translator.
        device: where the model goes.
        dtype: of the weights in memory.

    Raises:
        ValueError: a path without a checkpoint, or a class that is not ours.
    """
    folder = _find_folder(name_or_path)
    import torch
    from transformers import AutoConfig

    from mu2slam_hf.models.families import FAMILIES
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

    config = AutoConfig.from_pretrained(folder)
    known: dict[str, Any] = {one.__name__: one for family in FAMILIES.values() for one in family.models.values()}
    name = (config.architectures or [f"type {config.model_type}"])[0]
    if name not in known:
        raise ValueError(f"{folder}: {name} is no model of this package; there are {', '.join(sorted(known))}")
    model = known[name].from_pretrained(folder, dtype=getattr(torch, dtype))
    return model.to(device).eval(), Mu2SLAMProcessor.from_pretrained(folder)


def _find_folder(name_or_path: str) -> str:
    """The path or Hub name; raises ValueError for a path that holds no checkpoint."""
    folder = default_checkpoint() if name_or_path == DEFAULT_NAME else name_or_path
    looks_like_path = Path(folder).exists() or folder.startswith((".", "/", "~"))
    if looks_like_path and not (Path(folder) / "config.json").is_file():
        raise ValueError(f"{folder}: not a checkpoint folder (it has no config.json)")
    return folder
