# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab judge`: scores of Whisper on a corpus, beside those of our models."""

import argparse
from typing import Any

from lab.commands.options import add_judge_option
from mu2slam_hf.cli import options
from mu2slam_hf.cli.records import describe_data, load_corpus_records

# The default of Whisper's own program.
_NUM_BEAMS = 5


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "judge",
        help="score Whisper on a corpus, as a peer of our models (extra: voices)",
        description="Transcribes the recordings of a corpus by Whisper, with five beams and their language given, and "
        "scores them as `mu2slam evaluate` does. Numbers that it writes in digits are spelled out.",
    )
    add_judge_option(parser)
    options.add_source_options(parser, required=True)
    options.add_split_option(parser, "dev")
    options.add_languages_option(parser, "default: all")
    options.add_limit_option(parser)
    options.add_part_option(parser)
    parser.add_argument("--judge-name", default="Whisper base", metavar="NAME", help="for the record (Whisper base)")
    parser.add_argument("--hypotheses", metavar="FILE", help="JSONL of all hypotheses; interrupted runs are resumed")
    options.add_results_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the scores, and writes the record."""
    from lab.judge import Judge
    from lab.peer_scores import score_judge
    from mu2slam_hf.evaluation.scores.scoring import format_scores

    records = [record for record in load_corpus_records(args, args.split, args.limit) if record.text]
    results = score_judge(
        Judge(args.judge),
        records,
        data=describe_data(args),
        hypotheses_path=args.hypotheses,
        judge_name=args.judge_name,
    )
    print(format_scores(results.scores))
    if args.results:
        results.save(args.results)
    return 0
