# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy transcription of the recordings in `examples/`: transformers' loop, ours, and ours with drafts of CTC.

The checkpoint of the package in float32, with its own share of CTC. Encoders have run before. All loops must write the
same texts.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers.generation import GenerationMixin

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor, default_checkpoint
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BATCH_SIZES = (1, 16)
LOOPS: dict[str, dict[str, Any]] = {
    "transformers": {"custom_generate": GenerationMixin._sample},
    "ours": {"ctc_draft": False},
    "ours with drafts": {"ctc_draft": True},
}


def encode(model: Any, processor: Any, batch_size: int) -> list[tuple[Any, tuple[str, ...]]]:
    """Encoder outputs and languages of each batch of the recordings, shortest first."""
    clips = [(load_audio(path), path.parent.name) for path in sorted(EXAMPLES.glob("*/*.opus"))]
    clips.sort(key=lambda clip: len(clip[0]))
    batches = []
    for start in range(0, len(clips), batch_size):
        waveforms, languages = zip(*clips[start : start + batch_size], strict=True)
        inputs = processor(audio=list(waveforms), sampling_rate=SAMPLING_RATE)
        rows = model.language_rows(languages, len(languages))
        batches.append((model.get_encoder()(**inputs, language_ids=rows, return_dict=True), languages))
    return batches


def transcribe(model: Any, processor: Any, batches: list, options: dict[str, Any]) -> list[str]:
    """Texts of all recordings."""
    texts = []
    for outputs, languages in batches:
        ids = model.generate(
            encoder_outputs=model.build_encoder_outputs(outputs),
            source_modality="speech",
            source_lang=languages,
            num_beams=1,
            **options,
        )
        texts += processor.batch_decode(ids, skip_special_tokens=True)
    return texts


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each batch size and loop.

    Raises:
        RuntimeError: a loop wrote other texts than that of transformers.
    """
    model = Mu2SLAMForConditionalGeneration.from_pretrained(default_checkpoint(), dtype=torch.float32).eval()
    processor = Mu2SLAMProcessor.from_pretrained(default_checkpoint())
    rows: list[dict[str, object]] = []
    for batch_size in BATCH_SIZES:
        with torch.no_grad():
            batches = encode(model, processor, batch_size)
        calls = {name: partial(transcribe, model, processor, batches, options) for name, options in LOOPS.items()}
        texts = {name: call() for name, call in calls.items()}
        for name, written in texts.items():
            if written != texts["transformers"]:
                raise RuntimeError(f"{name} wrote {written}, expected {texts['transformers']}")
        times = measure_interleaved(calls, options.repeats)
        undrafted = times["ours"]
        rows += [
            {
                "batch": batch_size,
                "loop": name,
                "milliseconds per recording": 1e3 * seconds["wall_seconds"] / len(texts[name]),
                "speed in relation to ours without drafts": undrafted["wall_seconds"] / seconds["wall_seconds"],
                "by process time": undrafted["process_seconds"] / seconds["process_seconds"],
            }
            for name, seconds in times.items()
        ]
    return rows
