# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of Praat TextGrids. Requires the extra `adapt` (pympi-ling)."""

import io
import re
from pathlib import Path

from mu2slam_hf.adaptation.findings import Finding
from mu2slam_hf.adaptation.text_files import TextFileError, read_text_file
from mu2slam_hf.adaptation.tiers import AnnotationFile, AnnotationFileError, AnnotationTier, TimedText
from mu2slam_hf.data.clock import clock

_BINARY = b"ooBinaryFile"
# Praat writes times close to zero as 2.2e-16; pympi reads digits and points only.
_EXPONENT = re.compile(r"^(\s*(?:(?:xmin|xmax|number) = )?)(-?\d+(?:\.\d+)?[eE][-+]?\d+)[ \t]*$", re.MULTILINE)


def read_textgrid(path: Path, encoding: str | None = None) -> AnnotationFile:
    """Read the interval tiers of a TextGrid (long, short or binary form); intervals without text are gaps.

    Args:
        path: the file.
        encoding: encoding of a text file without a byte order mark; None means UTF-8.

    Raises:
        AnnotationFileError: not a readable TextGrid.
        ImportError: pympi-ling is not installed.
    """
    try:
        from pympi.Praat import TextGrid
    except ImportError as error:
        raise ImportError("TextGrids require pympi-ling: pip install 'mu2slam-hf[adapt]'") from error
    try:
        content = path.read_bytes()
        if not content.startswith(_BINARY):
            text = _EXPONENT.sub(lambda match: f"{match[1]}{float(match[2]):.9f}", read_text_file(path, encoding))
            content = text.encode("utf-8")
        grid = TextGrid(xmax=0)
        grid.from_file(io.BytesIO(content), "utf-8")
    except TextFileError as error:
        raise AnnotationFileError(str(error)) from error
    # A cut off file raises StopIteration, other faults AttributeError, ValueError, struct.error, ...
    except Exception as error:
        raise AnnotationFileError(
            f"{path}: cannot be read as a TextGrid; it may be cut off. Open it in Praat and save it again"
        ) from error
    tiers = [_read_tier(path, tier) for tier in grid.tiers if tier.tier_type == "IntervalTier"]
    return AnnotationFile(path=path, tiers=tuple(tier for tier in tiers if tier.texts or tier.broken))


def _read_tier(path: Path, tier: object) -> AnnotationTier:
    name = str(getattr(tier, "name", ""))
    texts: list[TimedText] = []
    broken: list[Finding] = []
    for start, end, text in getattr(tier, "intervals", ()):
        if not text.strip():
            continue
        place = f"{path}, tier {name!r}, {clock(start)}"
        if end <= start:
            reason = f"the interval ({text[:40]!r}) ends at {clock(end)}, not after its start"
            broken.append(Finding(kind="broken_row", place=place, message=reason))
        else:
            texts.append(TimedText(start_seconds=start, end_seconds=end, text=text, place=place))
    texts.sort(key=lambda timed: timed.start_seconds)
    return AnnotationTier(name=name, texts=tuple(texts), broken=tuple(broken))
