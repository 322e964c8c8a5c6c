# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a folder holds, looked at before anything is built from it, so that a wrong one is named in words."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

_EXPECTED = "expected the folder of a model with its processor, or a name on the Hub"


def is_path(name_or_path: str) -> bool:
    """Whether a name stands for a folder of this machine, there or not, rather than for a model on the Hub.

    On the Hub a name is `model` or `owner/model`; where a folder `owner` is at hand, a path is meant.
    """
    first, *others = Path(name_or_path).parts or ("",)
    return (
        Path(name_or_path).exists()
        or name_or_path.startswith((".", "/", "~"))
        or len(others) > 1
        or (bool(others) and Path(first).is_dir())
    )


def read_config(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """The plain values of a model's `config.json`.

    Args:
        name_or_path: a folder, or a name on the Hub.

    Raises:
        ValueError: a path that holds no model, or a name that the Hub does not give.
    """
    place = str(name_or_path)
    if is_path(place):
        file = Path(place) / "config.json"
        if not file.is_file():
            lack = "it has no config.json" if Path(place).is_dir() else "there is no such folder"
            if (Path(place) / "adapter_config.json").is_file():
                lack += ", only adapters; a recipe with `lora.merge: true` writes the whole model to its folder merged"
            raise ValueError(f"{place}: not a checkpoint folder ({lack}); {_EXPECTED}")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}: is not JSON ({error})") from None
        return config if isinstance(config, dict) else {}
    from transformers import PreTrainedConfig

    try:
        return dict(PreTrainedConfig.get_config_dict(place)[0])
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{place}: there is no such folder, and the Hub does not give it; {_EXPECTED}. {reason}"
        ) from (error)


def check_model_type(name_or_path: str | os.PathLike[str], *expected: str) -> dict[str, Any]:
    """The configuration of a model, if it is of a type that is wanted.

    Choice: looked at before `from_pretrained`, which reads a configuration of another type as its own, with a warning
    at best, and fails in the middle of it or leaves weights random.

    Args:
        name_or_path: a folder, or a name on the Hub.
        expected: values of `model_type`.

    Raises:
        ValueError: it is of another type, or there is no model.
    """
    config = read_config(name_or_path)
    model_type = config.get("model_type")
    if model_type not in expected:
        names = config.get("architectures") or []
        got = f"{model_type!r} ({names[0]})" if names else f"{model_type!r}" if model_type else "no model_type"
        raise ValueError(f"{name_or_path}: expected a model of type {' or '.join(expected)}, got {got}")
    return config


def check_nothing_missing(name_or_path: str | os.PathLike[str], model: Any, info: dict[str, Any]) -> None:
    """Refuse a model of which some weights were not in the checkpoint: transformers draws them at random.

    Args:
        name_or_path: where it came from, for the message.
        model: what was loaded.
        info: what `from_pretrained(..., output_loading_info=True)` gives beside it.

    Raises:
        ValueError: naming the first of the weights.
    """
    missing = sorted(info["missing_keys"])
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ValueError(f"{name_or_path}: has no weights for {named} of {type(model).__name__}")


def load_processor(name_or_path: str | os.PathLike[str]) -> "Mu2SLAMProcessor":
    """The processor saved beside a model.

    Raises:
        ValueError: there is none, or a part of it is missing.
    """
    place = str(name_or_path)
    advice = "save it there with `processor.save_pretrained`, or copy its files from the folder of the same run"
    if is_path(place) and not (Path(place) / "processor_config.json").is_file():
        lack = "it has no processor_config.json" if Path(place).is_dir() else "there is no such folder"
        raise ValueError(f"{place}: no processor there ({lack}), which turns speech and text into inputs; {advice}")
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

    try:
        return Mu2SLAMProcessor.from_pretrained(place)
    except (OSError, ValueError, TypeError) as error:
        if is_path(place) and not (Path(place) / "tokenizer.json").is_file():
            raise ValueError(f"{place}: the processor has no tokenizer (tokenizer.json); {advice}") from error
        raise ValueError(f"{place}: the processor cannot be read: {str(error).splitlines()[0]}") from error
