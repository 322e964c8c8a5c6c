# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The report as one HTML file without links to other files."""

from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.characters import CharacterInventory
from mu2slam_hf.adaptation.data_report import Amount, DataReport, GroupAmount
from mu2slam_hf.adaptation.findings import FINDING_KINDS
from mu2slam_hf.adaptation.pages import render_page
from mu2slam_hf.adaptation.report_plots import plot_report
from mu2slam_hf.adaptation.report_text import (
    SEVERITY_TITLES,
    describe_guesses,
    format_hours,
    language_name,
    reading_lines,
    summary_rows,
)

TEMPLATE = Path(__file__).with_name("report_template.html")
_MAX_LISTED = 200
_MAX_GROUPS = 100


def render_html(report: DataReport, *, samples_per_frame: int = 640) -> str:
    """The report for a browser; without plots, if matplotlib is not installed.

    Args:
        report: the report.
        samples_per_frame: see `plot_report`.
    """
    return render_page(
        TEMPLATE,
        lambda: plot_report(report, samples_per_frame),
        source=report.source,
        language=language_name(report.lang),
        tiles=_tiles(report),
        summary=summary_rows(report),
        severities=_severities(report),
        inventories=[_inventory(one, report) for one in report.inventories if one.characters],
        groups={"Speakers": _groups(report.speakers), "Sessions": _groups(report.sessions)},
        num_groups={"Speakers": len(report.speakers), "Sessions": len(report.sessions)},
        reading=reading_lines(report),
        max_listed=_MAX_LISTED,
    )


def _tiles(report: DataReport) -> list[tuple[str, str]]:
    """The figures at the top."""
    amounts = report.amounts
    left_out = sum(finding.severity == "left_out" for finding in report.findings)
    # Recordings may have translations only.
    part, title = ("transcribed", "transcribed") if amounts["transcribed"].utterances else ("labelled", "translated")
    scored = max(amounts["dev_scored"].utterances, *(counts["dev_scored"] for counts in report.translated.values()), 0)
    return [
        (format_hours(amounts[part].hours), title),
        (f"{amounts[part].utterances:,}", "utterances"),
        _speaker_tile(amounts[part]),
        (f"{scored:,}", "utterances to test with"),
        (format_hours(amounts["untranscribed"].hours), "not transcribed"),
        (f"{left_out:,}", "things left out"),
    ]


def _speaker_tile(amount: Amount) -> tuple[str, str]:
    title = ", ".join(filter(None, ["speakers", describe_guesses(amount)]))
    return f"{amount.speakers:,}" if amount.speakers else "unknown", title


def _severities(report: DataReport) -> list[dict[str, Any]]:
    """Findings by severity and kind."""
    by_kind = report.findings_by_kind()
    return [
        {
            "title": title,
            "kinds": [
                {
                    "title": FINDING_KINDS[kind].title,
                    "advice": FINDING_KINDS[kind].advice,
                    "findings": [(report.shorten(one.place), report.shorten(one.message)) for one in own],
                }
                for kind, own in by_kind.items()
                if FINDING_KINDS[kind].severity == severity
            ],
        }
        for severity, title in SEVERITY_TITLES.items()
    ]


def _inventory(inventory: CharacterInventory, report: DataReport) -> dict[str, Any]:
    most = inventory.characters[0].count
    return {
        "language": language_name(inventory.lang),
        "scripts": inventory.scripts,
        "num_mixed_words": inventory.num_mixed_words,
        "mixed_words": inventory.mixed_words,
        "rows": [
            {
                "one": one,
                "share": 100.0 * one.count / most,
                "place": report.shorten(report.places.get(one.example, "")),
            }
            for one in inventory.characters
        ],
    }


def _groups(groups: tuple[GroupAmount, ...]) -> list[dict[str, Any]]:
    most = max((one.hours + one.untranscribed_hours for one in groups), default=0.0) or 1.0
    return [
        {
            "one": one,
            "hours": format_hours(one.hours),
            "untranscribed": format_hours(one.untranscribed_hours) if one.untranscribed_hours else "",
            "share": 100.0 * one.hours / most,
        }
        for one in groups[:_MAX_GROUPS]
    ]
