# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam count-texts`: number of texts in a manifest."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("count-texts", help="number of texts in a manifest")
    parser.add_argument("manifest", metavar="FILE")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Counts."""
    from mu2slam_hf.data.manifests import read_manifest

    print(sum(record.text is not None for record in read_manifest(args.manifest)))
    return 0
