# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Identification of spoken or written languages with the language head of a model.

The input of the head is the mean encoder state of speech or text; supervised training trains it on both. A recording
longer than the model's chunk length is read in windows, whose probabilities are averaged.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, FloatArray
from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.data.sound_features import measure_sound
from mu2slam_hf.inference.language_average import LanguageAverage
from mu2slam_hf.inference.no_speech import NoSpeechSettings, measure_ctc
from mu2slam_hf.inference.representations import EncodedBatch, encode_whole, prepare_batches
from mu2slam_hf.inference.windows import RecordingEnd, cut_windows
from mu2slam_hf.models.generation_settings import find_chunk_seconds, find_min_language_probability
from mu2slam_hf.models.generation_tokens import exclude_from_ctc, excluded_tokens
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language

# Windows are sorted by length and read together when there are this many batches.
_POOLED_BATCHES = 4


REFUSED = UNDETERMINED
"""The prediction if no language is probable enough."""


@dataclass(frozen=True, kw_only=True)
class LanguageGuess:
    """Prediction of the language head for one item.

    Attributes:
        lang: the most probable language, or `und` if its probability is too low or nothing is said.
        probabilities: probabilities of all languages of the model, in descending order; they sum to 1. Empty if
            nothing is said.
        has_speech: False for a recording without speech, by the `NoSpeechSettings` of the model.
    """

    lang: str
    probabilities: Mapping[str, float]
    has_speech: bool = True

    def top(self, number: int) -> dict[str, float]:
        """The `number` most probable languages."""
        return dict(list(self.probabilities.items())[:number])


