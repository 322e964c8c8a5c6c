# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Generation of a batch whose items use different adapters.

Shapes: B batch, L tokens.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from .modules_language_adapters import BASE_ADAPTER

AdapterNames = str | Sequence[str | None] | None
"""One adapter for all items of a batch, or one for each; None: the one in use, or in a list the base model."""

_POSITIONAL = ("inputs", "generation_config", "logits_processor")
_LISTS = ("source_lang", "target_lang", "language")


def with_adapters(sources: Sequence[str]) -> Callable[..., Any]:
    """Decorator of `generate`, which then accepts `adapter_names`.

    Args:
        sources: names of the arguments that may be the source, besides `inputs`.
    """

    def decorate(generate: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(generate)
        def call(model: Any, *args: Any, adapter_names: AdapterNames = None, **kwargs: Any) -> Any:
            if adapter_names is None:
                return generate(model, *args, **kwargs)
            named = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
            source = next((named[name] for name in ("inputs", *sources) if named.get(name) is not None), None)
            if source is None:
                return generate(model, **named)  # which says that there is none
            tensor = source if isinstance(source, Tensor) else source[0]
            return generate_with_adapters(model, adapter_names, len(tensor), named)

        return call

    return decorate


def generate_with_adapters(
    model: Any, adapter_names: str | Sequence[str | None], batch_size: int, kwargs: dict[str, Any]
) -> Any:
    """Output of `generate`; items with the same adapter are generated together, and put back in their order.

    Choice: groups instead of the mixed batches of peft, because rows of characters and languages, CTC and the
    generation configuration depend on the adapter too.

    Args:
        model: model with adapters.
        adapter_names: name of one adapter for all items, or one for each.
        batch_size: number B of items.
        kwargs: all other arguments of `generate`, by name.

    Returns:
        `(B, L)` int64 with padding; with one adapter, what `generate` returns.

    Raises:
        ValueError: an unknown adapter, a number of names other than B, or scores that were asked for with several
            adapters.
    """
    if isinstance(adapter_names, str):
        names = [adapter_names] * batch_size
    else:
        names = [BASE_ADAPTER if name is None else name for name in adapter_names]
    if len(names) != batch_size:
        raise ValueError(f"Got {len(names)} adapter_names for {batch_size} items; pass one, or one per item.")
    groups = {name: [row for row, own in enumerate(names) if own == name] for name in dict.fromkeys(names)}
    outputs = {}
    for name, rows in groups.items():
        with model.use_adapter(name):
            own = kwargs if len(groups) == 1 else _select_rows(kwargs, rows, batch_size)
            outputs[name] = model.generate(**own)
    if len(groups) == 1:
        return outputs[names[0]]
    if not all(isinstance(ids, Tensor) for ids in outputs.values()):
        raise ValueError("With several adapters in a batch, only ids are returned: omit return_dict_in_generate.")
    return _join_rows([(rows, outputs[name]) for name, rows in groups.items()], batch_size, model.config.pad_token_id)


def _select_rows(kwargs: dict[str, Any], rows: list[int], batch_size: int) -> dict[str, Any]:
    """The arguments of some items."""

    def select(value: Any) -> Any:
        if isinstance(value, ModelOutput):
            return type(value)(**{name: select(item) for name, item in value.items()})
        if isinstance(value, tuple):
            return tuple(select(item) for item in value)
        is_batch = isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == batch_size
        return value[torch.tensor(rows, device=value.device)] if is_batch else value

    selected = {name: select(value) for name, value in kwargs.items()}
    for name in _LISTS:
        if isinstance(selected.get(name), (list, tuple)):
            selected[name] = [selected[name][row] for row in rows]
    return selected


def _join_rows(parts: Sequence[tuple[list[int], Tensor]], batch_size: int, pad_token_id: int) -> Tensor:
    per_item = parts[0][1].shape[0] // len(parts[0][0])
    length = max(ids.shape[1] for _, ids in parts)
    joined = parts[0][1].new_full((batch_size * per_item, length), pad_token_id)
    for rows, ids in parts:
        indices = [row * per_item + number for row in rows for number in range(per_item)]
        joined[indices, : ids.shape[1]] = ids
    return joined


__all__ = ["AdapterNames", "generate_with_adapters", "with_adapters"]
