# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam index`: makes recordings searchable."""

import argparse
from typing import Any

from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_json_option,
    add_output_dir_option,
    add_source_language_option,
    positive_seconds,
    probability,
)
from mu2slam_hf.inference.recordings import print_error, print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "index",
        help="make folders of recordings searchable by sentences",
        description="Cuts recordings at their pauses and stores a vector of each clip for `mu2slam search`. Run again "
        "with the same folders, it computes only what is new or has changed, also after an interruption, and removes "
        "what is gone.",
        epilog="Recordings that cannot be read are reported and left out; the exit status is then 1.",
    )
    parser.add_argument("paths", nargs="+", metavar="FOLDER", help="folders with recordings, or recordings")
    add_output_dir_option(parser, "the index", required=True)
    add_source_language_option(parser, default="unknown")
    parser.add_argument(
        "--clip-seconds",
        type=positive_seconds,
        metavar="S",
        help="maximum length of a clip (10, or that of the index)",
    )
    parser.add_argument(
        "--index-type",
        metavar="TYPE",
        help="FAISS's name of an index, such as Flat, IVF4096,SQ8 or HNSW32; default: exact below 100,000 clips",
    )
    parser.add_argument(
        "--recall",
        type=probability,
        default=0.95,
        metavar="P",
        help="share of the nearest clips that an index which is not exact must find (0.95)",
    )
    parser.add_argument(
        "--collection", metavar="ADDRESS", help="also copy all clips to http://host:6333/NAME of Qdrant"
    )
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Updates the index; 1 if a recording could not be read."""
    from mu2slam_hf.models.language_codes import canonical_language
    from mu2slam_hf.search.speech_index import SpeechIndex

    language = None if args.source_lang is None else canonical_language(args.source_lang)
    model, processor = load_model(args)
    index = SpeechIndex.open(args.output_dir, model, processor, clip_seconds=args.clip_seconds)
    changes = index.add(args.paths, language, index_type=args.index_type, recall=args.recall)
    for path, reason in changes.errors.items():
        print_error(path, reason.removeprefix(f"{path}: "))
    clips = index.clips()
    if args.collection is not None and clips:
        from mu2slam_hf.search.qdrant_index import QdrantClips

        QdrantClips.connect(args.collection).replace(*index.vectors(), index.encoder)
    counts = {name: value for name, value in vars(changes).items() if name != "errors"}
    seconds = sum(clip.end_seconds - clip.start_seconds for clip in clips)
    if args.json:
        print_json({**counts, "clips": len(clips), "seconds": round(seconds, 1), "errors": changes.errors})
    else:
        made = ", ".join(f"{value} {name}" for name, value in counts.items())
        print(f"{args.output_dir}: {len(clips)} clips, {seconds:.1f} s of speech; recordings: {made}", flush=True)
    return 1 if changes.errors else 0
