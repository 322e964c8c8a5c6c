# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Low-rank adapters of several languages in one model, one of which is used at a time.

An adapter may add languages and characters. The tables of the model get rows for those of all adapters; the rows of
the adapter in use are in the tables, all others have values that are never chosen. So the ids of one tokenizer serve
all adapters, two adapters may have different rows for the same character, and a model without an adapter in use has
the logits of its base model.

Shapes: V vocabulary, D width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import copymode
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.modeling_utils import load_state_dict
from transformers.utils import cached_file, logging

from .modules_adapter_growth import ROWS_PREFIX, AdapterGrowth, fingerprint_weights, named_tables
from .modules_vocabulary import TOKEN_TABLES, VOCABULARY_HEADS, has_rows_of

BASE_ADAPTER = "__base__"
"""Name of the model without adapters, as in peft."""
_NEVER_CHOSEN = -1e4
"""Bias of rows that are not in use; finite, so that losses give no NaN."""
_WEIGHTS_FILE = "adapter_model.safetensors"
_PEFT_PREFIX = "base_model.model."
_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class LanguageAdapters:
    """Languages, characters and rows of the adapters of a model.

    Args:
        model: the model before its first adapter.
    """

    def __init__(self, model: Any):
        config = model.config
        self.base_vocab_size = getattr(config, "vocab_size", 0)
        self.base_languages = tuple(getattr(config, "languages", ()))
        self.base_restricted = {
            code: list(ids) for code, ids in (getattr(config, "restricted_tokens", None) or {}).items()
        }
        self.growths: dict[str, AdapterGrowth] = {}
        self.rows: dict[str, dict[str, Tensor]] = {}
        self.generation_configs: dict[str, Any] = {BASE_ADAPTER: getattr(model, "generation_config", None)}
        self.characters: list[str] = []
        self.languages: list[str] = []
        # Values of all rows from the first new one on while no adapter is in use, by table.
        self.rest: dict[str, Tensor] = {}

    def check(self, name: str, growth: AdapterGrowth) -> None:
        """Raises ValueError if an adapter belongs to a model with other languages or another vocabulary."""
        sizes = {item.num_tokens for item in self.growths.values()}
        if growth.base_languages != self.base_languages or sizes - {growth.num_tokens}:
            raise ValueError(
                f"{name}: these adapters were trained on a model with the languages "
                f"{', '.join(growth.base_languages)} and {growth.num_tokens} tokens; this one has "
                f"{', '.join(self.base_languages)}" + (f" and {sizes.pop()} tokens." if sizes else ".")
            )

    def add(self, model: Any, name: str, growth: AdapterGrowth, rows: dict[str, Tensor]) -> None:
        """Grow the model by what an adapter adds; the rows are used from `use` on."""
        self.growths[name], self.rows[name] = growth, rows
        self.characters += [item for item in growth.characters if item not in self.characters]
        added = [item for item in growth.new_languages if item not in self.languages]
        self.languages += added
        if growth.is_empty:
            return
        before = {table: len(values) for table, values in named_tables(model).items()}
        model.grow_tables(growth.num_tokens + len(self.characters), added)
        for table, values in named_tables(model).items():
            first = self._first(table, growth)
            old = values.detach()[first : before[table]].clone()
            new = torch.zeros_like(values[before[table] :])
            self.rest[table] = torch.cat([self.rest.get(table, old), new])
            if table.endswith(".bias"):
                self.rest[table][len(old) :] = _NEVER_CHOSEN
            if table not in rows:
                raise ValueError(f"{name}: these adapters have no rows of {table}.")
        tokens = {code: list(ids) for code, ids in self.base_restricted.items()}
        for item in self.growths.values():
            indices = self._places(item)
            for code, ids in item.restricted_tokens.items():
                moved = {indices[index - item.num_tokens] if index >= item.num_tokens else index for index in ids}
                tokens[code] = sorted({*tokens.get(code, ()), *moved})
        model.config.restricted_tokens = tokens or None

    @torch.no_grad()
    def use(self, model: Any, name: str) -> None:
        """Put the rows of an adapter, or of none (`__base__`), into the tables."""
        if self.generation_configs.get(name) is not None:
            model.generation_config = self.generation_configs[name]
        if not self.rest:
            return
        _limit_heads(model, self._num_base_rows() if name not in self.rows else None)
        growth, rows = self.growths.get(name), self.rows.get(name, {})
        some = next(item for item in self.growths.values() if not item.is_empty)
        for table, values in named_tables(model).items():
            values[self._first(table, some) :] = self.rest[table].to(values)
            if growth is None or table not in rows:
                continue
            if has_rows_of(table, TOKEN_TABLES):
                indices = self._places(growth)
            else:
                indices = [len(self.base_languages) + self.languages.index(item) for item in growth.new_languages]
            if indices:
                values[indices] = rows[table].to(values)

    def find_owners(self, language: str) -> list[str]:
        """Adapters that add a language; none for a language of the base model."""
        return [name for name in self.rows if language in self.growths[name].new_languages]

    def _num_base_rows(self) -> tuple[int, int]:
        """Numbers of tokens and languages of the base model."""
        return self.base_vocab_size, len(self.base_languages)

    def _places(self, growth: AdapterGrowth) -> list[int]:
        return [growth.num_tokens + self.characters.index(character) for character in growth.characters]

    def _first(self, table: str, growth: AdapterGrowth) -> int:
        return growth.num_tokens if has_rows_of(table, TOKEN_TABLES) else len(self.base_languages)


