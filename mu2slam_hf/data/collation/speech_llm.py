# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation for a text model with speech: prompts with recordings or texts, and one target each.

Legend: B = examples, R = examples with a recording, T = frames or samples, L = positions of the longest prompt.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mu2slam_hf.data.collation.speech_inputs import silence
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.task_prompts import fill_prompt


class PromptCollator:
    """Collates items of any modality for `SpeechLLMForConditionalGeneration`.

    `input_ids`, `attention_mask` `(B, L)`, `labels` as of the processor; of recordings `input_features` `(R, T, M)`
    and `input_features_mask` `(R, T)` (or `input_values`, `input_values_mask`); `task_ids` `(B,)`, numbers in
    `TASK_NAMES`; `record_ids`. Without usable items the batch is one silent recording without labels, so that all
    processes have the same number of batches.

    Args:
        processor: `SpeechLLMProcessor`.
        prompts: prompts by task; one of them is drawn uniformly for each example, epoch and copy, the same for any
            number of workers.
        seed: seed of the draws.
    """

    num_ctc_too_long = 0
    """There is no CTC."""

    def __init__(self, processor: Any, *, prompts: Mapping[str, Sequence[str]], seed: int = 0) -> None:
        self.processor = processor
        self.prompts = prompts
        self.seed = seed

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items.

        Raises:
            ValueError: no items, or an item with several targets.
        """
        if not items:
            raise ValueError("expected at least one example in a batch, got none")
        usable = [item for item in items if item.error is None]
        waveforms = [item.waveform for item in usable if item.drawn.example.source_modality == "speech"]
        is_silent = not usable
        inputs: dict[str, Any] = {}
        lengths: list[int] = []
        if waveforms or is_silent:
            rate = self.processor.feature_extractor.sampling_rate
            inputs, lengths = self.processor.extract(waveforms or [silence()], rate)
        if is_silent:
            batch = self.processor.pad_rows([self.processor.build_ids("", lengths[0])], [""])
            batch["labels"] = torch.full_like(batch["labels"], IGNORE_INDEX)
            return {**inputs, **batch, "task_ids": torch.tensor([0]), "record_ids": []}
        remaining = iter(lengths)
        rows = []
        for item in usable:
            is_speech = item.drawn.example.source_modality == "speech"
            rows.append(self.processor.build_ids(self.build_prompt(item), next(remaining) if is_speech else None))
        batch = self.processor.pad_rows(rows, [item.drawn.targets[0].text for item in usable])
        return {
            **inputs,
            **batch,
            "task_ids": torch.tensor([TASK_NAMES.index(item.drawn.task) for item in usable]),
            "record_ids": [item.drawn.example.id for item in usable],
        }

    def build_prompt(self, item: Item) -> str:
        """The prompt of an item; for a text, followed by it."""
        drawn, task = item.drawn, item.drawn.task
        prompts = self.prompts[task]
        index = draw_generator(self.seed, drawn.key, drawn.example.id, "prompt").integers(len(prompts))
        prompt = fill_prompt(prompts[int(index)], task, drawn.example.source_lang, drawn.targets[0].lang)
        return f"{prompt} {drawn.example.source_text}" if task == "mt" else prompt
