# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records and findings: what the readers of folders and tables return, and the advice for each kind of finding."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from mu2slam_hf.adaptation.reading.options import TEXT_FORMS, ReadingOptions
from mu2slam_hf.adaptation.reading.text_files import TextCleaner
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import clean_text, normalize_for_scoring

Severity = Literal["left_out", "check"]


@dataclass(frozen=True, kw_only=True)
class FindingKind:
    """A kind of finding.

    Attributes:
        severity: "left_out": what the finding is about is not used; "check": it is used, but a person should look.
        title: plural name for headings.
        advice: what to do, for a reader who is not a programmer.
        is_intended: whether it is left out because the user wants it so.
    """

    severity: Severity
    title: str
    advice: str
    is_intended: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault or oddity of the data.

    Attributes:
        kind: one of `FINDING_KINDS`.
        place: file, and line, tier and time or number of the subtitle, as far as they are known.
        message: what was found, without the place.
        key: `SpeechTextRecord.key` of the record that it is about; None if there is no record.
    """

    kind: str
    place: str
    message: str
    key: str | None = None

    def __post_init__(self) -> None:
        assert self.kind in FINDING_KINDS, self.kind

    @property
    def severity(self) -> Severity:
        """Whether something was left out."""
        return FINDING_KINDS[self.kind].severity

    @property
    def is_fault(self) -> bool:
        """Whether something was left out that the user probably wants to be used."""
        return self.severity == "left_out" and not FINDING_KINDS[self.kind].is_intended

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


FINDING_KINDS: dict[str, FindingKind] = {
    name: FindingKind(**values)
    for name, values in yaml.safe_load(Path(__file__).with_name("findings.yaml").read_text(encoding="utf-8")).items()
}
"""Name of a kind -> its severity, title and advice, in the order of reports."""


@dataclass(kw_only=True)
class ReadData:
    """Records of a folder or table as far as they could be read, before their audio is inspected.

    Attributes:
        options: how they were read.
        corpus: name of the folder, part of the keys of all records.
        records: by file name and time. `extra["session"]` is the session; `extra["split"]` is "train", "dev" or
            "test" if the user's files have a split. `audio` is a path or an `AudioSlice`; `text` is None for speech
            without transcript; `translations` has no other languages than `options.target_langs`.
        places: key of a record -> file and line, or tier and time, where its text is.
        findings: what was left out or looks wrong.
        choices: what was decided while reading, such as the tiers that were chosen -> number of files.
        cleaner: what cleaning has removed from the texts.
        other_translations: language of translations that were not asked for -> number of records.
        named_speakers: speakers that the user's data or options name; the names of files suggest the others.
    """

    options: ReadingOptions
    corpus: str
    records: list[SpeechTextRecord] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    choices: Counter[str] = field(default_factory=Counter)
    cleaner: TextCleaner = field(default_factory=TextCleaner)
    other_translations: Counter[str] = field(default_factory=Counter)
    named_speakers: set[str] = field(default_factory=set)

    def report(self, kind: str, place: Any, message: str, key: str | None = None) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind=kind, place=str(place), message=message, key=key))

    def report_unreadable(self, error: ValueError, kind: str = "unreadable_file") -> None:
        """Add a finding about a file; the message of the error starts with its place: `file: reason`."""
        place, _, reason = str(error).partition(": ")
        self.report(kind, place, reason)

    def add(self, record: SpeechTextRecord, place: str, *, speaker_is_named: bool) -> bool:
        """Add a record, its texts in the wanted form, without the translations that were not asked for.

        Returns False if the record is invalid or another has its id.

        A record with the id of an earlier one is reported and not added.

        Args:
            record: the record.
            place: where its text is.
            speaker_is_named: whether annotation or table has its speaker; False if it is taken from the file's name.
        """
        wanted = self.options.target_langs
        self.other_translations.update(lang for lang in record.translations if lang not in wanted)
        kept = {lang: self._in_form(record.translations[lang]) for lang in wanted if lang in record.translations}
        text = None if record.text is None else self._in_form(record.text)
        record = replace(record, text=text, translations=kept)
        try:
            record.validate()
        except ValueError as error:
            self.report("broken_row", place, str(error))
            return False
        if record.key in self.places:
            reason = f"has the same name ({record.id}) as {self.places[record.key]}"
            self.report("repeated_recording", place, reason)
            return False
        if record.speaker is not None and (speaker_is_named or self.options.speaker_from != "auto"):
            self.named_speakers.add(record.speaker)
        self.records.append(record)
        self.places[record.key] = place
        return True

    def _in_form(self, text: str) -> str:
        form = self.options.text_form or "written"
        if form == "written":
            return text
        changed = clean_text(text.lower()) if form == "lowercase" else normalize_for_scoring(text)
        if changed in (text, ""):  # punctuation alone is reported later
            return text
        self.choices[f"a text that was changed to {TEXT_FORMS[form]}"] += 1
        return changed


def session_extra(session: str, split: str | None = None, **more: Any) -> Mapping[str, Any]:
    """`SpeechTextRecord.extra` of a record that was read here."""
    return {**more, "session": session, **({"split": split} if split else {})}
