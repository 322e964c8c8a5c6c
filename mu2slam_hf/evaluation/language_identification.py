# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Identification of spoken or written languages with the language head of a model, and its evaluation.

The input of the head is the mean encoder state of speech or text; supervised training trains it on both.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.confusion import ConfusionMatrix, compute_confusion
from mu2slam_hf.evaluation.corpus_evaluation import build_results
from mu2slam_hf.evaluation.representations import encode_in_batches, prepare_batches
from mu2slam_hf.evaluation.results import EvaluationResults, Score
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language

REFUSED = UNDETERMINED
"""The prediction if no language is probable enough."""


@dataclass(frozen=True, kw_only=True)
class LanguageGuess:
    """Prediction of the language head for one item.

    Attributes:
        lang: the most probable language, or `und` if its probability is too low.
        probabilities: probabilities of all languages of the model, in descending order; they sum to 1.
    """

    lang: str
    probabilities: Mapping[str, float]

    def top(self, number: int) -> dict[str, float]:
        """The `number` most probable languages."""
        return dict(list(self.probabilities.items())[:number])


@torch.no_grad()
def predict_languages(
    model: Any,
    processor: Any,
    *,
    audio: Sequence[Any] | None = None,
    text: Sequence[str] | None = None,
    min_probability: float = 0.0,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> list[LanguageGuess]:
    """Predict the language of each recording or text.

    Args:
        model: model with a language head (`Mu2SLAMForConditionalGeneration`), or a classifier of languages
            (`MSLAMForAudioClassification`, ...).
        processor: its processor.
        audio: recordings, in any form that `load_audio` accepts; or
        text: texts. Exactly one of both must be given.
        min_probability: the prediction is `und` if the most probable language is below it. For languages that were not
            in its training data, a head often predicts another language with high probability.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Raises:
        ValueError: the model has no language head or no languages, or `audio` or `text` is a single item instead of a
            list.
    """
    for name, items in (("audio", audio), ("text", text)):
        # Every character of a path would be treated as a file.
        if isinstance(items, str | bytes | os.PathLike):
            raise ValueError(f"{name}: expected a list, got {type(items).__name__}; pass {name}=[...]")
    labels = list_languages(model)
    guesses: dict[int, LanguageGuess] = {}
    options: dict[str, Any] = {"audio": audio, "text": text, "batch_seconds": batch_seconds, "batch_size": batch_size}
    for indices, logits in _language_logits(model.eval(), processor, options):
        # `und` is never predicted.
        places = [place for place, label in enumerate(labels) if label != UNDETERMINED]
        probabilities = logits[:, places].float().softmax(dim=-1).cpu()
        for index, row in zip(indices, probabilities, strict=True):
            order = row.argsort(descending=True, stable=True).tolist()
            by_language = {labels[places[place]]: float(row[place]) for place in order}
            best, probability = next(iter(by_language.items()))
            guesses[index] = LanguageGuess(
                lang=best if probability >= min_probability else REFUSED, probabilities=by_language
            )
    return [guesses[index] for index in range(len(guesses))]


def _language_logits(
    model: Any, processor: Any, options: Mapping[str, Any]
) -> Iterator[tuple[list[int], torch.Tensor]]:
    if hasattr(model, "compute_language_logits"):
        for batch in encode_in_batches(model, processor, **options):
            yield batch.indices, model.compute_language_logits(batch.states, batch.attention_mask)
    else:
        for indices, inputs in prepare_batches(model, processor, **options):
            yield indices, model(**inputs, return_dict=True).logits


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


def evaluate_language_identification(
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    *,
    modality: str = "speech",
    min_probability: float = 0.0,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
    batch_seconds: float = 60.0,
    batch_size: int = 32,
) -> tuple[ConfusionMatrix, EvaluationResults]:
    """Evaluate language identification; returns the confusion matrix and the record of the evaluation.

    Args:
        model: as in `predict_languages`.
        processor: its processor.
        records: records with `audio`, or with `text` for the modality `text`; others are ignored.
        modality: "speech" or "text".
        min_probability: see `predict_languages`; `und` is wrong if the model supports the language, and correct if it
            does not.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.
        batch_seconds: maximum seconds of audio in a batch.
        batch_size: maximum number of items in a batch.

    Returns:
        the confusion matrix (including rows for languages that the model does not support); scores of the task `lid`:
        accuracy and macro F1 over supported languages, recall of each, and the share of `und` for unsupported
        languages, if any.

    Raises:
        ValueError: no record is suitable.
    """
    if modality not in ("speech", "text"):
        raise ValueError(f"modality must be 'speech' or 'text', got {modality!r}")
    usable = [record for record in records if (record.audio is not None if modality == "speech" else record.text)]
    if not usable:
        raise ValueError(f"none of the {len(records)} records has {'a recording' if modality == 'speech' else 'text'}")
    name = "audio" if modality == "speech" else "text"
    source: dict[str, Any] = {name: [getattr(record, name) for record in usable]}
    sizes = {"batch_seconds": batch_seconds, "batch_size": batch_size}
    settings: dict[str, Any] = {"min_probability": min_probability, **sizes}
    started = time.perf_counter()
    guesses = predict_languages(model, processor, **source, **settings)
    seconds = time.perf_counter() - started
    references, answers = [record.lang for record in usable], [guess.lang for guess in guesses]
    matrix = compute_confusion(references, answers)
    results = build_results(
        model,
        usable,
        _scores(references, answers, set(list_languages(model)), min_probability),
        model_name=model_name,
        data={**(data or {}), "modality": modality},
        settings=settings,
        duration_seconds=seconds,
    )
    return matrix, results


def _scores(references: list[str], answers: list[str], known: set[str], min_probability: float) -> list[Score]:
    pairs = list(zip(references, answers, strict=True))
    signature = f"language head, refused below {min_probability:g}"

    def score(metric: str, value: float, lang: str, number: int) -> Score:
        direction: dict[str, Any] = {"source_lang": lang, "target_lang": lang, "source_lang_given": False}
        return Score(task="lid", metric=metric, value=value, num_items=number, signature=signature, **direction)

    scores = []
    inside = [pair for pair in pairs if pair[0] in known]
    if inside:
        matrix = compute_confusion(*map(list, zip(*inside, strict=True)))
        for lang, recall in matrix.recalls.items():
            scores.append(score("recall", recall, lang, sum(matrix.counts[matrix.references.index(lang)])))
        scores.append(score("accuracy", matrix.accuracy, "all", len(inside)))
        scores.append(score("macro_f1", matrix.macro_f1, "all", len(inside)))
    outside = [answer for reference, answer in pairs if reference not in known]
    if outside:
        scores.append(score("refused", 100.0 * outside.count(REFUSED) / len(outside), "unknown", len(outside)))
    return scores
