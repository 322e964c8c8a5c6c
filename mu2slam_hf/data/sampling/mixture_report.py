# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A table of the contents of a mixture, for the console at the start of a run."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MAX_LANGUAGES = 8


@dataclass(frozen=True, kw_only=True)
class TaskSummary:
    """Contents of a mixture in one task.

    Attributes:
        task: name of the task.
        share: number of examples per micro-batch.
        language_shares: language -> share of the draws.
        examples: number of examples; None for streams.
        hours: hours of speech; None for streams.
        tokens: number of text tokens of sources and targets; None for streams.
        epoch_steps: number of updates in one pass over its data; None for streams.
    """

    task: str
    share: int
    language_shares: Mapping[str, float]
    examples: int | None = None
    hours: float | None = None
    tokens: int | None = None
    epoch_steps: float | None = None

    @classmethod
    def of_quotas(cls, task: str, share: int, quotas: Iterable[tuple[str, float]], **sizes: Any) -> "TaskSummary":
        """With the language shares that follow from pairs `(language, quota)`; `sizes` are the other fields."""
        by_lang: dict[str, float] = defaultdict(float)
        for lang, quota in quotas:
            by_lang[lang] += quota
        total = sum(by_lang.values())
        shares = {lang: quota / total for lang, quota in by_lang.items()}
        return cls(task=task, share=share, language_shares=shares, **sizes)


def format_mixture(summaries: Sequence[TaskSummary], num_steps: int | None = None) -> str:
    """The table as text, one line per task; with `num_steps` (updates of the run) it gives passes over the data."""
    header = ["task", "share", "examples", "hours", "tokens", "epochs" if num_steps else "steps/epoch", "languages"]
    rows = [header]
    for summary in summaries:
        steps = summary.epoch_steps
        passes = None if steps is None else num_steps / steps if num_steps else steps
        rows.append(
            [
                summary.task,
                str(summary.share),
                "-" if summary.examples is None else f"{summary.examples:,}",
                f"{summary.hours:,.1f}" if summary.hours else "-",
                f"{summary.tokens:,}" if summary.tokens else "-",
                "-" if passes is None else f"{passes:,.1f}",
                _languages(summary.language_shares),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, len(header) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _languages(shares: Mapping[str, float]) -> str:
    """The largest shares in percent, and the number of other languages."""
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{lang} {100 * share:.1f}%" for lang, share in ranked[:_MAX_LANGUAGES]]
    rest = len(ranked) - len(shown)
    return ", ".join(shown + ([f"and {rest} more"] if rest else []))