def predict_languages(
    model: Any,
    processor: Any,
    *,
    audio: Sequence[Any] | None = None,
    text: Sequence[str] | None = None,
    min_probability: float | None = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> list[LanguageGuess]:
    """Predict the language of each recording or text.

    A recording longer than the model's chunk length (see `find_chunk_seconds`) is cut into windows at its pauses. Its
    probabilities are the mean over the windows with speech, weighted by their seconds.

    Args:
        model: model with a language head (`Mu2SLAMForConditionalGeneration`), or a classifier of languages
            (`MSLAMForAudioClassification`, ...).
        processor: its processor.
        audio: recordings, in any form that `load_audio` accepts; or
        text: texts. Exactly one of both must be given.
        min_probability: the prediction is `und` if the most probable language is below it. For languages that were not
            in its training data, a head often predicts another language with high probability. None means
            `min_language_probability` of the generation configuration, else 0.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Raises:
        AudioError: a recording that cannot be read.
        ValueError: the model has no language head or no languages, or `audio` or `text` is a single item instead of a
            list.
    """
    for name, items in (("audio", audio), ("text", text)):
        # Every character of a path would be treated as a file.
        if isinstance(items, str | bytes | os.PathLike):
            raise ValueError(f"{name}: expected a list, got {type(items).__name__}; pass {name}=[...]")
    if (audio is None) == (text is None):
        raise ValueError("expected exactly one of `audio` and `text`")
    identifier = _Identifier(model, processor, min_probability, batch_seconds, batch_size)
    if audio is None:
        found = identifier.find_probabilities(text=list(text or ()))
        return [identifier.decide(probabilities) for probabilities, _ in found]
    guesses = []
    for guess in identifier.read(audio):
        if isinstance(guess, AudioError):
            raise guess
        guesses.append(guess)
    return guesses


def iterate_languages(
    model: Any,
    processor: Any,
    audio: Iterable[Any],
    *,
    min_probability: float | None = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> Iterator[LanguageGuess | AudioError]:
    """As `predict_languages`, one recording after the other, in bounded memory.

    Args:
        model: as in `predict_languages`.
        processor: its processor.
        audio: recordings, which are read when they are needed.
        min_probability: see `predict_languages`.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Yields:
        for each recording, in order, its language, or the error that tells why it cannot be read.

    Raises:
        ValueError: the model has no language head or no languages.
    """
    yield from _Identifier(model, processor, min_probability, batch_seconds, batch_size).read(audio)


class _Heard:
    """A recording whose language is being identified."""

    def __init__(self) -> None:
        self.languages = LanguageAverage()
        self.num_waiting = 0
        self.is_read = False
        self.error: AudioError | None = None


class _Identifier:
    """Collects windows of recordings, and runs the model on several of them together."""

    def __init__(
        self, model: Any, processor: Any, min_probability: float | None, batch_seconds: float, batch_size: int
    ) -> None:
        self.labels = list_languages(model)
        self.model = model.eval()
        self.processor = processor
        self.min_probability = find_min_language_probability(model, min_probability)
        self.chunk_seconds = find_chunk_seconds(model)
        self.no_speech = NoSpeechSettings.from_model(model)
        self.sizes: dict[str, Any] = {"batch_seconds": batch_seconds, "batch_size": batch_size}
        self.pool: list[tuple[_Heard, FloatArray, dict[str, float]]] = []

    def read(self, audio: Iterable[Any]) -> Iterator[LanguageGuess | AudioError]:
        """The languages of recordings, in order."""
        waiting: deque[_Heard] = deque()
        for source in audio:
            heard = _Heard()
            waiting.append(heard)
            try:
                self._cut(source, heard)
            except AudioError as error:
                heard.error = error
            while waiting and waiting[0].is_read and not waiting[0].num_waiting:
                yield self._conclude(waiting.popleft())
        self._run()
        yield from map(self._conclude, waiting)

    def _cut(self, source: Any, heard: _Heard) -> None:
        """Collect the windows of a recording that have sound."""
        try:
            blocks = stream_audio_source(source, SAMPLING_RATE)
            for window in cut_windows(blocks, SAMPLING_RATE, self.chunk_seconds):
                if isinstance(window, RecordingEnd):
                    continue
                level, features = measure_sound(window.waveform, SAMPLING_RATE)
                if self.no_speech.is_silent(level) or self.no_speech.score(features) <= 0:
                    continue
                self.pool.append((heard, window.waveform, features))
                heard.num_waiting += 1
                seconds = sum(len(waveform) for _, waveform, _ in self.pool) / SAMPLING_RATE
                if seconds >= _POOLED_BATCHES * self.sizes["batch_seconds"]:
                    self._run()
        finally:
            heard.is_read = True

    def _run(self) -> None:
        """Run the model on the windows that were collected."""
        pool, self.pool = self.pool, []
        results = self.find_probabilities(audio=[waveform for _, waveform, _ in pool]) if pool else []
        for (heard, waveform, features), (probabilities, ctc) in zip(pool, results, strict=True):
            heard.num_waiting -= 1
            if self.no_speech.score(features | ctc) > 0:
                heard.languages.add(probabilities, len(waveform) / SAMPLING_RATE)

    def _conclude(self, heard: _Heard) -> LanguageGuess | AudioError:
        return self.decide(heard.languages.probabilities()) if heard.error is None else heard.error

    def decide(self, probabilities: Mapping[str, float]) -> LanguageGuess:
        """The prediction for an item; without probabilities nothing is said."""
        if not probabilities:
            return LanguageGuess(lang=REFUSED, probabilities={}, has_speech=False)
        best, probability = next(iter(probabilities.items()))
        return LanguageGuess(
            lang=best if probability >= self.min_probability else REFUSED, probabilities=probabilities
        )

    @torch.no_grad()
    def find_probabilities(self, **source: Any) -> list[tuple[dict[str, float], dict[str, float]]]:
        """For each item, the probabilities of the languages in descending order, and what CTC says about speech."""
        # `und` is never predicted.
        places = [place for place, label in enumerate(self.labels) if label != UNDETERMINED]
        found: dict[int, tuple[dict[str, float], dict[str, float]]] = {}
        for indices, logits, features in self._batches(source):
            probabilities = logits[:, places].float().softmax(dim=-1).cpu()
            for row, index in enumerate(indices):
                order = probabilities[row].argsort(descending=True, stable=True).tolist()
                by_language = {self.labels[places[place]]: float(probabilities[row, place]) for place in order}
                found[index] = by_language, features[row]
        return [found[index] for index in range(len(found))]

    def _batches(self, source: dict[str, Any]) -> Iterator[tuple[list[int], torch.Tensor, list[dict[str, float]]]]:
        """Positions, logits of the languages, and features of CTC."""
        model = self.model
        if not hasattr(model, "compute_language_logits"):
            for indices, inputs in prepare_batches(model, self.processor, **source, **self.sizes):
                yield indices, model(**inputs, return_dict=True).logits, [{}] * len(indices)
            return
        for batch in encode_whole(model, self.processor, **source, **self.sizes):
            features: list[dict[str, float]] = [{}] * len(batch.indices)
            if "audio" in source and self.no_speech.weights:
                features = self._measure_ctc(batch)
            yield batch.indices, model.compute_language_logits(batch.states, batch.attention_mask), features

    def _measure_ctc(self, batch: EncodedBatch) -> list[dict[str, float]]:
        logits = self.model.compute_ctc_logits(batch.states).float()
        guessed = self.model.guess_language(batch.states, batch.attention_mask)
        log_probs = exclude_from_ctc(logits, excluded_tokens(self.model.config, guessed)).log_softmax(dim=-1).cpu()
        frames_per_second = SAMPLING_RATE / self.model.config.inputs_to_logits_ratio
        mask = batch.attention_mask
        lengths = [log_probs.shape[1]] * len(log_probs) if mask is None else mask.sum(dim=-1).tolist()
        blank = self.model.config.pad_token_id
        return [
            measure_ctc(row[: int(length)], blank, frames_per_second)
            for row, length in zip(log_probs, lengths, strict=True)
        ]


def list_languages(model: Any) -> list[str]:
    """The languages that a model can identify, in the order of its logits.

    Raises:
        ValueError: the model has no language head, its classes are not languages, or it has no languages.
    """
    if hasattr(model, "compute_language_logits"):
        labels = list(model.config.languages)
    elif type(model).__name__.endswith("Classification"):
        names = [model.config.id2label[place] for place in range(model.config.num_labels)]
        try:
            labels = [canonical_language(name) for name in names]
        except ValueError:
            raise ValueError(f"the classes of this model are not languages: {', '.join(names[:5])}") from None
    else:
        raise ValueError(
            f"{type(model).__name__} has no language head; use a Mu2SLAMForConditionalGeneration checkpoint, or a "
            "classifier with languages as classes"
        )
    if set(labels) <= {UNDETERMINED}:
        raise ValueError("this model has no languages: its table only contains 'und'")
    return labels
