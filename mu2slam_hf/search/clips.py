# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Clips of recordings and their vectors: pieces between pauses, short enough to hold one thing that was said.

Shapes: n clips, D width of a vector.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.inference.representations import SpeechTextEncoder
from mu2slam_hf.inference.similarity import unit_vectors
from mu2slam_hf.inference.windows import cut_speech, open_recording
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES
from mu2slam_hf.models.modules_capabilities import capabilities_of

Vectors = NDArray[np.float32]


_SAMPLED = 64


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A piece of a recording.

    Attributes:
        path: absolute path of the recording.
        start_seconds, end_seconds: place in it.
        language: spoken language, if it was given.
    """

    path: str
    start_seconds: float
    end_seconds: float
    language: str | None = None


@dataclass(frozen=True, kw_only=True)
class SearchHit(Clip):
    """A clip that was found; `score` is the dot product of its vector with that of the query."""

    score: float


def cut_recording(source: Any, max_seconds: float) -> Iterator[tuple[float, float, NDArray[np.float32]]]:
    """Start, end in seconds and waveform `(m,)` at 16 kHz of each clip of a recording, in order.

    Args:
        source: see `stream_audio_source`.
        max_seconds: a recording of at most this length is one clip.

    Raises:
        AudioError: the recording cannot be read.
    """
    recording = open_recording(source, max_seconds)
    if isinstance(recording, np.ndarray):
        yield 0.0, len(recording) / SAMPLING_RATE, recording
        return
    for window in cut_speech(recording, max_seconds):
        first, last = window.start_sample + window.core_start, window.start_sample + window.core_stop
        yield (
            first / SAMPLING_RATE,
            last / SAMPLING_RATE,
            window.waveform[window.core_start : window.core_stop],
        )


class ClipEncoder:
    """Vectors of clips and of queries, which are compared by their dot product.

    A model that pools by itself was trained for that. Of any other, the mean states of its encoder are compared as
    unit vectors, after subtraction of the mean of their modality; see `SpeechTextEncoder`.

    Args:
        model: a model with a shared encoder, or one that pools by itself.
        processor: its processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.encoder = SpeechTextEncoder(model, processor)
        self.is_centered = not capabilities_of(model).pools
        self._text_center: torch.Tensor | None = None

    def describe(self) -> dict[str, str]:
        """What vectors depend on: class and fingerprint of the weights, and how they are compared."""
        model = self.encoder.model
        weights = _fingerprint_weights(model)
        similarity = "cosine of centred vectors" if self.is_centered else "dot product"
        return {"model": type(model).__name__, "weights": weights, "similarity": similarity}

    def encode_clips(self, waveforms: Sequence[Any], languages: Sequence[str | None]) -> Vectors:
        """Vectors `(n, D)` as they are stored: not centred."""
        return np.asarray(self.encoder.encode_speech(waveforms, languages).numpy(), np.float32)

    def encode_query(
        self, speech_center: Vectors | None, *, text: str | None = None, audio: Any = None, language: str | None = None
    ) -> Vectors:
        """Vector `(D,)` of a sentence or a recording.

        Args:
            speech_center: mean of the vectors of all clips; None if they are not centred.
            text: the sentence; or
            audio: the recording.
            language: language of the query; None means unknown.

        Raises:
            ValueError: not exactly one of text and audio.
            AudioError: the recording cannot be read.
        """
        if (text is None) == (audio is None):
            raise ValueError("expected exactly one of a text and a recording as the query")
        if text is not None:
            vector = self.encoder.encode_text([text], language)[0].numpy()
            center = self._center_of_texts() if self.is_centered else None
        else:
            vector, center = self.encoder.encode_speech([audio], language)[0].numpy(), speech_center
        return prepare_vectors(vector[None], center)[0] if self.is_centered else np.asarray(vector, np.float32)

    def _center_of_texts(self) -> Vectors:
        """Mean vector of texts.

        Choice: of the names of languages. What matters is the part that all texts have in common, and a query is a
        single one.
        """
        if self._text_center is None:
            self._text_center = self.encoder.encode_text(list(LANGUAGE_NAMES.values())).mean(dim=0)
        return np.asarray(self._text_center.numpy(), np.float32)


def _fingerprint_weights(model: Any) -> str:
    """Hash of some weights of each parameter at equal distances, in bfloat16, which most types of weights share."""
    digest = blake2b(digest_size=16)
    for name, values in sorted(model.named_parameters()):
        flat = values.detach().flatten()
        chosen = flat[:: max(1, len(flat) // _SAMPLED)].to(torch.bfloat16).float().cpu()
        digest.update(name.encode() + chosen.numpy().tobytes())
    return digest.hexdigest()


def prepare_vectors(vectors: Vectors, center: Vectors | None) -> Vectors:
    """Unit vectors `(n, D)` after subtraction of a centre `(D,)`; None subtracts nothing."""
    tensor = torch.from_numpy(np.array(vectors, np.float32))
    return np.asarray(unit_vectors(tensor, None if center is None else torch.from_numpy(center)).numpy(), np.float32)
