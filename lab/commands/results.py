# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab results`: the page of results from the records."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "results",
        help="write RESULTS.md from the records in results/",
        description="Fills the template lab/configuration/results.md with figures of the records of evaluations, of "
        "studies and of results/measurements.yaml, and writes RESULTS.md. A figure that no record has is an error.",
    )
    parser.add_argument("--check", action="store_true", help="check only: exit status 1 if the page would change")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes or checks the page."""
    from lab.results_page import format_results_page
    from mu2slam_hf.atomic_files import atomic_path

    root = Path(__file__).resolve().parent.parent.parent
    page, content = root / "RESULTS.md", format_results_page(root / "results")
    if args.check:
        is_same = page.is_file() and page.read_text(encoding="utf-8") == content
        print("RESULTS.md has the figures of the records" if is_same else "RESULTS.md would change: leave out --check")
        return int(not is_same)
    with atomic_path(page) as temporary:
        temporary.write_text(content, encoding="utf-8")
    print(f"written to {page}")
    return 0
