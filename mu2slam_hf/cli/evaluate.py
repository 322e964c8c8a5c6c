# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam evaluate`: WER, CER, BLEU and chrF of a checkpoint on a corpus, per language and direction."""

import argparse
import sys
from typing import Any

from mu2slam_hf.cli.options import (
    add_corpus_options,
    add_generation_options,
    add_model_options,
    generation_arguments,
    load_model,
    positive_int,
)
from mu2slam_hf.cli.records import describe_data, load_records, save_results

_CONDITIONS = {"given": (True,), "guessed": (False,), "both": (True, False)}


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="WER, CER, BLEU and chrF of a checkpoint on a corpus",
        description="Transcribes and translates a corpus and prints scores per language and direction, with their "
        "means (also from and into English) and sacreBLEU signatures.",
    )
    add_corpus_options(parser, required=True, languages="use only these, as source and target")
    parser.add_argument("--tasks", nargs="+", choices=("asr", "ast", "mt"), default=["asr", "ast", "mt"])
    parser.add_argument(
        "--source-lang",
        choices=tuple(_CONDITIONS),
        default="given",
        help="whether the model receives the source language; both: one table each (given)",
    )
    parser.add_argument(
        "--baseline-split",
        metavar="SPLIT",
        help="also score a baseline: the translation of the nearest sentence in this split",
    )
    parser.add_argument("--json", metavar="FILE", help="write the record of the evaluation to FILE")
    parser.add_argument("--hypotheses", metavar="FILE", help="JSONL of all hypotheses; interrupted runs are resumed")
    parser.add_argument("--batch-seconds", type=float, default=60.0, help="maximum seconds of audio in a batch (60)")
    parser.add_argument("--batch-size", type=positive_int, default=32, help="maximum number of items in a batch (32)")
    parser.add_argument("--seed", type=int, default=0)
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints the tables, writes the record."""
    from mu2slam_hf.evaluation.corpus_evaluation import EvaluationSettings, evaluate_corpus
    from mu2slam_hf.evaluation.scoring import format_scores

    records = load_records(args, args.split, args.limit)
    model, processor = load_model(args, any_class=False)
    results = evaluate_corpus(
        model,
        processor,
        records,
        EvaluationSettings(
            tasks=args.tasks,
            source_lang_given=_CONDITIONS[args.source_lang],
            batch_seconds=args.batch_seconds,
            batch_size=args.batch_size,
            seed=args.seed,
            generate=generation_arguments(args),
        ),
        train_records=load_records(args, args.baseline_split, None) if args.baseline_split else None,
        model_name=args.model,
        data=describe_data(args),
        hypotheses_path=args.hypotheses,
        progress=sys.stderr.isatty(),
    )
    print(format_scores(results.scores))
    save_results(results, args.json)
    return 0
