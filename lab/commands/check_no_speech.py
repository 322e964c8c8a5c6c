# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab check-no-speech`: the decision whether a recording has speech, on other voices and sounds."""

import argparse
from collections.abc import Iterator
from typing import Any

from lab.commands.options import add_synthetic_options, check_synthetic
from mu2slam_hf.cli.commands.calibrate import add_calibration_options, calibrate, check_folder, read_speech
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import check_sources


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "check-no-speech",
        help="check the decision whether a recording has speech on synthetic voices and unseen kinds of sound",
        description="Measures as `mu2slam calibrate --check`, also with synthetic voices, and with kinds of sound "
        "that calibration does not use (birds, rain, bells, ...).",
    )
    parser.add_argument(
        "--calibrate",
        dest="check",
        action="store_false",
        help="calibrate first, as `mu2slam calibrate`, also with synthetic voices",
    )
    add_calibration_options(parser)
    add_synthetic_options(parser.add_argument_group("synthetic voices (extra: lab)"), 40)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures a checkpoint, after calibration if that is asked for."""
    from lab.synthesis.unseen_sounds import UNSEEN_KINDS
    from mu2slam_hf.evaluation.tasks import no_speech_calibration as calibration

    check_folder(args)
    check_sources(args, "speech", required=not args.synthetic)
    if args.synthetic:
        check_synthetic()
    args.synthetic = [language_code(lang) for lang in args.synthetic]
    clips = [*read_speech(args), *speak(args)]
    model, processor = load_model(args)
    settings = calibrate(args, model, processor, clips)
    # Twice as many, because there are many kinds.
    unseen = calibration.non_speech_clips(2 * args.num_measured, seed=args.seed, kinds=UNSEEN_KINDS)
    print("\nkinds of sound that calibration does not use")
    measured = calibration.measure_clips(model, processor, unseen)
    print(calibration.format_no_speech(calibration.score_no_speech(settings, measured)))
    return 0


def speak(args: argparse.Namespace) -> Iterator[Any]:
    """Clips of synthetic voices; to measure, other sentences and voices than to calibrate."""
    from lab.synthesis.phones import speak_in_voices
    from mu2slam_hf.evaluation.tasks.no_speech_calibration import SoundClip

    options: dict[str, Any] = {"seed": args.seed, "split": "test" if args.check else "train", "form": "spoken"}
    for lang in args.synthetic:
        for versions in speak_in_voices([lang], args.sentences, **options):
            for version in versions:
                yield SoundClip(source=f"synthetic {lang}", has_speech=True, waveform=version.audio)
