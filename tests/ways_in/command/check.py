# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command is listed and runs."""

import contextlib
import io
from pathlib import Path

from mu2slam_hf.cli import build_parser, main


def check(folder: Path) -> None:
    (folder / "texts.tsv").write_text("id\tlang\ttext\n1\ten\tone\n2\ten\ttwo\n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["count-texts", str(folder / "texts.tsv")]) == 0
    assert printed.getvalue().strip() == "2"
    assert "count-texts" in build_parser().format_help()