class LanguageAdaptersMixin:
    """Methods of transformers for adapters, for adapters that may add languages and characters."""

    _language_adapters: LanguageAdapters | None = None
    _adapter_in_use = BASE_ADAPTER

    @property
    def adapter_in_use(self) -> str:
        """Name of the adapter that is in use, "__base__" without."""
        return self._adapter_in_use

    def load_adapter(self, peft_model_id: str | None = None, adapter_name: str | None = None, *args, **kwargs):
        """As in transformers, and use it; languages and characters that it adds are added to the model.

        The processor must load the same folders in the same order (`Mu2SLAMProcessor.load_adapter`).

        Args:
            peft_model_id: folder or name on the Hub of adapters that this package has trained, or of any of peft.
            adapter_name: name by which it is chosen; default: "default".
            args: as in transformers.
            kwargs: as in transformers.

        Raises:
            ValueError: the name is in use, or the adapter belongs to another model.
        """
        name = adapter_name if adapter_name is not None else "default"
        if name == BASE_ADAPTER:
            raise ValueError(f"{BASE_ADAPTER} is the name of the model without adapters; choose another one.")
        load_config = kwargs.get("load_config")
        source = peft_model_id or getattr(load_config, "pretrained_model_name_or_path", None)
        given = {
            **(getattr(load_config, "download_kwargs", None) or {}),
            **(kwargs.get("adapter_kwargs") or {}),
            **kwargs,
        }
        hub = {item: given[item] for item in _HUB_ARGUMENTS if given.get(item) is not None}
        growth = AdapterGrowth.load(source, **hub) if source else None
        if growth is None:
            loaded = super().load_adapter(peft_model_id, adapter_name, *args, **kwargs)
            self._adapter_in_use = name
            return loaded
        growth.check_base(str(source), fingerprint_weights(self))
        # Checked before anything is changed.
        if name in getattr(self, "peft_config", {}):
            raise ValueError(f"Adapter with name {name} already exists. Please use a different name.")
        adapters = self._language_adapters or LanguageAdapters(self)
        adapters.check(str(source), growth)
        state = load_state_dict(cached_file(str(source), _WEIGHTS_FILE, **hub))
        rows, weights = split_rows(state)
        self._language_adapters = adapters
        adapters.use(self, BASE_ADAPTER)
        adapters.add(self, name, growth, rows)
        adapters.generation_configs[name] = _load_generation_config(self, source, hub)
        with _without_report():
            loaded = super().load_adapter(peft_model_id, adapter_name, *args, **kwargs, adapter_state_dict=weights)
        missing = sorted(key for key in loaded.missing_keys if f".{name}." in key)
        if missing:
            raise ValueError(f"{source}: the adapters have no weights of {missing[0]}.")
        self.set_adapter(name)
        return loaded

    def set_adapter(self, adapter_name: list[str] | str) -> None:
        """As in transformers; `"__base__"` uses the model without adapters.

        Raises:
            ValueError: no such adapter is loaded, or several of those named add languages or characters.
        """
        names = [adapter_name] if isinstance(adapter_name, str) else list(adapter_name)
        if names == [BASE_ADAPTER]:
            if getattr(self, "_hf_peft_config_loaded", False):
                self.disable_adapters()
            return
        self._check_adapters(names)
        adapters = self._language_adapters
        growing = [
            name for name in names if adapters and name in adapters.growths and not adapters.growths[name].is_empty
        ]
        if len(growing) > 1:
            raise ValueError(f"{', '.join(growing)} add languages or characters; only one of them can be in use.")
        super().set_adapter(adapter_name)
        _enable_layers(self)
        self._use_rows(growing[0] if growing else names[0])

    def disable_adapters(self) -> None:
        """As in transformers."""
        super().disable_adapters()
        self._use_rows(BASE_ADAPTER)

    def enable_adapters(self) -> None:
        """As in transformers."""
        super().enable_adapters()
        self.set_adapter(self.active_adapters())

    def delete_adapter(self, adapter_names: list[str] | str) -> None:
        """As in transformers; languages and characters that it has added stay in the vocabulary, unused."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        self._check_adapters(names)
        if self._adapter_in_use in names:
            self.set_adapter(BASE_ADAPTER)
        super().delete_adapter(adapter_names)
        for name in names if self._language_adapters else ():
            # Its growth is kept, because the places of characters and languages depend on it.
            self._language_adapters.rows.pop(name, None)

    @contextmanager
    def use_adapter(self, adapter_name: str | None) -> Iterator[None]:
        """Use an adapter inside a `with` block, then the one that was in use before.

        Args:
            adapter_name: name of an adapter, "__base__", or None to change nothing.

        Raises:
            ValueError: no such adapter is loaded.
        """
        if adapter_name is not None:
            self._check_adapters([adapter_name])
        before = self._adapter_in_use
        if adapter_name is None or adapter_name == before:
            yield
            return
        self.set_adapter(adapter_name)
        try:
            yield
        finally:
            self.set_adapter(before)

    def get_adapter_state_dict(self, adapter_name: str | None = None, state_dict: dict | None = None) -> dict:
        """As in transformers, with the rows of new languages and characters."""
        name = self.active_adapters()[0] if adapter_name is None else adapter_name
        state = super().get_adapter_state_dict(name, state_dict)
        rows = self._language_adapters.rows.get(name, {}) if self._language_adapters else {}
        if rows:
            # Where a vocabulary has grown, peft adds whole tables.
            state = {key: values for key, values in state.items() if not has_rows_of(key, TOKEN_TABLES)}
        return state | {ROWS_PREFIX + table: values for table, values in rows.items()}

    def save_pretrained(self, save_directory, *args, **kwargs):
        """As in transformers: with adapters, only those in use are saved, with what they add to their base model."""
        saved = super().save_pretrained(save_directory, *args, **kwargs)
        if getattr(self, "_hf_peft_config_loaded", False) and self._language_adapters is not None:
            growth = self._language_adapters.growths.get(self.active_adapters()[0])
            if growth is not None:
                growth.save(save_directory)
        if kwargs.get("is_main_process", True):
            share_weights(save_directory)
        return saved

    def check_language_in_use(self, language: str) -> None:
        """Raises ValueError for a language that is not known without an adapter that is not in use."""
        owners = self._language_adapters.find_owners(language) if self._language_adapters else []
        if owners and self._adapter_in_use not in owners:
            raise ValueError(
                f"{language!r} is a language of the adapter {' and '.join(owners)}, but {self._adapter_in_use} is in "
                f"use: pass adapter_names={owners[0]!r}, or call set_adapter({owners[0]!r})."
            )

    def _check_adapters(self, names: Sequence[str]) -> None:
        known = list(getattr(self, "peft_config", {}))
        for name in names:
            if name not in (*known, BASE_ADAPTER):
                loaded = ", ".join(known) if known else "none"
                raise ValueError(
                    f"There is no adapter {name!r}; those that are loaded: {loaded}; {BASE_ADAPTER!r} is the model "
                    "without adapters. Load others with load_adapter(folder, adapter_name)."
                )

    def _use_rows(self, name: str) -> None:
        if self._language_adapters is not None:
            self._language_adapters.use(self, name)
        self._adapter_in_use = name


@contextmanager
def use_adapter(model: Any, adapter_name: str | None) -> Iterator[None]:
    """`model.use_adapter(adapter_name)`; None changes nothing, for any model."""
    if adapter_name is None:
        yield
        return
    with model.use_adapter(adapter_name):
        yield


def split_rows(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The rows of new languages and characters by table, and all other weights of an adapter."""
    prefix = _PEFT_PREFIX + ROWS_PREFIX
    rows = {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}
    return rows, {name: values for name, values in state.items() if not name.startswith(prefix)}


