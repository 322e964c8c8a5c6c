# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech ids for every encoder frame of a batch, for all kinds of speech tokenizers and frame rates.

Shapes: U utterances, n samples, N encoder frames, I ids of the tokenizer (25 per second).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.models.modeling_speech_encoders import IDS_PER_SECOND
from mu2slam_hf.models.modeling_speech_tokenizer import PADDING_ID, SpeechTokenizerModel
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.processing_speech_tokenizer import log_mel_extractor

CACHE_BYTES = 512 * 2**20
"""Maximum size of the cache of ids per process; at 50 bytes per second of speech about 3,000 hours."""


def spread_ids(ids: Tensor, num_frames: int, frames_per_id: float) -> Tensor:
    """One id for every encoder frame: the one at the centre of the frame.

    Choice: an encoder with 50 frames per second predicts every id twice. The same codebook can then be used for every
    encoder, and ids equal those of `encode_speech`; the disadvantage is that frames next to unmasked ones are easy to
    predict, as at the edge of every masked span.

    Args:
        ids: `(I,)` int64.
        num_frames: N.
        frames_per_id: number of encoder frames per 40 ms, 1 for the front end `conv2d`.

    Returns:
        `(N,)` int64; frames after the last id repeat it.
    """
    if frames_per_id == 1 and len(ids) == num_frames:
        return ids
    middles = (torch.arange(num_frames, device=ids.device, dtype=torch.float64) + 0.5) / frames_per_id
    return ids[middles.long().clamp(max=len(ids) - 1)]


class SpeechIds:
    """Computes `speech_token_ids` for a batch of `Mu2SLAMPreTrainingCollator`.

    If the tokenizer reads the log-mel features of the model, it is applied to the batch. Otherwise the batch contains
    waveforms; each recording is tokenized once, on its own, and its ids are cached: another encoder may take longer
    than a training step, and ids computed per recording do not depend on the batch, so that a resumed run uses the
    same ones.

    Args:
        tokenizer: frozen speech tokenizer with one codebook.
        encoder_config: configuration of the model's encoder; None means `conv2d`.
        max_bytes: maximum size of cached ids.
    """

    def __init__(self, tokenizer: SpeechTokenizerModel, encoder_config: Any = None, max_bytes: int = CACHE_BYTES):
        self.tokenizer, self.encoder_config, self.max_bytes = tokenizer, encoder_config, max_bytes
        samples_per_id = SAMPLING_RATE // IDS_PER_SECOND
        self.frames_per_id = 1.0 if encoder_config is None else samples_per_id / encoder_config.samples_per_frame
        self.extractor = log_mel_extractor(None, tokenizer.config.num_mel_bins)
        self.num_tokenized = 0
        self._kept: dict[str, Tensor] = {}
        self._num_bytes = 0

    def __call__(self, batch: Mapping[str, Any]) -> Tensor:
        """`(U, N)` int64, codebook entries, -100 on padding."""
        if "speech_tokenizer_waveforms" not in batch:
            ids: Tensor = self.tokenizer(batch["input_features"], batch["attention_mask"])
            return ids
        mask = batch["attention_mask"]
        lengths = encoder_length(mask.sum(dim=1), self.encoder_config).tolist()
        total = encoder_length(mask.shape[1], self.encoder_config)
        rows = [
            spread_ids(self._ids_of(key, waveform), length, self.frames_per_id)
            for key, waveform, length in zip(
                batch["speech_tokenizer_keys"], batch["speech_tokenizer_waveforms"], lengths, strict=True
            )
        ]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING_ID)
        return nn.functional.pad(padded, (0, total - padded.shape[1]), value=PADDING_ID).to(mask.device)

    def _ids_of(self, key: str, waveform: Tensor) -> Tensor:
        """`(I,)` int64 of a `(n,)` waveform, on the CPU."""
        if key in self._kept:
            return self._kept[key].long()
        ids = self.tokenize(waveform)
        self.num_tokenized += 1
        small = ids.to(torch.int16 if self.tokenizer.config.num_codevectors_per_group <= 2**15 else torch.int32)
        if self._num_bytes + small.nbytes <= self.max_bytes:
            self._kept[key] = small
            self._num_bytes += small.nbytes
        return ids

    def tokenize(self, waveform: Tensor) -> Tensor:
        """`(I,)` int64 of a `(n,)` waveform at 16 kHz, on the CPU."""
        if self.tokenizer.config.reads_waveforms:
            return self.tokenizer.tokenize_waveforms([waveform], sampling_rate=SAMPLING_RATE)[0].cpu()
        inputs = self.extractor([waveform.cpu().numpy()], sampling_rate=SAMPLING_RATE).to(self.tokenizer.device)
        return self.tokenizer(inputs["input_features"], inputs["attention_mask"])[0].cpu()
