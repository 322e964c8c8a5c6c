# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam synthesize`: n-way parallel synthetic speech, written as a folder with a manifest."""

import argparse
from typing import Any

from mu2slam_hf.cli.options import language_list, positive_int


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "synthesize",
        help="write synthetic parallel speech with its texts (extra: synthetic)",
        description="Speaks generated sentences (numbers, dates, quantities, names, ...) or the texts of a manifest "
        "with espeak-ng, and writes recordings and a manifest.",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--languages", type=language_list, required=True, metavar="LANG,LANG", help="e.g. en,es,fr")
    parser.add_argument(
        "--manifest", metavar="FILE", help="speak the texts of this manifest instead of generated ones"
    )
    parser.add_argument("--num", type=positive_int, default=1000, metavar="N", help="meanings to generate (1000)")
    parser.add_argument("--voices", type=positive_int, default=1, metavar="N", help="recordings of each text (1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)
