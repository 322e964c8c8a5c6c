# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Values by which a recipe differs from the one that its output folder was begun with."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from mu2slam_hf.recipes.schema.loader import RecipeError, plain_values

RECIPE_FILE = "recipe.yaml"
_MAX_SHOWN = 60
# Values that a run may be resumed with: its length, what it reports and keeps, and how the machine does the work.
_CHANGEABLE = (
    "evaluation",
    "output",
    "stages",
    "model.attn_implementation",
    *(
        f"training.{name}"
        for name in (
            "activation_checkpointing average_last bf16 dataloader_num_workers disable_tqdm early_stopping_patience "
            "eval_steps gradient_accumulation_steps greater_is_better load_best_model_at_end logging_steps "
            "max_skipped_updates max_steps metric_for_best_model num_sharding_replicas report_to resume "
            "save_steps save_total_limit shard_parameters use_cpu"
        ).split()
    ),
)


@dataclass(frozen=True, kw_only=True)
class ValueChange:
    """A value that differs.

    Attributes:
        name: dotted name.
        before: value with which the run began, None if there was none.
        now: value of the recipe, None if there is none.
        may_change: whether a run may be resumed with another value.
    """

    name: str
    before: Any
    now: Any
    may_change: bool

    def __str__(self) -> str:
        return f"{self.name} ({_shorten(self.before)} before, {_shorten(self.now)} now)"


def check_resumable(recipe: Any) -> list[ValueChange]:
    """Compare a recipe with that of its output folder, whose run it is about to resume or to skip.

    Choice: values that decide what is learned are an error, so that the `recipe.yaml` of a result describes all of its
    updates. Paths may change, since data and models are moved.

    Returns:
        The changes with which the run may be resumed.

    Raises:
        RecipeError: other values differ.
    """
    folder = Path(recipe.output.dir)
    file = folder / RECIPE_FILE
    if not file.is_file():
        return []
    changes = list(find_changes(recipe, yaml.safe_load(file.read_text(encoding="utf-8"))))
    refused = [change for change in changes if not change.may_change]
    if refused:
        raise RecipeError(
            f"{refused[0].name}: {folder} has a run that began with other values: {', '.join(map(str, refused))}. Set "
            "them back to resume it, or set another output.dir for a new run; with model.init_from a new run starts "
            "from a checkpoint of this one"
        )
    return changes


def find_changes(recipe: Any, before: Mapping[str, Any]) -> Iterator[ValueChange]:
    """The values of a recipe that differ from those of a `recipe.yaml`; a field that it does not have had its default.

    Args:
        recipe: a recipe of any kind.
        before: plain values, as `dump_recipe` writes them.
    """
    return _compare(recipe, before, "", is_path=False)


def _compare(now: Any, before: Any, name: str, *, is_path: bool) -> Iterator[ValueChange]:
    if is_dataclass(now) and isinstance(before, Mapping):
        for item in fields(now):
            # A later version of the package may have more fields.
            old = before[item.name] if item.name in before else _default(item)
            yield from _compare(getattr(now, item.name), old, _join(name, item.name), is_path="path" in item.metadata)
    elif isinstance(now, Mapping) and isinstance(before, Mapping):
        for key in dict.fromkeys([*before, *now]):
            yield from _compare(now.get(key), before.get(key), _join(name, key), is_path=is_path)
    elif (
        isinstance(now, list) and isinstance(before, list) and len(now) == len(before) and any(map(is_dataclass, now))
    ):
        for index, (value, old) in enumerate(zip(now, before, strict=True)):
            yield from _compare(value, old, _join(name, index), is_path=is_path)
    elif _plain(now) != _plain(before):
        may_change = is_path or any(name == free or name.startswith(f"{free}.") for free in _CHANGEABLE)
        yield ValueChange(name=name, before=_plain(before), now=_plain(now), may_change=may_change)


def _default(item: Field[Any]) -> Any:
    value = item.default_factory() if item.default_factory is not MISSING else item.default
    return None if value is MISSING else _plain(value)


def _plain(value: Any) -> Any:
    return plain_values(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else plain_values(value)


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
