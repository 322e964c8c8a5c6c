# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Live transcription of recordings at the pace of speech: latency and word error rates beside those of whole files.

The clock is that of the recording: a block of 0.1 s arrives when it is over, or when the work before it is done. Each
text has the time at which it is there, its computation included.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mu2slam_hf import default_checkpoint, load_any_checkpoint
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.metrics import compute_wer
from mu2slam_hf.inference.live.transcriber import LiveTranscriber
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings

_BLOCK_SECONDS = 0.1
# After each recording, so that its last piece ends by a pause.
_SILENCE_SECONDS = 1.0


@dataclass
class LiveMeasures:
    """What one setting of live transcription has shown.

    Attributes:
        first_seconds: for each piece, from its beginning to its first words.
        final_seconds: from the end of the pause that ends a piece to its transcript.
        partial, final: texts of each recording: words that stay, transcripts.
        cpu_seconds, audio_seconds: sums.
    """

    first_seconds: list[float] = field(default_factory=list)
    final_seconds: list[float] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0
    audio_seconds: float = 0.0

    def listen(self, live: LiveTranscriber, waveform: np.ndarray) -> None:
        """Transcribe a recording as if it was spoken now."""
        size = int(_BLOCK_SECONDS * SAMPLING_RATE)
        waveform = np.concatenate([waveform, np.zeros(int(_SILENCE_SECONDS * SAMPLING_RATE), np.float32)])
        now, known, partial, final = 0.0, "", [], []
        cpu = time.process_time()
        for first in range(0, len(waveform), size):
            arrival = (first + size) / SAMPLING_RATE
            now = max(now, arrival)
            started = time.perf_counter()
            for text in live.add(waveform[first : first + size]):
                ready = now + time.perf_counter() - started
                if not text.is_final and not known:
                    self.first_seconds.append(ready - text.start_seconds)
                if text.is_final:
                    self.final_seconds.append(ready - arrival)
                    partial.append(known)
                    final.append(text.text)
                known = "" if text.is_final else text.text
            now += time.perf_counter() - started
        for text in live.finish():
            partial.append(known)
            final.append(text.text)
            known = ""
        self.cpu_seconds += time.process_time() - cpu
        self.audio_seconds += len(waveform) / SAMPLING_RATE
        self.partial.append(" ".join(partial))
        self.final.append(" ".join(final))

    def summarize(self, references: Sequence[str]) -> dict[str, object]:
        """All figures."""
        return {
            "WER of words that stay": compute_wer(references, self.partial).value,
            "WER of transcripts": compute_wer(references, self.final).value,
            "first words, mean s": float(np.mean(self.first_seconds)),
            "first words, median s": float(np.median(self.first_seconds)),
            "first words, 90 % s": float(np.quantile(self.first_seconds, 0.9)),
            "transcript after the pause, mean s": float(np.mean(self.final_seconds)),
            "CPU s per s of audio": self.cpu_seconds / self.audio_seconds,
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Recordings and their number, and the model."""
    parser.add_argument("--manifest", required=True, help="table of recordings with their texts")
    parser.add_argument("--model", default=default_checkpoint(), help="folder (checkpoint in the package)")
    parser.add_argument("--per-language", type=int, default=20, help="recordings of each language (20)")
    parser.add_argument("--steps", type=float, nargs="+", default=[0.1, 0.15, 0.25, 0.5], help="between guesses")
    parser.add_argument("--seed", type=int, default=0)


def sample_records(manifest: str, per_language: int, seed: int) -> list[SpeechTextRecord]:
    """Random recordings of each language."""
    generator = np.random.default_rng(seed)
    by_language = defaultdict(list)
    for record in read_manifest(manifest):
        if record.audio is not None and record.text:
            by_language[record.lang].append(record)
    return [
        records[place]
        for _, records in sorted(by_language.items())
        for place in generator.permutation(len(records))[:per_language]
    ]


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """A row for whole files, and one for each step."""
    model, processor = load_any_checkpoint(options.model)
    records = sample_records(options.manifest, options.per_language, options.seed)
    references = [record.text for record in records]
    requests = [TranscriptionRequest(source=record.audio, source_lang=record.lang) for record in records]
    whole = [transcript.text for transcript in transcribe_recordings(model, processor, requests)]
    rows: list[dict[str, object]] = []
    for step in options.steps:
        measures = LiveMeasures()
        live = {
            lang: LiveTranscriber(model, processor, TranscriptionOptions(source_lang=lang), step_seconds=step)
            for lang in dict.fromkeys(record.lang for record in records)
        }
        for record in records:
            measures.listen(live[record.lang], load_audio(record.audio))
        row = {"step, s": step, "recordings": len(records), **measures.summarize(references)}
        rows.append({**row, "WER of whole files": compute_wer(references, whole).value})
    return rows
