# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam transcribe FILE...`: transcription and translation of recordings."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from mu2slam_hf.cli.options import (
    add_generation_options,
    add_model_options,
    generation_arguments,
    language_list,
    load_model,
    positive_int,
)
from mu2slam_hf.cli.recordings import load_recordings, print_error, print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "transcribe",
        help="transcribe recordings, and translate them",
        description="Transcribes each file and, with --to, translates it. Supports wav, flac, ogg, opus and mp3 at "
        "any sampling rate.",
        epilog="Files that cannot be read are reported and skipped; the exit status is then 1.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings")
    parser.add_argument("--from", dest="source_lang", metavar="LANG", help="spoken language; default: predicted")
    parser.add_argument(
        "--to", dest="target_langs", type=language_list, default=[], metavar="LANG[,LANG]", help="also translate"
    )
    parser.add_argument("--word-times", action="store_true", help="print times and confidence of each word")
    parser.add_argument("--json", action="store_true", help="one JSON object per file and line")
    parser.add_argument("--batch-size", type=positive_int, default=8, metavar="N", help="files per batch (8)")
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Transcribes all readable files; returns 1 if a file could not be read."""
    model, processor = load_model(args, any_class=False)
    failed = False
    for start in range(0, len(args.files), args.batch_size):
        for result in transcribe_files(args.files[start : start + args.batch_size], model, processor, args):
            failed |= "error" in result
            print_result(result, as_json=args.json)
    return 1 if failed else 0


def transcribe_files(
    files: Sequence[str], model: Any, processor: Any, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Results of one batch, in the order of the files: the recognised texts, or `error`.

    Args:
        files: paths.
        model: `Mu2SLAMForConditionalGeneration`.
        processor: its processor.
        args: arguments of the command: source_lang, target_langs, generation options.
    """
    from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError
    from mu2slam_hf.evaluation.decode import generate_texts, guess_languages

    loaded = load_recordings(files)
    waves = [wave for wave in loaded if not isinstance(wave, AudioError)]
    texts: dict[str, list[str]] = {}
    spoken: list[str] = []
    if waves:
        spoken = [args.source_lang] * len(waves) if args.source_lang else guess_languages(model, processor, waves)
        # A predicted language is used for the target only, not for the encoder.
        shared = {"audio": waves, "source_lang": args.source_lang, **generation_arguments(args)}
        texts["transcript"] = generate_texts(model, processor, target_lang=spoken, task="asr", **shared)
        for target in args.target_langs:
            texts[target] = generate_texts(model, processor, target_lang=target, **shared)
    row = 0
    for file, wave in zip(files, loaded, strict=True):
        if isinstance(wave, AudioError):
            yield {"file": file, "error": str(wave)}
            continue
        result = {
            "file": file,
            "duration_seconds": round(len(wave) / SAMPLING_RATE, 3),
            "source_lang": spoken[row],
            "source_lang_guessed": args.source_lang is None,
            "transcript": texts["transcript"][row],
            "translations": {target: texts[target][row] for target in args.target_langs},
        }
        if args.word_times:
            result["words"] = find_word_times(model, processor, wave, texts["transcript"][row], args)
        yield result
        row += 1


def find_word_times(
    model: Any, processor: Any, wave: Any, transcript: str, args: argparse.Namespace
) -> list[dict[str, Any]] | None:
    """Words of a recognised text with start, end and confidence; None if the text cannot be aligned."""
    from mu2slam_hf.evaluation.alignment_formats import alignment_to_dict
    from mu2slam_hf.evaluation.forced_alignment import align

    if not transcript.strip():
        return []
    try:
        return list(alignment_to_dict(align(model, processor, wave, transcript, args.source_lang))["words"])
    except ValueError:
        return None


def print_result(result: dict[str, Any], *, as_json: bool) -> None:
    """Prints the result of one file, as text or JSON; without JSON, errors go to standard error."""
    if as_json:
        print_json(result)
    elif "error" in result:
        print_error(result["file"], result["error"])
    else:
        guessed = ", language predicted" if result["source_lang_guessed"] else ""
        print(f"{result['file']} ({result['duration_seconds']:.1f} s{guessed})")
        lines = {result["source_lang"]: result["transcript"]}
        lines |= {lang: text for lang, text in result["translations"].items() if lang not in lines}
        width = max(map(len, lines))
        for lang, text in lines.items():
            print(f"  {lang:<{width}}  {text}", flush=True)
        for word in result.get("words") or ():
            confidence = "" if word["confidence"] is None else f"{100 * word['confidence']:3.0f} %"
            print(f"  {word['start']:7.2f} {word['end']:7.2f}  {confidence}  {word['word']}", flush=True)
