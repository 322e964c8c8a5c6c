# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam evaluate`: WER, CER, BLEU and chrF of a checkpoint on a corpus, per language and direction."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.options import (
    add_generation_options,
    add_languages_option,
    add_model_options,
    generation_arguments,
    positive_int,
    quiet_libraries,
)

_CONDITIONS = {"given": (True,), "guessed": (False,), "both": (True, False)}


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="WER, CER, BLEU and chrF of a checkpoint on a corpus",
        description="Transcribes and translates a corpus and prints scores per language and direction, with their "
        "means (also from and into English) and sacreBLEU signatures.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", metavar="NAME", help="corpus known by name, e.g. prompts5")
    source.add_argument("--manifest", metavar="FILE", help="TSV, CSV, JSONL or Parquet with audio, text, lang, ...")
    parser.add_argument("--root", metavar="DIR", help="folder of the corpus")
    parser.add_argument("--split", default="dev", help="split of the corpus (dev)")
    parser.add_argument("--tasks", nargs="+", choices=("asr", "ast", "mt"), default=["asr", "ast", "mt"])
    add_languages_option(parser, "use only these, as source and target")
    parser.add_argument(
        "--source-lang",
        choices=tuple(_CONDITIONS),
        default="given",
        help="whether the model receives the source language; both: one table each (given)",
    )
    parser.add_argument(
        "--baseline-split",
        metavar="SPLIT",
        help="also score a baseline: the translation of the nearest sentence in this split",
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N records of each language")
    parser.add_argument("--json", metavar="FILE", help="write the record of the evaluation to FILE")
    parser.add_argument("--hypotheses", metavar="FILE", help="JSONL of all hypotheses; interrupted runs are resumed")
    parser.add_argument("--batch-seconds", type=float, default=60.0, help="maximum seconds of audio in a batch (60)")
    parser.add_argument("--batch-size", type=positive_int, default=32, help="maximum number of items in a batch (32)")
    parser.add_argument("--seed", type=int, default=0)
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints the tables, writes the record."""
    if args.corpus and not args.root:
        raise ValueError(f"--corpus {args.corpus} requires --root, the folder of the corpus")
    from mu2slam_hf.checkpoints import load_checkpoint
    from mu2slam_hf.evaluation.corpus_evaluation import EvaluationSettings, evaluate_corpus
    from mu2slam_hf.evaluation.scoring import format_scores

    quiet_libraries()
    model, processor = load_checkpoint(args.model, device=args.device)
    results = evaluate_corpus(
        model,
        processor,
        load_records(args, args.split, args.limit),
        EvaluationSettings(
            tasks=args.tasks,
            source_lang_given=_CONDITIONS[args.source_lang],
            batch_seconds=args.batch_seconds,
            batch_size=args.batch_size,
            seed=args.seed,
            generate=generation_arguments(args),
        ),
        train_records=load_records(args, args.baseline_split, None) if args.baseline_split else None,
        model_name=args.model,
        data={"corpus": args.corpus or Path(args.manifest).name, "split": args.split, "limit": args.limit},
        hypotheses_path=args.hypotheses,
        progress=sys.stderr.isatty(),
    )
    print(format_scores(results.scores))
    if args.json:
        results.save(args.json)
        print(f"\nwritten to {args.json}")
    return 0


def load_records(args: argparse.Namespace, split: str, limit: int | None) -> list[Any]:
    """Load records of a corpus or manifest in the selected languages, with durations.

    Args:
        args: arguments of the command: corpus, root, manifest, languages.
        split: split of the corpus.
        limit: maximum number of records per language.

    Raises:
        ValueError: there are no records in the selected languages.
    """
    from collections import Counter
    from dataclasses import replace

    from mu2slam_hf.data.audio import audio_duration_seconds
    from mu2slam_hf.data.corpora.registry import load_corpus
    from mu2slam_hf.data.manifests import read_manifest

    if args.corpus:
        records = load_corpus(args.corpus, args.root, split)
    else:
        records = read_manifest(args.manifest)
    if args.languages:
        wanted = set(args.languages)
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
    for record in records:
        seen[record.lang] += 1
        if limit is not None and seen[record.lang] > limit:
            continue
        if record.audio is not None and record.duration_seconds is None:
            record = record.with_duration(audio_duration_seconds(record.audio))
        chosen.append(record)
    return chosen
