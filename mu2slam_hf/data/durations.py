# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Lengths of recordings, read from their headers."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from mu2slam_hf.data.audio import AudioError, audio_duration_seconds
from mu2slam_hf.data.records import SpeechTextRecord


def fill_durations(
    records: Iterable[SpeechTextRecord], *, num_threads: int = 8
) -> tuple[list[SpeechTextRecord], list[str]]:
    """Records with the lengths of their recordings, read from the headers where the manifest has none.

    Returns:
        The records whose audio can be read, and for each of the others the reason.
    """

    def fill(record: SpeechTextRecord) -> SpeechTextRecord | str:
        if record.audio is None or record.duration_seconds is not None:
            return record
        try:
            return record.with_duration(audio_duration_seconds(record.audio))
        except AudioError as error:
            return f"{record.key}: {error}"

    with ThreadPoolExecutor(num_threads) as pool:
        results = list(pool.map(fill, records))
    filled = [result for result in results if isinstance(result, SpeechTextRecord)]
    return filled, [result for result in results if isinstance(result, str)]
