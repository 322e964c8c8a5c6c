# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam adapt`: from a folder of recordings to a model for them."""

import argparse
import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.adaptation.training.settings import METHODS, MODES, AdaptationSettings
from mu2slam_hf.cli.collection import resume_collection
from mu2slam_hf.cli.errors import UsageError
from mu2slam_hf.cli.files import check_output_folder
from mu2slam_hf.cli.options import add_like_option, add_seed_option, positive_int, probability, quiet_libraries
from mu2slam_hf.cli.user_data import add_user_data_options, prepare_with_progress, read_inspection_job

if TYPE_CHECKING:
    from mu2slam_hf.adaptation.report.prepared_data import PreparedData
    from mu2slam_hf.adaptation.training.job import AdaptationJob
    from mu2slam_hf.adaptation.training.run import AdaptationResult

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "adapt",
        help="train a model for your own recordings",
        description="Reads recordings with their transcripts and translations, reports what can be used, and trains a "
        "model that `mu2slam transcribe`, `mu2slam translate` and the pipelines of transformers load. The language "
        "need not be known to the model. Interrupted, the same command continues.",
        epilog="The folder of the model gets a subfolder `adaptation` with the report about the data (report.html), "
        "the scores, learning curves and samples before and after training (results.html), the recipe, and the "
        "checkpoints of the run, which may be deleted at the end.",
    )
    add_user_data_options(parser, output="the model; with --check, the report in `adaptation` (only printed)")
    _add_training_options(parser)
    parser.add_argument(
        "--check",
        action="store_true",
        help="check only: stop after the report about the data; the exit status is 1 if something is left out that "
        "should be corrected",
    )
    parser.add_argument(
        "--continue",
        dest="continue_changed",
        action="store_true",
        help="train on from the model in the output folder, with changed data or other options; it is replaced only "
        "by a model with better scores on the development recordings",
    )
    parser.set_defaults(run=run)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group("training")
    add_like_option(training)
    length = training.add_mutually_exclusive_group()
    length.add_argument(
        "--time",
        type=seconds,
        metavar="TIME",
        help="time for everything, as 90min or 2h: the number of updates is chosen to fit; default: by the amount of "
        "data",
    )
    length.add_argument("--max-steps", type=positive_int, metavar="N", help="number of updates, in place of --time")
    training.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="train all weights, all but the lower half of the encoder, or low-rank adapters; default: by the size "
        "of the model and the hours of data",
    )
    training.add_argument(
        "--mode",
        choices=MODES,
        default="direct",
        help="direct: one run; gradual: first with the replayed data, then without; noisy: with noise on the "
        "decoder's inputs (direct)",
    )
    training.add_argument(
        "--pretrain",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="pre-train first on recordings without text, those of the data and, if given, of another folder; their "
        "share of the time follows from the hours",
    )
    training.add_argument(
        "--replay", metavar="MANIFEST", help="data of other languages and tasks that the model should keep"
    )
    training.add_argument(
        "--replay-share", type=probability, default=0.25, metavar="P", help="its share in training (0.25)"
    )
    add_seed_option(training, "of all random draws")


def run(args: argparse.Namespace) -> int:
    """Reports on the data, trains, and prints the scores."""
    started = time.monotonic()
    if args.output_dir is None and not args.check:
        raise UsageError("--output-dir is required, unless the data are only checked (--check)")
    quiet_libraries()
    if args.output_dir is not None:
        check_output_folder(args.output_dir)
    from mu2slam_hf.adaptation.report.rendering import format_report

    resume_collection()
    job = read_job(args)
    prepared = prepare_with_progress(job)
    print(format_report(prepared.report))
    print(flush=True)
    if args.output_dir is not None:
        page, data_file = job.inspection.write_report(prepared)
        print(f"written to {page} and {data_file}\n", flush=True)
    if args.check:
        return check_data(prepared)
    print_result(job.run(prepared, started=started, say=partial(print, flush=True)), prepared.report.lang)
    return 0


def read_job(args: argparse.Namespace) -> "AdaptationJob":
    """The job of the arguments.

    Raises:
        ValueError: an unknown language, a value of another form, or options that contradict each other.
    """
    from mu2slam_hf.adaptation.training.job import AdaptationJob
    from mu2slam_hf.adaptation.training.workspace import Workspace

    settings = AdaptationSettings(
        start=args.model,
        like=tuple(args.like),
        method=args.method,
        mode=args.mode,
        time_seconds=args.time,
        max_steps=args.max_steps,
        replay=args.replay,
        replay_share=args.replay_share,
        pretrain=args.pretrain,
        seed=args.seed,
    )
    return AdaptationJob(
        inspection=read_inspection_job(args, None if args.output_dir is None else Workspace(args.output_dir).folder),
        output_dir=None if args.output_dir is None else Path(args.output_dir),
        settings=settings,
        continue_changed=args.continue_changed,
    )


def print_result(result: "AdaptationResult", lang: str) -> None:
    """Prints the scores and where the model is."""
    print(f"\n{'on the development recordings':36}{'before':>8}{'after':>8}")
    for title, value in result.after.items():
        before = f"{result.before[title]:.1f}" if title in result.before else ""
        print(f"{title:36}{before:>8}{value:8.1f}")
    if result.kept_start:
        print("\nThe model of before is better on the development recordings and was kept; this training is not used.")
    print(f"\nmodel      {result.folder}\nresults    {result.page}")
    print(f"try it     mu2slam transcribe RECORDING --model {result.folder} --from {lang}")


def check_data(prepared: "PreparedData") -> int:
    """Prints whether there is enough to train on, and whether something was left out; returns the exit status.

    Raises:
        ValueError: there is nothing to train on.
    """
    if not prepared.split.train:
        raise ValueError("there is no recording with text to train on")
    faults = sum(finding.is_fault for finding in prepared.report.findings)
    number = len(prepared.split.train) + len(prepared.split.dev)
    usable = f"{number:,} utterances can be used for training and development"
    if faults:
        print(f"{usable}; {faults:,} {'thing is' if faults == 1 else 'things are'} left out, see above")
        return 1
    print(f"{usable}; nothing is left out")
    return 0


def seconds(text: str) -> float:
    """A duration: `2h`, `90min`, `1h30m`, `45s`.

    Raises:
        argparse.ArgumentTypeError: another form, or no time at all.
    """
    match = _DURATION.fullmatch(text.strip().lower().replace(" ", ""))
    parts = [float(part or 0) for part in match.groups()] if match else [0.0]
    total = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if total <= 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 2h, 90min or 1h30m, got {text!r}")
    return total
