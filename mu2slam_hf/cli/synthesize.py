# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam synthesize`: n-way parallel synthetic speech in a folder with a manifest."""

import argparse
from typing import Any

from mu2slam_hf.cli.corpus_options import load_single_corpus
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.options import (
    add_languages_option,
    add_output_dir_option,
    add_seed_option,
    add_source_options,
    add_split_option,
    check_source,
    number_from_0,
    positive_int,
)


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "synthesize",
        help="create synthetic parallel speech with texts (extra: synthetic)",
        description="Synthesises generated sentences (numbers, dates, quantities, names, ...), or the texts of a "
        "manifest or corpus, with espeak-ng, and writes recordings and a manifest. With --tones, writes "
        "a tiny corpus of tones for tests of training, without espeak-ng.",
    )
    add_output_dir_option(parser, "must not exist or be empty", required=True)
    add_languages_option(parser, "default: all supported ones")
    add_seed_option(parser, "of meanings and voices")
    add_split_option(parser, "train", text="train", choices=("train", "dev", "test"))
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="espeak-ng processes (1)")
    generated = parser.add_argument_group("generated sentences")
    generated.add_argument("--num", type=positive_int, metavar="N", help="number of meanings (1000; of tones: 20)")
    generated.add_argument(
        "--form", choices=("written", "spoken"), default="written", help="with digits and capitals, or as spoken words"
    )
    generated.add_argument(
        "--tones", action="store_true", help="one tone per word instead of speech; en,es,fr,it,ru (default: en,fr)"
    )
    given = parser.add_argument_group("texts of a corpus or manifest instead of generated sentences")
    add_source_options(given)
    given.add_argument(
        "--max-texts", type=positive_int, metavar="N", help="at most N texts of each language, drawn at random (all)"
    )
    given.add_argument(
        "--voices-per-text", type=positive_int, metavar="N", help="number of voices of each text (5 to 2, by length)"
    )
    given.add_argument(
        "--random-sequences",
        type=number_from_0,
        default=0,
        metavar="N",
        help="also N random word sequences per language",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Synthesises and writes clips; prints a summary."""
    check_source(args)
    if args.languages:
        args.languages = [language_code(lang) for lang in args.languages]
    if args.tones:
        return write_tones(args)
    records = load_single_corpus(args, args.split)
    from mu2slam_hf.synthetic.folder import FolderSettings
    from mu2slam_hf.synthetic.generator import write_synthetic_folder
    from mu2slam_hf.synthetic.texts import VOICES_BY_LENGTH, speak_manifest

    shared = {"languages": args.languages, "seed": args.seed, "folder": FolderSettings(num_workers=args.workers)}
    if args.manifest or args.corpus:
        source = args.manifest or records
        if args.voices_per_text is not None:
            shared["voices_by_length"] = ((VOICES_BY_LENGTH[-1][0], args.voices_per_text),)
        summary = speak_manifest(
            source, args.output_dir, max_texts=args.max_texts, random_sequences=args.random_sequences, **shared
        )
    else:
        summary = write_synthetic_folder(
            args.output_dir, num_meanings=args.num or 1000, split=args.split, form=args.form, **shared
        )
    for lang, count in sorted(summary.num_clips.items()):
        print(f"{lang}: {count} clips, {summary.seconds[lang] / 3600:.2f} h")
    if summary.left_out:
        print(f"skipped: {len(summary.left_out)} clips, listed in synthesis.json")
    print(f"written to {summary.manifest}")
    return 0


def write_tones(args: argparse.Namespace) -> int:
    """Writes the corpus of tones with a manifest `<split>.tsv`."""
    if args.manifest or args.corpus:
        raise ValueError("--tones cannot be combined with --manifest and --corpus")
    from mu2slam_hf.synthetic.folder import check_free_folder
    from mu2slam_hf.synthetic.tones import write_tone_corpus

    languages = args.languages or ("en", "fr")
    folder = check_free_folder(args.output_dir)
    number = args.num or 20
    manifest = write_tone_corpus(folder, num_sentences=number, languages=languages, split=args.split, seed=args.seed)
    print(f"{number} sentences each in {', '.join(languages)}, written to {manifest}")
    return 0
