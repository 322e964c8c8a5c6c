# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam identify-language`: identification of spoken or written languages, and its evaluation."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_batch_size_option,
    add_corpus_options,
    add_json_option,
    add_plot_option,
    add_recordings,
    add_results_option,
    add_top_option,
    check_plots,
    probability,
)
from mu2slam_hf.cli.recordings import list_recordings, report_all_unusable
from mu2slam_hf.cli.records import describe_data, load_corpus_records, print_scores, save_results
from mu2slam_hf.inference.recordings import Recording, print_error, print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "identify-language",
        help="identify the language of recordings or texts",
        description="Prints the most probable languages of recordings or texts; with --corpus or --manifest, the "
        "accuracy and a confusion matrix.",
        epilog="Files that cannot be read are reported and skipped; the exit status is then 1.",
    )
    add_recordings(parser)
    parser.add_argument("--text", nargs="+", default=[], metavar="TEXT", help="texts instead of recordings")
    add_top_option(parser)
    parser.add_argument(
        "--min-probability",
        type=probability,
        metavar="P",
        help="print und (unknown) if the highest probability is below P; default: that of the checkpoint, else 0",
    )
    add_json_option(parser)
    add_batch_size_option(parser, 16)
    evaluation = parser.add_argument_group("evaluation")
    add_corpus_options(evaluation)
    evaluation.add_argument("--modality", choices=("speech", "text"), default="speech", help="input (speech)")
    add_results_option(evaluation)
    add_plot_option(evaluation, "the confusion matrix, a file")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Identifies, or evaluates; 1 if a file could not be read."""
    given = [bool(args.files or args.file_list), bool(args.text), bool(args.corpus or args.manifest)]
    if sum(given) != 1:
        raise ValueError("pass exactly one of recordings, --text, and --corpus or --manifest (for an evaluation)")
    if given[2]:
        return _evaluate(args)
    if args.plot or args.results:
        raise ValueError(f"--{'plot' if args.plot else 'results'} requires --corpus or --manifest: an evaluation")
    items: list[Any] = args.text or list_recordings(args.files, args.file_list)
    if not args.text and report_all_unusable(items, as_json=args.json):
        return 1
    model, processor = load_model(args)
    if args.text:
        identify_texts(model, processor, args)
        return 0
    return 1 if identify_recordings(items, model, processor, args) else 0


def identify_texts(model: Any, processor: Any, args: argparse.Namespace) -> None:
    """Prints the languages of texts."""
    from mu2slam_hf.cli.commands.translate import prepare_argument
    from mu2slam_hf.inference.language_identification import predict_languages

    for start in range(0, len(args.text), args.batch_size):
        texts = args.text[start : start + args.batch_size]
        prepared = [prepare_argument(text, processor.tokenizer) for text in texts]
        guesses = predict_languages(model, processor, text=prepared, min_probability=args.min_probability)
        for text, guess in zip(texts, guesses, strict=True):
            print_guess("text", text, guess, args)


def identify_recordings(recordings: Sequence[Recording], model: Any, processor: Any, args: argparse.Namespace) -> bool:
    """Prints the languages of recordings in order; returns True if one could not be read."""
    from mu2slam_hf.data.audio import AudioError
    from mu2slam_hf.inference.language_identification import iterate_languages

    failed = False
    guesses = iterate_languages(
        model,
        processor,
        (recording.source for recording in recordings),
        min_probability=args.min_probability,
    )
    for recording, guess in zip(recordings, guesses, strict=True):
        if not isinstance(guess, AudioError):
            print_guess("file", recording.name, guess, args)
            continue
        failed = True
        if args.json:
            print_json({"file": recording.name, "error": str(guess)})
        else:
            print_error(recording.name, guess)
    return failed


def print_guess(name: str, item: str, guess: Any, args: argparse.Namespace) -> None:
    """Prints one line: the item, its language, and the most probable languages with their probabilities."""
    top = guess.top(args.top)
    if args.json:
        rounded = {lang: round(value, 6) for lang, value in top.items()}
        silent = {} if guess.has_speech else {"has_speech": False}
        print_json({name: item, "lang": guess.lang, "probabilities": rounded, **silent})
    elif not guess.has_speech:
        print(f"{item}: {guess.lang} (no speech)", flush=True)
    else:
        shares = ", ".join(f"{lang} {100 * value:.1f} %" for lang, value in top.items())
        print(f"{item}: {guess.lang} ({shares})", flush=True)


def _evaluate(args: argparse.Namespace) -> int:
    """Prints the confusion matrix of a corpus; writes record and plot."""
    if args.plot:
        check_plots()
    from mu2slam_hf.evaluation.scores.confusion import format_confusion, save_confusion_plot
    from mu2slam_hf.evaluation.tasks.language_identification import evaluate_language_identification

    records = load_corpus_records(args, args.split, args.limit, part=args.part)
    model, processor = load_model(args)
    matrix, results = evaluate_language_identification(
        model,
        processor,
        records,
        modality=args.modality,
        min_probability=args.min_probability,
        model_name=args.model,
        data=describe_data(args),
        batch_size=args.batch_size,
    )
    lines = [format_confusion(matrix)]
    for score in results.find(metric="refused"):
        lines.append(f"languages not supported by the model: und for {score.value:.1f} % of {score.num_items} items")
    print_scores(results, "\n".join(lines), as_json=args.json)
    save_results(results, args.results)
    if args.plot:
        print(f"written to {save_confusion_plot(matrix, args.plot)}", file=sys.stderr)
    return 0
