# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What speech ids keep of recordings: they are made audible by a synthesizer, recognised, and compared in pitch.

Shapes: n samples at 16 kHz, F frames of 10 ms.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray, load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.score import Hypothesis, Score
from mu2slam_hf.evaluation.scores.scoring import score_hypotheses
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings

RECORDING, MEL, IDS = "recording", "mel", "ids"
SYSTEMS = (RECORDING, MEL, IDS)
"""The recordings; their own log-mel frames through the vocoder; their ids through the synthesizer."""

_HOP, _WINDOW = 160, 640
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 400.0
# A frame is voiced if its autocorrelation at one period is this share of its energy, and it is not 40 dB below the
# loudest frame.
_MIN_CORRELATION, _QUIET = 0.5, 0.01
_SEMITONES = 3.0


def track_pitch(waveform: FloatArray) -> npt.NDArray[np.float64]:
    """Fundamental frequency `(F,)` in Hz every 10 ms, 0 in unvoiced frames, by the autocorrelation of 40 ms.

    The correlation of the two parts that are one period apart is normalised by their energies, so that a fading voice
    is voiced; the shortest period whose correlation is nearly the largest one is taken, against errors of an octave.

    Args:
        waveform: `(n,)` at 16 kHz.
    """
    num_frames = len(waveform) // _HOP
    padded = np.pad(np.asarray(waveform, dtype=np.float64), _WINDOW // 2 + _HOP)
    starts = np.arange(num_frames) * _HOP + _HOP + _HOP // 2
    frames = np.stack([padded[start : start + _WINDOW] for start in starts]) if num_frames else np.zeros((0, _WINDOW))
    frames = frames - frames.mean(axis=1, keepdims=True)
    lags = np.arange(int(SAMPLING_RATE / _HIGHEST_HZ), int(SAMPLING_RATE / _LOWEST_HZ) + 1)
    correlations = np.empty((num_frames, len(lags)))
    for column, lag in enumerate(lags):
        first, second = frames[:, :-lag], frames[:, lag:]
        energies = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
        correlations[:, column] = (first * second).sum(axis=1) / np.maximum(energies, 1e-12)
    best = correlations.max(axis=1, initial=0.0)
    chosen = (correlations >= 0.9 * best[:, None]).argmax(axis=1)
    # The top of the first peak, not its flank.
    while True:
        following = np.minimum(chosen + 1, len(lags) - 1)
        rows = np.arange(num_frames)
        rising = correlations[rows, following] > correlations[rows, chosen]
        if not rising.any():
            break
        chosen = np.where(rising, following, chosen)
    level = np.sqrt((frames**2).mean(axis=1))
    voiced = (best > _MIN_CORRELATION) & (level > _QUIET * level.max(initial=0.0)) & (level > 0)
    return np.where(voiced, SAMPLING_RATE / lags[chosen], 0.0)


def compare_pitch(
    pairs: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
) -> dict[str, float]:
    """Pitch of copies beside that of their originals.

    Args:
        pairs: fundamental frequencies `(F,)` of original and copy, 0 in unvoiced frames.

    Returns:
        `voicing`: percentage of frames that are voiced in both or in none. Of the frames voiced in both:
        `within_3_semitones`: percentage; `median_semitones`: median distance; `correlation` of the logarithms.
    """
    first = np.concatenate([original[: min(map(len, (original, copy)))] for original, copy in pairs])
    second = np.concatenate([copy[: min(map(len, (original, copy)))] for original, copy in pairs])
    both = (first > 0) & (second > 0)
    figures = {"voicing": 100.0 * float(np.mean((first > 0) == (second > 0)))}
    if both.sum() < 2:
        return figures
    logs = 12 * np.log2(np.stack([first[both], second[both]]))
    distances = np.abs(logs[0] - logs[1])
    figures["within_3_semitones"] = 100.0 * float(np.mean(distances <= _SEMITONES))
    figures["median_semitones"] = float(np.median(distances))
    if logs.std(axis=1).min() > 0:
        figures["correlation"] = float(np.corrcoef(logs)[0, 1])
    return figures


@torch.no_grad()
def resynthesize(processor: Any, recording: FloatArray, lang: str | None) -> dict[str, FloatArray]:
    """Waveforms of a recording by the names of `SYSTEMS`.

    Args:
        processor: processor with speech tokenizer and synthesizer.
        recording: `(n,)` at 16 kHz.
        lang: its language.
    """
    synthesizer = processor.speech_synthesizer
    (ids,) = processor.tokenize_speech([recording], SAMPLING_RATE)
    padded = np.pad(recording, (0, 640 * len(ids) - len(recording)))
    features = synthesizer.features(padded, sampling_rate=SAMPLING_RATE)["input_features"]
    known = lang if lang in synthesizer.config.languages else None
    return {
        RECORDING: recording,
        MEL: synthesizer.make_waveforms(features.to(synthesizer.device))[0].cpu().numpy(),
        IDS: processor.decode_speech([ids], lang=[known])[0],
    }


def score_resynthesis(
    recognizer: tuple[Any, Any],
    processor: Any,
    records: Sequence[SpeechTextRecord],
    *,
    bootstrap: Bootstrap | None = None,
) -> tuple[list[Score], Mapping[str, dict[str, float]]]:
    """Word and character error rates of a recogniser on copies of recordings, and figures of their sound.

    Args:
        recognizer: model and processor that transcribe, with the languages of the recordings given.
        processor: processor with speech tokenizer and synthesizer.
        records: records with audio and text.
        bootstrap: if given, the scores have intervals.

    Returns:
        scores, whose `system` is one of `SYSTEMS`; and by system the figures of `compare_pitch` with the recordings,
        and `duration_ratio`: seconds of the copies over those of the recordings, filled up to whole ids.
    """
    copies = [resynthesize(processor, load_audio(record.audio), record.lang) for record in records]
    scores: list[Score] = []
    figures: dict[str, dict[str, float]] = {}
    pitches = [track_pitch(waveforms[RECORDING]) for waveforms in copies]
    for system in SYSTEMS:
        waveforms = [by_system[system] for by_system in copies]
        requests = [
            TranscriptionRequest(source=waveform, source_lang=record.lang)
            for waveform, record in zip(waveforms, records, strict=True)
        ]
        hypotheses = []
        results = transcribe_recordings(*recognizer, requests, TranscriptionOptions())
        for record, result in zip(records, results, strict=True):
            if isinstance(result, ValueError):
                raise result
            hypotheses.append(
                Hypothesis(
                    key=record.key,
                    id=record.id,
                    task="asr",
                    source_lang=record.lang,
                    target_lang=record.lang,
                    source_lang_given=True,
                    source_text=record.text,
                    reference=record.text or "",
                    hypothesis=result.text,
                )
            )
        scores += score_hypotheses(hypotheses, system=system, bootstrap=bootstrap)
        lengths = [len(waveform) for waveform in waveforms]
        whole = sum(-(-len(by_system[RECORDING]) // 640) * 640 for by_system in copies)
        figures[system] = compare_pitch(
            [(pitch, track_pitch(waveform)) for pitch, waveform in zip(pitches, waveforms, strict=True)]
        )
        figures[system]["duration_ratio"] = sum(lengths) / (whole if system != RECORDING else sum(lengths))
    return scores, figures
