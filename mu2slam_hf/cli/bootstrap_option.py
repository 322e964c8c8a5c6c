# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The option `--bootstrap`."""

from typing import Any


def add_bootstrap_option(parser: Any, default: int) -> None:
    """`--bootstrap`."""
    text = "number of resamples of the utterances for 95 %% confidence intervals: 0 for none"
    parser.add_argument("--bootstrap", type=int, default=default, metavar="N", help=f"{text} ({default})")
