# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Figures of matplotlib (extra `plots`), written so that the same values give the same file."""

import os
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path


def new_figure(width: float, height: float) -> Any:
    """An empty `matplotlib.figure.Figure` of a size in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots require matplotlib: pip install 'mu2slam-hf[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the ending (svg, png, pdf), without one as png; a file is replaced atomically.

    Raises:
        ValueError: matplotlib does not know the ending.
    """
    import matplotlib

    ending = Path(path).suffix.removeprefix(".").lower() or "png"
    # Without these, names of elements are random, and the file has the time.
    metadata = {"Date": None} if ending == "svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "mu2slam"}), atomic_path(path) as temporary:
        figure.savefig(temporary, format=ending, metadata=metadata, dpi=120)
