# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam align`: alignment of a transcript with its recording."""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli.files import check_output_file, read_text
from mu2slam_hf.cli.options import add_model_options, language_list, load_model, positive_int
from mu2slam_hf.cli.recordings import print_error, print_json

_FORMATS = ("tsv", "json", "textgrid", "srt", "vtt")


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "align",
        help="align a transcript with its recording",
        description="Finds start and end of each word of a transcript in its recording, with a confidence. A word * "
        "in the transcript matches any speech. TEXT may be a .txt file; use a manifest for many "
        "recordings.",
        epilog="Recordings that cannot be read or aligned are reported and skipped; the exit status is then 1.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="a recording")
    parser.add_argument("transcript", nargs="*", metavar="TEXT", help="its transcript, or a .txt file with it")
    parser.add_argument("--from", dest="source_lang", metavar="LANG", help="spoken language; default: unknown")
    parser.add_argument("--manifest", metavar="FILE", help="many recordings: TSV, CSV, JSONL with audio, text, lang")
    parser.add_argument("--format", choices=_FORMATS, default="tsv", help="format of the output (tsv)")
    parser.add_argument("--output", metavar="PATH", help="file; with --manifest: folder (default: standard output)")
    parser.add_argument(
        "--level",
        choices=("word", "token"),
        help="token: characters or pieces; default: words, if the language has spaces",
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N rows of the manifest")
    measure = parser.add_argument_group("evaluation on synthetic speech (extra: synthetic)")
    measure.add_argument(
        "--measure",
        type=language_list,
        metavar="LANG,LANG",
        help="align synthetic sentences, and print the differences to the word times of espeak-ng",
    )
    measure.add_argument("--sentences", type=positive_int, default=15, metavar="N", help="sentences per language (15)")
    measure.add_argument("--seed", type=int, default=0, help="seed of sentences and voices (0)")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Aligns all recordings; returns 1 if a recording could not be aligned."""
    if args.measure:
        return measure_on_synthetic_speech(args)
    if (args.manifest is None) == (args.file is None):
        raise ValueError("pass either a recording and its transcript, or --manifest")
    if args.file is not None and not args.transcript:
        raise ValueError(f"{args.file}: pass its transcript too, or a .txt file that contains it")
    from mu2slam_hf.evaluation.alignment_formats import FORMATS, SUFFIXES, alignment_to_dict
    from mu2slam_hf.evaluation.forced_alignment import align

    folder = make_output_folder(args.output) if args.manifest and args.output else None
    if args.output and folder is None:
        check_output_file(args.output)
    jobs = list(read_jobs(args))
    model, processor = load_model(args)
    failed = False
    for name, audio, transcript, language in jobs:
        try:
            alignment = align(model, processor, audio, transcript, language, level=args.level)
        except ValueError as error:
            failed = True
            print_error(name, error)
            continue
        if alignment.unknown_characters:
            left_out = " ".join(alignment.unknown_characters)
            print_error(name, f"omitted characters (not in the vocabulary): {left_out}")
        text = FORMATS[args.format](alignment)
        if folder is not None:
            write(folder / (name.replace("/", "_") + SUFFIXES[args.format]), text)
        elif args.output:
            write(Path(args.output), text)
        elif args.manifest and args.format == "json":
            print_json({"id": name, **alignment_to_dict(alignment)})
        else:
            print((f"# {name}\n" if args.manifest else "") + text, flush=True)
    return 1 if failed else 0


def measure_on_synthetic_speech(args: argparse.Namespace) -> int:
    """Prints errors of word boundaries by language, in milliseconds, compared with those of words spread evenly."""
    from mu2slam_hf.evaluation.forced_alignment import constant_rate_boundaries, measure_boundaries
    from mu2slam_hf.synthetic.phones import speak_in_voices

    model, processor = load_model(args)
    columns = ("mean_absolute_ms", "median_absolute_ms", "mean_ms", "within_50ms", "within_100ms")
    print("synthetic speech, two voices; times in ms, shares in percent")
    print(f"{'':16}{'words':>6}" + "".join(f"{name.replace('_', ' '):>20}" for name in columns))
    for lang in args.measure:
        spoken = speak_in_voices([lang], args.sentences, seed=args.seed, form="spoken")
        sentences = [version for versions in spoken for version in versions]
        for name, errors in (
            ("", measure_boundaries(model, processor, sentences)),
            (" evenly", constant_rate_boundaries(sentences)),
        ):
            figures = errors.figures()
            for edge in ("start", "end"):
                values = "".join(f"{figures[f'{edge}_{column}']:20.1f}" for column in columns)
                print(f"{f'{lang} {edge}{name}':16}{len(errors.start_seconds):6}{values}", flush=True)
    return 0


def read_jobs(args: argparse.Namespace) -> Iterator[tuple[str, Any, str, str | None]]:
    """Name, recording, transcript and language of all items; rows without recording or transcript are an error."""
    if args.manifest is None:
        yield args.file, args.file, read_transcript(" ".join(args.transcript)), args.source_lang
        return
    from mu2slam_hf.data.manifests import read_manifest

    records = read_manifest(args.manifest, lang=args.source_lang)[: args.limit]
    shared = {name for name, number in Counter(record.id for record in records).items() if number > 1}
    for record in records:
        # The id of a sentence is the same in all languages.
        name = f"{record.lang}/{record.id}" if record.id in shared else record.id
        yield name, record.audio, record.text or "", None if record.lang == "und" else record.lang


def read_transcript(text: str) -> str:
    """The text itself, or the content of a file named .txt."""
    return read_text(text, "a transcript") if text.lower().endswith(".txt") else text


def make_output_folder(name: str) -> Path:
    """The folder for the alignments of a manifest."""
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output {name}: is a file; with --manifest expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(path: Path, text: str) -> None:
    """Writes a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
