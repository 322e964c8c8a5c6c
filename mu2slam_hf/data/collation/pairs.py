# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of pairs for dual encoders: rows of ids of speech or text, each with the text that belongs to it.

Shapes: B pairs, L and L' ids of the longest row of a side.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import torch

from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.models.language_codes import UNDETERMINED


class PairCollator:
    """Collates items into the two sides of a dual encoder.

    The source is a recording, by its speech ids, or a text; the target is its transcript or translation. With
    `pivot_language` the target of a pair of texts is the one in this language, as the texts of a search would be.
    Recordings without ids are left out, and do not count; a batch without any pair has one that does not count, so
    that all processes run the same modules.

    Args:
        processor: `SpeechTextDualEncoderProcessor`.
        find_speech_ids: function from an example to the entries of the codebook of its recording; None for a
            recording that has none.
        pivot_language: see above; None: source and target as in the example.
        undetermined_ratio: share of rows of either side, drawn apart, whose prefix does not name the language.
        seed: seed of these draws.
    """

    def __init__(
        self,
        processor: Any,
        find_speech_ids: Callable[[Any], Sequence[int] | None],
        *,
        pivot_language: str | None = "en",
        undetermined_ratio: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.processor, self.find_speech_ids = processor, find_speech_ids
        self.pivot_language, self.undetermined_ratio, self.seed = pivot_language, undetermined_ratio, seed

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items.

        Returns:
            `input_ids` and `attention_mask` `(B, L)`, `target_ids` and `target_attention_mask` `(B, L')` int64;
            `target_keys` `(B,)` int64, equal for equal texts in one language; `is_pair` `(B,)` bool, False on a row
            that only fills an empty batch; `record_ids`, ids of the examples.
        """
        sources, targets, keys, names = [], [], [], []
        for item in items:
            pair = self._pair(item)
            if pair is not None:
                source, (text, lang) = pair
                sources.append(source)
                targets.append(self.processor.encode_text([text], self._language(item, "target", lang))[0])
                digest = blake2b(f"{lang}\x1f{text}".encode(), digest_size=8).digest()
                keys.append(int.from_bytes(digest, "big", signed=True))
                names.append(item.drawn.example.id)
        is_empty = not sources
        filling = self.processor.encode_text(["."])
        source, target = self.processor.pad(sources or filling), self.processor.pad(targets or filling)
        return {
            "input_ids": source["input_ids"],
            "attention_mask": source["attention_mask"],
            "target_ids": target["input_ids"],
            "target_attention_mask": target["attention_mask"],
            "target_keys": torch.tensor(keys or [0]),
            "is_pair": torch.full((len(sources) or 1,), not is_empty),
            "record_ids": names,
        }

    def _pair(self, item: Item) -> tuple[list[int], tuple[str, str]] | None:
        """Ids of the source, and the text and language of the target; None if the recording has no ids."""
        example = item.drawn.example
        target = item.drawn.targets[0]
        if example.source_modality == "speech":
            ids = None if item.error else self.find_speech_ids(example)
            if ids is None:
                return None
            language = self._language(item, "source", example.source_lang)
            return self.processor.join_speech([ids], language)[0], (target.text, target.lang)
        source = (example.source_text or "", example.source_lang)
        other = (target.text, target.lang)
        if self.pivot_language is not None and source[1] == self.pivot_language != other[1]:
            source, other = other, source
        return self.processor.encode_text([source[0]], self._language(item, "source", source[1]))[0], other

    def _language(self, item: Item, side: str, lang: str) -> str | None:
        if self.undetermined_ratio > 0:
            generator = draw_generator(self.seed, item.drawn.key, item.drawn.example.id, f"{side} language")
            if generator.random() < self.undetermined_ratio:
                return None
        return None if lang == UNDETERMINED else lang
