# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Probes: what a linear classifier reads from frozen representations of recordings.

Paper: the discriminative tasks of DASB (Mousavi et al. 2024), which the talk on representations of speech compares on
continuous states and discrete ids. Choice: the classifier has a closed form (see `fit_linear`), so that no setting of
a training run decides between two representations.

Shapes: n recordings, D width, C classes.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import MetricValue, add_interval, compute_metric
from mu2slam_hf.evaluation.scores.scoring import format_value, make_score
from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.tasks.corpora import build_results
from mu2slam_hf.evaluation.tasks.zero_shot_classification import fit_linear
from mu2slam_hf.inference.representations import ALL_LAYERS, SpeechTextEncoder
from mu2slam_hf.inference.similarity import cosine_similarities
from mu2slam_hf.quantization.tokenizer_loading import Tokenize

TASK, MAJORITY = "probe", "majority"
METRICS = ("accuracy", "balanced_accuracy", "eer")
_FIELDS = {"lang": "lang", "language": "lang", "speaker": "speaker", "kind": "kind", "text": "text"}


def evaluate_probes(
    model: Any,
    processor: Any,
    train: Sequence[SpeechTextRecord],
    test: Sequence[SpeechTextRecord],
    column: str,
    *,
    layers: Sequence[int] | None = None,
    tokenizers: Mapping[str, Tokenize] | None = None,
    max_ngram: int = 2,
    bootstrap: Bootstrap | None = None,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
) -> EvaluationResults:
    """Accuracy of linear classifiers of a column, on mean-pooled states of each layer and on ids.

    Args:
        model: model with a shared encoder, in evaluation mode; it receives no language.
        processor: its processor.
        train: records that the classifiers are trained on; those without audio or the column are left out.
        test: records that they are tested on; those whose class is not in `train` are left out, and counted.
        column: `lang`, `speaker`, `kind`, `text`, or another column of the corpus.
        layers: numbers of layers; None means all.
        tokenizers: functions from waveforms to ids by name, see `make_tokenize`: each recording is represented by the
            frequencies of its n-grams of ids.
        max_ngram: length of the longest n-grams; those that are not in `train` are left out.
        bootstrap: if given, accuracies have intervals over recordings.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.

    Returns:
        scores of the task `probe`, in percent: `accuracy`, `balanced_accuracy` (the mean over classes) and `eer`, the
        equal error rate of the decision by cosine whether two test recordings have the same class (50 is chance; only
        where there are both kinds of pairs). `system` is `layer N`, `ids NAME`, or `majority`, the most frequent class
        of `train`.

    Raises:
        ValueError: no record has a value of the column, training data of one class, no test record of a known class,
            or a layer that does not exist.
    """
    started = time.perf_counter()
    train, labels = _with_values(train, column, "training")
    test, references = _with_values(test, column, "test")
    known = set(labels)
    unknown = sum(label not in known for label in references)
    kept = [(record, label) for record, label in zip(test, references, strict=True) if label in known]
    if not kept:
        raise ValueError(f"{column}: none of the {len(test)} test records has a class of the training records")
    test, references = [record for record, _ in kept], [label for _, label in kept]
    vectors = _encode_layers(model, processor, train, test, layers)
    for name, tokenize in (tokenizers or {}).items():
        vectors[f"ids {name}"] = _count_ngrams(tokenize, train, test, max_ngram)
    scores = []
    most_frequent = Counter(labels).most_common(1)[0][0]
    answers = {MAJORITY: [most_frequent] * len(test)}
    for system, (known_vectors, test_vectors) in vectors.items():
        answers[system] = fit_linear(known_vectors, labels).predict(test_vectors)
    for system, predictions in answers.items():
        values = _score_classes(references, predictions, bootstrap)
        if system in vectors:
            center = vectors[system][0].double().mean(dim=0)
            rate = equal_error_rate(vectors[system][1].double() - center, references)
            if rate is not None:
                values["eer"] = rate
        for metric, value in values.items():
            fields: dict[str, Any] = {"task": TASK, "metric": metric, "system": system, "group": column}
            fields |= {"source_lang": "all", "target_lang": "all", "source_lang_given": False}
            scores.append(make_score(value, **fields))
    speakers = [{record.speaker for record in records if record.speaker} for records in (train, test)]
    return build_results(
        model,
        test,
        scores,
        model_name=model_name,
        data={
            **(data or {}),
            "column": column,
            "num_classes": len(known),
            "num_training_records": len(train),
            "num_left_out": unknown,
            "num_shared_speakers": len(speakers[0] & speakers[1]),
        },
        settings={"layers": "all" if layers is None else list(layers), "max_ngram": max_ngram},
        seed=0,
        duration_seconds=time.perf_counter() - started,
    )


def equal_error_rate(vectors: Tensor, classes: Sequence[str]) -> MetricValue | None:
    """Equal error rate in percent of the decision by cosine whether two items have the same class.

    It is where the share of different pairs that are accepted equals that of equal pairs that are refused, on the line
    between the two nearest thresholds, so that constant vectors have 50.

    Args:
        vectors: `(n, D)`.
        classes: the class of each.

    Returns:
        the rate; None without pairs of one class, or of different classes.
    """
    names = {name: place for place, name in enumerate(dict.fromkeys(classes))}
    places = torch.tensor([names[name] for name in classes])
    first, second = torch.triu_indices(len(classes), len(classes), offset=1)
    same = places[first] == places[second]
    if same.all() or not same.any():
        return None
    similarities = cosine_similarities(vectors, vectors)[first, second]
    thresholds, inverse = similarities.unique(return_inverse=True)
    counts = torch.zeros(2, len(thresholds), dtype=torch.float64, device=vectors.device)
    for row, chosen in enumerate((same, ~same)):
        counts[row].index_add_(0, inverse[chosen], torch.ones(int(chosen.sum()), dtype=torch.float64))
    # Shares below each threshold, from none to all: refused equal pairs, and different pairs that are not accepted.
    below = torch.nn.functional.pad(counts.cumsum(dim=1), (1, 0)) / counts.sum(dim=1, keepdim=True)
    refused, accepted = below[0], 1.0 - below[1]
    above = int((refused >= accepted).nonzero()[0])
    low, high = (float(accepted[index] - refused[index]) for index in (above - 1, above))
    share = low / (low - high)
    rate = float(refused[above - 1] + share * (refused[above] - refused[above - 1]))
    return MetricValue(value=100.0 * rate, signature=f"{len(same)} pairs, cosine", num_items=len(classes))


