# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of collators with masking: generators by purpose, rules of masking by update, candidates of random tokens."""

from typing import Any, Generic, TypeVar

import numpy as np

from mu2slam_hf.data.collation.collator import SpeechTextCollator
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.masking import GeneratorOf, IntArray, SpanMaskingConfig
from mu2slam_hf.data.random_keys import draw_generator

MaskingT = TypeVar("MaskingT", bound=SpanMaskingConfig)


class MaskingCollator(SpeechTextCollator, Generic[MaskingT]):
    """A collator that masks speech and text.

    Args:
        processor: as in `SpeechTextCollator`.
        seed: seed of the run; masks depend on it and on epoch, copy, id and purpose of a draw.
        masking: rules of masking; their schedule depends on the update of a draw.
        kwargs: as in `SpeechTextCollator`.
    """

    def __init__(self, processor: Any, *, seed: int, masking: MaskingT, **kwargs: Any) -> None:
        super().__init__(processor, **kwargs)
        self.seed, self.masking = seed, masking
        self.candidate_ids = list_text_ids(self.tokenizer)
        self._step, self._masking_at_step = 0, masking.at_step(0)

    def masking_of(self, drawn: DrawnExample) -> MaskingT:
        """The rules for one draw."""
        if drawn.key.step != self._step:
            self._step, self._masking_at_step = drawn.key.step, self.masking.at_step(drawn.key.step)
        return self._masking_at_step

    def generator_of(self, drawn: DrawnExample) -> GeneratorOf:
        """The generators of one draw."""
        return lambda purpose: draw_generator(self.seed, drawn.key, drawn.example.id, purpose)


def list_text_ids(tokenizer: Any) -> IntArray:
    """Ids of the text part of the vocabulary.

    Raises:
        ValueError: there are none.
    """
    specials = set(tokenizer.all_special_ids)
    ids = [index for index in range(tokenizer.text_token_offset, len(tokenizer)) if index not in specials]
    if not ids:
        raise ValueError("the tokenizer has no text tokens; train it on texts first")
    return np.array(ids, dtype=np.int64)