@contextmanager
def _without_report() -> Iterator[None]:
    """Without the report of transformers, which names the weights of all adapters loaded before as missing."""
    logger = logging.get_logger("transformers.integrations.peft")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _limit_heads(model: Any, num_rows: tuple[int, int] | None) -> None:
    """Let heads compute only rows of the base model, and the others be constant; or all rows, for None.

    A product with more rows may differ in the last bit, even in the rows that did not change.

    Args:
        model: the grown model.
        num_rows: numbers of tokens and languages of the base model, or None.
    """
    for name, head in model.named_modules():
        last = name.rpartition(".")[-1]
        if last not in (*VOCABULARY_HEADS, "language_head") or not isinstance(head, torch.nn.Linear):
            continue
        head.__dict__.pop("forward", None)
        if num_rows is not None:
            head.forward = partial(_compute_first_rows, head, num_rows[last == "language_head"])


def _compute_first_rows(head: torch.nn.Linear, num_rows: int, states: Tensor) -> Tensor:
    """Logits `(..., V)` of states `(..., D)`; those from row `num_rows` on are never chosen."""
    bias = None if head.bias is None else head.bias[:num_rows]
    logits = torch.nn.functional.linear(states, head.weight[:num_rows], bias)
    return torch.nn.functional.pad(logits, (0, head.out_features - num_rows), value=_NEVER_CHOSEN)


