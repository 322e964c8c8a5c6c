# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam probe`: what linear classifiers read from the layers of a model and from speech ids."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_bootstrap_option,
    add_corpus_options,
    add_json_option,
    add_results_option,
    layer_or_all,
    positive_int,
    quiet_libraries,
)
from mu2slam_hf.cli.records import describe_data, load_corpus_records, print_scores, save_results


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "probe",
        help="measure what the layers of a model and speech ids tell about language, speaker or words",
        description="Trains a linear classifier of a column on the frozen states of each layer, and on the ids of "
        "speech tokenizers, and prints its accuracy on other recordings beside the most frequent class, and the equal "
        "error rate of pairs. Speakers should differ between training and test data wherever anything else is asked.",
    )
    parser.add_argument(
        "--label", default="lang", metavar="NAME", help="lang, speaker, kind, text, or another column (lang)"
    )
    test = parser.add_argument_group("test data")
    add_corpus_options(test, required=True)
    train = parser.add_argument_group("training data; default: another split of the corpus")
    train.add_argument("--train-corpus", metavar="NAME=DIR", help="corpus to train on")
    train.add_argument("--train-manifest", metavar="FILE", help="manifest to train on")
    train.add_argument(
        "--train-split", default="train", metavar="NAME", help="split of the corpus to train on (train)"
    )
    kinds = parser.add_argument_group("representations")
    kinds.add_argument(
        "--layers",
        nargs="+",
        type=layer_or_all,
        default=["all"],
        metavar="N",
        help="layers of the encoder, whose states are averaged over time (all)",
    )
    kinds.add_argument(
        "--speech-tokenizer",
        nargs="+",
        default=[],
        metavar="DIR",
        help="also speech tokenizers, or processors that contain one: frequencies of n-grams of their ids",
    )
    kinds.add_argument("--ngrams", type=positive_int, default=2, metavar="N", help="longest n-grams of ids (2)")
    add_bootstrap_option(parser, 0)
    add_json_option(parser)
    add_results_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table, and writes the record."""
    if args.train_corpus and args.train_manifest:
        raise ValueError("pass one of --train-corpus and --train-manifest")
    if args.manifest and not (args.train_corpus or args.train_manifest):
        raise ValueError("--manifest has no other split to train on: pass --train-manifest or --train-corpus")
    from mu2slam_hf.evaluation.scores.intervals import Bootstrap
    from mu2slam_hf.evaluation.tasks.probes import evaluate_probes, format_probes
    from mu2slam_hf.quantization.tokenizer_loading import load_with_extractor, make_tokenize

    quiet_libraries()
    tokenizers = {Path(folder).resolve().name: load_with_extractor(folder) for folder in args.speech_tokenizer}
    source = {"corpus": args.train_corpus, "root": None, "manifest": args.train_manifest}
    if not (args.train_corpus or args.train_manifest):
        source = {"corpus": args.corpus, "root": args.root, "manifest": None}
    train = load_corpus_records(
        argparse.Namespace(**{**vars(args), **source, "results": None}), args.train_split, args.limit
    )
    test = load_corpus_records(args, args.split, args.limit, part=args.part)
    model, processor = load_model(args)
    results = evaluate_probes(
        model,
        processor,
        train,
        test,
        args.label,
        layers=None if "all" in args.layers else args.layers,
        tokenizers={name: make_tokenize(*loaded) for name, loaded in tokenizers.items()},
        max_ngram=args.ngrams,
        bootstrap=Bootstrap(num_samples=args.bootstrap) if args.bootstrap else None,
        model_name=args.model,
        data={**describe_data(args), "train": args.train_corpus or args.train_manifest or args.train_split},
    )
    print_scores(results, format_probes(results), as_json=args.json)
    if args.label != "speaker" and results.data["num_shared_speakers"]:
        print("training and test data share speakers: the classifier may have learned their voices", file=sys.stderr)
    save_results(results, args.results)
    return 0
