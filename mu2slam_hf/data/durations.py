# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Durations of recordings, from their headers where these state them."""

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mu2slam_hf.data.audio import AudioError, AudioSlice, audio_duration_seconds
from mu2slam_hf.data.records import SpeechTextRecord

_LONGEST_SECONDS = 24 * 3600.0


def fill_durations(
    records: Iterable[SpeechTextRecord], *, num_threads: int = 8
) -> tuple[list[SpeechTextRecord], list[str]]:
    """Records with durations, read from the recordings if the manifest has none.

    Returns:
        The records with readable audio, and the reasons for all others.
    """

    def is_unknown(record: SpeechTextRecord) -> bool:
        return record.audio is not None and record.duration_seconds is None

    def fill(record: SpeechTextRecord) -> SpeechTextRecord | str:
        assert record.audio is not None
        try:
            return record.with_duration(audio_duration_seconds(record.audio))
        except AudioError as error:
            return f"{record.key}: {error}"

    records = list(records)
    # Only files are worth a thread: handing over a record takes longer than to look at it.
    with ThreadPoolExecutor(num_threads) as pool:
        read = pool.map(fill, filter(is_unknown, records))
        results = [next(read) if is_unknown(record) else record for record in records]
    filled = [result for result in results if isinstance(result, SpeechTextRecord)]
    return filled, [result for result in results if isinstance(result, str)]


def stated_seconds(stated: Any, audio: Any) -> float | None:
    """Duration of a recording in seconds if it is known without opening its file.

    Args:
        stated: seconds as a number or a string; invalid values are ignored.
        audio: a slice of a recording has a duration; all else has none.
    """
    try:
        seconds = float(stated)
    except (TypeError, ValueError):
        seconds = math.nan
    if 0.0 < seconds <= _LONGEST_SECONDS:
        return seconds
    return audio.duration_seconds if isinstance(audio, AudioSlice) else None


def seconds_of(stated: Any, audio: Any, name: str | None = None) -> float:
    """Duration of a recording in seconds: as stated, else from the file.

    Args:
        stated: seconds as a number or a string; invalid values are ignored.
        audio: path, bytes, or a mapping with `bytes` or `path`.
        name: name for error messages.

    Raises:
        AudioError: no valid duration is stated and the file cannot be read.
    """
    seconds = stated_seconds(stated, audio)
    if seconds is not None:
        return seconds
    if isinstance(audio, Mapping):
        name = name or audio.get("path")
        audio = audio.get("bytes") if audio.get("bytes") is not None else audio.get("path")
    return audio_duration_seconds(audio, name=name)
