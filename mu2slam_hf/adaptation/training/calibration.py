# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Calibration of speech detection, with the recordings of an adaptation and synthetic sounds."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.evaluation.tasks.no_speech_calibration import (
    SoundClip,
    calibrate_checkpoint,
    measure_clips,
    non_speech_clips,
    speech_clips,
)

# The other clips are sounds without speech.
_SPEECH_SHARE = 0.25
_NOISY_SHARE = 0.35
_TRIAL_CLIPS = 16


def calibrate_adaptation(
    folder: Path, records: Sequence[SpeechTextRecord], num_clips: int, *, seed: int, say: Callable[[str], None]
) -> None:
    """Fit the decision of the checkpoint in a folder.

    Args:
        folder: folder of the checkpoint.
        records: training recordings.
        num_clips: number of recordings and sounds; fewer if there are fewer recordings.
        seed: seed of the choice and of the sounds.
        say: receives the progress.
    """
    num_speech = _num_speech(num_clips)
    num_sounds = num_clips - num_speech
    total = min(num_speech, len(records)) + num_sounds
    calibrate_checkpoint(
        folder,
        _speech(records, num_speech, seed),
        num_sounds=num_sounds,
        seed=seed,
        progress=lambda done: say(f"{done} of {total} recordings and sounds"),
    )


def measure_clip_seconds(model: Any, processor: Any, records: Sequence[SpeechTextRecord], *, seed: int) -> float:
    """Time of calibration for one clip, measured with a few.

    Args:
        model: in evaluation mode.
        processor: its processor.
        records: training recordings.
        seed: as for `calibrate_adaptation`.
    """
    started = time.monotonic()
    num_speech = _num_speech(_TRIAL_CLIPS)
    clips = chain(_speech(records, num_speech, seed), non_speech_clips(_TRIAL_CLIPS - num_speech, seed=seed))
    measured = measure_clips(model, processor, clips)
    return (time.monotonic() - started) / len(measured)


def _num_speech(num_clips: int) -> int:
    return round(_SPEECH_SHARE * num_clips)


def _speech(records: Sequence[SpeechTextRecord], number: int, seed: int) -> Iterator[SoundClip]:
    """Recordings, some of them with noise."""
    chosen = spread_evenly(list(records), number)
    return speech_clips(chosen, "recordings", noisy_share=_NOISY_SHARE, seed=seed)
