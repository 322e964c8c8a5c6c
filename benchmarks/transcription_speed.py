# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""How fast a checkpoint transcribes: seconds of speech per second of work, by batch size and beam.

    python benchmarks/transcription_speed.py --model default --audio examples --batch-sizes 1 8 --beams 1 4

The recordings of the folder are repeated until there are `--clips` of them, decoded before the clock starts, and gone
through once to warm up. Each figure is the median of `--repeats` passes; the table also names threads and versions.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
import transformers

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor, default_checkpoint
from mu2slam_hf.data.audio import load_audio

SAMPLING_RATE = 16000


def find_recordings(folder: str, num_clips: int) -> list:
    """`num_clips` waveforms, the files of the folder in turn, shortest first as a sorted batch would have them."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in {".opus", ".wav", ".flac", ".ogg"})
    if not paths:
        raise SystemExit(f"{folder}: no recordings (.opus, .wav, .flac, .ogg) in this folder")
    waveforms = [load_audio(path) for path in paths]
    return sorted((waveforms[index % len(waveforms)] for index in range(num_clips)), key=len)


def measure_pass(model, processor, waveforms: list, batch_size: int, num_beams: int) -> float:
    """Seconds of one pass, features included."""
    started = time.perf_counter()
    for start in range(0, len(waveforms), batch_size):
        inputs = processor(audio=waveforms[start : start + batch_size], sampling_rate=SAMPLING_RATE)
        model.generate(**inputs.to(model.device), num_beams=num_beams)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print a table; `--json` writes it too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="folder of a checkpoint, or `default`")
    parser.add_argument("--audio", default="examples", help="folder of recordings")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="file to write the figures to")
    options = parser.parse_args()

    folder = default_checkpoint() if options.model == "default" else options.model
    model = Mu2SLAMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).to(options.device).eval()
    processor = Mu2SLAMProcessor.from_pretrained(folder)
    waveforms = find_recordings(options.audio, options.clips)
    seconds_of_speech = sum(len(waveform) for waveform in waveforms) / SAMPLING_RATE
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.processor() or '?'}"
    print(f"{options.clips} clips, {seconds_of_speech:.1f} s; {torch.get_num_threads()} threads; {versions}")
    rows = []
    for batch_size in options.batch_sizes:
        for num_beams in options.beams:
            measure_pass(model, processor, waveforms[-batch_size:], batch_size, num_beams)
            passes = [measure_pass(model, processor, waveforms, batch_size, num_beams) for _ in range(options.repeats)]
            speed = seconds_of_speech / statistics.median(passes)
            rows.append({"batch_size": batch_size, "num_beams": num_beams, "times_real_time": round(speed, 1)})
            print(f"batch {batch_size:3d}  beams {num_beams}  {speed:7.1f} x real time")
    if options.json:
        Path(options.json).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
