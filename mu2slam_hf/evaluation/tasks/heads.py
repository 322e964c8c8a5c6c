# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of a head for classes or transcripts on a corpus, its errors, and a baseline of its classes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers.utils import logging

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset, Item
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.data.text import decode_written, normalize_for_scoring
from mu2slam_hf.evaluation.scores.confusion import (
    ConfusionMatrix,
    compute_confusion,
    format_confusion,
    save_confusion_plot,
)
from mu2slam_hf.evaluation.scores.intervals import wilson_interval
from mu2slam_hf.evaluation.scores.metrics import compute_cer, compute_wer
from mu2slam_hf.evaluation.scores.tables import format_tsv
from mu2slam_hf.evaluation.tasks.zero_shot_classification import fit_linear
from mu2slam_hf.models.generation_tokens import exclude_from_ctc, excluded_tokens

logger = logging.get_logger(__name__)

# Of the bag of words.
_MAX_FEATURES = 2000
_MAX_TEXTS = 5000


@dataclass(frozen=True, kw_only=True)
class HeadReport:
    """Results of a head on one corpus.

    Attributes:
        figures: `accuracy` and `macro_f1` (and accuracy by language), or `wer` and `cer`, in percent.
        matrix: the confusion matrix of the classes; None for transcripts.
        transcripts: `(id, reference, hypothesis)` of a head for transcripts.
    """

    figures: dict[str, float]
    matrix: ConfusionMatrix | None = None
    transcripts: list[tuple[str, str, str]] = field(default_factory=list)

    def save(self, name: str, folder: Path) -> None:
        """Save the confusion matrix (text, JSON, PNG), or the transcripts with their references (TSV)."""
        matrix = self.matrix
        if matrix is None:
            _write(
                folder / f"transcripts_{name}.tsv", format_tsv([("id", "reference", "hypothesis"), *self.transcripts])
            )
            return
        table = format_confusion(matrix)
        print(f"{name}\n{table}", flush=True)
        _write(folder / f"confusion_{name}.txt", table + "\n")
        numbers = {"references": matrix.references, "predictions": matrix.predictions, "counts": matrix.counts}
        _write(folder / f"confusion_{name}.json", json.dumps(numbers, indent=1) + "\n")
        try:
            save_confusion_plot(matrix, folder / f"confusion_{name}.png", f"{name}: accuracy {matrix.accuracy:.1f} %")
        except ImportError as error:
            logger.warning(f"no plot of {name}: {error}")


