# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab label`: training labels by Whisper, and a check of recordings against their texts."""

import argparse
from typing import Any

from lab.commands.options import add_judge_option
from mu2slam_hf.cli import options
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.records import load_corpus_records


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "label",
        help="label speech without text by Whisper, and check speech with text (extra: voices)",
        description="Writes a manifest of the recordings that Whisper understands: with its text where there is none, "
        "else with their own where it reads nearly the same. Long recordings with a text are aligned with it by a "
        "model and cut at pauses. For training: a text of a recogniser is no reference of scores.",
    )
    add_judge_option(parser)
    options.add_source_options(parser, required=True)
    options.add_split_option(parser, "train", text="train")
    options.add_languages_option(parser, "default: all")
    options.add_limit_option(parser)
    parser.add_argument("--labels", required=True, metavar="FILE", help="manifest to write (JSONL)")
    parser.add_argument(
        "--max-cer",
        type=float,
        default=40.0,
        metavar="PERCENT",
        help="largest character error rate of Whisper against a text, in percent (40)",
    )
    parser.add_argument(
        "--min-confidence",
        type=options.probability,
        default=0.6,
        metavar="P",
        help="least mean probability of the tokens of a text by Whisper (0.6)",
    )
    parser.add_argument(
        "--max-seconds",
        type=options.positive_seconds,
        default=12.0,
        metavar="S",
        help="longer recordings with a text are cut at pauses into pieces of at most this (12)",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the manifest; prints what was kept and why the rest was not."""
    from lab.judge import Judge
    from lab.labels import LabelSettings, write_labels

    if args.languages:
        args.languages = [language_code(lang) for lang in args.languages]
    records = load_corpus_records(args, args.split, args.limit)
    settings = LabelSettings(max_cer=args.max_cer, min_confidence=args.min_confidence, max_seconds=args.max_seconds)
    judge = Judge(args.judge)
    is_long = any(record.text and (record.duration_seconds or 0) > args.max_seconds for record in records)
    model, processor = load_model(args) if is_long else (None, None)
    summary = write_labels(records, args.labels, judge=judge, settings=settings, model=model, processor=processor)
    for lang, number in sorted(summary.num_kept.items()):
        print(f"{lang}: {number} recordings or pieces, {summary.seconds[lang] / 60:.1f} minutes")
    for reason, number in summary.left_out.most_common():
        print(f"left out: {number}, {reason}")
    print(f"written to {args.labels}")
    return 0
