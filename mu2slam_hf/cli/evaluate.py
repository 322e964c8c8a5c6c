# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam evaluate`: WER, CER, BLEU and chrF of a checkpoint on a corpus, per language and direction."""

import argparse
import sys
from typing import Any

from mu2slam_hf.cli.directions import direction_list, select_directions
from mu2slam_hf.cli.options import (
    Joined,
    add_batch_seconds_option,
    add_batch_size_option,
    add_corpus_options,
    add_generation_options,
    add_json_option,
    add_model_options,
    add_results_option,
    add_seed_option,
    generation_arguments,
    load_model,
)
from mu2slam_hf.cli.records import describe_data, load_records, print_scores, save_results
from mu2slam_hf.cli.training_texts import read_training_words

_CONDITIONS = {"given": (True,), "guessed": (False,), "both": (True, False)}


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="WER, CER, BLEU and chrF of a checkpoint on a corpus",
        description="Transcribes and translates a corpus and prints scores per language and direction, with their "
        "means (also from and into English) and sacreBLEU signatures.",
    )
    add_corpus_options(parser, required=True)
    tasks = ("asr", "ast", "mt")
    text = "transcription, translation of speech, translation of text (all)"
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=list(tasks), help=text)
    parser.add_argument(
        "--directions",
        nargs="+",
        type=direction_list,
        action=Joined,
        metavar="FROM-TO",
        help="translate only in these directions, as en-fr,fr-en or en-fr fr-en (all)",
    )
    parser.add_argument(
        "--condition",
        choices=tuple(_CONDITIONS),
        default="given",
        help="whether the model receives the source language; both: one table each (given)",
    )
    parser.add_argument(
        "--baseline-split",
        metavar="SPLIT",
        help="also score a baseline: the translation of the nearest sentence in this split",
    )
    parser.add_argument(
        "--training-texts",
        nargs="+",
        metavar="SOURCE",
        help="training data (manifests, corpora as NAME=DIR, recipes): also score transcription of recordings with "
        "and without words that do not occur in its texts",
    )
    add_results_option(parser)
    add_json_option(parser)
    parser.add_argument("--hypotheses", metavar="FILE", help="JSONL of all hypotheses; interrupted runs are resumed")
    add_batch_seconds_option(parser)
    add_batch_size_option(parser, 32)
    add_seed_option(parser, "part of the record")
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints the tables, writes the record."""
    from mu2slam_hf.evaluation.corpus_evaluation import EvaluationSettings, evaluate_corpus
    from mu2slam_hf.evaluation.scoring import format_scores

    def select(found: list[Any]) -> list[Any]:
        return select_directions(found, args.directions, args.tasks) if args.directions else found

    records = load_records(args, args.split, args.limit, select)
    training_words = read_training_words(args.training_texts) if args.training_texts else None
    model, processor = load_model(args, any_class=False)
    results = evaluate_corpus(
        model,
        processor,
        records,
        EvaluationSettings(
            tasks=args.tasks,
            source_lang_given=_CONDITIONS[args.condition],
            batch_seconds=args.batch_seconds,
            batch_size=args.batch_size,
            seed=args.seed,
            generate=generation_arguments(args),
        ),
        train_records=load_records(args, args.baseline_split, None) if args.baseline_split else None,
        training_words=training_words,
        model_name=args.model,
        data=describe_data(args),
        hypotheses_path=args.hypotheses,
        progress=sys.stderr.isatty(),
    )
    print_scores(results, format_scores(results.scores), as_json=args.json)
    save_results(results, args.results)
    return 0
