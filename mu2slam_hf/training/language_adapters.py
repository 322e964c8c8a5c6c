# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of low-rank adapters together with the rows of new languages and characters."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from mu2slam_hf.growth.languages import LanguageGrowth
from mu2slam_hf.models.modules_adapter_growth import ROWS_PREFIX, AdapterGrowth, fingerprint_weights, named_tables
from mu2slam_hf.models.modules_language_adapters import share_weights, split_rows
from mu2slam_hf.models.modules_vocabulary import TOKEN_TABLES, has_rows_of

_WEIGHTS_FILE = "adapter_model.safetensors"
_KEY_PREFIX = "base_model.model." + ROWS_PREFIX


class LanguagePeftModel(PeftModel):
    """A peft model that trains and stores, besides its adapters, the new rows of a grown model.

    The rows that the model had before it was grown get no gradient. They do not change either, as long as the
    optimizer has no weight decay. A folder of adapters has `adapter_growth.json` and the new rows, which
    `load_adapter` of the models reads.

    Args:
        model: the model, grown or not.
        config: of the adapters.
        growth: what the model was grown by.
    """

    def __init__(self, model: Any, config: LoraConfig, growth: AdapterGrowth) -> None:
        super().__init__(model, config)
        self.growth = growth
        if growth.is_empty:
            return
        for name, values in self._tables().items():
            if self._first(name) < len(values):
                values.requires_grad_(True)
                values.register_hook(_keep_gradient_from(self._first(name)))

    def save_pretrained(self, save_directory: str, *args: Any, **kwargs: Any) -> None:
        """As in peft, with the new rows."""
        super().save_pretrained(save_directory, *args, **{**kwargs, "save_embedding_layers": False})
        if not kwargs.get("is_main_process", True):
            return
        if not self.growth.is_empty:
            path = Path(save_directory) / _WEIGHTS_FILE
            rows = {
                _KEY_PREFIX + name: values.detach()[self._first(name) : self._last(name)].cpu().clone()
                for name, values in self._tables().items()
            }
            save_file(load_file(path) | rows, path, metadata={"format": "pt"})
        self.growth.save(save_directory)
        share_weights(save_directory)

    def load_adapter(self, model_id: str | os.PathLike[str], adapter_name: str, *args: Any, **kwargs: Any) -> Any:
        """As in peft, with the new rows of a folder that `save_pretrained` has written."""
        loaded = super().load_adapter(str(model_id), adapter_name, *args, **kwargs)
        self._load_rows(load_file(Path(model_id) / _WEIGHTS_FILE))
        return loaded

    def load_adapter_weights(self, state: Mapping[str, Tensor]) -> None:
        """Replace adapters and new rows by those of `adapter_model.safetensors`, by its names."""
        _, weights = split_rows(dict(state))
        set_peft_model_state_dict(self, weights)
        self._load_rows(state)

    @torch.no_grad()
    def _load_rows(self, state: Mapping[str, Tensor]) -> None:
        tables = self._tables()
        for name, rows in split_rows(dict(state))[0].items():
            tables[name][self._first(name) : self._last(name)] = rows.to(tables[name])

    def _tables(self) -> dict[str, Any]:
        return named_tables(self)

    def _first(self, table: str) -> int:
        growth = self.growth
        return growth.num_tokens if has_rows_of(table, TOKEN_TABLES) else len(growth.base_languages)

    def _last(self, table: str) -> int:
        growth = self.growth
        added = growth.characters if has_rows_of(table, TOKEN_TABLES) else growth.new_languages
        return self._first(table) + len(added)


def describe_growth(
    model: Any, processor: Any, growths: Sequence[LanguageGrowth], languages: Sequence[str]
) -> AdapterGrowth:
    """What the adapters of a grown model must say about themselves.

    Args:
        model: the grown model, without adapters.
        processor: its processor.
        growths: by which both were grown; empty if they were not.
        languages: languages that the adapters are trained on.
    """
    characters = [one for growth in growths for one in growth.characters]
    added = [growth.code for growth in growths if growth.is_new]
    known = processor.languages
    restricted = getattr(model.config, "restricted_tokens", None) or {}
    return AdapterGrowth(
        fingerprints=fingerprint_weights(model),
        num_tokens=len(processor.tokenizer) - len(characters),
        base_languages=tuple(known[: len(known) - len(added)]),
        languages=tuple(languages),
        new_languages=tuple(added),
        characters=tuple(one.char for one in sorted(characters, key=lambda one: one.token_id)),
        restricted_tokens={code: list(ids) for code, ids in restricted.items()},
    )


def _keep_gradient_from(first: int) -> Any:
    """A hook of a table that leaves only the gradient of the rows from a number on."""

    def keep(gradient: Tensor) -> Tensor:
        kept = torch.zeros_like(gradient)
        kept[first:] = gradient[first:]
        return kept

    return keep
