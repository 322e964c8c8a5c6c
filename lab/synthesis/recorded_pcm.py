# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Samples of the sound files that the programs of speech engines write."""

from pathlib import Path

import numpy as np
import soundfile

from lab.synthesis.speech_engine import SpokenClip

NO_CLIP = SpokenClip(pcm=b"", sampling_rate=16000)
"""The output for a text that was not spoken."""

# Half of the values of int16: speech does not jump by more from one sample to the next.
_HALF_OF_INT16 = 32768


def read_pcm(path: Path, playback_ratio: float = 1.0) -> SpokenClip:
    """The first channel of a sound file; no samples if the engine did not write it.

    festival stores samples beyond the range of int16 modulo 65,536, which sounds like clicks: such a clip is returned
    without samples.

    Args:
        path: file with 16 bit samples.
        playback_ratio: factor of the sampling rate, to change pitch and rate together.
    """
    if not path.exists():
        return NO_CLIP
    samples, sampling_rate = soundfile.read(path, dtype="int16", always_2d=True)
    own = samples[:, 0]
    overflows = np.any(np.abs(np.diff(own.astype(np.int32))) > _HALF_OF_INT16)
    return SpokenClip(pcm=b"" if overflows else own.tobytes(), sampling_rate=round(sampling_rate * playback_ratio))
