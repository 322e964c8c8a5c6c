# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checks of checkpoint folders before loading, for clear errors."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor

ADVICE = "copy it again from where it was trained or downloaded"
"""What to do about a damaged checkpoint."""
_ADAPTER_FILE = "adapter_config.json"
_EXPECTED = "expected the folder of a model with its processor, or a name on the Hub"


def is_path(name_or_path: str) -> bool:
    """Whether a name is a local path (existing or not) rather than a model on the Hub.

    A name on the Hub is `model` or `owner/model`; it is a path if a local folder `owner` exists.
    """
    first, *others = Path(name_or_path).parts or ("",)
    return (
        Path(name_or_path).exists()
        or name_or_path.startswith((".", "/", "~"))
        or len(others) > 1
        or (bool(others) and Path(first).is_dir())
    )


def find_base_model(folder: str | os.PathLike[str]) -> str | None:
    """The model of a folder that has only adapters (`PeftModel.save_pretrained`); None for other folders.

    Raises:
        ValueError: the adapters do not name their model.
    """
    file = Path(folder) / _ADAPTER_FILE
    if (Path(folder) / "config.json").is_file() or not file.is_file():
        return None
    base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ValueError(f"{file}: expected the model of the adapters in base_model_name_or_path, got {base!r}")
    return str(base)


def read_config(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a model's `config.json`; for a folder of adapters, that of their model.

    Args:
        name_or_path: a folder, or a name on the Hub.

    Raises:
        ValueError: the path does not contain a model, or the model cannot be loaded from the Hub.
    """
    place = str(name_or_path)
    if is_path(place):
        base = find_base_model(place)
        if base is not None:
            try:
                return read_config(base)
            except ValueError as error:
                raise ValueError(f"{place}: the model of these adapters cannot be loaded: {error}") from error
        file = Path(place) / "config.json"
        if not file.is_file():
            reason = "no config.json" if Path(place).is_dir() else "no such folder"
            raise ValueError(f"{place}: not a checkpoint folder ({reason}); {_EXPECTED}")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file}: not valid JSON ({error})") from None
        return config if isinstance(config, dict) else {}
    from transformers import PreTrainedConfig

    try:
        return dict(PreTrainedConfig.get_config_dict(place)[0])
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{place}: no such folder, and it cannot be loaded from the Hub; {_EXPECTED}. {reason}"
        ) from (error)


def check_model_type(name_or_path: str | os.PathLike[str], *expected: str) -> dict[str, Any]:
    """Read the configuration of a model and check its type.

    Choice: checked before `from_pretrained`, which accepts a configuration of another type, at best with a warning,
    and then fails or leaves weights uninitialised.

    Args:
        name_or_path: a folder, or a name on the Hub.
        expected: values of `model_type`.

    Raises:
        ValueError: the model is of another type, or does not exist.
    """
    config = read_config(name_or_path)
    model_type = config.get("model_type")
    if model_type not in expected:
        names = config.get("architectures") or []
        got = f"{model_type!r} ({names[0]})" if names else f"{model_type!r}" if model_type else "no model_type"
        types = " or ".join(filter(None, (", ".join(expected[:-1]), expected[-1])))
        raise ValueError(f"{name_or_path}: expected a model of type {types}, got {got}")
    return config


def check_nothing_missing(name_or_path: str | os.PathLike[str], model: Any, info: dict[str, Any]) -> None:
    """Raise an error if weights of a model were missing from the checkpoint, which transformers initialises randomly.

    Args:
        name_or_path: source of the checkpoint, for the message.
        model: loaded model.
        info: second output of `from_pretrained(..., output_loading_info=True)`.

    Raises:
        ValueError: weights are missing; the message contains the first ones.
    """
    missing = sorted(info["missing_keys"])
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ValueError(f"{name_or_path}: the checkpoint has no weights for {named} of {type(model).__name__}")


def copy_licence(source: str | os.PathLike[str] | None, folder: str | os.PathLike[str]) -> None:
    """Copy the licence and attribution of a local model to a model that was made from it."""
    for file in Path(source).glob("LICENSE*") if source is not None and is_path(str(source)) else ():
        shutil.copyfile(file, Path(folder) / file.name)


def read_card_summary(folder: str | os.PathLike[str]) -> str:
    """What the card of a checkpoint says about it: its first paragraph and the first of its limits.

    Returns:
        "" for a folder without a card, and for a name on the Hub.
    """
    file = Path(folder) / "README.md"
    card = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = (re.search(rf"^{start}\n\n(?:- )?(\S.*)$", card, re.MULTILINE) for start in ("# .+", "## Limits"))
    return " ".join(match[1] for match in found if match)


def load_processor(name_or_path: str | os.PathLike[str]) -> "Mu2SLAMProcessor":
    """Load the processor saved with a model; for adapters without one, that of their model.

    Raises:
        ValueError: the processor or a part of it is missing.
    """
    place = str(name_or_path)
    advice = "save it there with `processor.save_pretrained`, or copy its files from the folder of the same run"
    if is_path(place) and not (Path(place) / "processor_config.json").is_file():
        base = find_base_model(place)
        if base is not None:
            return load_processor(base)
        reason = "no processor_config.json" if Path(place).is_dir() else "no such folder"
        raise ValueError(f"{place}: no processor found ({reason}); {advice}")
    try:
        return _processor_class(place).from_pretrained(place)
    except Exception as error:
        if not _is_of_the_files(error):
            raise
        if is_path(place) and not (Path(place) / "tokenizer.json").is_file():
            raise ValueError(f"{place}: the processor has no tokenizer (tokenizer.json); {advice}") from error
        raise ValueError(f"{place}: the processor cannot be loaded: {first_line(error)}") from error


@contextmanager
def errors_of_checkpoint(name_or_path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what libraries raise for damaged files or values of other types into errors that name the checkpoint.

    Raises:
        ValueError: in place of all errors but `ValueError`, `OSError`, `ImportError` and those of memory.
    """
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        if not _is_of_the_files(error):
            raise
        raise ValueError(
            f"{name_or_path}: the checkpoint cannot be loaded ({type(error).__name__}: {first_line(error)}); {ADVICE}"
        ) from error


def _is_of_the_files(error: Exception) -> bool:
    """Whether an error in loading is taken for one of the files.

    Choice: errors of any class are, because transformers, tokenizers and safetensors raise more than twenty for values
    of other types; the one that was raised is the cause of that which names the checkpoint.
    """
    return not isinstance(error, (ImportError, MemoryError)) and "out of memory" not in str(error)


def first_line(error: BaseException) -> str:
    """The first line of the message of an error, which may be long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _processor_class(place: str) -> Any:
    """Class of the processor of a model; that of Mu2SLAM for folders without a model."""
    from mu2slam_hf.checkpoints.model_types import MODEL_TYPES

    is_bare = is_path(place) and not any((Path(place) / name).is_file() for name in ("config.json", _ADAPTER_FILE))
    model_type = MODEL_TYPES.get("mu2slam" if is_bare else str(read_config(place).get("model_type")))
    return (model_type.processor if model_type else None) or MODEL_TYPES["mu2slam"].processor
