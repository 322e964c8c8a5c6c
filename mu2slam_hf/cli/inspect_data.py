# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam inspect-data`: what of a folder of recordings can be used for training, and what should be corrected."""

import argparse
from typing import Any

from mu2slam_hf.cli.files import check_output_folder
from mu2slam_hf.cli.options import quiet_libraries
from mu2slam_hf.cli.user_data import REPORT_FILE, add_user_data_options, prepare_user_data, write_report


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "inspect-data",
        help="inspect recordings and their texts before training on them",
        description="Reads recordings with their transcripts and translations, says what can be used for training "
        "and what should be corrected, and divides them into training and development data. Prints a report, and "
        "with --output-dir writes it as report.html and data.json.",
        epilog="ELAN and Praat files and the plots of the report need the extra adapt: pip install "
        "'mu2slam-hf[adapt]'. Files, rows and annotations that cannot be used are reported and left out; the exit "
        "status is 0 if anything can be used.",
    )
    add_user_data_options(parser, output=f"{REPORT_FILE} and data.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the report and writes it."""
    quiet_libraries()
    report_dir = check_output_folder(args.output_dir) if args.output_dir else None
    from mu2slam_hf.adaptation.report_text import format_report

    prepared = prepare_user_data(args, report_dir)
    print(format_report(prepared.report))
    if report_dir is not None:
        page, data_file = write_report(prepared, args, report_dir)
        print(f"\nwritten to {page} and {data_file}")
    return 0