def format_probes(results: EvaluationResults) -> str:
    """A plain-text table with a row for each representation.

    Args:
        results: of `evaluate_probes`.
    """
    scores = results.find(task=TASK)
    rows = [[str(results.data["column"]), *METRICS]]
    for system in dict.fromkeys(score.system for score in scores):
        values = {score.metric: format_value(score) for score in scores if score.system == system}
        rows.append([system, *(values.get(metric, "-") for metric in METRICS)])
    counts = results.data
    facts = f"{counts['num_classes']} classes; {counts['num_training_records']} training, {scores[0].num_items} test"
    facts += f" recordings, {counts['num_left_out']} more of other classes; speakers in both:"
    return "\n".join([*align_columns(rows), f"{facts} {counts['num_shared_speakers']}"])


def _with_values(
    records: Sequence[SpeechTextRecord], column: str, what: str
) -> tuple[list[SpeechTextRecord], list[str]]:
    """The records with audio and a value of a column, and the values."""
    name = _FIELDS.get(column)
    spoken = [record for record in records if record.audio is not None]
    values = [getattr(record, name) if name else record.extra.get(column) for record in spoken]
    chosen = [(record, str(value)) for record, value in zip(spoken, values, strict=True) if value not in (None, "")]
    if not chosen:
        columns = sorted({*_FIELDS.values(), *(key for record in spoken[:100] for key in record.extra)})
        raise ValueError(
            f"none of the {len(spoken)} {what} records with audio has a value of {column!r}; columns: "
            f"{', '.join(columns)}"
        )
    return [record for record, _ in chosen], [value for _, value in chosen]


def _encode_layers(
    model: Any,
    processor: Any,
    train: Sequence[SpeechTextRecord],
    test: Sequence[SpeechTextRecord],
    layers: Sequence[int] | None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Training and test vectors `(n, D)` of layers; one pass gives all of them."""
    encoder = SpeechTextEncoder(model, processor, layer=ALL_LAYERS)
    known, tested = (encoder.encode_speech([record.audio for record in records]) for records in (train, test))
    numbers = range(known.shape[1]) if layers is None else layers
    outside = [number for number in numbers if number not in range(known.shape[1])]
    if outside:
        raise ValueError(f"layer {outside[0]} is out of range: the encoder has the layers 0 to {known.shape[1] - 1}")
    return {f"layer {number}": (known[:, number], tested[:, number]) for number in numbers}


def _count_ngrams(
    tokenize: Tokenize, train: Sequence[SpeechTextRecord], test: Sequence[SpeechTextRecord], max_ngram: int
) -> tuple[Tensor, Tensor]:
    """Relative frequencies `(n, D)` of the n-grams of the training recordings, each length by itself."""
    counted = [
        [_ngrams_of(ids, max_ngram) for ids in tokenize([load_audio(record.audio) for record in records])]
        for records in (train, test)
    ]
    columns = {
        ngram: place for place, ngram in enumerate(sorted({ngram for counts in counted[0] for ngram in counts}))
    }
    tables = []
    for rows in counted:
        table = np.zeros((len(rows), len(columns)))
        for row, counts in enumerate(rows):
            sums: Counter[int] = Counter()
            for ngram, count in counts.items():
                sums[len(ngram)] += count
            for ngram, count in counts.items():
                if ngram in columns:
                    table[row, columns[ngram]] = count / sums[len(ngram)]
        tables.append(torch.from_numpy(table))
    return tables[0], tables[1]


def _ngrams_of(ids: np.ndarray, max_ngram: int) -> Counter[tuple[int, ...]]:
    values = ids.tolist()
    return Counter(
        tuple(values[start : start + length])
        for length in range(1, max_ngram + 1)
        for start in range(len(values) - length + 1)
    )


def _score_classes(
    references: Sequence[str], predictions: Sequence[str], bootstrap: Bootstrap | None
) -> dict[str, MetricValue]:
    """Accuracy, and its mean over the classes of the references."""
    accuracy = compute_metric("accuracy", references, predictions, bootstrap=bootstrap)
    classes = sorted(set(references))
    # (n, 2, C): right answers and items of each class
    table = np.zeros((len(references), 2, len(classes)))
    for row, (reference, prediction) in enumerate(zip(references, predictions, strict=True)):
        table[row, :, classes.index(reference)] = reference == prediction, 1

    def mean_share(sums: np.ndarray) -> float:
        right, number = sums.reshape(2, -1)
        return 100.0 * float(np.mean(right[number > 0] / number[number > 0]))

    statistics = table.reshape(len(table), -1)
    signature = f"mean of {len(classes)} classes"
    balanced = MetricValue(value=mean_share(statistics.sum(axis=0)), signature=signature, num_items=len(references))
    if bootstrap is not None:
        balanced = add_interval(balanced, bootstrap.resample(statistics.tolist(), mean_share))
    return {"accuracy": accuracy, "balanced_accuracy": balanced}
