# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab table`: a table in the layout of the paper from records of evaluations."""

import argparse
from collections import defaultdict
from typing import Any

from mu2slam_hf.cli.options import add_plot_option, check_plots

_LAYOUTS = (
    *("covost2", "covost2-xx-en", "covost2-en-xx", "voxpopuli", "xnli", "tydiqa"),
    *("fleurs-retrieval", "fleurs-retrieval-families", "fleurs-retrieval-seen", "fleurs-speech-translation-retrieval"),
)


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "table",
        help="print a table in the layout of the paper from records",
        description="Prints a Markdown table in the layout of the paper, with a row for each system, from the records "
        "that `mu2slam evaluate --results FILE` writes. Means are over the languages that all systems have; a line "
        "below the table says which.",
    )
    parser.add_argument(
        "layout",
        choices=_LAYOUTS,
        metavar="LAYOUT",
        help=f"{', '.join(_LAYOUTS)}: Tables 1, 7, 8, 9, 10, 11 of the paper, and those of the paper on dual encoders",
    )
    parser.add_argument(
        "records",
        nargs="+",
        metavar="NAME=RECORD",
        help="name of a system and its record (JSON); several records with one name are one system",
    )
    parser.add_argument(
        "--text-translation", action="store_true", help="CoVoST 2: translation of text (mt) instead of speech (ast)"
    )
    parser.add_argument("--metrics", nargs="+", metavar="METRIC", help="metrics instead of those of the layout")
    parser.add_argument("--system", metavar="NAME", help="system of the scores, such as mean or chance; default: dot")
    add_plot_option(parser, "bars of the same values, a file (svg, png, pdf)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table, and draws it if a file is given."""
    from lab.paper_tables import LAYOUTS, compute_paper_table, render_paper_table, save_paper_plot
    from mu2slam_hf.evaluation.records.results import EvaluationResults

    if args.plot:
        check_plots()
    systems: dict[str, list[EvaluationResults]] = defaultdict(list)
    for item in args.records:
        name, separator, path = item.partition("=")
        if not separator or not name:
            raise ValueError(f"expected NAME=RECORD, got {item!r}; as base=results.json")
        systems[name].append(EvaluationResults.load(path))
    task = "mt" if args.text_translation else None
    table = compute_paper_table(LAYOUTS[args.layout], systems, task=task, metrics=args.metrics, system=args.system)
    print(render_paper_table(table))
    if args.plot:
        save_paper_plot(table, args.plot)
    return 0
