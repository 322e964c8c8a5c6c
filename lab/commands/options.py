# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options of several commands of the laboratory."""

import importlib.util
from typing import Any

from mu2slam_hf.cli.options import Joined, language_list, positive_int


def add_processes_option(parser: Any) -> None:
    """`--processes`."""
    parser.add_argument("--processes", type=positive_int, default=1, metavar="N", help="number of runs at a time (1)")


def add_synthetic_options(parser: Any, sentences: int, *, required: bool = False) -> None:
    """`--synthetic` with `--sentences`: synthetic speech."""
    parser.add_argument(
        "--synthetic",
        nargs="+",
        type=language_list,
        action=Joined,
        default=[],
        required=required,
        metavar="LANG",
        help="use synthetic sentences in these languages (en,fr or en fr), which espeak-ng speaks",
    )
    text = f"number of synthetic sentences per language ({sentences})"
    parser.add_argument("--sentences", type=positive_int, default=sentences, metavar="N", help=text)


def check_synthetic() -> None:
    """Raises ImportError if packages of the extra `lab` are not installed, before a model is loaded."""
    missing = [name for name in ("espeakng_loader", "babel", "num2words") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"--synthetic requires {', '.join(missing)}: pip install 'mu2slam-hf[lab]'")


def add_judge_option(parser: Any) -> None:
    """`--judge`: the folder of Whisper."""
    parser.add_argument("--judge", required=True, metavar="DIR", help="folder of Whisper in the format of CTranslate2")