def _enable_layers(model: Any) -> None:
    """Enable all layers of peft, also those trained in full, which `enable_adapters` of transformers leaves out."""
    for module in model.modules():
        if hasattr(module, "enable_adapters") and not isinstance(module, PreTrainedModel):
            module.enable_adapters(True)


def _load_generation_config(model: Any, source: str, hub: dict[str, Any]) -> Any:
    """The generation configuration beside an adapter; that of the base model, if there is none."""
    if not model.can_generate():
        return None
    path = cached_file(str(source), "generation_config.json", _raise_exceptions_for_missing_entries=False, **hub)
    if path is None:
        return model._language_adapters.generation_configs[BASE_ADAPTER]
    config = GenerationConfig.from_pretrained(source, **hub)
    config._from_model_config = False
    return config


__all__ = ["BASE_ADAPTER", "LanguageAdapters", "LanguageAdaptersMixin", "split_rows", "use_adapter"]


def share_weights(folder) -> None:
    """Give the weights of a saved model or adapter the permissions of its configuration.

    safetensors creates files that only their owner can read; the configuration follows the umask.

    Args:
        folder: folder that `save_pretrained` has written. Other folders are left as they are.
    """
    configuration = next(Path(folder).glob("*config.json"), None)
    for weights in Path(folder).glob("*.safetensors") if configuration else ():
        copymode(configuration, weights)
