# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A model with the mean of the weights of several models, such as the checkpoints of a run."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import AutoConfig

from mu2slam_hf.atomic_files import atomic_path, check_free_folder
from mu2slam_hf.models.modules_language_adapters import share_weights
from mu2slam_hf.training.checkpoints import average_checkpoints, find_weights_file

# Files of a model and its processor. What else is in the folder of a checkpoint belongs to the run.
_COPIED = (
    *("config.json", "adapter_config.json", "generation_config.json", "processor_config.json"),
    *("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("*.model", "*.py", "LICENSE*", "speech_tokenizer", "speech_synthesizer"),
)
# Differences of configurations that do not change what the weights mean; so are probabilities of dropout.
_IGNORED_KEYS = ("dtype", "torch_dtype", "transformers_version", "use_cache", "_name_or_path")
_CONFIGURATIONS = ("config.json", "adapter_config.json")


def write_average(models: Sequence[str | Path], folder: str | Path) -> int:
    """Write a model with the mean of the weights of several models; all else is copied from the last one.

    Means of checkpoints of one run, or of runs that start from the same weights, are often better than each of them.

    Args:
        models: folders of models, or of adapters of one model, with the weights in one safetensors file each.
        folder: folder that is created. The card and the licence of a model are not copied: they describe that model.

    Returns:
        number of weights (parameters and buffers).

    Raises:
        ValueError: fewer than two models, models of different architectures or with different tokenizers, a folder
            without weights, or `folder` exists and is not empty.
    """
    folders = [Path(model) for model in models]
    if len(folders) < 2:
        raise ValueError(f"expected at least two models to average, got {len(folders)}")
    target = check_free_folder(folder)
    first = folders[0]
    for other in folders[1:]:
        _check_same(first, other)
    weights = average_checkpoints(folders)
    last = folders[-1]
    with atomic_path(target) as temporary:
        temporary.mkdir()
        for pattern in _COPIED:
            for path in last.glob(pattern):
                copy: Any = shutil.copytree if path.is_dir() else shutil.copyfile
                copy(path, temporary / path.name)
        save_file(weights, temporary / find_weights_file(last).name, metadata={"format": "pt"})
        share_weights(temporary)
    return sum(tensor.numel() for tensor in weights.values())


def _check_same(first: Path, other: Path) -> None:
    """Both have the same configuration and the same texts for their ids."""
    if find_weights_file(first).name != find_weights_file(other).name:
        raise ValueError(f"{first} and {other}: one is a model, the other an adapter")
    for name in _CONFIGURATIONS:
        item, two = _read(first / name), _read(other / name)
        odd = sorted(key for key in item.keys() | two.keys() if item.get(key) != two.get(key))
        if odd:
            raise ValueError(
                f"{first} and {other} are different models: `{odd[0]}` in {name} is {item.get(odd[0])!r} and "
                f"{two.get(odd[0])!r}; only models with the same configuration can be averaged"
            )
    tokenizers = [path / "tokenizer.json" for path in (first, other)]
    texts = [path.read_bytes() if path.is_file() else b"" for path in tokenizers]
    if texts[0] != texts[1]:
        raise ValueError(f"{first} and {other} have different tokenizers, so their ids are different texts")


def _read(path: Path) -> dict[str, Any]:
    """The values by which the configurations of two models are compared; nested keys are joined by dots."""
    if not path.is_file():
        return {}
    values = json.loads(path.read_text(encoding="utf-8"))
    if path.name == "config.json":
        # A file may lack a key that another version of the package writes: both have the default then.
        values = AutoConfig.from_pretrained(path.parent).to_dict()
    return {key: value for key, value in _flatten(values) if not _is_ignored(key.rpartition(".")[2])}


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_ignored(key: str) -> bool:
    return key in _IGNORED_KEYS or key == "dropout" or key.endswith("_dropout")
