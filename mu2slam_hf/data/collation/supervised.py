# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of supervised training: examples with one or more target texts.

Legend: B = examples, T = 10 ms frames (of imported encoders: 20 ms, or samples), F = values per frame, L =
positions of the longest row, Lc = tokens of the longest transcript.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.data.collation.collator import SpeechTextCollator
from mu2slam_hf.data.collation.padding import pad_rows
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.example import TASK_NAMES, Target
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.task_types import MODALITIES, TEXT


@dataclass(frozen=True)
class PackedTarget:
    """One decoder sequence before packing: inputs `<s> y1 .. yn`, labels `y1 .. yn </s>`.

    A longer `prompt` replaces `<s>` in the inputs; only its last token has a label, `y1`.
    """

    token_ids: list[int]
    language_id: int
    task_id: int
    prompt: list[int]


class SupervisedCollator(SpeechTextCollator):
    """Collates speech batches, text batches, and batches that hold both.

    Speech: `input_features` `(B, T, F)` (front end `waveform`: `input_values` `(B, T)`), `attention_mask` `(B, T)`,
    `ctc_labels` `(B, Lc)` (the transcript without `</s>`, -100 elsewhere and in rows without one).
    Text: `input_ids`, `attention_mask` `(B, L)`.
    Both: `language_ids` `(B,)` (inputs of the model), `source_language_labels` `(B,)` (the true languages, -100 if
    unknown), the packed decoder rows of `pack_targets`, and `record_ids`, ids of the examples for messages. Without
    usable items the batch is one row of silence without labels, so that all processes have the same number of batches.
    The encoder reads either features or tokens: a batch of speech and text is a batch under each of the names `speech`
    and `text`, with the `record_ids` of both.

    Args:
        processor: processor with `feature_extractor`, `tokenizer` and `languages`.
        build_prompt: function from the row of a target language to the ids before the target
            (`Mu2SLAMConfig.build_prompt`); None for `<s>`.
        kwargs: as in `SpeechTextCollator`.
    """

    def __init__(
        self,
        processor: Any,
        *,
        build_prompt: Callable[[int], list[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(processor, **kwargs)
        self.build_prompt = build_prompt

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items of any modality.

        Raises:
            ValueError: no items.
        """
        if not items:
            raise ValueError("expected at least one example in a batch, got none")
        parts = {name: [item for item in items if item.drawn.example.source_modality == name] for name in MODALITIES}
        batch: dict[str, Any] = {name: self._collate(own, name) for name, own in parts.items() if own}
        if len(batch) == 1:
            return next(iter(batch.values()))
        return {**batch, "record_ids": [record for part in batch.values() for record in part["record_ids"]]}

    def _collate(self, items: Sequence[Item], modality: str) -> dict[str, Any]:
        usable = [item for item in items if item.error is None]
        if modality == "text":
            source = self.read_texts([item.drawn.example.source_text or "" for item in usable])
        else:
            source = self._speech_source(usable)
        targets = [[self._packed(target) for target in item.drawn.targets] for item in usable]
        decoder = pack_targets(
            targets or [[]],
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        given = [self.language_row(item.drawn.source_lang) for item in usable] or [0]
        known = [self.language_row(item.drawn.example.source_lang) for item in usable] or [0]
        # Row 0 is `und`: no label if the true language is unknown.
        labels = [row if row != 0 else IGNORE_INDEX for row in known]
        languages = {"language_ids": torch.tensor(given), "source_language_labels": torch.tensor(labels)}
        return {**source, **decoder, **languages, "record_ids": [item.drawn.example.id for item in usable]}

    def _speech_source(self, items: Sequence[Item]) -> dict[str, Tensor]:
        batch = self.read_speech(items)
        rows: list[list[int]] = []
        for item, num_frames in zip(items, self.count_frames(batch), strict=False):
            transcript = next((target.text for target in item.drawn.targets if target.task == "asr"), "")
            rows.append(self.transcripts.keep_fitting(self._encode(transcript), num_frames, item.drawn.example.id))
        return {**batch, "ctc_labels": self.pad(rows, IGNORE_INDEX)}

    def _encode(self, text: str) -> list[int]:
        return self.encode([text])[0]

    def _packed(self, target: Target) -> PackedTarget:
        row = self.language_row(target.lang)
        return PackedTarget(
            token_ids=self._encode(target.text),
            language_id=row,
            task_id=TASK_NAMES.index(target.task),
            prompt=[self.tokenizer.bos_token_id] if self.build_prompt is None else self.build_prompt(row),
        )


def pack_targets(
    rows: Sequence[Sequence[PackedTarget]],
    *,
    eos_token_id: int,
    pad_token_id: int,
    pad_to_multiple_of: int = 1,
) -> dict[str, Tensor]:
    """Pack the targets of each source into one decoder row.

    Args:
        rows: targets of each example.
        eos_token_id: `</s>`, last label of every sequence.
        pad_token_id: input on padding.
        pad_to_multiple_of: multiple for L.

    Returns:
        All `(B, L)` int64: `decoder_input_ids`; `labels` (-100 on padding); `decoder_sequence_ids` (1, 2, ... within a
        row, 0 on padding); `decoder_position_ids` (restart per sequence); `decoder_language_ids` (0 on padding);
        `decoder_modality_ids` (1 = text everywhere); `decoder_source_ids` (1 everywhere: one source per row; also on
        padding, so that no position has an empty source); `task_ids` (numbers in `TASK_NAMES`, -1 on padding).
    """
    padding = {
        "decoder_input_ids": pad_token_id,
        "labels": IGNORE_INDEX,
        "decoder_sequence_ids": 0,
        "decoder_position_ids": 0,
        "decoder_language_ids": 0,
        "task_ids": -1,
    }
    columns: dict[str, list[list[int]]] = {name: [[] for _ in rows] for name in padding}
    for row, targets in enumerate(rows):
        for number, target in enumerate(targets, start=1):
            inputs = [*target.prompt, *target.token_ids]
            length = len(inputs)
            columns["decoder_input_ids"][row] += inputs
            unlabelled = [IGNORE_INDEX] * (len(target.prompt) - 1)
            columns["labels"][row] += [*unlabelled, *target.token_ids, eos_token_id]
            columns["decoder_sequence_ids"][row] += [number] * length
            columns["decoder_position_ids"][row] += range(length)
            columns["decoder_language_ids"][row] += [target.language_id] * length
            columns["task_ids"][row] += [target.task_id] * length
    packed = {name: pad_rows(columns[name], value, pad_to_multiple_of) for name, value in padding.items()}
    packed["decoder_modality_ids"] = torch.full_like(packed["labels"], TEXT)
    packed["decoder_source_ids"] = torch.ones_like(packed["labels"])
    return packed
