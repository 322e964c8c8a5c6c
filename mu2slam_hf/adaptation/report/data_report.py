# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Figures and findings about a user's data, from which all forms of the report are made."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mu2slam_hf.adaptation.reading.options import TextForm
from mu2slam_hf.adaptation.reading.read_data import FINDING_KINDS, Finding, ReadData
from mu2slam_hf.adaptation.report.characters import CharacterInventory, compute_inventory, known_characters
from mu2slam_hf.adaptation.report.dev_split import DevSplit
from mu2slam_hf.adaptation.report.inspection import InspectedData, Levels, count_letters
from mu2slam_hf.adaptation.report.recording_levels import RecordingLevels
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.growth.characters import describe_character

_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much of something there is.

    Attributes:
        utterances: number of records.
        hours: hours of audio.
        speakers: number of speakers.
        guessed_speakers: number of those that only the names of files suggest.
        sessions: number of sessions.
    """

    utterances: int
    hours: float
    speakers: int
    guessed_speakers: int
    sessions: int

    @classmethod
    def of(cls, records: Iterable[SpeechTextRecord], named_speakers: Set[str]) -> "Amount":
        """The amount of some records.

        Args:
            records: the records.
            named_speakers: `ReadData.named_speakers`.
        """
        records = list(records)
        speakers = {record.speaker for record in records} - {None}
        return cls(
            utterances=len(records),
            hours=round(sum(record.duration_seconds or 0.0 for record in records) / 3600, 4),
            speakers=len(speakers),
            guessed_speakers=len(speakers - named_speakers),
            sessions=len({record.extra.get("session") for record in records}),
        )


@dataclass(frozen=True, kw_only=True)
class GroupAmount:
    """A speaker or session.

    Attributes:
        name: its name; None for unknown speakers.
        utterances: utterances of training and development data.
        hours: their hours.
        dev_utterances: how many of them are in the development set.
        untranscribed_hours: hours without text.
        is_guessed: whether it is a speaker that only the names of files suggest.
    """

    name: str | None
    utterances: int
    hours: float
    dev_utterances: int
    untranscribed_hours: float
    is_guessed: bool = False


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """Sizes of a transcribed utterance, for plots.

    Attributes:
        seconds: length of the recording.
        characters: length of the text.
        letters: number of its letters and digits.
        tokens: number of tokens; None without a tokenizer.
        part: "train" or "dev".
    """

    seconds: float
    characters: int
    letters: int
    tokens: int | None
    part: str


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What is in a user's data.

    Attributes:
        source: folder or file, as given.
        folder: the folder that `source` is or is in; places start with it.
        lang: language that is spoken.
        target_langs: languages of translations.
        text_form: what was done to all texts, see `TEXT_FORMS`.
        num_recordings: number of recordings that were usable, readable or not.
        amounts: part -> amount. Parts: "recordings" (all that can be decoded), "labelled" (with a transcript or
            translation), "transcribed", "train", "dev", "dev_scored", "test", "untranscribed", "held_back", "texts".
        translated: language -> utterances with a translation, in the parts "train", "dev" and "dev_scored".
        formats: (sampling rate in Hz or None, channels or None) -> number of recordings.
        speakers: most hours first.
        sessions: most hours first.
        inventories: characters of the transcripts, then of each language of translations.
        removed_characters: invisible character -> number of texts from which cleaning has removed it.
        num_decomposed: number of texts whose accents were separate characters, and are joined now.
        quantiles: "seconds", "characters", "letters_per_second" -> minimum, 5 %, median, 95 %, maximum.
        utterances: sizes of all utterances with a transcript.
        split: kind of groups ("by"), "threshold", "reason", and "shared": language -> number of shared utterances.
        choices: what was decided while reading -> number of files.
        other_translations: language of translations that were not asked for -> number of records.
        findings: what was left out or looks wrong, by kind and place.
        places: key of a record -> where its text is.
    """

    source: str
    folder: str
    lang: str
    target_langs: tuple[str, ...]
    text_form: TextForm
    num_recordings: int
    amounts: Mapping[str, Amount]
    translated: Mapping[str, Mapping[str, int]]
    formats: Mapping[tuple[int | None, int | None], int]
    speakers: tuple[GroupAmount, ...]
    sessions: tuple[GroupAmount, ...]
    inventories: tuple[CharacterInventory, ...]
    removed_characters: Mapping[str, int]
    num_decomposed: int
    quantiles: Mapping[str, tuple[float, ...]]
    utterances: tuple[Utterance, ...]
    split: Mapping[str, Any]
    choices: Mapping[str, int]
    other_translations: Mapping[str, int]
    findings: tuple[Finding, ...]
    places: Mapping[str, str]

    def findings_by_kind(self) -> dict[str, list[Finding]]:
        """Kind -> its findings, kinds in the order of `FINDING_KINDS`, without those that have none."""
        findings: dict[str, list[Finding]] = {kind: [] for kind in FINDING_KINDS}
        for finding in self.findings:
            findings[finding.kind].append(finding)
        return {kind: own for kind, own in findings.items() if own}

    def shorten(self, text: str) -> str:
        """A place or message with paths relative to the folder."""
        return text.replace(f"{self.folder}{os.sep}", "")

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON; `places` and `utterances` are in the rows of the records."""
        values = {
            name: value for name, value in vars(self).items() if name not in ("places", "utterances", "findings")
        }
        values["amounts"] = {name: asdict(amount) for name, amount in self.amounts.items()}
        for name in ("speakers", "sessions", "inventories"):
            values[name] = [asdict(item) for item in values[name]]
        values["formats"] = [
            {"sampling_rate": rate, "num_channels": channels, "recordings": count}
            for (rate, channels), count in self.formats.items()
        ]
        values["removed_characters"] = {
            describe_character(char): count for char, count in self.removed_characters.items()
        }
        values["findings"] = [{"severity": finding.severity, **asdict(finding)} for finding in self.findings]
        return values


def build_report(
    source: str,
    data: ReadData,
    levels: Levels,
    usable: InspectedData,
    split: DevSplit,
    is_held_back: Mapping[str, bool],
    tokenizer: Any = None,
) -> DataReport:
    """Compute the report.

    Args:
        source: folder or file, as given.
        data: what was read, with the findings so far; doubtful characters are added.
        levels: of all recordings.
        usable: what can be used.
        split: of `usable.labelled`.
        is_held_back: key of a record without text -> whether it is kept out of pre-training.
        tokenizer: the checkpoint's tokenizer, or None.
    """
    inventories = _inventories(data, split, tokenizer)
    _report_odd_characters(data, inventories)
    _report_new_capitals(data, inventories, tokenizer)
    readable = [measured for measured in levels.values() if isinstance(measured, RecordingLevels)]
    formats = Counter((measured.sampling_rate, measured.num_channels) for measured in readable)
    utterances = _utterances(split, usable.num_tokens)
    order = {kind: number for number, kind in enumerate(FINDING_KINDS)}
    return DataReport(
        source=source,
        folder=str(Path(source) if Path(source).is_dir() else Path(source).parent),
        lang=data.options.lang,
        target_langs=data.options.target_langs,
        text_form=data.options.text_form or "written",
        num_recordings=len(levels),
        amounts=_amounts(data, readable, usable, split, is_held_back),
        translated={lang: _count_translated(split, lang) for lang in data.options.target_langs},
        formats=dict(formats.most_common()),
        speakers=_groups(split, usable, lambda record: record.speaker, data.named_speakers),
        sessions=_groups(split, usable, lambda record: record.extra.get("session")),
        inventories=inventories,
        removed_characters=dict(data.cleaner.removed),
        num_decomposed=data.cleaner.num_decomposed,
        quantiles=_quantiles(utterances),
        utterances=utterances,
        split={
            "by": split.by,
            "threshold": split.threshold,
            "reason": split.reason,
            "shared": {lang: len(keys) for lang, keys in split.shared.items()},
        },
        choices=dict(data.choices.most_common()),
        other_translations=dict(data.other_translations.most_common()),
        findings=tuple(sorted(data.findings, key=lambda finding: order[finding.kind])),
        places=data.places,
    )


def _amounts(
    data: ReadData,
    readable: Sequence[RecordingLevels],
    usable: InspectedData,
    split: DevSplit,
    is_held_back: Mapping[str, bool],
) -> dict[str, Amount]:
    """`DataReport.amounts`."""
    labelled = (*split.train, *split.dev)
    parts: dict[str, Iterable[SpeechTextRecord]] = {
        "labelled": labelled,
        "transcribed": (record for record in labelled if record.text is not None),
        "train": split.train,
        "dev": split.dev,
        "dev_scored": split.scored(data.options.lang),
        "test": split.test,
        "untranscribed": (record for record in usable.untranscribed if not is_held_back[record.key]),
        "held_back": (record for record in usable.untranscribed if is_held_back[record.key]),
        "texts": usable.texts,
    }
    amounts = {name: Amount.of(records, data.named_speakers) for name, records in parts.items()}
    amounts["recordings"] = replace(
        Amount.of(data.records, data.named_speakers),
        utterances=len(readable),
        hours=round(sum(measured.duration_seconds for measured in readable) / 3600, 4),
    )
    return amounts


def _inventories(data: ReadData, split: DevSplit, tokenizer: Any) -> tuple[CharacterInventory, ...]:
    is_known = known_characters(tokenizer) if tokenizer is not None else None
    inventories = []
    for lang in (data.options.lang, *data.options.target_langs):
        texts = (
            (record.key, record.text if lang == record.lang else record.translations.get(lang))
            for record in (*split.train, *split.dev)
        )
        inventories.append(compute_inventory(lang, [(key, text) for key, text in texts if text], is_known))
    return tuple(inventories)


def _report_odd_characters(data: ReadData, inventories: Sequence[CharacterInventory]) -> None:
    for inventory in inventories:
        for item in inventory.characters:
            if item.doubts:
                message = f"{item.char} ({item.name}), {item.count} x in {inventory.lang}: {'; '.join(item.doubts)}"
                data.report("odd_character", data.places[item.example], message, item.example)
    for char, count in data.cleaner.removed.most_common():
        message = f"{describe_character(char)} is not visible; it was removed from {count} texts"
        data.report("odd_character", data.cleaner.places[char], message)


def _report_new_capitals(data: ReadData, inventories: Sequence[CharacterInventory], tokenizer: Any) -> None:
    """Capitals that the checkpoint lacks although it has the small letters: each would be one more character."""
    if tokenizer is None:
        return
    is_known = known_characters(tokenizer)
    for inventory in inventories:
        missing = [item for item in inventory.characters if not item.in_vocabulary]
        new = [item for item in missing if item.char != (small := item.char.lower()) and is_known(small)]
        if new:
            letters, count = " ".join(item.char for item in new), sum(item.count for item in new)
            message = f"in {inventory.lang}: {letters}, {count:,} x in all"
            data.report("new_capitals", data.places[new[0].example], message, new[0].example)


def _groups(
    split: DevSplit,
    usable: InspectedData,
    name_of: Callable[[SpeechTextRecord], str | None],
    named_speakers: Set[str] | None = None,
) -> tuple[GroupAmount, ...]:
    """Speakers or sessions; for speakers with those that the data name."""
    labelled = (*split.train, *split.dev)
    counts, dev_counts = Counter(map(name_of, labelled)), Counter(map(name_of, split.dev))
    hours, untranscribed_hours = _hours_by_name(labelled, name_of), _hours_by_name(usable.untranscribed, name_of)
    groups = [
        GroupAmount(
            name=name,
            utterances=counts[name],
            hours=round(hours[name], 4),
            dev_utterances=dev_counts[name],
            untranscribed_hours=round(untranscribed_hours[name], 4),
            is_guessed=named_speakers is not None and name is not None and name not in named_speakers,
        )
        for name in {**hours, **untranscribed_hours}
    ]
    return tuple(sorted(groups, key=lambda group: (-group.hours - group.untranscribed_hours, str(group.name))))


def _hours_by_name(
    records: Iterable[SpeechTextRecord], name_of: Callable[[SpeechTextRecord], str | None]
) -> defaultdict[str | None, float]:
    hours: defaultdict[str | None, float] = defaultdict(float)
    for record in records:
        hours[name_of(record)] += (record.duration_seconds or 0.0) / 3600
    return hours


def _count_translated(split: DevSplit, lang: str) -> dict[str, int]:
    return {
        "train": sum(lang in record.translations for record in split.train),
        "dev": sum(lang in record.translations for record in split.dev),
        "dev_scored": len(split.scored(lang)),
    }


def _utterances(split: DevSplit, num_tokens: Mapping[str, int]) -> tuple[Utterance, ...]:
    return tuple(
        Utterance(
            seconds=round(record.duration_seconds or 0.0, 3),
            characters=len(record.text),
            letters=count_letters(record.text),
            tokens=num_tokens.get(record.text),
            part=part,
        )
        for part, records in (("train", split.train), ("dev", split.dev))
        for record in records
        if record.text is not None
    )


def _quantiles(utterances: Sequence[Utterance]) -> dict[str, tuple[float, ...]]:
    if not utterances:
        return {}
    values = {
        "seconds": [utterance.seconds for utterance in utterances],
        "characters": [float(utterance.characters) for utterance in utterances],
        "letters_per_second": [utterance.letters / utterance.seconds for utterance in utterances],
    }
    return {name: tuple(np.quantile(own, _QUANTILES).round(2).tolist()) for name, own in values.items()}
