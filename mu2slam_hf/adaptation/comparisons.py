# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checks that compare utterances: speaking rate, overlaps, copies, repeated sentences, translations."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from mu2slam_hf.adaptation.inspection import InspectedData, Levels, audio_name
from mu2slam_hf.adaptation.options import CheckLimits
from mu2slam_hf.adaptation.read_data import ReadData
from mu2slam_hf.adaptation.recording_levels import RecordingLevels
from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring

# Rates of very short texts vary by themselves, and shorter differences of times are not audible.
_MIN_RATE_LETTERS = 8
_MIN_SURPLUS_SECONDS = 3.0
_MIN_OVERLAP_SECONDS = 0.2
# Copies are recognised by their levels, of which a short clip has too few.
_MIN_COPY_SECONDS = 1.0
_SHOWN_CHARACTERS = 40


def compare_records(data: ReadData, found: InspectedData, levels: Levels, limits: CheckLimits) -> None:
    """Report what the comparison of utterances shows; copies of recordings are removed from `found`.

    Args:
        data: findings are added to it.
        found: the usable records.
        levels: of all recordings.
        limits: factor of the speaking rate.
    """
    _remove_copies(data, found, levels)
    _check_rates(data, found.labelled, limits.rate_factor)
    _check_overlaps(data, found.labelled)
    _check_repeated_texts(data, found.labelled)
    _check_translations(data, found.labelled)


def count_letters(text: str) -> int:
    """Number of letters and digits of a text."""
    return sum(char.isalnum() for char in text)


def _remove_copies(data: ReadData, found: InspectedData, levels: Levels) -> None:
    first_of: dict[tuple[float, bytes], str] = {}
    same_file: dict[str, str] = {}
    for name, measured in levels.items():
        if isinstance(measured, RecordingLevels) and measured.duration_seconds >= _MIN_COPY_SECONDS:
            key = (measured.duration_seconds, measured.levels_db.tobytes())
            same_file[name] = first_of.setdefault(key, name)
    seen: dict[tuple[str, float, float | None], SpeechTextRecord] = {}

    def is_new(record: SpeechTextRecord) -> bool:
        audio = record.audio
        times = (audio.start_seconds, audio.end_seconds) if isinstance(audio, AudioSlice) else (0.0, None)
        name = audio_name(record)
        other = seen.setdefault((same_file.get(name, name), *times), record)
        # Two people may be annotated at the same time in one recording.
        both = other.text is not None and record.text is not None and other.text != record.text
        if other is record or (both and other.speaker != record.speaker and isinstance(audio, AudioSlice)):
            return True
        place = data.places.get(record.key, name)
        data.report("repeated_recording", place, f"is the same recording as {_place(data, other)}", record.key)
        return False

    found.labelled[:] = [record for record in found.labelled if is_new(record)]
    found.untranscribed[:] = [record for record in found.untranscribed if is_new(record)]


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
        for record, translation in _translations(records, lang):
            place = data.places[record.key]
            if translation is None:
                data.report("no_translation", place, f"has no translation into {lang}", record.key)
            elif translation == record.text and count_letters(translation) >= _MIN_RATE_LETTERS:
                data.report("same_translation", place, f"both are {_shown(translation)}", record.key)


def _translations(records: list[SpeechTextRecord], lang: str) -> Iterator[tuple[SpeechTextRecord, str | None]]:
    for record in records:
        yield record, record.translations.get(lang)


def _place(data: ReadData, record: SpeechTextRecord) -> str:
    """Where a record is; pieces of recordings without text have the place of their file."""
    return data.places.get(record.key, audio_name(record))


def _shown(text: str | None) -> str:
    text = text or ""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}...")
