# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Vectors of recordings of any length and of texts in the shared space of an encoder.

Shapes: B batch, N encoder positions, D width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.inference.similarity import cosine_similarities, pool_states, unit_vectors
from mu2slam_hf.inference.windows import Window, cut_speech, open_recording
from mu2slam_hf.models.generation_settings import find_chunk_seconds
from mu2slam_hf.models.modules_capabilities import capabilities_of
from mu2slam_hf.models.modules_lengths import group_by_size
from mu2slam_hf.models.modules_speech_inputs import speech_input_name

# Short recordings are sorted by length and encoded when there are this many batches.
_POOLED_BATCHES = 32

SPEECH, TEXT = "speech", "text"
ALL_LAYERS: Literal["all"] = "all"
"""In place of the number of a layer: the states of all layers, which one pass gives."""
Languages = str | Sequence[str | None] | None
Layer = int | Literal["all"] | None


@dataclass(frozen=True, kw_only=True)
class EncodedBatch:
    """States of one batch of items.

    Attributes:
        indices: positions of the items in the input list.
        states: `(B, N, D)`; of all layers, `(B, N, layers, D)`.
        attention_mask: `(B, N)`, 1 on real positions; None when nothing is padded.
        is_complete: False if more states of the (only) item follow in the next batch.
    """

    indices: list[int]
    states: Tensor
    attention_mask: Tensor | None
    is_complete: bool = True


def find_encoder(model: Any) -> Any:
    """The shared encoder of speech and text of an encoder-decoder or a CTC model, or the model itself."""
    base = model.base_model
    return getattr(base, "encoder", base)


