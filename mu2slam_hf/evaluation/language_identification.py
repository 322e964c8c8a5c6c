# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which language is spoken or written: probabilities of the model's language head, refusal, and how often it is right.

The head reads the mean encoder state, of speech or of text; supervised training asks it about both.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.confusion import ConfusionMatrix, compute_confusion
from mu2slam_hf.evaluation.corpus_evaluation import build_results
from mu2slam_hf.evaluation.representations import encode_in_batches
from mu2slam_hf.evaluation.results import EvaluationResults, Score
from mu2slam_hf.models.language_codes import UNDETERMINED

REFUSED = UNDETERMINED
"""The answer where no language is likely enough."""


@dataclass(frozen=True, kw_only=True)
class LanguageGuess:
    """What the language head says of one item.

    Attributes:
        lang: the likeliest language, or `und` where it was not likely enough.
        probabilities: of all languages that the model knows, likeliest first; they sum to 1.
    """

    lang: str
    probabilities: Mapping[str, float]

    def top(self, number: int) -> dict[str, float]:
        """The `number` likeliest languages."""
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
    """The language of each recording, or of each text.

    Args:
        model: a model with a language head (`Mu2SLAMForConditionalGeneration`).
        processor: its processor.
        audio: recordings, as `load_audio` takes them; or
        text: texts. Exactly one of both.
        min_probability: the answer is `und` where the likeliest language is below it. A head knows nothing of
            languages that it was not trained on, and is often sure of a wrong one.
        batch_seconds: most seconds of audio in a batch.
        batch_size: most items in a batch.

    Raises:
        ValueError: the model has no language head, or knows no language.
    """
    check_language_head(model)
    languages = model.config.languages
    guesses: dict[int, LanguageGuess] = {}
    sizes: dict[str, Any] = {"batch_seconds": batch_seconds, "batch_size": batch_size}
    for batch in encode_in_batches(model.eval(), processor, audio=audio, text=text, **sizes):
        logits = model.compute_language_logits(batch.states, batch.attention_mask)
        # Row 0 is `und`, which is no language that could be spoken.
        probabilities = logits[:, 1:].softmax(dim=-1).cpu()
        for index, row in zip(batch.indices, probabilities, strict=True):
            order = row.argsort(descending=True, stable=True).tolist()
            by_language = {languages[place + 1]: float(row[place]) for place in order}
            best, probability = next(iter(by_language.items()))
            guesses[index] = LanguageGuess(
                lang=best if probability >= min_probability else REFUSED, probabilities=by_language
            )
    return [guesses[index] for index in range(len(guesses))]


def check_language_head(model: Any) -> None:
    """Refuse a model that cannot tell languages.

    Raises:
        ValueError: saying what it lacks.
    """
    if not hasattr(model, "compute_language_logits"):
        raise ValueError(
            f"{type(model).__name__} has no language head; take a Mu2SLAMForConditionalGeneration checkpoint"
        )
    if len(model.config.languages) < 2:
        raise ValueError("this model knows no language: its table holds only 'und'")


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
    """Who is taken for whom, and the record of the evaluation.

    Args:
        model: as in `predict_languages`.
        processor: its processor.
        records: with `audio`, or for the modality `text` with `text`; others are left out.
        modality: "speech" or "text".
        min_probability: see `predict_languages`; a refusal counts as wrong where the model knows the language, and
            as right where it does not.
        model_name: path or name, for the record.
        data: corpus, split and options, for the record.
        batch_seconds: most seconds of audio in a batch.
        batch_size: most items in a batch.

    Returns:
        the confusion matrix (languages unknown to the model are rows too); scores of the task `lid`: accuracy and
        macro F1 over the known languages, recall of each, and, where there are unknown ones, how many were refused.

    Raises:
        ValueError: no record can be used.
    """
    if modality not in ("speech", "text"):
        raise ValueError(f"modality must be 'speech' or 'text', got {modality!r}")
    usable = [record for record in records if (record.audio is not None if modality == "speech" else record.text)]
    if not usable:
        raise ValueError(f"none of the {len(records)} records has {'a recording' if modality == 'speech' else 'text'}")
    sources: dict[str, Any] = (
        {"audio": [record.audio for record in usable]}
        if modality == "speech"
        else {"text": [record.text for record in usable]}
    )
    started = time.perf_counter()
    guesses = predict_languages(
        model,
        processor,
        **sources,
        min_probability=min_probability,
        batch_seconds=batch_seconds,
        batch_size=batch_size,
    )
    seconds = time.perf_counter() - started
    references, answers = [record.lang for record in usable], [guess.lang for guess in guesses]
    matrix = compute_confusion(references, answers)
    results = build_results(
        model,
        usable,
        _scores(references, answers, set(model.config.languages), min_probability),
        model_name=model_name,
        data={**(data or {}), "modality": modality},
        settings={"min_probability": min_probability, "batch_seconds": batch_seconds, "batch_size": batch_size},
        duration_seconds=seconds,
    )
    return matrix, results


def _scores(references: list[str], answers: list[str], known: set[str], min_probability: float) -> list[Score]:
    pairs = list(zip(references, answers, strict=True))
    signature = f"language head, refused below {min_probability:g}"

    def score(metric: str, value: float, lang: str, number: int) -> Score:
        return Score(
            task="lid",
            metric=metric,
            value=value,
            source_lang=lang,
            target_lang=lang,
            source_lang_given=False,
            num_items=number,
            signature=signature,
        )

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
