# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records of the corpora and manifests given by the options of a command, and the results on them."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.corpus_options import load_corpora, load_single_corpus
from mu2slam_hf.cli.files import check_output_file
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.options import check_source
from mu2slam_hf.inference.recordings import print_json


def load_corpus_records(
    args: argparse.Namespace,
    split: str,
    limit: int | None,
    select: Callable[[list[Any]], list[Any]] = lambda records: records,
    part: str | None = None,
) -> list[Any]:
    """Load records of a corpus or manifest in the selected languages, with durations.

    Args:
        args: arguments of the command: corpus, root, manifest, languages.
        split: split of the corpus.
        limit: maximum number of records per language.
        select: further selection, before the limit.
        part: part of the records, see `take_part`; None for all.

    Raises:
        ValueError: a corpus without its folder, or no records in the selected languages.
    """
    from mu2slam_hf.data.audio import audio_duration_seconds
    from mu2slam_hf.data.manifests import read_manifest
    from mu2slam_hf.data.selection import take_part

    check_source(args)
    if getattr(args, "results", None):
        check_output_file(args.results, "--results")
    records = load_single_corpus(args, split)
    if args.manifest:
        records = read_manifest(args.manifest)
    if args.languages:
        wanted = {language_code(lang) for lang in args.languages}
        there = sorted({record.lang for record in records})
        if not wanted & set(there):
            raise ValueError(
                f"--languages: no records in {' or '.join(args.languages)}; {args.corpus or args.manifest} has "
                f"{', '.join(there) or 'no record at all'}"
            )
        records = [
            replace(record, translations={k: v for k, v in record.translations.items() if k in wanted})
            for record in records
            if record.lang in wanted
        ]
    seen: Counter[str] = Counter()
    chosen = []
    for record in select(take_part(records, part)):
        seen[record.lang] += 1
        if limit is not None and seen[record.lang] > limit:
            continue
        if record.audio is not None and record.duration_seconds is None:
            record = record.with_duration(audio_duration_seconds(record.audio))
        chosen.append(record)
    return chosen


def load_sources(args: argparse.Namespace, split: str) -> Iterator[tuple[str, list[Any]]]:
    """Name and records of each corpus and manifest.

    Args:
        args: arguments of the command after `check_sources`.
        split: split of the corpora.
    """
    from mu2slam_hf.data.manifests import read_manifest

    yield from load_corpora(args, args.corpus, split)
    for file in args.manifest:
        yield Path(file).resolve().parent.name, read_manifest(file)


def describe_data(args: argparse.Namespace) -> dict[str, Any]:
    """Corpus, split, limit, and if they are given options and directions, for the record of an evaluation."""
    data = {"corpus": args.corpus or Path(args.manifest).name, "split": args.split, "limit": args.limit}
    if args.part:
        data["part"] = args.part
    if args.corpus_options:
        data["options"] = dict(args.corpus_options)
    if getattr(args, "directions", None):
        data["directions"] = args.directions
    return data


def save_results(results: Any, path: str | None) -> None:
    """Writes the record of an evaluation, if a file is given."""
    if path:
        results.save(path)
        print(f"\nwritten to {path}", file=sys.stderr)


def print_scores(results: Any, table: str, *, as_json: bool) -> None:
    """Prints a table, or one JSON object per score."""
    if not as_json:
        print(table)
        return
    for score in results.scores:
        print_json(asdict(score))
