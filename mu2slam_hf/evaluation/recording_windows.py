# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings as models read them: whole if they are short, else window by window."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.models.modules_audio_sources import stream_audio_source
from mu2slam_hf.models.processing_windows import RecordingEnd, Window, cut_windows


def open_recording(source: Any, max_seconds: float) -> FloatArray | Iterator[FloatArray]:
    """A recording of at most `max_seconds` as one array `(n,)` float32 at 16 kHz, a longer one as blocks `(n, 1)`.

    Args:
        source: see `stream_audio_source`.
        max_seconds: maximum length of an array.

    Raises:
        AudioError: the recording cannot be read; of a longer one, also later.
    """
    blocks = stream_audio_source(source, SAMPLING_RATE)
    read, num_samples = [], 0
    for block in blocks:
        read.append(block)
        num_samples += len(block)
        if num_samples > max_seconds * SAMPLING_RATE:
            return chain(read, blocks)
    return np.ascontiguousarray(np.concatenate(read)[:, 0])


def cut_speech(blocks: Iterator[FloatArray], max_seconds: float) -> Iterator[Window]:
    """The windows of a long recording between pauses; the first seconds of one in which no sound is found.

    Args:
        blocks: `(n, 1)` blocks at 16 kHz.
        max_seconds: maximum length of a window without overlap.
    """
    first = next(blocks)
    found = False
    for window in cut_windows(chain([first], blocks), SAMPLING_RATE, max_seconds):
        if not isinstance(window, RecordingEnd):
            found = True
            yield window
    if not found:
        waveform = first[: round(max_seconds * SAMPLING_RATE), 0].copy()
        yield Window(waveform=waveform, start_sample=0, core_start=0, core_stop=len(waveform))
