# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab boundary-accuracy`: errors of aligned word boundaries on synthetic speech."""

import argparse
from typing import Any

from lab.commands.options import add_synthetic_options, check_synthetic
from mu2slam_hf.cli.languages import model_config, resolve_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import add_seed_option
from mu2slam_hf.inference.recordings import print_error

_COLUMNS = ("mean_absolute_ms", "median_absolute_ms", "mean_ms", "within_50ms", "within_100ms")


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "boundary-accuracy",
        help="measure word boundaries on synthetic speech, whose times are known (extra: lab)",
        description="Aligns synthetic sentences with their texts, and prints the differences between the boundaries "
        "of words and those of espeak-ng, beside words that are spread evenly.",
    )
    add_synthetic_options(parser, 15, required=True)
    add_seed_option(parser, "of sentences and voices")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints errors by language: times in milliseconds, shares in percent."""
    check_synthetic()
    resolve_languages(args, model_config(args), synthetic="--synthetic")
    from lab.boundary_accuracy import constant_rate_boundaries, measure_boundaries
    from lab.synthesis.phones import speak_in_voices

    model, processor = load_model(args)
    print("synthetic speech, two voices; times in ms, shares in percent")
    print(f"{'':16}{'words':>6}" + "".join(f"{name.replace('_', ' '):>20}" for name in _COLUMNS))
    for lang in args.synthetic:
        spoken = speak_in_voices([lang], args.sentences, seed=args.seed, form="spoken")
        sentences = [version for versions in spoken for version in versions]
        measured = measure_boundaries(model, processor, sentences)
        if measured.num_left_out:
            print_error(lang, f"{measured.num_left_out} of {len(sentences)} sentences left out: words do not match")
        for name, errors in (("", measured), (" evenly", constant_rate_boundaries(sentences))):
            figures = errors.figures()
            for edge in ("start", "end"):
                values = "".join(f"{figures[f'{edge}_{column}']:20.1f}" for column in _COLUMNS)
                print(f"{f'{lang} {edge}{name}':16}{len(errors.start_seconds):6}{values}", flush=True)
    return 0
