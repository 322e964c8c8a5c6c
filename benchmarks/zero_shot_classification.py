# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Classes of recordings by a linear head that has only read texts: train on the texts of one split, test on another.

Beside it stand the same head on the texts of the test split, the most frequent class, and an untrained model of the
same configuration. Nothing is timed; the confusion matrix of the model on speech is printed.
"""

import argparse
import sys
from collections import Counter

import torch

from mu2slam_hf import SpeechTextEncoder, load_any_checkpoint
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.evaluation.scores.confusion import compute_confusion, format_confusion
from mu2slam_hf.evaluation.tasks.zero_shot_classification import fit_linear


def add_options(parser: argparse.ArgumentParser) -> None:
    """Corpus, classes and model."""
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--fields", nargs="+", default=["lang"], help="fields of the records that hold the class")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0, help="of the untrained model")


def encode(model, processor, texts, audio):
    """Vectors of training texts, test texts and test recordings."""
    encoder = SpeechTextEncoder(model, processor)
    return encoder.encode_text(texts[0]), encoder.encode_text(texts[1]), encoder.encode_speech(audio)


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """Accuracy and macro F1 of every field and system."""
    train, test = (
        [record for record in load_corpus(options.corpus, options.root, split) if record.text and record.audio]
        for split in ("train", "dev")
    )
    model, processor = load_any_checkpoint(options.model)
    torch.manual_seed(options.seed)
    fresh = type(model)(model.config).eval()
    texts = [[record.text for record in records] for records in (train, test)]
    audio = [record.audio for record in test]
    vectors = {name: encode(one, processor, texts, audio) for name, one in (("model", model), ("untrained", fresh))}
    rows: list[dict[str, object]] = []
    for field in options.fields:
        classes = [[str(getattr(record, field)) for record in records] for records in (train, test)]
        most_frequent = 100 * Counter(classes[1]).most_common(1)[0][1] / len(test)
        for name, (train_text, test_text, speech) in vectors.items():
            head = fit_linear(train_text - train_text.mean(dim=0), classes[0])
            given = {
                "text": test_text - train_text.mean(dim=0),
                "speech": speech - train_text.mean(dim=0),
                "speech, centred": speech - speech.mean(dim=0),
            }
            for what, values in given.items():
                matrix = compute_confusion(classes[1], head.predict(values), labels=head.labels)
                rows.append(
                    {
                        "class": field,
                        "system": name,
                        "reads": what,
                        "accuracy": matrix.accuracy,
                        "macro F1": matrix.macro_f1,
                        "most frequent class": most_frequent,
                        "items": len(test),
                    }
                )
            if name == "model":
                print(format_confusion(matrix), file=sys.stderr, flush=True)
    return rows
