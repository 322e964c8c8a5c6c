# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Length, format and loudness of recordings, each decoded once; long ones are cut at their quietest places."""

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mu2slam_hf.adaptation.reading.options import CheckLimits
from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, AudioSlice, FloatArray
from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.modules_audio_files import read_audio_format

LEVEL_SECONDS = 0.1
"""Length of the frames whose level is measured."""

_FRAME_SAMPLES = round(LEVEL_SECONDS * SAMPLING_RATE)
_FLOOR_DB = -120.0


@dataclass(frozen=True, kw_only=True)
class RecordingLevels:
    """A recording as it was decoded.

    Attributes:
        duration_seconds: length.
        sampling_rate: rate of the file in Hz; None if it is not a file.
        num_channels: number of channels; None as above.
        levels_db: `(n,)` float32, root mean square of each `LEVEL_SECONDS` in dB relative to full scale, at least
            -120.
        damage: what is wrong with a file of which a part cannot be decoded.
    """

    duration_seconds: float
    sampling_rate: int | None
    num_channels: int | None
    levels_db: FloatArray
    damage: str = ""

    def peak_db(self, start_seconds: float = 0.0, end_seconds: float | None = None) -> float:
        """Level of the loudest frame that lies at least partly within a stretch."""
        first = int(start_seconds / LEVEL_SECONDS)
        last = len(self.levels_db) if end_seconds is None else max(first + 1, round(end_seconds / LEVEL_SECONDS))
        part = self.levels_db[first:last]
        return float(part.max()) if len(part) else _FLOOR_DB


def measure_recording(source: Any) -> RecordingLevels:
    """Decode a recording and measure it.

    Args:
        source: a path, or another source of `load_audio`.

    Raises:
        AudioError: nothing of it can be decoded.
    """
    rest = np.zeros(0, dtype=np.float32)
    levels: list[FloatArray] = []
    num_samples = 0
    damage: list[str] = []
    for block in stream_audio_source(source, SAMPLING_RATE, on_damage=damage.append):
        samples = np.concatenate([rest, block[:, 0]])
        num_samples += len(block)
        whole = len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES
        levels.append(_levels_of(samples[:whole].reshape(-1, _FRAME_SAMPLES)))
        rest = samples[whole:]
    if len(rest):
        levels.append(_levels_of(rest[None]))
    sampling_rate, num_channels = read_audio_format(source, source) if isinstance(source, str) else (None, None)
    return RecordingLevels(
        duration_seconds=num_samples / SAMPLING_RATE,
        sampling_rate=sampling_rate,
        num_channels=num_channels,
        levels_db=np.concatenate(levels),
        damage="; ".join(damage),
    )


def measure_recordings(
    sources: Mapping[str, Any], *, num_threads: int | None = None, progress: Callable[[str], None] | None = None
) -> dict[str, RecordingLevels | AudioError]:
    """Measure recordings on several threads; those that cannot be read have their error.

    Args:
        sources: name -> path, or another source of `load_audio`; each is decoded once.
        num_threads: None means the number of processors, at most 8.
        progress: called with each name when it is done, in order.
    """

    def measure(source: Any) -> RecordingLevels | AudioError:
        try:
            return measure_recording(source)
        except AudioError as error:
            return error

    measured: dict[str, RecordingLevels | AudioError] = {}
    with ThreadPoolExecutor(num_threads or min(8, os.cpu_count() or 1)) as pool:
        for name, result in zip(sources, pool.map(measure, sources.values()), strict=True):
            measured[name] = result
            if progress is not None:
                progress(name)
    return measured


def _levels_of(frames: FloatArray) -> FloatArray:
    """Level in dB of each row."""
    if not frames.size:
        return np.zeros(0, dtype=np.float32)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    return np.maximum(10.0 * np.log10(np.maximum(power, 1e-12)), _FLOOR_DB).astype(np.float32)


# A cut may move by this share of a piece to a quieter place.
_SEARCH_SHARE = 0.15


def cut_untranscribed(
    record: SpeechTextRecord, levels: RecordingLevels, limits: CheckLimits
) -> list[SpeechTextRecord]:
    """Pieces of a recording, of at most `limits.max_seconds`.

    Args:
        record: speech without text, with its duration; if it is longer, the audio is a path or an `AudioSlice` of a
            file that can be cut.
        levels: levels of the whole file.
        limits: length of pieces; silent pieces are left out.

    Returns:
        the record itself if it is short enough.
    """
    seconds = record.duration_seconds
    assert seconds is not None
    if seconds <= limits.max_seconds:
        return [record]
    audio = record.audio
    path, start = (audio.path, audio.start_seconds) if isinstance(audio, AudioSlice) else (str(audio), 0.0)
    cuts = _find_cuts(levels, start, start + seconds, limits.max_seconds)
    pieces = []
    for first, last in zip(cuts, cuts[1:], strict=False):
        if levels.peak_db(first, last) >= limits.silence_db:
            piece = AudioSlice(path, first, last)
            stem = record.id.partition("@")[0] if isinstance(audio, AudioSlice) else record.id
            identity = f"{stem}@{first:.3f}-{last:.3f}"
            pieces.append(replace(record, id=identity, audio=piece, duration_seconds=piece.duration_seconds))
    return pieces


def _find_cuts(levels: RecordingLevels, start: float, end: float, max_seconds: float) -> list[float]:
    """Start, cuts and end in seconds: pieces of about equal length, each cut at the quietest frame near its place."""
    reach = _SEARCH_SHARE * max_seconds
    # Two neighbouring cuts may move apart by the reach each.
    count = math.ceil((end - start) / (max_seconds - 2 * reach))
    cuts = [start]
    for number in range(1, count):
        middle = start + (end - start) * number / count
        first = round((middle - reach) / LEVEL_SECONDS)
        near = levels.levels_db[first : round((middle + reach) / LEVEL_SECONDS)]
        quietest = first + int(np.argmin(near)) if len(near) else round(middle / LEVEL_SECONDS)
        cuts.append(round(min(max(LEVEL_SECONDS * (quietest + 0.5), middle - reach), middle + reach), 3))
    return [*cuts, end]
