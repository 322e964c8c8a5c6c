# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Log-mel features of 16 recordings of 10 s, beside the feature extractors of Whisper, Parakeet and SeamlessM4T."""

import argparse

import numpy as np
import torch
from transformers import ParakeetFeatureExtractor, SeamlessM4TFeatureExtractor, WhisperFeatureExtractor

from benchmarks.interleaved import measure_interleaved, relate
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor

RATE = 16000
NUM_CLIPS, SECONDS = 16, 10
TOLERANCE = 1e-4


def check_definition(extractor: Mu2SLAMFeatureExtractor, clip: np.ndarray) -> None:
    """Raises RuntimeError if features of `clip` are not those of the definition in float64."""
    width, hop = extractor.win_length, extractor.hop_length
    padded = np.pad(clip.astype(np.float64), ((width - hop) // 2, width))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop][: extractor.frame_count(len(clip))]
    windows = (windows - windows.mean(axis=1, keepdims=True)) * extractor.window.numpy()
    spectrum = np.fft.rfft(windows, n=extractor.n_fft) * (2.0 / extractor.window.sum().item())
    power = np.maximum(np.abs(spectrum) ** 2 @ extractor.mel_filters.numpy(), extractor.mel_floor)
    expected = extractor.normalize(torch.from_numpy(np.log(power)))
    difference = (extractor(clip, sampling_rate=RATE)["input_features"][0] - expected).abs().max().item()
    if not difference <= TOLERANCE:
        raise RuntimeError(f"features differ from the definition by {difference:.2g}, expected at most {TOLERANCE:g}")


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each system: seconds of audio per second, and its share of ours."""
    generator = np.random.default_rng(0)
    clips = [(0.1 * generator.standard_normal(SECONDS * RATE)).astype(np.float32) for _ in range(NUM_CLIPS)]
    ours = Mu2SLAMFeatureExtractor()
    check_definition(ours, clips[0])
    whisper, parakeet, seamless = WhisperFeatureExtractor(), ParakeetFeatureExtractor(), SeamlessM4TFeatureExtractor()
    # Whisper pads to 30 s by default; here it computes what is there, as the others do.
    times = measure_interleaved(
        {
            "Mu2SLAM": lambda: ours(clips, sampling_rate=RATE),
            "Whisper": lambda: whisper(clips, sampling_rate=RATE, padding="longest", return_tensors="pt"),
            "Parakeet": lambda: parakeet(clips, sampling_rate=RATE, return_tensors="pt"),
            "SeamlessM4T": lambda: seamless(clips, sampling_rate=RATE, return_tensors="pt"),
        },
        options.repeats,
    )
    return [
        {
            "system": name,
            "audio seconds per second": NUM_CLIPS * SECONDS / seconds["wall_seconds"],
            **relate(seconds, times["Mu2SLAM"]),
        }
        for name, seconds in times.items()
    ]
