# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Word error rates of joined recordings beside those of their parts, for the command and for the pipeline.

Short recordings of one language are joined with pauses of silence, or of noise 20 dB below each recording, to files
of 75 to 90 seconds. Nothing is timed.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from transformers import pipeline

from mu2slam_hf import default_checkpoint
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.evaluation.scores.metrics import compute_wer

CHUNK_LENGTHS = (None, 10, 20, 30)
NOISES_DB = (None, 20.0)


@dataclass(frozen=True, kw_only=True)
class JoinedRecording:
    """Recordings of one language, one after the other."""

    lang: str
    waveform: np.ndarray
    parts: list[np.ndarray]
    texts: list[str]

    @property
    def reference(self) -> str:
        """The texts of all parts."""
        return " ".join(self.texts)


def join_recordings(
    manifest: str, *, per_language: int, seconds: tuple[float, float], noise_db: float | None, seed: int
) -> Iterator[JoinedRecording]:
    """Files of random recordings of the manifest with pauses of 0.5 to 1.5 seconds."""
    generator = np.random.default_rng(seed)
    by_language = defaultdict(list)
    for record in read_manifest(manifest):
        if record.audio is not None and record.text:
            by_language[record.lang].append(record)
    for lang, records in sorted(by_language.items()):
        for _ in range(per_language):
            limit, length = generator.uniform(*seconds), 0.0
            parts, texts, pieces = [], [], []
            order = generator.permutation(len(records))
            # Files that are longer than all recordings repeat them.
            for place in np.tile(order, 1 + int(limit // 30)):
                waveform = load_audio(records[place].audio)
                pause = np.zeros(int(generator.uniform(0.5, 1.5) * SAMPLING_RATE))
                if length + (len(waveform) + len(pause)) / SAMPLING_RATE > limit:
                    break
                if noise_db is not None:
                    rms = np.sqrt(np.mean(waveform.astype(np.float64) ** 2))
                    pause = generator.standard_normal(len(pause)) * rms * 10 ** (-noise_db / 20)
                parts.append(waveform)
                texts.append(records[place].text)
                pieces += [waveform, pause.astype(np.float32)]
                length += (len(waveform) + len(pause)) / SAMPLING_RATE
            yield JoinedRecording(lang=lang, waveform=np.concatenate(pieces), parts=parts, texts=texts)


def run_command(arguments: Sequence[str]) -> list[dict]:
    """JSON lines of a command that is run in this process."""
    from mu2slam_hf.cli import main

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(arguments)
    if status:
        raise RuntimeError(f"mu2slam {' '.join(arguments)}: exit status {status}")
    return [json.loads(line) for line in output.getvalue().splitlines()]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Recordings and their number."""
    parser.add_argument("--manifest", required=True, help="table of recordings with their texts")
    parser.add_argument("--per-language", type=int, default=3, help="files of each language (3)")
    parser.add_argument("--seed", type=int, default=0)


def transcribe_files(recordings: Sequence[JoinedRecording]) -> dict[str, list[str]]:
    """Texts of all recordings by system."""
    hear = pipeline("automatic-speech-recognition", model=default_checkpoint())
    hypotheses: dict[str, list[str]] = {"parts, each by itself": []}
    for recording in recordings:
        inputs = [{"raw": part, "sampling_rate": SAMPLING_RATE} for part in recording.parts]
        results = hear(inputs, generate_kwargs={"source_lang": recording.lang})
        hypotheses["parts, each by itself"].append(" ".join(result["text"] for result in results))
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{number}.wav" for number in range(len(recordings))]
        hypotheses["command"] = []
        for file, recording in zip(files, recordings, strict=True):
            soundfile.write(file, recording.waveform, SAMPLING_RATE)
            lines = run_command(["transcribe", file, "--from", recording.lang, "--json"])
            hypotheses["command"].append(lines[0]["text"])
        predicted = run_command(["transcribe", *files, "--json"])
        hypotheses["command, language predicted"] = [line["text"] for line in predicted]
        for chunk in CHUNK_LENGTHS:
            chunked = {} if chunk is None else {"chunk_length_s": chunk}
            hypotheses[f"pipeline, chunk_length_s={chunk}"] = [
                hear(file, generate_kwargs={"source_lang": recording.lang}, **chunked)["text"]
                for file, recording in zip(files, recordings, strict=True)
            ]
    return hypotheses


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each kind of pause and system."""
    rows: list[dict[str, object]] = []
    for noise_db in NOISES_DB:
        recordings = list(
            join_recordings(
                options.manifest,
                per_language=options.per_language,
                seconds=(75, 90),
                noise_db=noise_db,
                seed=options.seed,
            )
        )
        references = [recording.reference for recording in recordings]
        rows += [
            {
                "between the parts": "silence" if noise_db is None else f"noise at -{noise_db:g} dB",
                "system": name,
                "WER": compute_wer(references, texts).value,
                "files": len(recordings),
                "seconds": sum(len(recording.waveform) for recording in recordings) / SAMPLING_RATE,
            }
            for name, texts in transcribe_files(recordings).items()
        ]
    return rows
