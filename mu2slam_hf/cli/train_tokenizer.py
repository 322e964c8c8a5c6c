# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam train-tokenizer`: training of a character or unigram tokenizer on texts."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.files import check_input_file, check_output_folder, not_utf8
from mu2slam_hf.cli.options import add_kind_option, add_output_dir_option, positive_int


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train-tokenizer",
        help="train a character or unigram tokenizer on texts",
        description="Trains the text part of the vocabulary and saves a tokenizer with ids of the speech codebook.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="text, one sentence per line, or manifests (texts, translations)"
    )
    add_output_dir_option(parser, "the tokenizer", required=True)
    add_kind_option(parser, "char or unigram (char)", default="char")
    parser.add_argument(
        "--vocab-size", type=positive_int, metavar="N", help="number of text tokens (char: 4096; unigram: 64000)"
    )
    parser.add_argument(
        "--num-speech-tokens", type=positive_int, default=1024, metavar="N", help="size of the speech codebook (1024)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains and saves a tokenizer."""
    folder = check_output_folder(args.output_dir)
    from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

    vocab_size = args.vocab_size or (4096 if args.kind == "char" else 64_000)
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(
        read_texts(args.files), vocab_size=vocab_size, kind=args.kind, num_speech_tokens=args.num_speech_tokens
    )
    tokenizer.save_pretrained(folder)
    print(f"{len(tokenizer)} ids, written to {folder}")
    return 0


def read_texts(files: Sequence[str]) -> Iterator[str]:
    """Texts of text files and manifests, including translations; each distinct text of a manifest once."""
    from mu2slam_hf.data.manifests import read_manifest
    from mu2slam_hf.data.table_files import table_format
    from mu2slam_hf.data.text import clean_text

    for file in files:
        if table_format(Path(file)) is not None:
            texts: dict[str, None] = {}
            for record in read_manifest(file):
                texts |= dict.fromkeys([*([record.text] if record.text else []), *record.translations.values()])
            yield from texts
            continue
        check_input_file(file, "texts, one sentence per line")
        try:
            with open(file, encoding="utf-8-sig") as lines:
                for line in lines:
                    if text := clean_text(line):
                        yield text
        except UnicodeDecodeError as error:
            raise not_utf8(file, error, "texts, one sentence per line") from error
