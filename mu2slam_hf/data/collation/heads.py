# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation for heads on an encoder: recordings or texts with one target each, a class or a transcript.

Legend: B = items, T = frames (or samples) that the front end reads, L = tokens of the longest text.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.data.collation.collator import SpeechTextCollator
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.models.modules_losses import IGNORE_INDEX


class HeadCollator(SpeechTextCollator):
    """Collates items with one target each for a model with one head; a batch has one source modality.

    Speech: `input_features` `(B, T, M)` float32 (front end `waveform`: `input_values` `(B, T)`); text: `input_ids`
    `(B, L)` int64 with `</s>`, a pair of texts as `first </s> second </s>`. Both: `attention_mask`, 1 on real
    positions, and `labels`: `(B,)` int64 classes, or for CTC `(B, L)` transcripts without `</s>` and `<unk>`, -100 as
    padding. A transcript that needs more encoder frames than its recording has is counted, logged (the first few) and
    left out. `record_ids`: ids of the examples, in the order of the rows. For CTC also `source_language_labels`
    `(B,)`: rows of the languages of the processor, -100 if unknown. Without usable items the batch is one silent
    utterance with the label -100.

    Args:
        processor: processor with `feature_extractor` and `tokenizer`.
        labels: names of the classes, in the order of their numbers: the text of a target is one of them; None for
            transcripts.
        max_symbols_per_frame: maximum number of labels of an encoder frame, for a transducer; None: that of CTC.
        kwargs: as in `SpeechTextCollator`.
    """

    def __init__(
        self,
        processor: Any,
        *,
        labels: Sequence[str] | None = None,
        max_symbols_per_frame: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(processor, **kwargs)
        self.max_symbols_per_frame = max_symbols_per_frame
        self.label2id = None if labels is None else {label: number for number, label in enumerate(labels)}

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items.

        Raises:
            ValueError: speech and text in one batch, or an unknown class.
        """
        usable = [item for item in items if item.error is None]
        modalities = {item.drawn.example.source_modality for item in usable}
        if len(modalities) > 1:
            raise ValueError("expected sources of one modality in a batch, got recordings and texts")
        if modalities == {"text"}:
            examples = [item.drawn.example for item in usable]
            texts = [example.source_text or "" for example in examples]
            source = self.read_texts(texts, [example.second_text for example in examples])
        else:
            source = self.read_speech(usable)
        ids = [item.drawn.example.id for item in usable]
        targets = [item.drawn.targets[0].text for item in usable]
        if self.label2id is not None:
            return {**source, "labels": self._classes(targets, ids), "record_ids": ids}
        labels = self._transcripts(targets, self.count_frames(source), ids)
        languages = self._spoken_languages([item.drawn.example.source_lang for item in usable])
        return {**source, "labels": labels, "source_language_labels": languages, "record_ids": ids}

    def _spoken_languages(self, languages: Sequence[str]) -> Tensor:
        rows = [row or IGNORE_INDEX for row in self.known_rows(languages)]
        return torch.tensor(rows or [IGNORE_INDEX], dtype=torch.int64)

    def _transcripts(self, texts: Sequence[str], num_frames: Sequence[int], ids: Sequence[str]) -> Tensor:
        rows = [
            self.transcripts.keep_fitting(self.without_unknown(row), length, example_id, self.max_symbols_per_frame)
            for row, length, example_id in zip(self.encode(texts), num_frames, ids, strict=False)
        ]
        return self.pad(rows, IGNORE_INDEX)

    def _classes(self, names: Sequence[str], ids: Sequence[str]) -> Tensor:
        assert self.label2id is not None
        for name, example_id in zip(names, ids, strict=True):
            if name not in self.label2id:
                raise ValueError(f"{example_id}: expected one of the classes {', '.join(self.label2id)}, got {name!r}")
        return torch.tensor([self.label2id[name] for name in names] or [IGNORE_INDEX], dtype=torch.int64)
