# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The report as text, and the rows that text and HTML have in common."""

from mu2slam_hf.adaptation.characters import CharacterInventory
from mu2slam_hf.adaptation.data_report import Amount, DataReport
from mu2slam_hf.adaptation.findings import FINDING_KINDS, Finding, Severity
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES

SEVERITY_TITLES: dict[Severity, str] = {"left_out": "Left out", "check": "Used, but please check"}
_MAX_EXAMPLES = 5
_SPLIT_TITLES = {
    "given": "as the files divide it",
    "speaker": "other speakers than in training",
    "session": "other sessions than in training",
    "text": "other sentences than in training",
}


def format_report(report: DataReport, max_examples: int = _MAX_EXAMPLES) -> str:
    """The report for a terminal.

    Args:
        report: the report.
        max_examples: findings of each kind that are listed; the files have all.
    """
    rows = summary_rows(report)
    width = max(len(title) for title, _ in rows)
    lines = [report.source, ""]
    lines += [f"{title:{width}}  {value}".rstrip() for title, value in rows]
    for severity, title in SEVERITY_TITLES.items():
        groups = [own for own in report.findings_by_kind().values() if own[0].severity == severity]
        if groups:
            lines += ["", title]
        for own in groups:
            lines += [f"  {report.shorten(line)}" for line in _finding_lines(own, max_examples)]
    if report.choices or report.other_translations:
        lines += ["", "How the files were read"]
        lines += [f"  {line}" for line in reading_lines(report)]
    return "\n".join(lines)


def _finding_lines(findings: list[Finding], max_examples: int) -> list[str]:
    kind = FINDING_KINDS[findings[0].kind]
    lines = [f"{len(findings):,} x {kind.title}"]
    lines += [f"    {finding}" for finding in findings[:max_examples]]
    if len(findings) > max_examples:
        lines.append(f"    ... and {len(findings) - max_examples:,} more")
    lines.append(f"    What to do: {kind.advice}")
    return lines


def summary_rows(report: DataReport) -> list[tuple[str, str]]:
    """(title, value) of the summary."""
    amounts = report.amounts
    formats = ", ".join(
        f"{count:,} x {describe_format(rate, channels)}" for (rate, channels), count in report.formats.items()
    )
    recordings = f"{_plural(report.num_recordings, 'file')}, {format_hours(amounts['recordings'].hours)}"
    rows = [
        ("language", language_name(report.lang)),
        ("recordings", f"{recordings} ({formats})" if formats else recordings),
        ("with text", describe_amount(amounts["labelled"])),
        ("  training", describe_amount(amounts["train"])),
        ("  development", f"{describe_amount(amounts['dev'])}: {_SPLIT_TITLES[report.split['by']]}"),
        ("  of it scored", _describe_scored(amounts["dev_scored"].utterances, report.split["shared"], report.lang)),
    ]
    untranscribed = amounts["labelled"].utterances - amounts["transcribed"].utterances
    if untranscribed:
        rows.insert(3, ("  no transcript", f"{_plural(untranscribed, 'utterance')} with a translation only"))
    for lang in report.target_langs:
        counts = report.translated[lang]
        scored = _describe_scored(counts["dev_scored"], report.split["shared"], lang)
        of_all = f"{counts['train'] + counts['dev']:,} of {amounts['labelled'].utterances:,} utterances"
        rows.append((f"translated into {lang}", f"{of_all}; scored in development: {scored}"))
    for part, title in (
        ("untranscribed", "not transcribed"),
        ("held_back", "  not used"),
        ("test", "test set"),
    ):
        if amounts[part].utterances:
            rows.append((title, _UNTRANSCRIBED_NOTES[part].format(describe_amount(amounts[part]))))
    if amounts["texts"].utterances:
        rows.append(("texts only", f"{amounts['texts'].utterances:,} texts without recording"))
    rows += [(f"characters of {one.lang}", describe_inventory(one)) for one in report.inventories if one.characters]
    if report.quantiles:
        for title, name, unit in (
            ("length", "seconds", "s"),
            ("length of text", "characters", "characters"),
            ("speaking rate", "letters_per_second", "letters per second"),
        ):
            low, _, middle, _, high = report.quantiles[name]
            rows.append((title, f"{low:g} to {high:g} {unit}, median {middle:g}"))
    rows.append(("why this division", report.split["reason"]))
    return rows


_UNTRANSCRIBED_NOTES = {
    "untranscribed": "{}: for pre-training",
    "held_back": "{} without transcript, of speakers or sessions of the development set",
    "test": "{}: never used",
}


def reading_lines(report: DataReport) -> list[str]:
    """What was decided while reading."""
    lines = [f"{count:,} x {choice}" for choice, count in report.choices.items()]
    for lang, count in report.other_translations.items():
        lines.append(f"{count:,} x a translation into {language_name(lang)} that is not used (--to {lang} uses it)")
    if report.num_decomposed:
        lines.append(f"{report.num_decomposed:,} x a text with separate accents, which were joined with their letters")
    return lines


def describe_amount(amount: Amount) -> str:
    """`1,200 utterances, 2.5 h, 3 speakers (1 of them guessed from file names), 12 sessions`."""
    if not amount.utterances:
        return "nothing"
    parts = [_plural(amount.utterances, "utterance"), format_hours(amount.hours)]
    parts.append(_plural(amount.speakers, "speaker") if amount.speakers else "unknown speakers")
    if amount.guessed_speakers:
        parts[-1] += f" ({describe_guesses(amount)})"
    return ", ".join([*parts, _plural(amount.sessions, "session")])


def describe_guesses(amount: Amount) -> str:
    """How many of the speakers are guessed; empty if none is."""
    if not amount.guessed_speakers:
        return ""
    whose = "" if amount.guessed_speakers == amount.speakers else f"{amount.guessed_speakers:,} of them "
    return f"{whose}guessed from file names"


def describe_inventory(inventory: CharacterInventory) -> str:
    """Number of characters, those that the checkpoint lacks, and scripts."""
    parts = [f"{len(inventory.characters)} different"]
    missing = [one.char for one in inventory.characters if one.in_vocabulary is False]
    if missing:
        parts.append(f"{len(missing)} are new for the model: {' '.join(missing)}")
    if len(inventory.scripts) > 1:
        scripts = ", ".join(f"{script.title()} ({count:,} letters)" for script, count in inventory.scripts.items())
        mixed = f"; {inventory.num_mixed_words:,} words mix them" if inventory.num_mixed_words else ""
        parts.append(f"scripts: {scripts}{mixed}")
    return "; ".join(parts)


def describe_format(sampling_rate: int | None, num_channels: int | None) -> str:
    """`16 kHz mono`."""
    if sampling_rate is None or num_channels is None:
        return "other formats"
    channels = {1: "mono", 2: "stereo"}.get(num_channels, f"{num_channels} channels")
    return f"{sampling_rate / 1000:g} kHz {channels}"


def format_hours(hours: float) -> str:
    """`2.5 h`, or `14 min`, or `30 s`."""
    if hours >= 1.0:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if hours >= 1 / 30 else f"{3600 * hours:.0f} s"


def language_name(lang: str) -> str:
    """`Mboshi (mdw)`; the code alone, if the language has no name here."""
    name = LANGUAGE_NAMES.get(lang.split("-")[0])
    return f"{name} ({lang})" if name else lang


def _describe_scored(count: int, shared: dict[str, int], lang: str) -> str:
    left_out = shared.get(lang, 0)
    why = f" (without {left_out:,} of sentences that training has too)" if left_out else ""
    return f"{count:,}{why}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
