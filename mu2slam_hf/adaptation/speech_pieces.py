# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Long recordings without transcript, cut into pieces at their quietest places."""

import math
from dataclasses import replace

import numpy as np

from mu2slam_hf.adaptation.options import CheckLimits
from mu2slam_hf.adaptation.recording_levels import LEVEL_SECONDS, RecordingLevels
from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.records import SpeechTextRecord

# A cut may move by this share of a piece to a quieter place.
_SEARCH_SHARE = 0.15


def cut_speech(record: SpeechTextRecord, levels: RecordingLevels, limits: CheckLimits) -> list[SpeechTextRecord]:
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
