# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam synthesize`: n-way parallel synthetic speech, written as a folder with a manifest."""

import argparse
from collections.abc import Iterator
from typing import Any

from mu2slam_hf.cli.options import language_list, positive_int


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "synthesize",
        help="write synthetic parallel speech with its texts (extra: synthetic)",
        description="Speaks generated sentences (numbers, dates, quantities, names, ...) or the texts of a manifest "
        "with espeak-ng, and writes recordings and a manifest.",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--languages", type=language_list, required=True, metavar="LANG,LANG", help="e.g. en,es,fr")
    parser.add_argument(
        "--manifest", metavar="FILE", help="speak the texts of this manifest instead of generated ones"
    )
    parser.add_argument("--num", type=positive_int, default=1000, metavar="N", help="meanings to generate (1000)")
    parser.add_argument("--voices", type=positive_int, default=1, metavar="N", help="recordings of each text (1)")
    parser.add_argument("--split", choices=("train", "dev", "test"), default="train", help="disjoint meanings (train)")
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="espeak-ng servers (1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Speaks and writes; prints what was made and what was left out."""
    from mu2slam_hf.data.synthetic_folder import synthesize_texts

    texts = manifest_texts(args) if args.manifest else generated_texts(args)
    description = {"source": args.manifest or "generated", "num": args.num, "languages": args.languages}
    summary = synthesize_texts(
        texts,
        args.output,
        voices_per_text=args.voices,
        seed=args.seed,
        num_workers=args.workers,
        description=description,
    )
    for lang, count in sorted(summary.num_clips.items()):
        print(f"{lang}: {count} clips, {summary.seconds[lang] / 3600:.2f} h")
    if summary.left_out:
        print(f"left out: {len(summary.left_out)} texts, listed in synthesis.json")
    print(f"written to {summary.manifest}")
    return 0


def manifest_texts(args: argparse.Namespace) -> Iterator[Any]:
    """The texts of a manifest in the wanted languages, with their translations."""
    from mu2slam_hf.data.manifests import read_manifest
    from mu2slam_hf.data.synthetic_folder import TextToSpeak

    for record in read_manifest(args.manifest):
        if record.text and record.lang in args.languages:
            translations = {lang: text for lang, text in record.translations.items() if lang in args.languages}
            yield TextToSpeak(id=record.id, lang=record.lang, text=record.text, translations=translations)


def generated_texts(args: argparse.Namespace) -> Iterator[Any]:
    """Generated meanings, each in all languages that can say it."""
    from mu2slam_hf.data.synthetic_content import content
    from mu2slam_hf.data.synthetic_folder import TextToSpeak
    from mu2slam_hf.data.synthetic_rendering import RenderingError, render

    for index in range(args.num):
        meaning = content(args.seed, index, split=args.split)
        texts = {}
        for lang in args.languages:
            try:
                texts[lang] = render(meaning, lang, "spoken")
            except RenderingError:
                continue
        for lang, text in texts.items():
            translations = {other: words for other, words in texts.items() if other != lang}
            yield TextToSpeak(id=f"{index:07d}", lang=lang, text=text, translations=translations, kind=meaning.kind)
