# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab score-switches`: transcripts of speech that switches between languages, by language and switch."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli import options
from mu2slam_hf.cli.files import check_output_file
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "score-switches",
        help="score transcripts of speech that switches between languages (extra: transliterate)",
        description="Transcribes a folder of `switch-languages` with the language of the sentences given, and prints "
        "word error rates as written and in Latin letters, and the share of missed words by language and beside "
        "switches.",
    )
    parser.add_argument("manifest", metavar="FILE", help="manifest of the folder")
    parser.add_argument(
        "--guess-language", action="store_true", help="let the model predict the language of each sentence"
    )
    options.add_results_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table, and writes the scores as JSON."""
    from lab.code_switching import format_switches, read_parts, score_switches
    from mu2slam_hf.data.manifests import read_manifest
    from mu2slam_hf.evaluation.records.results import current_commit, describe_command, describe_machine
    from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings

    if args.results:
        check_output_file(args.results, "--results")
    records = read_manifest(args.manifest)
    for record in records:
        read_parts(record)
    model, processor = load_model(args, "asr")
    requests = [
        TranscriptionRequest(source=record.audio, source_lang=None if args.guess_language else record.lang)
        for record in records
    ]
    texts = []
    for result in transcribe_recordings(model, processor, requests, TranscriptionOptions()):
        if isinstance(result, ValueError):
            raise result
        texts.append(result.text)
    scores = score_switches(records, texts)
    print(format_switches(scores))
    if args.results:
        facts = {"command": describe_command(), "git_commit": current_commit(), "machine": describe_machine()}
        content = {**facts, "scores": [asdict(score) for score in scores]}
        with atomic_path(args.results) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0
