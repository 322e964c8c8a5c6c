# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages and characters that a folder of adapters adds to its base model.

The file `adapter_growth.json` in the folder names them and the base model; processors read it with the adapter.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.utils import cached_file

from .modules_vocabulary import LANGUAGE_TABLES, TOKEN_TABLES, has_rows_of

GROWTH_FILE = "adapter_growth.json"
ROWS_PREFIX = "grown_rows."
"""Prefix of the new rows among the weights of an adapter."""
_PARTS = ("encoder", "decoder", "language_model")
_SAMPLED = 256
"""Number of weights of a parameter that enter a fingerprint, at equal distances."""


@dataclass(frozen=True, kw_only=True)
class AdapterGrowth:
    """Base model, languages and characters of an adapter.

    Attributes:
        fingerprints: of `fingerprint_weights`, of the base model.
        num_tokens: number of ids of the base model's tokenizer; new characters follow them.
        base_languages: languages of the base model.
        languages: languages that the adapter was trained on, new or not.
        new_languages: those that the base model does not have.
        characters: characters that the base model does not have, in the order of their ids.
        restricted_tokens: `config.restricted_tokens` of the adapted model.
    """

    fingerprints: dict[str, str]
    num_tokens: int
    base_languages: tuple[str, ...]
    languages: tuple[str, ...] = ()
    new_languages: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    restricted_tokens: dict[str, list[int]] = field(default_factory=dict)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `adapter_growth.json` into a folder."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"
        path = Path(folder) / GROWTH_FILE
        temporary = path.with_name(f".{GROWTH_FILE}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **hub_arguments: Any) -> "AdapterGrowth | None":
        """Read it from a folder or a repository of the Hub; None for adapters that were trained by other tools.

        Args:
            folder: folder, or name on the Hub.
            hub_arguments: `revision`, `token`, ... as in `cached_file` of transformers.

        Raises:
            ValueError: the file is not one that `save` has written.
        """
        path = cached_file(str(folder), GROWTH_FILE, _raise_exceptions_for_missing_entries=False, **hub_arguments)
        if path is None:
            return None
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**{name: tuple(item) if isinstance(item, list) else item for name, item in values.items()})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected what mu2slam_hf writes beside adapters, got {error}.") from error

    @property
    def is_empty(self) -> bool:
        """Whether it adds neither languages nor characters."""
        return not (self.new_languages or self.characters)

    def check_base(self, name: str, fingerprints: dict[str, str]) -> None:
        """Check that a model is the one that the adapter was trained on.

        Args:
            name: folder of the adapter, for the message.
            fingerprints: of the model; only the parts that it has are compared.

        Raises:
            ValueError: it is another one.
        """
        different = [part for part, item in fingerprints.items() if self.fingerprints.get(part, item) != item]
        if different:
            raise ValueError(
                f"{name}: these adapters were trained on another model: the weights of its {' and '.join(different)} "
                "differ. Load them on the model in base_model_name_or_path of their adapter_config.json."
            )


def fingerprint_weights(model: Any) -> dict[str, str]:
    """Hashes of the weights of encoder and decoder, or text model, by which the base of an adapter is recognised.

    Choice: 256 weights of each parameter, rounded to bfloat16, so that it does not depend on the dtype in which a
    model was stored or loaded, and takes no time. Tables of tokens and languages, which grow, and adapters are left
    out.

    Args:
        model: a model of this package, also with adapters of peft.

    Returns:
        part -> hash; nothing for weights in float16 and quantised ones, whose rounding differs.
    """
    if getattr(model, "is_quantized", False):
        return {}
    digests = {part: sha256() for part in _PARTS}
    results = set()
    for name, values in sorted((_plain_name(name), values) for name, values in model.named_parameters()):
        part = name.split(".")[0]
        if part not in _PARTS or is_adapter_weight(name) or has_rows_of(name, TOKEN_TABLES + LANGUAGE_TABLES):
            continue
        if values.dtype == torch.float16:
            return {}
        results.add(part)
        digests[part].update(f"{name} {tuple(values.shape)}".encode())
        digests[part].update(_sample(values.detach()))
    return {part: digests[part].hexdigest()[:16] for part in _PARTS if part in results}


def is_adapter_weight(name: str) -> bool:
    """Whether a parameter belongs to adapters of peft."""
    return "lora_" in name or ".modules_to_save." in name


def _plain_name(name: str) -> str:
    """The name of a parameter without what peft and the outer model add to it."""
    for part in (".base_layer.", ".original_module."):
        name = name.replace(part, ".")
    return name.removeprefix("base_model.model.").removeprefix("model.")


def _sample(values: Tensor) -> bytes:
    flat = values.flatten()
    chosen = flat[:: max(1, len(flat) // _SAMPLED)][:_SAMPLED].float().cpu()
    return chosen.to(torch.bfloat16).view(torch.int16).numpy().tobytes()


def named_tables(model: Any) -> dict[str, torch.nn.Parameter]:
    """Parameters with a row for each token or language, by their names in the base model.

    Shared parameters are listed once, by their first name, which is that of the encoder.
    """
    parameters: Iterable[tuple[str, Any]] = model.named_parameters()
    plain = ((_plain_name(name), values) for name, values in parameters if not is_adapter_weight(name))
    return {name: values for name, values in plain if has_rows_of(name, TOKEN_TABLES + LANGUAGE_TABLES)}


def add_adapter_characters(tokenizer: Any, growth: AdapterGrowth) -> None:
    """Append the characters of an adapter that a tokenizer does not have, in the order of the adapter."""
    for character in growth.characters:
        tokenizer.add_characters([character])


class AdapterProcessorMixin:
    """Adds the languages and characters of adapters to a processor."""

    tokenizer: Any
    languages: list[str]

    def load_adapter(self, peft_model_id: str, **hub_arguments: Any) -> None:
        """Add the languages and characters of an adapter, as `load_adapter` of the model does.

        Model and processor must load the same adapters in the same order. Ids of texts without the new characters do
        not change.

        Args:
            peft_model_id: folder of the adapter, or its name on the Hub.
            hub_arguments: `revision`, `token`, ... as in `cached_file` of transformers.

        Raises:
            ValueError: the adapter belongs to a model with another processor.
        """
        growth = AdapterGrowth.load(peft_model_id, **hub_arguments)
        if growth is None:
            return
        known = len(growth.base_languages)
        if tuple(self.languages[:known]) != growth.base_languages or len(self.tokenizer) < growth.num_tokens:
            raise ValueError(
                f"{peft_model_id}: these adapters were trained with the languages {', '.join(growth.base_languages)} "
                f"and {growth.num_tokens} tokens; this processor has {', '.join(self.languages)} and "
                f"{len(self.tokenizer)} tokens."
            )
        add_adapter_characters(self.tokenizer, growth)
        self.languages = [
            *self.languages,
            *(new_language for new_language in growth.new_languages if new_language not in self.languages),
        ]
