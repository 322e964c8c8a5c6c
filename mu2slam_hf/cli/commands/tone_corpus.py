# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam tone-corpus`: a tiny parallel corpus of tones, to try out training."""

import argparse
from typing import Any

from mu2slam_hf.atomic_files import atomic_path, check_free_folder
from mu2slam_hf.cli.files import check_output_folder
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.options import (
    add_languages_option,
    add_output_dir_option,
    add_seed_option,
    add_split_option,
    positive_int,
)


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "tone-corpus",
        help="write a tiny corpus of tones, to try out training",
        description="Writes sentences of a few words with their recordings, in which each word is a tone, and their "
        "translations. A model learns them in minutes.",
    )
    add_output_dir_option(parser, "manifest and recordings; must not exist or be empty", required=True)
    parser.add_argument("--num", type=positive_int, default=20, metavar="N", help="number of sentences (20)")
    add_languages_option(parser, "some of en,es,fr,it,ru (en,fr)")
    add_split_option(parser, "train", text="train", choices=("train", "dev", "test"))
    add_seed_option(parser, "of the sentences")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the recordings and the manifest `<split>.tsv`."""
    folder = check_free_folder(check_output_folder(args.output_dir))
    languages = [language_code(lang) for lang in args.languages or ("en", "fr")]
    from mu2slam_hf.data.tones import write_tone_corpus

    with atomic_path(folder) as temporary:
        manifest = write_tone_corpus(
            temporary, num_sentences=args.num, languages=languages, split=args.split, seed=args.seed
        )
    print(f"{args.num} sentences each in {', '.join(languages)}, written to {folder / manifest.name}")
    return 0
