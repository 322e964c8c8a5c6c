# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The processor of a model with adapters: their languages and characters in one vocabulary."""

from typing import Any

from .modules_adapter_growth import AdapterGrowth


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
        self.languages = [*self.languages, *(one for one in growth.new_languages if one not in self.languages)]


__all__ = ["AdapterProcessorMixin", "add_adapter_characters"]
