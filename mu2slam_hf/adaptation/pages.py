# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""HTML pages in one file, with their plots inside."""

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from mu2slam_hf.data.figure_files import new_figure

_SIZE = (5.6, 3.2)
_DPI = 130


def render_page(template: Path, plot: Callable[[], Mapping[str, bytes]], **values: Any) -> str:
    """Fill a template; without plots, if matplotlib is not installed.

    Args:
        template: Jinja2 file; undefined names are an error. It also gets `plots` (title -> `data:` address) and
            `plots_missing`.
        plot: makes the plots: title -> PNG file.
        **values: the values of the template.
    """
    try:
        plots, plots_missing = {title: _embed_png(png) for title, png in plot().items()}, False
    except ImportError:
        plots, plots_missing = {}, True
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template.read_text(encoding="utf-8"))
    return page.render(plots=plots, plots_missing=plots_missing, **values)


def draw_png(plot: Callable[[Any], None]) -> bytes:
    """A plot as a PNG file.

    Args:
        plot: draws on axes of matplotlib.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(*_SIZE)
    plot(figure.add_subplot())
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def _embed_png(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
