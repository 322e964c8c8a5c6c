# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Classes of recordings by a linear head that has only read texts: train on the texts of one split, test on another.

    python benchmarks/zero_shot_classification.py --corpus prompts5 --root DIR --fields lang kind

Beside it stand the same head on the texts of the test split, the most frequent class, and an untrained model of the
same configuration.
"""

import argparse
from collections import Counter

import torch

from mu2slam_hf import SpeechTextEncoder, load_any_checkpoint
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.evaluation.confusion import compute_confusion, format_confusion
from mu2slam_hf.evaluation.zero_shot_classification import fit_linear


def encode(model, processor, texts, audio):
    """Vectors of training texts, test texts and test recordings."""
    encoder = SpeechTextEncoder(model, processor)
    return encoder.encode_text(texts[0]), encoder.encode_text(texts[1]), encoder.encode_speech(audio)


def main() -> None:
    """Prints accuracy and macro F1 of every field and system, and the confusion matrix of the model on speech."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--fields", nargs="+", default=["lang"], help="fields of the records that hold the class")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0, help="of the untrained model")
    args = parser.parse_args()
    train, test = (
        [record for record in load_corpus(args.corpus, args.root, split) if record.text and record.audio]
        for split in ("train", "dev")
    )
    model, processor = load_any_checkpoint(args.model)
    torch.manual_seed(args.seed)
    fresh = type(model)(model.config).eval()
    texts = [[record.text for record in records] for records in (train, test)]
    audio = [record.audio for record in test]
    vectors = {name: encode(one, processor, texts, audio) for name, one in (("model", model), ("untrained", fresh))}
    for field in args.fields:
        classes = [[str(getattr(record, field)) for record in records] for records in (train, test)]
        most, number = Counter(classes[1]).most_common(1)[0]
        print(f"\n{field}: most frequent class {most} {100 * number / len(test):.1f} %, {len(test)} items")
        for name, (train_text, test_text, speech) in vectors.items():
            head = fit_linear(train_text - train_text.mean(dim=0), classes[0])
            given = {
                "text": test_text - train_text.mean(dim=0),
                "speech": speech - train_text.mean(dim=0),
                "speech, centred": speech - speech.mean(dim=0),
            }
            for what, values in given.items():
                matrix = compute_confusion(classes[1], head.predict(values), labels=head.labels)
                print(
                    f"{name}, {what}: accuracy {matrix.accuracy:.1f} %, macro F1 {matrix.macro_f1:.1f} %", flush=True
                )
            if name == "model":
                print(format_confusion(matrix), flush=True)


if __name__ == "__main__":
    main()
