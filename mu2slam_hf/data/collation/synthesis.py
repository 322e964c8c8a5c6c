# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation for the speech synthesizer: crops of recordings as speech ids, log-mel frames and samples.

Legend: B = items, N = ids of the longest crop, T = 4 N log-mel frames, M = mel bins, S = 640 N samples.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.data.collation.padding import pad_rows
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.models.configuration_speech_synthesizer import FRAMES_PER_ID, SAMPLES_PER_ID
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.processing_speech_output import language_row, speaker_row


class SynthesisCollator:
    """Collates recordings for `SpeechSynthesizerModel`.

    `input_ids` `(B, N)` int64, 0 on padding, `attention_mask` `(B, N)`, `language_ids` and `speaker_ids` `(B,)`,
    `labels` `(B, T, M)` float32 log-mel frames, `waveforms` `(B, S)` float32 and `record_ids`. A recording is filled
    up by zeros to whole ids; its ids and its log-mel frames are those of the whole recording, so that a crop has no
    edges that a recording does not have. Draws without a language (`DrawOptions.undetermined_source_ratio`) have no
    voice either. Without usable items the batch is one row of padding.

    Args:
        processor: processor with the feature extractor of the log-mel frames.
        config: configuration of the synthesizer, with its languages and voices.
        find_ids: speech ids of the recording of an item's record.
        find_speaker: voice of a record, None if it has none.
        crop_ids: length of a crop in ids; None for whole recordings. Its place is a function of the seed, the example
            and its epoch and copy.
        seed: seed of the draws.
    """

    def __init__(
        self,
        processor: Any,
        config: Any,
        *,
        find_ids: Callable[[Any], Sequence[int] | None],
        find_speaker: Callable[[Any], str | None],
        crop_ids: int | None = None,
        seed: int = 0,
    ) -> None:
        self.feature_extractor, self.config = processor.feature_extractor, config
        self.find_ids, self.find_speaker = find_ids, find_speaker
        self.crop_ids, self.seed = crop_ids, seed

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items.

        Raises:
            ValueError: the ids of a recording do not match its length.
        """
        usable = [item for item in items if item.error is None]
        crops = [self._crop(item) for item in usable]
        length = max([len(ids) for ids, _, _ in crops], default=1)
        labels = torch.zeros(max(1, len(crops)), length * FRAMES_PER_ID, self.config.num_mel_bins)
        waveforms = torch.zeros(len(labels), length * SAMPLES_PER_ID)
        for number, (_, frames, samples) in enumerate(crops):
            labels[number, : len(frames)] = frames
            waveforms[number, : len(samples)] = samples
        rows = [self._rows(item) for item in usable] or [(0, 0)]
        languages, speakers = torch.tensor(rows, dtype=torch.int64).unbind(dim=1)
        return {
            "input_ids": pad_rows([ids for ids, _, _ in crops], 0),
            "attention_mask": pad_rows([[1] * len(ids) for ids, _, _ in crops], 0),
            "language_ids": languages.clone(),
            "speaker_ids": speakers.clone(),
            "labels": labels,
            "waveforms": waveforms,
            "record_ids": [item.drawn.example.id for item in usable],
        }

    def _rows(self, item: Item) -> tuple[int, int]:
        """Rows of the language and of the voice of an item."""
        if item.drawn.source_lang == UNDETERMINED:
            return 0, 0
        speaker = self.find_speaker(item.drawn.example.record)
        return language_row(self.config, item.drawn.source_lang), speaker_row(self.config, speaker or UNDETERMINED)

    def _crop(self, item: Item) -> tuple[list[int], torch.Tensor, torch.Tensor]:
        """Ids, log-mel frames and samples of the crop of an item."""
        waveform, found = item.waveform, self.find_ids(item.drawn.example.record)
        assert waveform is not None
        ids = [] if found is None else [int(entry) for entry in found]
        expected = -(-len(waveform) // SAMPLES_PER_ID)
        if len(ids) != expected:
            raise ValueError(
                f"{item.drawn.example.id}: expected {expected} ids for {len(waveform)} samples, got {len(ids)}"
            )
        padded = np.zeros(expected * SAMPLES_PER_ID, dtype=np.float32)
        padded[: len(waveform)] = waveform
        frames = self.feature_extractor(padded, sampling_rate=SAMPLING_RATE)["input_features"][0]
        start, length = 0, expected
        if self.crop_ids is not None and expected > self.crop_ids:
            drawn = item.drawn
            generator = draw_generator(self.seed, drawn.key, drawn.example.id, "crop")
            start, length = int(generator.integers(expected - self.crop_ids + 1)), self.crop_ids
        rows = slice(start * FRAMES_PER_ID, (start + length) * FRAMES_PER_ID)
        samples = torch.from_numpy(padded[start * SAMPLES_PER_ID : (start + length) * SAMPLES_PER_ID])
        return ids[start : start + length], frames[rows], samples