def encode_pieces(
    model: Any,
    processor: Any,
    *,
    audio: Sequence[Any] | None = None,
    text: Sequence[str] | None = None,
    layer: Layer = None,
    source_lang: Languages = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> Iterator[EncodedBatch]:
    """Encoder states of recordings or texts; the states of an item do not depend on its batch.

    A recording longer than the model's chunk length (see `find_chunk_seconds`) is read in windows between its pauses.
    Its states come in several batches, one for each window, in order.

    Args:
        model: any model of the package with a shared encoder, in evaluation mode.
        processor: its processor.
        audio: recordings, in any form that `load_audio` accepts; or
        text: texts. Exactly one of both must be given.
        layer: states after this layer of the encoder (0: the input of the first layer; negative: from the end); None
            means the output, "all" all of them. If text enters an encoder after some layers, it has no states before
            them.
        source_lang: code or one per item; None means unknown.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Raises:
        ValueError: as in `prepare_batches`, or the layer is out of range.
        AudioError: a recording that cannot be read.
    """
    sizes: dict[str, Any] = {"layer": layer, "batch_seconds": batch_seconds, "batch_size": batch_size}
    if audio is None:
        yield from encode_whole(model, processor, text=text, source_lang=source_lang, **sizes)
        return
    if text is not None:
        raise ValueError("expected exactly one of `audio` and `text`")
    languages = _language_of_each(source_lang, len(audio))
    chunk_seconds = find_chunk_seconds(model)
    pool: list[int] = []
    waves: list[Any] = []

    def encode_pool() -> Iterator[EncodedBatch]:
        chosen = [languages[index] for index in pool]
        for batch in encode_whole(model, processor, audio=waves, source_lang=chosen, **sizes):
            yield replace(batch, indices=[pool[position] for position in batch.indices])
        pool.clear()
        waves.clear()

    for index, source in enumerate(audio):
        recording = open_recording(source, chunk_seconds)
        if isinstance(recording, np.ndarray):
            pool.append(index)
            waves.append(recording)
            if sum(map(len, waves)) > _POOLED_BATCHES * batch_seconds * SAMPLING_RATE:
                yield from encode_pool()
            continue
        waiting: EncodedBatch | None = None
        for states in _encode_windows(
            model, processor, cut_speech(recording, chunk_seconds), source_lang=languages[index], **sizes
        ):
            if waiting is not None:
                yield waiting
            waiting = EncodedBatch(indices=[index], states=states[None], attention_mask=None, is_complete=False)
        assert waiting is not None  # there is at least one window
        yield replace(waiting, is_complete=True)
    if pool:
        yield from encode_pool()


def _encode_windows(
    model: Any,
    processor: Any,
    windows: Iterator[Window],
    *,
    source_lang: str | None,
    batch_seconds: float,
    **options: Any,
) -> Iterator[Tensor]:
    """The states `(n, D)` of each window between its cuts, in order."""
    while group := list(_take_seconds(windows, batch_seconds)):
        waves, results = [window.waveform for window in group], {}
        for batch in encode_whole(
            model, processor, audio=waves, source_lang=source_lang, batch_seconds=batch_seconds, **options
        ):
            mask = batch.attention_mask
            for row, place in enumerate(batch.indices):
                length = batch.states.shape[1] if mask is None else int(mask[row].sum())
                results[place] = batch.states[row, :length]
        for place, window in enumerate(group):
            per_sample = len(results[place]) / len(window.waveform)
            first = round(window.core_start * per_sample)
            yield results[place][first : max(first + 1, round(window.core_stop * per_sample))]


def _take_seconds(windows: Iterator[Window], seconds: float) -> Iterator[Window]:
    """The next windows, up to about this many seconds."""
    taken = 0.0
    for window in windows:
        yield window
        taken += len(window.waveform) / SAMPLING_RATE
        if taken >= seconds:
            return


def encode_whole(
    model: Any,
    processor: Any,
    *,
    text: Sequence[str] | None = None,
    layer: Layer = None,
    **options: Any,
) -> Iterator[EncodedBatch]:
    """As `encode_pieces`, but recordings are not cut, whatever their length.

    Args:
        model: any model of the package with a shared encoder, in evaluation mode; or one that pools by itself, whose
            vector of an item is its only state.
        processor: its processor.
        text: texts, if the items are not recordings.
        layer: see `encode_pieces`.
        **options: `audio`, `source_lang`, `batch_seconds` and `batch_size` of `prepare_batches`.

    Raises:
        ValueError: as in `prepare_batches`, or the layer is out of range.
        AudioError: a recording that cannot be read.
    """
    pools = capabilities_of(model).pools
    if pools and layer is not None:
        raise ValueError(f"{type(model).__name__} gives one vector of each item; leave the layer out")
    encoder = model if pools else find_encoder(model)
    for indices, inputs in prepare_batches(model, processor, text=text, **options):
        with torch.no_grad():
            if pools:
                vectors = encoder(**inputs, return_dict=True).pooler_output
                yield EncodedBatch(indices=indices, states=vectors[:, None], attention_mask=None)
                continue
            outputs = encoder(**inputs, output_hidden_states=layer is not None, return_dict=True)
        states, mask = outputs.last_hidden_state, getattr(outputs, "attention_mask", None)
        if layer == ALL_LAYERS:
            states = torch.stack(outputs.hidden_states, dim=2)
        elif layer is not None:
            # In mSLAM, text enters after the speech layers.
            first = 0 if text is None else getattr(encoder.config, "num_speech_layers", 0)
            every = outputs.hidden_states
            index = layer - first if layer >= 0 else layer + len(every)
            if not 0 <= index < len(every):
                raise ValueError(
                    f"layer {layer} is out of range: this input passes through the layers {first + 1} to "
                    f"{first + len(every) - 1} ({first} is their input)"
                )
            states = every[index]
        yield EncodedBatch(indices=indices, states=states, attention_mask=mask)


def prepare_batches(
    model: Any,
    processor: Any,
    *,
    audio: Sequence[Any] | None = None,
    text: Sequence[str] | None = None,
    source_lang: Languages = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Batches of model inputs for recordings or texts of similar length, with the positions of their items.

    Args:
        model: model of the inputs.
        processor: its processor.
        audio: recordings, in any form that `load_audio` accepts (paths, arrays at 16 kHz, bytes, ...); or
        text: texts. Exactly one of both must be given.
        source_lang: code or one per item; None means unknown.
        batch_seconds: maximum seconds of audio in a batch, including padding.
        batch_size: maximum number of items in a batch.

    Raises:
        ValueError: not exactly one of audio and text is given, or a text is empty.
        AudioError: a recording that cannot be read.
    """
    if (audio is None) == (text is None):
        raise ValueError("expected exactly one of `audio` and `text`")
    items: Sequence[Any]
    if audio is not None:
        items = [load_audio(item) for item in audio]
        sizes, budget = [len(wave) for wave in items], batch_seconds * SAMPLING_RATE
    else:
        items = list(text or ())
        sizes, budget = [len(item) for item in items], float("inf")
        if 0 in map(len, map(str.strip, items)):
            raise ValueError(f"text[{[item.strip() for item in items].index('')}] is empty")
    languages = _language_of_each(source_lang, len(items))
    for indices in group_by_size(sizes, budget, batch_size):
        chosen = [items[index] for index in indices]
        source: dict[str, Any] = {"text" if audio is None else "audio": chosen}
        spoken = [languages[index] for index in indices]
        if capabilities_of(model).pools:
            source |= {"language": spoken} | ({} if audio is None else {"sampling_rate": SAMPLING_RATE})
            yield indices, dict(processor(**source).to(model.device))
            continue
        inputs = prepare_inputs(model, processor, **source)
        if any(language is not None for language in spoken):
            rows = [processor.language_row(language) for language in spoken]
            inputs["language_ids"] = torch.tensor(rows, device=model.device)
        yield indices, inputs


def _language_of_each(source_lang: Languages, number: int) -> Sequence[str | None]:
    if source_lang is None or isinstance(source_lang, str):
        return [source_lang] * number
    if len(source_lang) != number:
        raise ValueError(f"got {len(source_lang)} languages for {number} items; pass one code or one per item")
    return source_lang


def prepare_inputs(
    model: Any, processor: Any, *, audio: Sequence[Any] | None = None, text: Sequence[str] | None = None
) -> dict[str, Any]:
    """Model inputs of one batch, on the device and with the dtype of the model.

    Args:
        model: model of the inputs.
        processor: its processor.
        audio: 16 kHz arrays `(samples,)`; or
        text: texts.
    """
    if audio is None:
        return dict(processor(text=list(text or ()), return_tensors="pt").to(model.device))
    inputs = dict(processor(audio=list(audio), sampling_rate=SAMPLING_RATE, return_tensors="pt").to(model.device))
    name = speech_input_name(inputs)
    return {**inputs, name: inputs[name].to(model.dtype)}


class SpeechTextEncoder:
    """Vectors of recordings and of texts, and their similarity.

    Mean pooling over the real positions, in float32; a recording longer than the model's chunk length is read in
    windows between its pauses. How well speech and text share one space depends on the training of the model: measure
    it with `mu2slam retrieve` first.

    Args:
        model: `Mu2SLAMForConditionalGeneration`, `Mu2SLAMModel`, `Mu2SLAMForCTC`, or another model with a shared
            encoder; it is set to evaluation mode.
        processor: its processor.
        layer: see `encode_pieces`; None means the output of the encoder. With "all", vectors are `(n, layers, D)`.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Attributes:
        centers: mean vectors by modality, subtracted before comparison; see `fit_centers`.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        layer: Layer = None,
        batch_seconds: float = 60.0,
        batch_size: int = 32,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.layer = layer
        self.batch_seconds = batch_seconds
        self.batch_size = batch_size
        self.centers: dict[str, Tensor] = {}

    def encode_speech(self, audio: Sequence[Any], source_lang: Languages = None, *, normalize: bool = False) -> Tensor:
        """Vectors `(n, D)` float32 of recordings (paths, arrays at 16 kHz, bytes, ...), on the CPU.

        Args:
            audio: the recordings.
            source_lang: code or one per item; None means unknown.
            normalize: whether to subtract the centre (if fitted) and normalise to length 1.
        """
        return self._encode(SPEECH, normalize, audio=audio, source_lang=source_lang)

    def encode_text(self, text: Sequence[str], source_lang: Languages = None, *, normalize: bool = False) -> Tensor:
        """Vectors `(n, D)` float32 of texts, on the CPU; arguments as in `encode_speech`."""
        return self._encode(TEXT, normalize, text=text, source_lang=source_lang)

    def fit_centers(self, speech: Tensor | None = None, text: Tensor | None = None) -> "SpeechTextEncoder":
        """Store the mean of vectors `(n, D)` of each modality (not necessarily pairs). Returns self."""
        for name, vectors in ((SPEECH, speech), (TEXT, text)):
            if vectors is not None:
                self.centers[name] = vectors.mean(dim=0)
        return self

    def similarity(self, speech: Tensor, text: Tensor) -> Tensor:
        """Cosines `(Q, C)` of speech vectors `(Q, D)` and text vectors `(C, D)`, after subtraction of the centres.

        Of a model that pools by itself, the dot products, for which it was trained.
        """
        if capabilities_of(self.model).pools:
            return speech @ text.T
        return cosine_similarities(
            unit_vectors(speech, self.centers.get(SPEECH)), unit_vectors(text, self.centers.get(TEXT))
        )

    def _encode(self, modality: str, normalize: bool, **source: Any) -> Tensor:
        if isinstance(source.get("text"), str):
            raise ValueError("text must be a list of str, got one str")
        vectors: dict[int, Tensor] = {}
        sizes: dict[str, Any] = {"batch_seconds": self.batch_seconds, "batch_size": self.batch_size}
        # Of a long recording: the means of its pieces, and their numbers of states.
        parts: list[tuple[Tensor, int]] = []
        for batch in encode_pieces(self.model, self.processor, layer=self.layer, **source, **sizes):
            pooled = pool_states(batch.states.flatten(2), batch.attention_mask).cpu()
            pooled = pooled.unflatten(1, batch.states.shape[2:])
            if parts or not batch.is_complete:
                parts.append((pooled[0], batch.states.shape[1]))
                if not batch.is_complete:
                    continue
                total = sum(number for _, number in parts)
                pooled = torch.stack([mean * (number / total) for mean, number in parts]).sum(dim=0, keepdim=True)
                parts = []
            vectors.update(zip(batch.indices, pooled, strict=True))
        if not vectors:
            raise ValueError("nothing to encode: the list is empty")
        stacked = torch.stack([vectors[index] for index in range(len(vectors))])
        return unit_vectors(stacked, self.centers.get(modality)) if normalize else stacked
