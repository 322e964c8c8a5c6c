# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Processor time of greedy transcription: transformers' loop, ours, and ours with drafts of CTC.

    python benchmarks/generation.py --model default --audio examples --batch-sizes 1 16

The recordings of the folder (or of a manifest with the columns `audio` and `lang`) are encoded once; the clock runs
while the decoder writes. The loops take turns on every batch in one process, and the time is that of the processor, so
that other work on the machine counts for all of them alike. Texts that differ from those of transformers are printed,
and no ratio is reported for a loop that wrote one.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import torch
import transformers
from transformers.generation import GenerationMixin

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor, default_checkpoint
from mu2slam_hf.data.audio import load_audio

SAMPLING_RATE = 16000
REFERENCE = "transformers"
LOOPS = {
    REFERENCE: {"custom_generate": GenerationMixin._sample},
    "ours": {"ctc_draft": False},
    "drafted": {"ctc_draft": True},
}


def find_clips(source: Path, num_clips: int, max_seconds: float) -> list[tuple]:
    """At most `num_clips` pairs of waveform and language, from all parts of a manifest or folder, shortest first."""
    if source.is_dir():
        rows = [(path, path.parent.name) for path in sorted(source.glob("*/*.opus"))]
    else:
        with source.open(encoding="utf-8") as file:
            rows = [(source.parent / row["audio"], row["lang"]) for row in csv.DictReader(file, delimiter="\t")]
    if not rows:
        raise SystemExit(f"{source}: no recordings; expected a manifest, or a folder with LANGUAGE/NAME.opus")
    rows = rows[:: max(len(rows) // num_clips, 1)]
    clips = [(load_audio(path), language) for path, language in rows]
    clips = [clip for clip in clips if len(clip[0]) <= max_seconds * SAMPLING_RATE]
    return sorted(clips[:num_clips], key=lambda clip: len(clip[0]))


def measure(model, processor, clips: list[tuple], batch_size: int, repeats: int) -> dict:
    """Seconds of processor time of the encoder and of each loop, and the texts of each loop."""
    seconds = dict.fromkeys(("encoder", *LOOPS), 0.0)
    texts: dict[str, list[str]] = {name: [] for name in LOOPS}
    for start in range(0, len(clips), batch_size):
        waveforms, languages = zip(*clips[start : start + batch_size], strict=True)
        inputs = processor(audio=list(waveforms), sampling_rate=SAMPLING_RATE)
        started = time.process_time()
        rows = model.language_rows(languages, len(languages))
        with torch.no_grad():
            outputs = model.get_encoder()(**inputs, language_ids=rows, return_dict=True)
        seconds["encoder"] += (time.process_time() - started) * repeats
        for repeat in range(repeats):
            for name, options in LOOPS.items():
                started = time.process_time()
                ids = model.generate(
                    encoder_outputs=model.build_encoder_outputs(outputs),
                    source_modality="speech",
                    source_lang=languages,
                    num_beams=1,
                    **options,
                )
                seconds[name] += time.process_time() - started
                if not repeat:
                    texts[name] += processor.batch_decode(ids, skip_special_tokens=True)
    return {"seconds": seconds, "texts": texts}


def report(batch_size: int, measured: dict) -> dict:
    """Print and return the figures of one batch size."""
    seconds, texts = measured["seconds"], measured["texts"]
    row: dict = {"batch_size": batch_size, "encoder_seconds": round(seconds["encoder"], 2)}
    for name in LOOPS:
        pairs = list(zip(texts[REFERENCE], texts[name], strict=True))
        same = sum(expected == text for expected, text in pairs)
        row[name] = {"seconds": round(seconds[name], 2), "identical": same, "clips": len(pairs)}
        if same == len(pairs):
            row[name]["speed"] = round(seconds[REFERENCE] / seconds[name], 2)
        for expected, text in pairs:
            if expected != text:
                print(f"{name} differs: {expected!r} {text!r}")
        print(f"batch {batch_size:3d}  {name:12s}  {row[name]}")
    print(f"batch {batch_size:3d}  encoder       {row['encoder_seconds']} s")
    return row


def main() -> None:
    """Measure and print; `--json` writes the figures too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="folder of a checkpoint, or `default`")
    parser.add_argument("--audio", type=Path, default=Path("examples"), help="folder of recordings, or a manifest")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--max-seconds", type=float, default=15.0, help="longer recordings are left out")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()

    folder = default_checkpoint() if options.model == "default" else options.model
    model = Mu2SLAMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = Mu2SLAMProcessor.from_pretrained(folder)
    clips = find_clips(options.audio, options.clips, options.max_seconds)
    audio_seconds = sum(len(waveform) for waveform, _ in clips) / SAMPLING_RATE
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{len(clips)} clips, {audio_seconds:.1f} s; {torch.get_num_threads()} threads; {versions}")
    measure(model, processor, clips[:1], 1, 1)
    rows = [report(size, measure(model, processor, clips, size, options.repeats)) for size in options.batch_sizes]
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
