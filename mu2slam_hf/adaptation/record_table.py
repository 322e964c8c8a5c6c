# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Rows that describe records, for files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.records import SpeechTextRecord


def record_rows(
    parts: Mapping[str, Sequence[SpeechTextRecord]],
    shared: Mapping[str, frozenset[str]],
    places: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """One row for each record; see `PreparedData.save`.

    Args:
        parts: part -> its records.
        shared: language -> keys of the records whose sentence training has too.
        places: key of a record -> where its text is.
    """
    for part, records in parts.items():
        for record in records:
            languages = sorted(lang for lang, keys in shared.items() if record.key in keys)
            yield {"part": part, **_row(record), "shared": languages, "place": places.get(record.key)}


def _row(record: SpeechTextRecord) -> dict[str, Any]:
    audio, times = record.audio, {}
    if isinstance(audio, AudioSlice):
        times = {"start_seconds": round(audio.start_seconds, 3), "end_seconds": round(audio.end_seconds, 3)}
        audio = audio.path
    return {
        "key": record.key,
        "audio": audio if isinstance(audio, str) else None,
        **times,
        "duration_seconds": None if record.duration_seconds is None else round(record.duration_seconds, 3),
        "lang": record.lang,
        "text": record.text,
        "translations": dict(record.translations),
        "speaker": record.speaker,
        "session": record.extra.get("session"),
    }
