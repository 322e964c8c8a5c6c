# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab switch-languages`: synthetic speech that switches between languages, in a folder with a manifest."""

import argparse
from typing import Any

from mu2slam_hf.cli import options
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.records import load_corpus_records


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "switch-languages",
        help="create synthetic speech that switches between languages (extra: lab)",
        description="Takes a word or the tail of each text from its translation, and speaks both by one voice of "
        "espeak-ng; the manifest has the language and times of each part.",
    )
    options.add_output_dir_option(parser, "must not exist or be empty", required=True)
    parser.add_argument(
        "--pairs",
        type=pair_of_languages,
        nargs="+",
        required=True,
        metavar="LANG-LANG",
        help="language of the sentences and foreign language: es-en en-ru",
    )
    options.add_corpus_options(parser, required=True)
    options.add_seed_option(parser, "of positions and voices")
    parser.set_defaults(run=run)


def pair_of_languages(text: str) -> tuple[str, str]:
    """`es-en` as a pair of codes."""
    first, separator, second = text.partition("-")
    if not separator or not second:
        raise argparse.ArgumentTypeError(f"expected two languages such as es-en, got {text!r}")
    return language_code(first), language_code(second)


def run(args: argparse.Namespace) -> int:
    """Speaks and writes the sentences; prints their number."""
    from lab.synthesis.code_switching import switch_texts, write_switched_folder

    records = load_corpus_records(args, args.split, args.limit, part=args.part)
    texts = list(switch_texts(records, args.pairs, seed=args.seed))
    manifest = write_switched_folder(texts, args.output_dir, seed=args.seed)
    print(f"{len(texts)} sentences, written to {manifest}")
    return 0
