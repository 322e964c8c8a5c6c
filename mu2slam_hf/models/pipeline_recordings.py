# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of the recordings that are passed to a pipeline."""

from typing import Any

import numpy as np

from .modules_encoded_audio import is_encoded
from .modules_waveforms import read_waveforms
from .pipeline_mu2slam import Mu2SLAMSpeechRecognitionPipeline


def read_recording(source: Any, sampling_rate: int) -> np.ndarray:
    """A recording in any form that the pipelines accept, as a waveform.

    Args:
        source: as in [`Mu2SLAMSpeechRecognitionPipeline`]: path, URL, bytes, array, mapping, row of `datasets.Audio`.
        sampling_rate: rate of the result, and of arrays without their own, in Hz.

    Returns:
        `(n,)` float32, mono.

    Raises:
        ValueError: it cannot be read.
    """
    recording, name = (
        ([source], "the audio") if is_encoded(source) else Mu2SLAMSpeechRecognitionPipeline._decode(source)
    )
    try:
        return read_waveforms(recording, sampling_rate, sampling_rate)[0].astype(np.float32)
    except ValueError as error:
        raise ValueError(str(error).replace("audio[0]", name)) from None
