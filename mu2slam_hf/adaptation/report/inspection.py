# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Inspection of records together with their audio and with each other: what can be used, what should be checked."""

import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import eq
from statistics import median
from typing import Any

from mu2slam_hf.adaptation.reading.options import CheckLimits
from mu2slam_hf.adaptation.reading.read_data import ReadData
from mu2slam_hf.adaptation.report.recording_levels import RecordingLevels, cut_untranscribed
from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, AudioSlice
from mu2slam_hf.data.clock import clock
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring

Levels = Mapping[str, RecordingLevels | AudioError]


@dataclass(kw_only=True)
class InspectedData:
    """Records that can be used; everything else is a finding of `ReadData`.

    Attributes:
        labelled: recordings with a transcript, a translation, or both, with measured durations, cut at the end of
            their file.
        untranscribed: speech without text, in pieces of at most `CheckLimits.max_seconds`.
        texts: texts without recording.
        num_tokens: text -> its number of tokens, if a tokenizer was given.
    """

    labelled: list[SpeechTextRecord] = field(default_factory=list)
    untranscribed: list[SpeechTextRecord] = field(default_factory=list)
    texts: list[SpeechTextRecord] = field(default_factory=list)
    num_tokens: dict[str, int] = field(default_factory=dict)


def audio_sources(data: ReadData) -> dict[str, Any]:
    """Name -> source of each recording of the data, for `measure_recordings`; slices of one file are one recording."""
    return {audio_name(record): _source_of(record) for record in data.records if record.audio is not None}


def audio_name(record: SpeechTextRecord) -> str:
    """Path of the recording of a record; its key, if the audio is in the record itself."""
    source = _source_of(record)
    return source if isinstance(source, str) else record.key


def inspect_records(
    data: ReadData, levels: Levels, limits: CheckLimits, encode: Callable[[list[str]], list[list[int]]] | None = None
) -> InspectedData:
    """Sort records into usable ones and findings.

    Args:
        data: records; findings are added to it.
        levels: of all `audio_sources`.
        limits: limits of lengths and levels.
        encode: texts -> token ids without special tokens, such as `tokenizer.encode_ctc_labels`; None leaves out the
            check whether CTC has enough frames for a text.

    Returns:
        the usable records, in the order of `data.records`.
    """
    usable = InspectedData()
    inspector = _Inspector(data=data, limits=limits, levels=levels)
    inspector.report_recordings()
    needed_frames: dict[str, int] = {}
    if encode is not None:
        texts = list(dict.fromkeys(record.text for record in data.records if record.text and record.audio is not None))
        for text, ids in zip(texts, encode(texts), strict=True):
            usable.num_tokens[text] = len(ids)
            # CTC requires a blank between two equal labels.
            needed_frames[text] = len(ids) + sum(map(eq, ids, ids[1:]))
    for record in data.records:
        if record.audio is None:
            usable.texts.append(record)
            continue
        fitted = inspector.fit_to_recording(record)
        if fitted is None or inspector.is_silent(fitted):
            continue
        if fitted.text is None and not fitted.translations:
            usable.untranscribed += cut_untranscribed(fitted, inspector.levels_of(fitted), limits)
        elif fitted.text is None or inspector.has_usable_text(fitted, needed_frames.get(fitted.text, 0)):
            usable.labelled.append(fitted)
    return usable


