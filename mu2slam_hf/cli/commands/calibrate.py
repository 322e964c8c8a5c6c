# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam calibrate`: thresholds of a checkpoint below which nothing is written."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_num_recordings_option,
    add_seed_option,
    add_source_options,
    add_split_option,
    check_sources,
    positive_int,
    probability,
)
from mu2slam_hf.cli.records import load_sources

CONFIG = "config.json"


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "calibrate",
        help="find the thresholds below which a checkpoint writes nothing",
        description="Calibrates the decision whether a recording has speech, from recordings of speech and synthetic "
        "silence, noise, tones and music, and stores it in the folder of the checkpoint. Prints how often speech is "
        "emptied and how often something is written for sounds without speech.",
        epilog="Use training data, as varied as possible: several voices, languages, microphones. Measure with "
        "--check on recordings that were not used.",
    )
    parser.add_argument("--check", action="store_true", help="check only: measure with the stored thresholds")
    add_calibration_options(parser)
    parser.set_defaults(run=run)


def add_calibration_options(parser: argparse.ArgumentParser) -> None:
    """All options but `--check`."""
    data = parser.add_argument_group("speech; every language of each corpus is a source of its own")
    add_source_options(data, repeated=True)
    add_split_option(data, default=None, text="train; with --check dev")
    add_num_recordings_option(data)
    parser.add_argument(
        "--max-muted", type=probability, default=0.005, metavar="P", help="share of speech that may be emptied (0.005)"
    )
    parser.add_argument(
        "--noisy-share", type=probability, default=0.35, metavar="P", help="share of speech that gets noise (0.35)"
    )
    parser.add_argument(
        "--num-sounds",
        type=positive_int,
        default=600,
        metavar="N",
        help="sounds without speech to calibrate with (600)",
    )
    parser.add_argument(
        "--num-measured",
        type=positive_int,
        default=150,
        metavar="N",
        help="other sounds without speech to measure with (150)",
    )
    add_seed_option(parser, "of noise and sounds")
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Calibrates a checkpoint, or measures it."""
    check_folder(args)
    check_sources(args, "speech")
    clips = list(read_speech(args))
    calibrate(args, *load_model(args), clips)
    return 0


def check_folder(args: argparse.Namespace) -> None:
    """Raises ValueError if the result cannot be stored."""
    if not args.check and not (Path(args.model) / CONFIG).is_file():
        raise ValueError(f"--model {args.model}: expected the folder of a checkpoint, in which the result is stored")


def calibrate(args: argparse.Namespace, model: Any, processor: Any, clips: Iterable[Any]) -> Any:
    """Fits and stores the decision, or reads the stored one, and prints its errors; returns it.

    Args:
        args: arguments of `add_calibration_options`, and `check`.
        model: the model of `--model`.
        processor: its processor.
        clips: clips with speech.
    """
    from mu2slam_hf.evaluation.tasks.no_speech_calibration import (
        fit_no_speech,
        format_no_speech,
        measure_clips,
        non_speech_clips,
        score_no_speech,
        store_no_speech,
    )
    from mu2slam_hf.inference.no_speech import NoSpeechSettings

    model.eval()
    speech = measure_clips(model, processor, clips)
    if args.check:
        settings = NoSpeechSettings.from_model(model)
    else:
        sounds = measure_clips(model, processor, non_speech_clips(args.num_sounds, seed=args.seed))
        settings = fit_no_speech([*speech, *sounds], max_muted=args.max_muted)
        print(f"written to {store_no_speech(args.model, settings)}\n")
    measured = measure_clips(model, processor, non_speech_clips(args.num_measured, seed=args.seed + 1))
    print(format_no_speech(score_no_speech(settings, [*speech, *measured])))
    return settings


def read_speech(args: argparse.Namespace) -> Iterator[Any]:
    """Clips of speech of all sources; with `--check` as they are, else some with noise."""
    from mu2slam_hf.data.selection import spread_evenly
    from mu2slam_hf.evaluation.tasks.no_speech_calibration import speech_clips

    for name, records in load_sources(args, args.split or ("dev" if args.check else "train")):
        by_language: dict[str, list[Any]] = {}
        for record in records:
            if record.audio is not None:
                by_language.setdefault(record.lang, []).append(record)
        if not by_language:
            raise ValueError(f"{name}: has no recordings")
        for own in by_language.values():
            chosen = spread_evenly(own, args.num_recordings)
            share = 0.0 if args.check else args.noisy_share
            yield from speech_clips(chosen, name, noisy_share=share, seed=args.seed)
