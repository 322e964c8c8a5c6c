# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Comparison of an exported model with the one in PyTorch that it was made from.

Shapes: B batch, N encoder positions, D width, V vocabulary, G languages.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from mu2slam_hf.models.generation_settings import find_chunk_seconds
from mu2slam_hf.models.modules_capabilities import EncodedSpeech

MAX_DIFFERENCE = 1e-4
"""Allowed between states in float32, and between posteriors."""
MAX_CHANGED_TOKENS = 0.1
"""Share of tokens that weights in 8 bits may change."""
_BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class ExportCheck:
    """Result of the comparison.

    Attributes:
        num_recordings: recordings compared.
        seconds: their length, up to the longest piece that the model reads at once.
        states: largest difference of encoder states.
        ctc_posteriors: largest difference of CTC posteriors.
        language_posteriors: largest difference of probabilities of languages.
        num_ctc_texts: recordings with the same best path of CTC.
        num_texts: recordings with the same transcript, by the search that is stored with the model.
        changed_tokens: edits from the transcripts in PyTorch to the others, per token.
    """

    num_recordings: int
    seconds: float
    states: float
    ctc_posteriors: float
    language_posteriors: float
    num_ctc_texts: int
    num_texts: int
    changed_tokens: float

    def find_failures(self, dtype: str) -> list[str]:
        """What is wrong with an export of this type; empty if it passes."""
        if dtype == "int8":
            limits = {"share of changed tokens": (self.changed_tokens, MAX_CHANGED_TOKENS)}
        else:
            limits = {
                "difference of encoder states": (self.states, MAX_DIFFERENCE),
                "difference of CTC posteriors": (self.ctc_posteriors, MAX_DIFFERENCE),
                "difference of language probabilities": (self.language_posteriors, MAX_DIFFERENCE),
                "CTC texts that differ": (self.num_recordings - self.num_ctc_texts, 0),
                "transcripts that differ": (self.num_recordings - self.num_texts, 0),
            }
        return [
            f"{name}: {value:.2g}, expected at most {limit:.2g}"
            for name, (value, limit) in limits.items()
            if not value <= limit
        ]

    def describe(self) -> dict[str, Any]:
        """The result as JSON types."""
        return asdict(self)


def build_sounds(sampling_rate: int) -> list[np.ndarray]:
    """Sounds for a comparison without recordings: noise with tones of 0.1 s, 1.37 s and 3.01 s."""
    generator = np.random.default_rng(0)
    sounds = []
    for seconds, pitch in ((3.01, 140.0), (1.37, 220.0), (0.1, 180.0)):
        times = np.arange(round(seconds * sampling_rate)) / sampling_rate
        tones = sum(np.sin(2 * np.pi * pitch * (1 + 0.2 * np.sin(7 * times)) * k * times) / k for k in range(1, 12))
        sounds.append((0.05 * tones * np.sin(9 * times) + 0.01 * generator.normal(size=len(times))).astype(np.float32))
    return sounds


@torch.no_grad()
def compare_models(model: Any, exported: Any, processor: Any, waveforms: Sequence[np.ndarray]) -> ExportCheck:
    """Compare two models on recordings, of which the longest piece that the model reads at once is used.

    Args:
        model: the model in PyTorch.
        exported: the other one.
        processor: processor of both.
        waveforms: `(n,)` samples of each recording.
    """
    rate = processor.feature_extractor.sampling_rate
    longest = round(find_chunk_seconds(model) * rate)
    pieces = sorted((waveform[:longest] for waveform in waveforms), key=len, reverse=True)
    largest = {"states": 0.0, "ctc_posteriors": 0.0, "language_posteriors": 0.0}
    num_ctc_texts = num_texts = num_edits = num_tokens = 0
    for start in range(0, len(pieces), _BATCH_SIZE):
        batch = pieces[start : start + _BATCH_SIZE]
        expected, actual = (_encode(one, processor, batch) for one in (model, exported))
        for name, difference in _differences(expected, actual).items():
            largest[name] = max(largest[name], difference)
        lengths = expected.frame_mask.sum(-1).tolist()
        paths = [_best_paths(one, lengths, model.config.pad_token_id) for one in (expected, actual)]
        num_ctc_texts += sum(first == second for first, second in zip(*paths, strict=True))
        texts = [_write(one, encoded, lengths) for one, encoded in ((model, expected), (exported, actual))]
        for first, second in zip(*texts, strict=True):
            num_texts += first == second
            num_edits += Levenshtein.distance(first, second)
            num_tokens += len(first)
    return ExportCheck(
        num_recordings=len(pieces),
        seconds=round(sum(map(len, pieces)) / rate, 2),
        num_ctc_texts=num_ctc_texts,
        num_texts=num_texts,
        changed_tokens=num_edits / max(num_tokens, 1),
        **largest,
    )


def _encode(model: Any, processor: Any, waveforms: Sequence[np.ndarray]) -> EncodedSpeech:
    rate = processor.feature_extractor.sampling_rate
    inputs = processor(audio=list(waveforms), sampling_rate=rate, return_tensors="pt")
    rows = torch.zeros(len(waveforms), dtype=torch.int64)
    encoded: EncodedSpeech = model.encode_speech(inputs[model.main_input_name], inputs["attention_mask"], rows)
    return encoded


def _differences(expected: EncodedSpeech, actual: EncodedSpeech) -> dict[str, float]:
    """Largest differences on frames of the recordings, by the names in `ExportCheck`."""
    real = expected.frame_mask.bool()

    def compare(first: Tensor, second: Tensor) -> float:
        return float((first - second).abs().max())

    assert expected.ctc_logits is not None and actual.ctc_logits is not None
    assert expected.language_logits is not None and actual.language_logits is not None
    return {
        "states": compare(expected.states[real], actual.states[real]),
        "ctc_posteriors": compare(expected.ctc_logits[real].softmax(-1), actual.ctc_logits[real].softmax(-1)),
        "language_posteriors": compare(expected.language_logits.softmax(-1), actual.language_logits.softmax(-1)),
    }


def _best_paths(encoded: EncodedSpeech, lengths: Sequence[int], blank: int) -> list[list[int]]:
    assert encoded.ctc_logits is not None
    rows = zip(encoded.ctc_logits.argmax(-1), lengths, strict=True)
    paths = [torch.unique_consecutive(row[: int(length)]) for row, length in rows]
    return [path[path != blank].tolist() for path in paths]


def _write(model: Any, encoded: EncodedSpeech, lengths: Sequence[int]) -> list[list[int]]:
    """Tokens of the transcripts without padding, by the search that is stored with the model."""
    nothing = [None] * len(lengths)
    states = [row[: int(length)] for row, length in zip(encoded.states, lengths, strict=True)]
    ids = model.write_tokens(states, nothing, source_langs=nothing, target_langs=nothing)
    return [[token for token in row if token != model.config.pad_token_id] for row in ids]