@dataclass(kw_only=True)
class _Inspector:
    data: ReadData
    limits: CheckLimits
    levels: Levels

    def report(self, kind: str, record: SpeechTextRecord, message: str) -> None:
        self.data.report(kind, self.data.places[record.key], message, record.key)

    def report_recordings(self) -> None:
        """One finding for each recording that cannot be read to its end, however many utterances it has."""
        records_of: defaultdict[str, list[SpeechTextRecord]] = defaultdict(list)
        for record in self.data.records:
            if record.audio is not None:
                records_of[audio_name(record)].append(record)
        for name, measured in self.levels.items():
            kind, reason = "unreadable_audio", str(measured)
            if isinstance(measured, RecordingLevels):
                kind, reason = "damaged_audio", measured.damage
            if not reason:
                continue
            count, reason = len(records_of[name]), reason.removeprefix(f"{name}: ")
            lost = f"; its {count} utterances are left out" if count > 1 and kind == "unreadable_audio" else ""
            row = self.data.places[records_of[name][0].key]
            where = name if os.path.exists(name) else row
            message = reason if where == name else f"{name}: {reason}"
            named = "" if row in (name, where) else f"; {'first named' if count > 1 else 'named'} in {row}"
            self.data.report(kind, where, f"{message}{lost}{named}")

    def fit_to_recording(self, record: SpeechTextRecord) -> SpeechTextRecord | None:
        """The record with its measured duration, cut at the end of the file; None if it cannot be used."""
        measured = self.levels[audio_name(record)]
        if isinstance(measured, AudioError):
            return None
        whole = measured.duration_seconds
        audio, seconds = record.audio, whole
        if isinstance(audio, AudioSlice):
            if audio.start_seconds >= whole:
                reason = f"the recording ends at {clock(whole)}, before the annotation starts"
                self.report("beyond_end", record, reason)
                return None
            if audio.end_seconds > whole + self.limits.end_tolerance_seconds:
                reason = f"the annotation ends at {clock(audio.end_seconds)}, the recording at {clock(whole)}"
                self.report("cut_at_end", record, reason)
            if audio.end_seconds > whole:
                audio = replace(audio, end_seconds=whole)
            seconds = audio.duration_seconds
        if seconds < self.limits.min_seconds:
            self.report("too_short", record, f"{seconds:.2f} s; the shortest is {self.limits.min_seconds:g} s")
            return None
        if (record.text is not None or record.translations) and seconds > self.limits.max_seconds:
            reason = f"{seconds:.1f} s; the longest utterance is {self.limits.max_seconds:g} s"
            self.report("too_long", record, reason)
            return None
        return replace(record, audio=audio, duration_seconds=seconds)

    def is_silent(self, record: SpeechTextRecord) -> bool:
        peak = self.levels_of(record).peak_db(*_times_of(record))
        if peak < self.limits.silence_db:
            self.report("silent", record, f"the loudest part has {peak:.0f} dB; speech has more than -50 dB")
        return peak < self.limits.silence_db

    def levels_of(self, record: SpeechTextRecord) -> RecordingLevels:
        measured = self.levels[audio_name(record)]
        assert isinstance(measured, RecordingLevels)
        return measured

    def has_usable_text(self, record: SpeechTextRecord, needed_frames: int) -> bool:
        assert record.text is not None and record.duration_seconds is not None
        if not any(char.isalnum() for char in record.text):
            self.report("no_letters", record, f"the text is {record.text!r}")
            return False
        frames = math.ceil(record.duration_seconds * SAMPLING_RATE / self.limits.samples_per_frame)
        if needed_frames > frames:
            reason = (
                f"{record.duration_seconds:.2f} s for {len(record.text)} characters ({record.text[:40]!r}); the model "
                f"can write at most {frames} in this time, and would need {needed_frames}"
            )
            self.report("too_much_text", record, reason)
            return False
        return True


def _times_of(record: SpeechTextRecord) -> tuple[float, float | None]:
    """Start and end of a record in its recording."""
    audio = record.audio
    return (audio.start_seconds, audio.end_seconds) if isinstance(audio, AudioSlice) else (0.0, None)


def _source_of(record: SpeechTextRecord) -> Any:
    return record.audio.path if isinstance(record.audio, AudioSlice) else record.audio


# Rates of very short texts vary by themselves, and shorter differences of times are not audible.
_MIN_RATE_LETTERS = 8
_MIN_SURPLUS_SECONDS = 3.0
_MIN_OVERLAP_SECONDS = 0.2
# Copies are recognised by their levels, of which a short clip has too few.
_MIN_COPY_SECONDS = 1.0
_SHOWN_CHARACTERS = 40


def compare_records(data: ReadData, usable: InspectedData, levels: Levels, limits: CheckLimits) -> None:
    """Report what the comparison of utterances shows; copies of recordings are removed from `usable`.

    Args:
        data: findings are added to it.
        usable: the usable records.
        levels: of all recordings.
        limits: factor of the speaking rate.
    """
    _remove_copies(data, usable, levels)
    _check_rates(data, usable.labelled, limits.rate_factor)
    _check_overlaps(data, usable.labelled)
    _check_repeated_texts(data, usable.labelled)
    _check_translations(data, usable.labelled)


def count_letters(text: str) -> int:
    """Number of letters and digits of a text."""
    return sum(char.isalnum() for char in text)


