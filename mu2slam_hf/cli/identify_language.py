# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam identify-language`: identification of spoken or written languages, and its evaluation."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from mu2slam_hf.cli.options import (
    add_batch_size_option,
    add_corpus_options,
    add_json_option,
    add_model_options,
    add_plot_option,
    add_recordings,
    add_results_option,
    add_top_option,
    check_plots,
    load_model,
    probability,
)
from mu2slam_hf.cli.recordings import (
    in_batches,
    list_recordings,
    load_recordings,
    print_error,
    print_json,
    report_all_unusable,
)
from mu2slam_hf.cli.records import describe_data, load_records, print_scores, save_results


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
        default=0.0,
        metavar="P",
        help="print und (unknown) if the highest probability is below P (0)",
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
        return evaluate(args)
    if args.plot or args.results:
        raise ValueError(f"--{'plot' if args.plot else 'results'} requires --corpus or --manifest: an evaluation")
    items: list[Any] = args.text or list_recordings(args.files, args.file_list)
    if not args.text and report_all_unusable(items, as_json=args.json):
        return 1
    model, processor = load_model(args)
    failed = False
    for batch in in_batches(items, args.batch_size):
        failed |= identify(batch, model, processor, args)
    return 1 if failed else 0


def identify(items: Sequence[Any], model: Any, processor: Any, args: argparse.Namespace) -> bool:
    """Prints the languages of one batch in order; returns True if a recording could not be read."""
    from mu2slam_hf.cli.translate import prepare_text
    from mu2slam_hf.data.audio import AudioError
    from mu2slam_hf.evaluation.language_identification import predict_languages

    name = "text" if args.text else "file"
    if args.text:
        loaded = [prepare_text(text, processor.tokenizer) for text in items]
    else:
        loaded = load_recordings([recording.source for recording in items])
        items = [recording.name for recording in items]
    usable = [one for one in loaded if not isinstance(one, AudioError)]
    sources: dict[str, Any] = {"text" if args.text else "audio": usable}
    guesses = predict_languages(model, processor, **sources, min_probability=args.min_probability) if usable else []
    following = iter(guesses)
    for item, one in zip(items, loaded, strict=True):
        if not isinstance(one, AudioError):
            print_guess(name, item, next(following), args)
        elif args.json:
            print_json({name: item, "error": str(one)})
        else:
            print_error(item, one)
    return len(usable) < len(items)


def print_guess(name: str, item: str, guess: Any, args: argparse.Namespace) -> None:
    """Prints one line: the item, its language, and the most probable languages with their probabilities."""
    top = guess.top(args.top)
    if args.json:
        rounded = {lang: round(value, 6) for lang, value in top.items()}
        print_json({name: item, "lang": guess.lang, "probabilities": rounded})
    else:
        shares = ", ".join(f"{lang} {100 * value:.1f} %" for lang, value in top.items())
        print(f"{item}: {guess.lang} ({shares})", flush=True)


def evaluate(args: argparse.Namespace) -> int:
    """Prints the confusion matrix of a corpus; writes record and plot."""
    if args.plot:
        check_plots()
    from mu2slam_hf.evaluation.confusion import format_confusion, save_confusion_plot
    from mu2slam_hf.evaluation.language_identification import evaluate_language_identification

    records = load_records(args, args.split, args.limit)
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
