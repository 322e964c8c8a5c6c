# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Features of recordings for the training of codebooks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging

from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, load_audio
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_quantization import CodebookHealth, compute_codebook_health, count_codes
from mu2slam_hf.quantization.codebook_training import warn_of_collapse

logger = logging.get_logger(__name__)


class RecordedFeatures:
    """Features of recordings in several passes, shuffled in each pass; unreadable recordings are skipped.

    Args:
        records: records with audio and durations.
        feature_extractor: extractor of log-mel features.
        batch_seconds: seconds of speech per batch.
        max_bytes: maximum size of cached features; others are recomputed in each pass.
        seed: seed of the orders.
    """

    def __init__(
        self,
        records: Sequence[SpeechTextRecord],
        feature_extractor: Mu2SLAMFeatureExtractor,
        *,
        batch_seconds: float,
        max_bytes: int = 0,
        seed: int = 0,
    ) -> None:
        self.records = [record for record in records if record.audio is not None]
        self.feature_extractor = feature_extractor
        self.batch_seconds, self.max_bytes, self.seed = batch_seconds, max_bytes, seed
        self.failures: dict[str, str] = {}

    def batches(self, number: int) -> Iterator[list[SpeechTextRecord]]:
        """The recordings of a pass."""
        batch: list[SpeechTextRecord] = []
        seconds = 0.0
        for index in counter_generator(self.seed, "codebook", number).permutation(len(self.records)).tolist():
            batch.append(self.records[index])
            seconds += batch[-1].duration_seconds or 0.0
            if seconds >= self.batch_seconds:
                yield batch
                batch, seconds = [], 0.0
        if batch:
            yield batch

    def load(self, record: SpeechTextRecord) -> Any:
        """Waveform `(n,)` float32 at 16 kHz, or None if it cannot be read."""
        if record.key in self.failures:
            return None
        try:
            return load_audio(record.audio)
        except AudioError as error:
            logger.warning(f"skipped {record.key}: {error}")
            self.failures[record.key] = str(error)
            return None

    def log_mel(self, number: int) -> Iterator[Tensor]:
        """Batches of log-mel frames `(frames, M)`."""
        for batch in self.batches(number):
            waves = [wave for wave in map(self.load, batch) if wave is not None]
            if waves:
                inputs = self.feature_extractor(waves, sampling_rate=SAMPLING_RATE)
                yield inputs["input_features"][inputs["attention_mask"].bool()]

    def of(self, tokenizer: SpeechTokenizerModel) -> Callable[[int], Iterator[Tensor]]:
        """A function from the number of a pass to batches of the features that a tokenizer quantises."""
        kept: dict[str, Tensor] = {}
        num_bytes = 0

        def features(number: int) -> Iterator[Tensor]:
            nonlocal num_bytes
            for batch in self.batches(number):
                results = [kept[record.key] for record in batch if record.key in kept]
                loaded = [(r.key, self.load(r)) for r in batch if r.key not in kept]
                waves = {key: wave for key, wave in loaded if wave is not None}
                for key, frames in self._compute(tokenizer, waves):
                    results.append(frames)
                    if num_bytes + frames.nbytes <= self.max_bytes:
                        kept[key] = frames
                        num_bytes += frames.nbytes
                if results:
                    yield torch.cat(results)

        return features

    def _compute(self, tokenizer: SpeechTokenizerModel, waves: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """Features `(frames, F)` of each waveform, on the CPU."""
        if tokenizer.config.reads_waveforms:
            for key, wave in waves.items():
                speech = torch.from_numpy(wave)
                yield key, tokenizer.compute_features(waveforms=[speech], sampling_rate=SAMPLING_RATE).cpu()
            return
        device = tokenizer.quantizer.codebook.device
        # Sorted and in small groups, to minimise padding.
        keys = sorted(waves, key=lambda key: len(waves[key]))
        for start in range(0, len(keys), 8):
            group = keys[start : start + 8]
            inputs = self.feature_extractor([waves[key] for key in group], sampling_rate=SAMPLING_RATE).to(device)
            lengths = encoder_length(inputs["attention_mask"].sum(-1)).tolist()
            frames = tokenizer.compute_features(inputs["input_features"], inputs["attention_mask"]).cpu()
            yield from zip(group, frames.split(lengths), strict=True)


def measure_codebook(
    tokenizer: SpeechTokenizerModel, source: RecordedFeatures, frames_per_entry: int = 16
) -> list[CodebookHealth]:
    """Usage of the codebooks on a part of the training recordings; warns of a collapse.

    Args:
        tokenizer: a contrastive tokenizer.
        source: its training recordings.
        frames_per_entry: number of frames per entry to evaluate.
    """
    size = tokenizer.config.num_codevectors_per_group
    counts = torch.zeros(tokenizer.config.num_codevector_groups, size, dtype=torch.int64)
    for features in source.of(tokenizer)(0):
        ids = tokenizer.quantizer.find_codes(features).reshape(len(features), -1)
        counts += torch.stack([count_codes(column, size) for column in ids.T])
        if int(counts[0].sum()) >= frames_per_entry * size:
            break
    healths = [compute_codebook_health(row) for row in counts]
    warn_of_collapse(min(healths, key=lambda health: health.perplexity), "at the end of training")
    return healths