def _remove_copies(data: ReadData, usable: InspectedData, levels: Levels) -> None:
    first_of: dict[tuple[float, bytes], str] = {}
    same_file: dict[str, str] = {}
    for name, measured in levels.items():
        if isinstance(measured, RecordingLevels) and measured.duration_seconds >= _MIN_COPY_SECONDS:
            key = (measured.duration_seconds, measured.levels_db.tobytes())
            same_file[name] = first_of.setdefault(key, name)
    seen: dict[tuple[str, float, float | None], SpeechTextRecord] = {}

    def is_new(record: SpeechTextRecord) -> bool:
        name = audio_name(record)
        other = seen.setdefault((same_file.get(name, name), *_times_of(record)), record)
        # Two people may be annotated at the same time in one recording.
        both = other.text is not None and record.text is not None and other.text != record.text
        if other is record or (both and other.speaker != record.speaker and isinstance(record.audio, AudioSlice)):
            return True
        place = data.places.get(record.key, name)
        data.report("repeated_recording", place, f"is the same recording as {_place(data, other)}", record.key)
        return False

    usable.labelled[:] = [record for record in usable.labelled if is_new(record)]
    usable.untranscribed[:] = [record for record in usable.untranscribed if is_new(record)]


def _check_rates(data: ReadData, records: list[SpeechTextRecord], factor: float) -> None:
    """Letters per second against the median of all."""
    measured = []
    for record in records:
        assert record.duration_seconds is not None
        letters = count_letters(record.text or "")
        if letters:
            measured.append((record, letters, record.duration_seconds))
    if len(measured) < 5:
        return
    usual = median(letters / seconds for _, letters, seconds in measured)
    for record, letters, seconds in measured:
        rate = letters / seconds
        message = f"{seconds:.1f} s for {letters} letters ({_shown(record.text)}); usual are {letters / usual:.1f} s"
        if rate * factor < usual and seconds - letters / usual > _MIN_SURPLUS_SECONDS:
            data.report("little_text", data.places[record.key], message, record.key)
        elif rate > factor * usual and letters >= _MIN_RATE_LETTERS:
            data.report("fast_text", data.places[record.key], message, record.key)


def _check_overlaps(data: ReadData, records: list[SpeechTextRecord]) -> None:
    by_file: dict[str, list[tuple[AudioSlice, SpeechTextRecord]]] = defaultdict(list)
    for record in records:
        if isinstance(record.audio, AudioSlice):
            by_file[record.audio.path].append((record.audio, record))
    for slices in by_file.values():
        slices.sort(key=lambda pair: pair[0].start_seconds)
        for number, (audio, record) in enumerate(slices):
            for other, other_record in slices[number + 1 :]:
                shared = min(audio.end_seconds, other.end_seconds) - other.start_seconds
                if other.start_seconds >= audio.end_seconds:
                    break
                if shared >= _MIN_OVERLAP_SECONDS:
                    whose = "the same speaker" if other_record.speaker == record.speaker else "another speaker"
                    reason = f"{shared:.1f} s are also annotated for {whose} ({_place(data, record)})"
                    data.report("overlap", data.places[other_record.key], reason, other_record.key)


def _check_repeated_texts(data: ReadData, records: list[SpeechTextRecord]) -> None:
    by_text: dict[str, list[SpeechTextRecord]] = defaultdict(list)
    for record in records:
        if record.text is not None:
            by_text[normalize_for_scoring(record.text)].append(record)
    for same in sorted(by_text.values(), key=len, reverse=True):
        if len(same) > 1:
            speakers = len({record.speaker for record in same})
            by = f" by {speakers} speakers" if speakers > 1 else ""
            data.report("repeated_text", _place(data, same[0]), f"{_shown(same[0].text)} occurs {len(same)} times{by}")


def _check_translations(data: ReadData, records: list[SpeechTextRecord]) -> None:
    for lang in data.options.target_langs:
        for record in records:
            translation = record.translations.get(lang)
            place = data.places[record.key]
            if translation is None:
                data.report("no_translation", place, f"has no translation into {lang}", record.key)
            elif translation == record.text and count_letters(translation) >= _MIN_RATE_LETTERS:
                data.report("same_translation", place, f"both are {_shown(translation)}", record.key)


def _place(data: ReadData, record: SpeechTextRecord) -> str:
    """Where a record is; pieces of recordings without text have the place of their file."""
    return data.places.get(record.key, audio_name(record))


def _shown(text: str | None) -> str:
    text = text or ""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}...")
