# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab train-text-model`: a small multilingual text model for `mu2slam init --language-model`."""

import argparse
from typing import Any

from lab.commands.synthesize import name_list
from mu2slam_hf.cli.options import add_languages_option, add_output_dir_option, add_seed_option, positive_int


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train-text-model",
        help="train a small text model that repeats and translates texts, for speech in front of it",
        description="Trains a text model on generated sentences, or on the texts of a manifest with translations: to "
        "repeat a text in its language, and to translate it, as prompts say. In the second half some characters are "
        "damaged. Continue with `mu2slam init --speech-model S --language-model DIR`.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--manifest",
        metavar="FILE",
        help="TSV, CSV, JSONL or Parquet with audio, text, lang, ...; texts alone are read",
    )
    add_languages_option(source, "generate sentences in these")
    parser.add_argument("--num", type=positive_int, default=15000, metavar="N", help="number of sentences (15000)")
    parser.add_argument(
        "--kinds", type=name_list, metavar="KIND[,KIND]", help="kinds of contents, as date,time,quantity (all)"
    )
    add_output_dir_option(parser, "the model and its tokenizer", required=True)
    parser.add_argument("--text-format", choices=("t5", "llama"), default="t5", help="encoder-decoder or decoder (t5)")
    for name, default, text in (
        ("--hidden-size", 192, "width"),
        ("--num-layers", 4, "layers of each stack"),
        ("--vocab-size", 1500, "number of pieces"),
        ("--num-updates", 4000, "updates"),
        ("--texts-per-update", 64, "texts of an update"),
    ):
        parser.add_argument(name, type=positive_int, default=default, metavar="N", help=f"{text} ({default})")
    add_seed_option(parser, "weights, order and prompts")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains the model and writes it."""
    from lab.text_models import TextModelSettings, generate_texts, train_text_model
    from mu2slam_hf.cli.files import check_output_folder
    from mu2slam_hf.data.manifests import read_manifest

    folder = check_output_folder(args.output_dir)
    settings = TextModelSettings(
        format=args.text_format,
        hidden_size=args.hidden_size,
        num_layers=args.num_layers,
        vocab_size=args.vocab_size,
        max_steps=args.num_updates,
        batch_size=args.texts_per_update,
        seed=args.seed,
    )
    records = (
        read_manifest(args.manifest)
        if args.manifest
        else generate_texts(args.languages, args.num, kinds=args.kinds, seed=args.seed)
    )
    model = train_text_model(records, folder, settings)
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters, written to {folder}")
    return 0
