# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings or texts with one target each, a class or a transcript: what heads on an encoder are fine-tuned with.

Legend: B = items, T = frames (or samples) that the front end reads, L = tokens of the longest text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mu2slam_hf.data.audio import SAMPLING_RATE, AudioCache, FloatArray
from mu2slam_hf.data.augmentation import limit_band
from mu2slam_hf.data.collation.supervised import IGNORED, SpeechInputs, TranscriptCheck
from mu2slam_hf.data.records import SpeechTextRecord


@dataclass(frozen=True, kw_only=True)
class HeadItem:
    """One source with its target.

    Attributes:
        id: key of the record.
        source: `(n,)` float32 waveform at 16 kHz, or a text.
        target: number of a class, or a transcript.
    """

    id: str
    source: FloatArray | str
    target: int | str


class HeadDataset(Dataset[HeadItem]):
    """Records of one modality with their targets.

    Args:
        records: with `audio`, or for the modality `text` with `text`.
        targets: one per record.
        modality: "speech" or "text".
        cache: keeps decoded audio; None for none.
        band_limit_hz: what recordings have above this is taken off; None for nothing.

    Raises:
        ValueError: another number of targets, a record without a source, or a limit beyond 0 to 8000 Hz.
    """

    def __init__(
        self,
        records: Sequence[SpeechTextRecord],
        targets: Sequence[int | str],
        *,
        modality: str = "speech",
        cache: AudioCache | None = None,
        band_limit_hz: float | None = None,
    ) -> None:
        if band_limit_hz is not None and not 0 < band_limit_hz <= SAMPLING_RATE / 2:
            raise ValueError(f"band_limit_hz must lie in (0, {SAMPLING_RATE // 2}], got {band_limit_hz}")
        if len(records) != len(targets):
            raise ValueError(f"{len(records)} records and {len(targets)} targets; they must be pairs")
        name = "audio" if modality == "speech" else "text"
        lacking = [record.key for record in records if not getattr(record, name)]
        if lacking:
            raise ValueError(f"{lacking[0]}: has no {name}")
        self.records, self.targets, self.modality = list(records), list(targets), modality
        self.band_limit_hz = band_limit_hz
        self._cache = AudioCache(max_bytes=0) if cache is None else cache

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> HeadItem:
        """One item.

        Raises:
            AudioError: the recording cannot be read; it is named.
        """
        record = self.records[index]
        if self.modality == "text":
            return HeadItem(id=record.key, source=record.text or "", target=self.targets[index])
        waveform = self._cache.load(record.audio, key=record.key, name=record.key)
        if self.band_limit_hz is not None:
            waveform = limit_band(waveform, self.band_limit_hz)
        return HeadItem(id=record.key, source=waveform, target=self.targets[index])


class HeadCollator:
    """Makes the inputs of a model with one head: sources of a batch are of one kind, and so are targets.

    Speech: `input_features` `(B, T, M)` float32 (front end `waveform`: `input_values` `(B, T)`); text: `input_ids`
    `(B, L)` int64 with `</s>`. Both: `attention_mask`, 1 on what is real, and `labels`: `(B,)` int64 classes, or
    `(B, L)` transcripts without `</s>` and `<unk>`, -100 as padding. A transcript that needs more encoder frames than
    its recording has is counted, named (the first few) and left out: CTC has no path for it.

    Args:
        processor: has `feature_extractor` and `tokenizer`.
        encoder_config: of the model, names its front end; None for `conv2d`.
    """

    def __init__(self, processor: Any, encoder_config: Any = None) -> None:
        self.tokenizer = processor.tokenizer
        self.speech = SpeechInputs(processor.feature_extractor, encoder_config)
        self._transcripts = TranscriptCheck()

    @property
    def num_ctc_too_long(self) -> int:
        """Transcripts so far, over all loader processes, that need more encoder frames than there are."""
        return self._transcripts.num_too_long

    def __call__(self, items: Sequence[HeadItem]) -> dict[str, Tensor]:
        """Collate items.

        Raises:
            ValueError: speech and text in one batch, or classes and transcripts.
        """
        batch = self._sources([item.source for item in items])
        is_speech = self.speech.name in batch
        return {**batch, "labels": self._labels(items, batch["attention_mask"].sum(dim=1) if is_speech else None)}

    def _sources(self, sources: Sequence[FloatArray | str]) -> dict[str, Tensor]:
        texts = [source for source in sources if isinstance(source, str)]
        if not texts:
            features, mask = self.speech.extract([np.asarray(source) for source in sources])
            return {self.speech.name: features, "attention_mask": mask}
        if len(texts) < len(sources):
            raise ValueError("a batch needs sources of one kind, got recordings and texts")
        rows = [[*ids, self.tokenizer.eos_token_id] for ids in self._encode(texts)]
        mask = _pad([[1] * len(row) for row in rows], 0)
        return {"input_ids": _pad(rows, self.tokenizer.pad_token_id), "attention_mask": mask}

    def _labels(self, items: Sequence[HeadItem], lengths: Tensor | None) -> Tensor:
        """Classes, or transcripts that fit into speech of `lengths` `(B,)` real places along T; None for no speech."""
        targets = [item.target for item in items]
        texts = [target for target in targets if isinstance(target, str)]
        if not texts:
            return torch.tensor(targets, dtype=torch.int64)
        if len(texts) < len(targets):
            raise ValueError("a batch needs targets of one kind, got classes and transcripts")
        unknown = self.tokenizer.unk_token_id
        rows = [[index for index in ids if index != unknown] for ids in self._encode(texts)]
        if lengths is not None:
            numbers = self.speech.num_frames(lengths).tolist()
            rows = [
                row if self._transcripts.fits(row, number, item.id) else []
                for row, number, item in zip(rows, numbers, items, strict=True)
            ]
        return _pad(rows, IGNORED)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return list(self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"])


def _pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """`(B, L)` int64, L at least 1."""
    longest = max(1, *(len(row) for row in rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=torch.int64)
