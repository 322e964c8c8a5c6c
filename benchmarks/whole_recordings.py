# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Word error rates and peak memory of recordings that are encoded in one pass, beside those of their parts.

The CTC part of the checkpoint reads joined recordings of several lengths, with attention inside chunks of 8 seconds,
and those of the first length also with full attention.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import soundfile

from benchmarks.joined_recordings import JoinedRecording, join_recordings
from benchmarks.recording_length import run_measured
from mu2slam_hf import Mu2SLAMForCTC, Mu2SLAMProcessor, default_checkpoint
from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.evaluation.scores.metrics import compute_wer

CHUNK_FRAMES = 200
# Longer than any recording: full attention.
NO_CHUNK_FRAMES = 10**9


def add_options(parser: argparse.ArgumentParser) -> None:
    """Recordings and lengths."""
    parser.add_argument("--manifest", required=True, help="table of recordings with their texts")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 30], metavar="N")
    parser.add_argument("--files", type=int, nargs="+", default=[4, 1, 1], help="files of each length and language")
    parser.add_argument("--seed", type=int, default=0)


def save_models(folder: Path) -> dict[int, str]:
    """Folders of the CTC part of the checkpoint with attention inside chunks, by their length in frames."""
    model, processor = (
        Mu2SLAMForCTC.from_pretrained(default_checkpoint()),
        Mu2SLAMProcessor.from_pretrained(default_checkpoint()),
    )
    folders = {}
    for frames in (CHUNK_FRAMES, NO_CHUNK_FRAMES):
        model.set_attention_chunk(frames)
        folders[frames] = str(folder / f"chunks_of_{frames}")
        model.save_pretrained(folders[frames])
        processor.for_ctc().save_pretrained(folders[frames])
    return folders


def transcribe(files: Sequence[str], lang: str, *options: str) -> tuple[list[str], float, float]:
    """Texts of recordings of one language, seconds, and peak memory in MiB."""
    lines, seconds, megabytes = run_measured(["transcribe", *files, "--from", lang, "--json", *options])
    return [json.loads(line)["text"] for line in lines], seconds, megabytes


def read_files(recordings: Sequence[JoinedRecording], *options: str) -> tuple[list[str], float, float]:
    """Texts of joined recordings, seconds in all, and the largest peak memory."""
    texts: list[str] = []
    total, largest = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for lang, group in groupby(enumerate(recordings), key=lambda item: item[1].lang):
            files = []
            for number, recording in group:
                files.append(f"{folder}/{number}.flac")
                soundfile.write(files[-1], recording.waveform, SAMPLING_RATE)
            written, seconds, megabytes = transcribe(files, lang, *options)
            texts, total, largest = texts + written, total + seconds, max(largest, megabytes)
    return texts, total, largest


def read_parts(recordings: Sequence[JoinedRecording], *options: str) -> list[str]:
    """Texts of joined recordings whose parts are read by themselves; a part that is repeated is read once."""
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        for lang, group in groupby(recordings, key=lambda recording: recording.lang):
            joined = list(group)
            parts = {part.tobytes(): part for recording in joined for part in recording.parts}
            files = [f"{folder}/{lang}{number}.flac" for number in range(len(parts))]
            for file, part in zip(files, parts.values(), strict=True):
                soundfile.write(file, part, SAMPLING_RATE)
            written = dict(zip(parts, transcribe(files, lang, *options)[0], strict=True))
            texts += [" ".join(written[part.tobytes()] for part in recording.parts) for recording in joined]
    return texts


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """Rows for each length: parts by themselves, and the files in one pass."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        folders = save_models(Path(folder))
        for minutes, per_language in zip(options.minutes, options.files, strict=True):
            limits = (60.0 * minutes, 60.0 * minutes)
            recordings = list(
                join_recordings(
                    options.manifest, per_language=per_language, seconds=limits, noise_db=None, seed=options.seed
                )
            )
            references = [recording.reference for recording in recordings]
            shared = {"minutes": minutes, "files": len(recordings)}
            parts = read_parts(recordings, "--model", folders[CHUNK_FRAMES])
            rows.append(
                {
                    **shared,
                    "read": "parts, each by itself",
                    "WER": compute_wer(references, parts).value,
                    "seconds": None,
                    "peak memory, MiB": None,
                }
            )
            for frames, read in ((CHUNK_FRAMES, "whole, chunks of 8 s"), (NO_CHUNK_FRAMES, "whole, full attention")):
                if frames == NO_CHUNK_FRAMES and minutes != options.minutes[0]:
                    continue
                texts, seconds, megabytes = read_files(recordings, "--model", folders[frames], "--whole-recording")
                rows.append(
                    {
                        **shared,
                        "read": read,
                        "WER": compute_wer(references, texts).value,
                        "seconds": seconds,
                        "peak memory, MiB": megabytes,
                    }
                )
    return rows
