# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of questions with windows of their passages, for a span head or for a decoder.

Legend: B = windows, L = tokens of the longest one.
"""

from collections.abc import Sequence
from typing import Any

import torch

from mu2slam_hf.data.collation.collator import SpeechTextCollator
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.examples.question_windows import QuestionWindow, fold_capitals, split_into_windows
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.modules_text_pairs import find_segments


class QuestionCollator(SpeechTextCollator):
    """Collates questions with windows of their passages.

    `input_ids` and `attention_mask` `(B, L)` int64: `question </s> window </s>`. For a span head, `start_positions`
    and `end_positions` `(B,)` int64; for a decoder, `position_ids` `(B, L)` of the segments and `labels`, the tokens
    of the answer and `</s>`, without `<unk>`. A window without the answer has the position of the question's `</s>`,
    or `</s>` alone. `record_ids`: ids of the examples, in the order of the rows.

    Args:
        processor: processor with `feature_extractor` and `tokenizer`.
        generates: whether the batch is for a decoder.
        max_tokens: maximum length of a question with a window.
        kwargs: as in `SpeechTextCollator`.
    """

    def __init__(self, processor: Any, *, generates: bool, max_tokens: int, **kwargs: Any) -> None:
        super().__init__(processor, **kwargs)
        self.generates, self.max_tokens = generates, max_tokens

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items."""
        examples = [item.drawn.example for item in items]
        windows = [self._window(example) for example in examples]
        mask = self.pad([[1] * len(window.input_ids) for window in windows], 0)
        input_ids = self.pad([window.input_ids for window in windows], self.tokenizer.pad_token_id)
        batch = {
            "input_ids": input_ids,
            "attention_mask": mask,
            "record_ids": [example.id for example in examples],
        }
        if self.generates:
            answers = self.encode([fold_capitals(entry.targets[0].text, self.tokenizer) for entry in examples])
            rows = [[*self.without_unknown(row), self.tokenizer.eos_token_id] for row in answers]
            positions = find_segments(input_ids, self.tokenizer.eos_token_id).position_ids
            return batch | {"position_ids": positions, "labels": self.pad(rows, IGNORE_INDEX)}
        indices = [
            (window.first_token - 1,) * 2 if example.answer_span is None else window.find_answer(*example.answer_span)
            for window, example in zip(windows, examples, strict=True)
        ]
        starts, ends = torch.tensor(indices, dtype=torch.int64).unbind(1)
        return batch | {"start_positions": starts, "end_positions": ends}

    def _window(self, example: Example) -> QuestionWindow:
        """The window of an example; its passage has been cut to fit already."""
        assert example.source_text is not None and example.second_text is not None
        return split_into_windows(
            example.source_text, example.second_text, self.tokenizer, max_tokens=self.max_tokens, overlap_tokens=0
        )[0]