def _write(path: Path, content: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


@torch.no_grad()
def predict(model: Any, dataset: ExampleDataset, collator: HeadCollator, batch_size: int) -> list[tuple[Example, Any]]:
    """Predict the index of a class, or the ids of a transcript, for every readable example.

    Ids that were added for other languages than that of the example are not written.
    Unreadable recordings are skipped and counted by the data set.
    """

    def collate(items: list[Item]) -> tuple[list[Example], dict[str, Any]]:
        return [item.drawn.example for item in items if item.error is None], collator(items)

    answered: list[tuple[Example, Any]] = []
    model.eval()
    for examples, batch in DataLoader(dataset, batch_size=batch_size, collate_fn=collate, shuffle=False):
        left_out = ("labels", "record_ids", "source_language_labels")
        inputs = {name: value.to(model.device) for name, value in batch.items() if name not in left_out}
        if collator.label2id is None:
            answers = _write_transcripts(model, inputs, batch["source_language_labels"].clamp(min=0).to(model.device))
        else:
            answers = model(**inputs).logits.argmax(dim=-1).tolist()
        # A batch without readable examples has one silent row.
        answered += zip(examples, answers, strict=False)
    return answered


def _write_transcripts(model: Any, inputs: Mapping[str, Tensor], language_rows: Tensor) -> list[list[int]]:
    """Ids of the transcripts of a batch of speech in the languages `(B,)`."""
    config = model.config
    encoded = model.encode_speech(inputs[model.speech_input_name], inputs["attention_mask"], language_rows)
    logits = exclude_from_ctc(encoded.ctc_logits, excluded_tokens(config, language_rows))
    lengths = encoded.frame_mask.sum(dim=-1).tolist()
    languages = [config.languages[row] if row else None for row in language_rows.tolist()]
    written: list[list[int]] = model.write_tokens(
        [frames[:length] for frames, length in zip(encoded.states, lengths, strict=True)],
        [frames[:length] for frames, length in zip(logits, lengths, strict=True)],
        source_langs=languages,
        target_langs=languages,
    )
    return written


def measure_head(
    model: Any, processor: Any, dataset: ExampleDataset, collator: HeadCollator, *, batch_size: int
) -> HeadReport:
    """Evaluate a head on a corpus.

    Args:
        model: a model with a classification head, or one that writes transcripts.
        processor: its processor, whose tokenizer decodes these.
        dataset: examples with one target each.
        collator: collator of the items.
        batch_size: number of items per batch.
    """
    answered = predict(model, dataset, collator, batch_size)
    answers = [answer for _, answer in answered]
    truth = [example.targets[0].text for example, _ in answered]
    if collator.label2id is None:
        hypotheses = decode_written(processor.tokenizer, answers)
        figures = {"wer": compute_wer(truth, hypotheses).value, "cer": compute_cer(truth, hypotheses).value}
        ids = [example.id for example, _ in answered]
        return HeadReport(figures=figures, transcripts=list(zip(ids, truth, hypotheses, strict=True)))
    labels = list(collator.label2id)
    present = [label for label in labels if label in set(truth)]
    predictions = [labels[answer] for answer in answers]
    matrix = compute_confusion(truth, predictions, present)
    figures = {"accuracy": matrix.accuracy, "macro_f1": matrix.macro_f1}
    languages = [example.source_lang for example, _ in answered]
    return HeadReport(figures=figures | accuracy_by_language(truth, predictions, languages), matrix=matrix)


def accuracy_by_language(
    truth: Sequence[str], predictions: Sequence[str], languages: Sequence[str], suffix: str = ""
) -> dict[str, float]:
    """`accuracy<suffix>_<lang>` in percent with the bounds of its 95 % interval, `..._low` and `..._high`.

    None if the class is the language, or with a single language.
    """
    if len(set(languages)) < 2 or list(truth) == list(languages):
        return {}
    figures: dict[str, float] = {}
    for lang in sorted(set(languages)):
        right = [a == b for a, b, other in zip(truth, predictions, languages, strict=True) if other == lang]
        name = f"accuracy{suffix}_{lang}"
        low, high = wilson_interval(sum(right), len(right))
        figures |= {name: 100.0 * sum(right) / len(right), f"{name}_low": low, f"{name}_high": high}
    return figures


def score_bag_of_words(training: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """`accuracy_bag_of_words`, and by language with intervals: a baseline that only sees which words occur.

    It is the linear classifier of `fit_linear`. Features are the most frequent words of the first text, of the second
    text, and of both; for pairs also the share of the words of the second text that the first one has.

    Args:
        training: texts or pairs of texts, with one class each.
        test: likewise.

    Raises:
        ValueError: as `fit_linear`.

    Choice: at most 5,000 training texts and 2,000 words, evenly spaced and most frequent, because the closed form
    decomposes a dense matrix.
    """
    chosen = spread_evenly(training, _MAX_TEXTS)
    bags = [_bag_of_words(example) for example in chosen]
    counts = Counter(word for bag in bags for word in bag)
    columns = {word: column for column, (word, _) in enumerate(counts.most_common(_MAX_FEATURES))}
    classifier = fit_linear(_vectors(bags, columns), [example.targets[0].text for example in chosen])
    predictions = classifier.predict(_vectors([_bag_of_words(example) for example in test], columns))
    truth = [example.targets[0].text for example in test]
    right = sum(a == b for a, b in zip(truth, predictions, strict=True))
    by_language = accuracy_by_language(truth, predictions, [e.source_lang for e in test], "_bag_of_words")
    return {"accuracy_bag_of_words": 100.0 * right / len(truth)} | by_language


def _bag_of_words(example: Example) -> dict[str, float]:
    """Word -> 1, in the order of the text, so that which of equally frequent words are features is no chance."""
    first = dict.fromkeys(normalize_for_scoring(example.source_text or "").split())
    bag = {f"1:{word}": 1.0 for word in first}
    if example.second_text is not None:
        second = dict.fromkeys(normalize_for_scoring(example.second_text).split())
        both = [word for word in second if word in first]
        bag |= {f"2:{word}": 1.0 for word in second} | {f"both:{word}": 1.0 for word in both}
        bag["shared"] = len(both) / max(1, len(second))
    return bag


def _vectors(bags: Sequence[dict[str, float]], columns: Mapping[str, int]) -> Tensor:
    """`(n, D)` float32."""
    vectors = torch.zeros(len(bags), len(columns))
    for row, bag in enumerate(bags):
        for word in bag.keys() & columns.keys():
            vectors[row, columns[word]] = bag[word]
    return vectors
