# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam translate`: translation of texts."""

import argparse
import sys
from typing import Any

from mu2slam_hf.cli.languages import model_config, resolve_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_batch_size_option,
    add_generation_options,
    add_json_option,
    add_source_language_option,
    add_target_languages_option,
    generation_arguments,
)
from mu2slam_hf.inference.recordings import print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "translate",
        help="translate texts",
        description="Translates each TEXT; without TEXT, each line of standard input.",
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="sentences; quote each one")
    add_source_language_option(parser)
    add_target_languages_option(parser, required=True)
    parser.add_argument(
        "--normalize",
        nargs="?",
        choices=("auto", "always", "never"),
        default="auto",
        const="always",
        help="convert to lower case without punctuation first; auto: if that leaves fewer unknown characters",
    )
    add_json_option(parser)
    add_batch_size_option(parser, 16)
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Translates all texts; 1 if one is empty."""
    resolve_languages(args, model_config(args), source_lang="--from", target_langs="--to")
    from mu2slam_hf.inference.translation import translate

    texts = args.texts or read_standard_input()
    model, processor = load_model(args, "mt")
    usable = [text for text in texts if text.strip()]
    for start in range(0, len(usable), args.batch_size):
        batch = usable[start : start + args.batch_size]
        for text in batch:
            prepare_argument(text, processor.tokenizer, args.normalize)
        shared = {"source_lang": args.source_lang, "normalize": args.normalize, **generation_arguments(args)}
        outputs = {lang: translate(model, processor, batch, target_lang=lang, **shared) for lang in args.target_langs}
        for row, text in enumerate(batch):
            translations = {lang: lines[row] for lang, lines in outputs.items()}
            if args.json:
                print_json({"text": text, "translations": translations})
            elif len(translations) == 1:
                print(*translations.values(), flush=True)
            else:
                print("\n".join([text, *(f"  {lang}  {line}" for lang, line in translations.items())]), flush=True)
    if len(usable) < len(texts):
        print(f"skipped {len(texts) - len(usable)} of {len(texts)} texts, which are empty", file=sys.stderr)
        return 1
    return 0


def read_standard_input() -> list[str]:
    """The lines of standard input.

    Raises:
        ValueError: they are not UTF-8.
    """
    from mu2slam_hf.cli.files import not_utf8

    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise not_utf8("standard input", error, "texts, one per line") from error


def prepare_argument(text: str, tokenizer: Any, normalize: str = "auto") -> str:
    """`prepare_argument` of a cleaned text, with its warning of unknown characters on standard error.

    `quiet_libraries` silences the messages of the library.
    """
    from mu2slam_hf.data.text import clean_text, find_unknown_characters
    from mu2slam_hf.data.text import prepare_text as prepare_for_model

    text = prepare_for_model(clean_text(text), tokenizer, normalize)
    unknown = find_unknown_characters(text, tokenizer)
    if unknown:
        print(f"characters that are not in the vocabulary: {' '.join(unknown)}", file=sys.stderr)
    return text
