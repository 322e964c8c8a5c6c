# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Identification of spoken or written languages with the language head of a model.

The input of the head is the mean encoder state of speech or text; supervised training trains it on both. A recording
longer than the model's chunk length is read in windows, whose probabilities are averaged.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mu2slam_hf.inference.language_average import LanguageAverage, language_probabilities
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.representations import prepare_batches
from mu2slam_hf.inference.window_loop import RecordingState, WindowLoop
from mu2slam_hf.inference.windows import Window
from mu2slam_hf.models.generation_settings import find_chunk_seconds, find_min_language_probability
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.models.modules_capabilities import capabilities_of

REFUSED = UNDETERMINED
"""The prediction if no language is probable enough."""


@dataclass(frozen=True, kw_only=True)
class LanguageGuess:
    """Prediction of the language head for one item.

    Attributes:
        lang: the most probable language, or `und` if its probability is too low or no speech was detected.
        probabilities: probabilities of all languages of the model, in descending order; they sum to 1. Empty if
            no speech was detected.
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
        batch_size: maximum number of texts in a batch.

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
    if audio is None:
        labels, threshold = list_languages(model), find_min_language_probability(model, min_probability)
        sizes: dict[str, Any] = {"batch_seconds": batch_seconds, "batch_size": batch_size}
        guesses_by_index: dict[int, LanguageGuess] = {}
        for indices, inputs in prepare_batches(model.eval(), processor, text=list(text or ()), **sizes):
            with torch.no_grad():
                logits = model.compute_languages(**inputs)
            for index, row in zip(indices, logits, strict=True):
                average = LanguageAverage()
                average.add(language_probabilities(row[None], labels)[0], 1.0)
                guesses_by_index[index] = _decide(average, threshold)
        return [guesses_by_index[index] for index in range(len(guesses_by_index))]
    guesses = []
    for guess in iterate_languages(
        model, processor, audio, min_probability=min_probability, batch_seconds=batch_seconds
    ):
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
) -> Iterator[LanguageGuess | AudioError]:
    """As `predict_languages`, one recording after the other, in bounded memory.

    Args:
        model: as in `predict_languages`.
        processor: its processor.
        audio: recordings, which are read when they are needed.
        min_probability: see `predict_languages`.
        batch_seconds: maximum seconds of audio in a batch.

    Yields:
        for each recording, in order, its language, or the error that says why it cannot be read.

    Raises:
        ValueError: the model has no language head or no languages.
    """
    identifier = _LanguageIdentifier(model.eval(), processor, min_probability, batch_seconds)
    yield from identifier.run(map(_Recording, audio))


class _Recording(RecordingState):
    """A recording whose language is being identified."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self.languages = LanguageAverage()


class _LanguageIdentifier(WindowLoop[_Recording, LanguageGuess]):
    """Encodes the windows of recordings together and averages the probabilities of those with speech."""

    def __init__(self, model: Any, processor: Any, min_probability: float | None, batch_seconds: float) -> None:
        list_languages(model)
        self.recognizer = WindowRecognizer(model, processor, batch_seconds=batch_seconds)
        self.min_probability = find_min_language_probability(model, min_probability)
        super().__init__(
            sampling_rate=self.recognizer.sampling_rate,
            chunk_seconds=find_chunk_seconds(model),
            batch_seconds=batch_seconds,
        )

    def process(self, pool: list[tuple[_Recording, Window]]) -> None:
        """Add the probabilities of windows with speech to their recordings."""
        results = self.recognizer.encode([window for _, window in pool])
        for (recording, _), result in zip(pool, results, strict=True):
            if result.has_speech and result.language_probabilities is not None:
                recording.languages.add(result.language_probabilities, result.num_samples / self.sampling_rate)

    def conclude(self, recording: _Recording) -> LanguageGuess:
        """The language of a recording."""
        return _decide(recording.languages, self.min_probability)


def _decide(languages: LanguageAverage, min_probability: float) -> LanguageGuess:
    """The prediction for an item; without probabilities no speech was detected."""
    probabilities = languages.probabilities()
    if not probabilities:
        return LanguageGuess(lang=REFUSED, probabilities={}, has_speech=False)
    best, probability = next(iter(probabilities.items()))
    return LanguageGuess(lang=best if probability >= min_probability else REFUSED, probabilities=probabilities)


def list_languages(model: Any) -> list[str]:
    """The languages that a model can identify, in the order of its logits.

    Raises:
        ValueError: the model has no language head, its classes are not languages, or it has no languages.
    """
    if not capabilities_of(model).identifies_languages:
        raise ValueError(
            f"{type(model).__name__} has no language head; use a Mu2SLAMForConditionalGeneration checkpoint, or a "
            "classifier with languages as classes"
        )
    labels: list[str] = model.language_labels
    if set(labels) <= {UNDETERMINED}:
        raise ValueError("this model has no languages: its table only contains 'und'")
    return labels
