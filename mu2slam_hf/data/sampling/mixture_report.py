# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A table of what a mixture holds, for the console at the start of a run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mu2slam_hf.data.sampling.stream_mixture import StreamMixtureSampler
from mu2slam_hf.data.sampling.task_mixture import TaskMixtureSampler

_MAX_LANGUAGES = 8


@dataclass(frozen=True, kw_only=True)
class TaskSummary:
    """What a mixture holds of one task.

    Attributes:
        task: its name.
        share: examples per micro-batch.
        examples: how many there are; None where nobody knows (streams).
        hours: of speech; None where nobody knows.
        tokens: of text, sources and targets; None where nobody knows.
        epoch_steps: updates that go through its data once; None where nobody knows.
        language_shares: language -> share of the draws.
    """

    task: str
    share: int
    examples: int | None = None
    hours: float | None = None
    tokens: int | None = None
    epoch_steps: float | None = None
    language_shares: Mapping[str, float] = field(default_factory=dict)


def summarize_mixture(sampler: TaskMixtureSampler | StreamMixtureSampler) -> list[TaskSummary]:
    """What each task of a mixture holds; updates are taken as full, without cuts by budgets.

    Of streams nobody knows more than the languages and their shares.
    """
    if isinstance(sampler, StreamMixtureSampler):
        return [_summarize_streams(sampler, task) for task in sampler.order.tasks]
    summaries = []
    for task, draws in sampler.draws.items():
        by_lang: dict[str, float] = defaultdict(float)
        for (_, lang, _), quota in draws.mixture.quotas().items():
            by_lang[lang] += quota / draws.epoch_size
        share = sampler.config.shares[task]
        summaries.append(
            TaskSummary(
                task=task,
                share=share,
                examples=len(draws.members),
                hours=float(sampler.seconds[draws.members].sum()) / 3600.0,
                tokens=int(sampler.tokens[draws.members].sum()),
                epoch_steps=draws.epoch_size / (share * sampler.num_slots),
                language_shares=dict(by_lang),
            )
        )
    return summaries


def format_mixture(summaries: Sequence[TaskSummary], num_steps: int | None = None) -> str:
    """The table as text, one line per task; `num_steps` (updates of the run) adds how often its data are seen."""
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


def _summarize_streams(sampler: StreamMixtureSampler, task: str) -> TaskSummary:
    langs = {source.name: source.lang for source in sampler.sources}
    by_lang: dict[str, float] = defaultdict(float)
    for name, share in sampler.source_shares(task).items():
        by_lang[langs[name]] += share
    return TaskSummary(task=task, share=sampler.config.shares[task], language_shares=dict(by_lang))


def _languages(shares: Mapping[str, float]) -> str:
    """The largest shares in percent, and how many more languages there are."""
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{lang} {100 * share:.1f}%" for lang, share in ranked[:_MAX_LANGUAGES]]
    rest = len(ranked) - len(shown)
    return ", ".join(shown + ([f"and {rest} more"] if rest else []))
