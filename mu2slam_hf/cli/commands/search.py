# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam search`: finds clips in an index by a sentence or by a recording."""

import argparse
import os
from typing import Any

from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import add_json_option, add_source_language_option, add_top_option
from mu2slam_hf.inference.recordings import is_address, print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "search",
        help="find clips of recordings by a sentence, in any language",
        description="Prints the clips of an index that are nearest to a sentence or to a recording, with scores, "
        "files and times.",
    )
    parser.add_argument("index", metavar="INDEX", help="folder of `mu2slam index`, or http://host:6333/collection")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the sentence, in any language of the model")
    parser.add_argument("--audio", metavar="FILE", help="a recording in place of the sentence")
    add_source_language_option(parser, default="unknown")
    add_top_option(parser)
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the best clips."""
    from pathlib import Path

    from mu2slam_hf.models.language_codes import canonical_language

    if (args.text is None) == (args.audio is None):
        raise ValueError("pass a sentence, or --audio with a recording, but not both")
    is_collection = is_address(args.index)
    if not is_collection and not (Path(args.index) / "index.json").is_file():
        raise ValueError(f"{args.index}: is not an index; make it with `mu2slam index FOLDER --output {args.index}`")
    language = None if args.source_lang is None else canonical_language(args.source_lang)
    model, processor = load_model(args)
    query: dict[str, Any] = {"text": args.text, "audio": args.audio, "language": language, "top": args.top}
    if is_collection:
        from mu2slam_hf.search.clips import ClipEncoder
        from mu2slam_hf.search.qdrant_index import QdrantClips

        hits = QdrantClips.connect(args.index).search(ClipEncoder(model, processor), **query)
    else:
        from mu2slam_hf.search.speech_index import SpeechIndex

        hits = SpeechIndex.open(args.index, model, processor).search(**query)
    for hit in hits:
        if args.json:
            print_json(vars(hit))
        else:
            place = f"{hit.start_seconds:8.2f} -{hit.end_seconds:8.2f} s"
            print(f"{hit.score:7.3f}  {place}  {_shorten(hit.path)}", flush=True)
    return 0


def _shorten(path: str) -> str:
    """A path relative to the working directory, if it lies below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
