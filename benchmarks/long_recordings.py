# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Long recordings: errors of joined recordings, memory and time by length, and errors of word times.

    python benchmarks/long_recordings.py joined --manifest path/to/prompts5/dev.tsv
    python benchmarks/long_recordings.py length --manifest path/to/prompts5/dev.tsv --plot length.png
    python benchmarks/long_recordings.py times

`joined` joins short recordings of one language with pauses of silence, or of noise 20 dB below each recording, to
files of 75 to 90 seconds, and compares the word error rate of the files with that of their parts, for the command and
for the pipeline with several values of `chunk_length_s`. `length` transcribes files of 10 to 60 minutes by the
command, each in a process of its own. `times` compares the times of recognised words with those of synthetic speech.
"""

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from rapidfuzz.distance import Levenshtein

from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.metrics import compute_wer

CHUNK_LENGTHS = (None, 10, 20, 30)
# A command with its seconds and its peak memory in MiB (of Linux: `ru_maxrss` would include that of this process).
_MEASURED = """
import pathlib, re, sys, time
from mu2slam_hf.cli import main
started = time.perf_counter()
status = main(sys.argv[1:])
peak = re.search("VmHWM:\\s+([0-9]+)", pathlib.Path("/proc/self/status").read_text())
print(time.perf_counter() - started, int(peak[1]) / 1024)
sys.exit(status)
"""


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


def measure_joined(args: argparse.Namespace) -> None:
    """Word error rates of parts, command and pipelines, with silence and with noise between the parts."""
    from transformers import pipeline

    from mu2slam_hf import default_checkpoint

    for noise_db in (None, 20.0):
        recordings = list(
            join_recordings(
                args.manifest, per_language=args.per_language, seconds=(75, 90), noise_db=noise_db, seed=args.seed
            )
        )
        references = [recording.reference for recording in recordings]
        hypotheses: dict[str, list[str]] = {}
        hear = pipeline("automatic-speech-recognition", model=str(default_checkpoint()))
        hypotheses["parts"] = []
        for recording in recordings:
            options = {"generate_kwargs": {"source_lang": recording.lang}}
            inputs = [{"raw": part, "sampling_rate": SAMPLING_RATE} for part in recording.parts]
            hypotheses["parts"].append(" ".join(result["text"] for result in hear(inputs, **options)))
        with tempfile.TemporaryDirectory() as folder:
            hypotheses["command"], hypotheses["command, language predicted"] = [], []
            files = []
            for number, recording in enumerate(recordings):
                files.append(f"{folder}/{number}.wav")
                soundfile.write(files[-1], recording.waveform, SAMPLING_RATE)
                told = run_command(["transcribe", files[-1], "--from", recording.lang, "--json"])
                hypotheses["command"].append(told[0]["text"])
            hypotheses["command, language predicted"] = [
                line["text"] for line in run_command(["transcribe", *files, "--json"])
            ]
            for chunk in CHUNK_LENGTHS:
                name = f"pipeline, chunk_length_s={chunk}"
                chunked = {} if chunk is None else {"chunk_length_s": chunk}
                hypotheses[name] = [
                    hear(file, generate_kwargs={"source_lang": recording.lang}, **chunked)["text"]
                    for file, recording in zip(files, recordings, strict=True)
                ]
        print(f"\nbetween the parts: {'silence' if noise_db is None else f'noise at {noise_db:g} dB'}")
        total = sum(len(recording.waveform) for recording in recordings) / SAMPLING_RATE
        print(f"{len(recordings)} files, {total:.0f} s, {sum(len(r.parts) for r in recordings)} parts")
        for name, texts in hypotheses.items():
            print(f"{name:32} WER {compute_wer(references, texts).value:6.2f}", flush=True)


def measure_length(args: argparse.Namespace) -> None:
    """Peak memory and seconds of the command by length of the file."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in args.minutes:
            file = f"{folder}/{minutes}.flac"
            limit = (60.0 * minutes, 60.0 * minutes)
            first = next(join_recordings(args.manifest, per_language=1, seconds=limit, noise_db=None, seed=args.seed))
            soundfile.write(file, first.waveform, SAMPLING_RATE)
            command = [sys.executable, "-c", _MEASURED, "transcribe", file]
            command += ["--from", first.lang, "--output-dir", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, megabytes = map(float, done.stdout.split()[-2:])
            audio = len(first.waveform) / SAMPLING_RATE
            figures.append((audio / 60, seconds, megabytes))
            print(f"{audio / 60:6.1f} min {seconds:8.1f} s {audio / seconds:7.1f} x {megabytes:8.0f} MiB", flush=True)
    if args.plot:
        plot_length(figures, args.plot)


def plot_length(figures: Sequence[tuple[float, float, float]], path: str) -> None:
    """Time and memory by length."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    minutes, seconds, megabytes = zip(*figures, strict=True)
    left.plot(minutes, seconds, "o-")
    left.set(xlabel="audio in minutes", ylabel="time in seconds", xlim=(0, None), ylim=(0, None))
    right.plot(minutes, megabytes, "o-")
    right.set(xlabel="audio in minutes", ylabel="peak memory in MiB", xlim=(0, None), ylim=(0, None))
    figure.savefig(path, dpi=120)


def measure_times(args: argparse.Namespace) -> None:
    """Errors of the times of recognised words in recordings of ten minutes of synthetic speech."""
    from mu2slam_hf import load_default
    from mu2slam_hf.models.processing_transcription import TranscriptionOptions, transcribe_recordings
    from mu2slam_hf.synthetic.phones import find_words, speak_in_voices

    model, processor = load_default()
    everything = []
    for lang in args.languages:
        spoken = speak_in_voices([lang], args.sentences, seed=args.seed, form="spoken")
        generator, pieces, known, here = np.random.default_rng(args.seed), [], [], 0
        for version in (version for versions in spoken for version in versions):
            if here > 60 * SAMPLING_RATE * args.length:
                break
            pause = np.zeros(int(generator.uniform(0.3, 1.5) * SAMPLING_RATE), dtype=np.float32)
            for text, start, end in find_words(version):
                known.append((text, start + here / SAMPLING_RATE, end + here / SAMPLING_RATE))
            pieces += [version.audio, pause]
            here += len(version.audio) + len(pause)
        waveform = np.concatenate(pieces)
        options = TranscriptionOptions(source_lang=lang, timestamps="word")
        started = time.perf_counter()
        (transcript,) = transcribe_recordings(model, processor, [waveform], options)
        seconds = time.perf_counter() - started
        words = transcript.words
        edges = [edge for word in words for edge in (word.start_seconds, word.end_seconds)]
        ordered = all(a <= b for a, b in zip(edges, edges[1:], strict=False))
        inside = edges[0] >= 0 and edges[-1] <= transcript.duration_seconds
        # Words that are recognised as they were said; an entry of several words counts with its first and last one.
        single = [entry for entry in known if len(entry[0].split()) == 1]
        pairs = match_words([normalize_for_scoring(text) for text, _, _ in single], [word.text for word in words])
        errors = [abs(words[b].start_seconds - single[a][1]) for a, b in pairs]
        errors += [abs(words[b].end_seconds - single[a][2]) for a, b in pairs]
        everything += errors
        print(
            f"{lang}: {len(waveform) / SAMPLING_RATE / 60:.1f} min in {seconds:.0f} s, {len(known)} words said, "
            f"{len(words)} written, {len(pairs)} matched; median error {1000 * statistics.median(errors):.0f} ms, "
            f"mean {1000 * statistics.mean(errors):.0f} ms; ordered {ordered}, inside {inside}",
            flush=True,
        )
    print(f"all: median error {1000 * statistics.median(everything):.0f} ms")


def match_words(known: Sequence[str], found: Sequence[str]) -> list[tuple[int, int]]:
    """Places of equal words in an alignment of both sequences by edit distance."""
    pairs = []
    for block in Levenshtein.opcodes(list(known), list(found)).as_list():
        if block[0] == "equal":
            pairs += list(zip(range(block[1], block[2]), range(block[3], block[4]), strict=True))
    return pairs


def main() -> None:
    """Runs one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subparsers = parser.add_subparsers(required=True)
    joined = subparsers.add_parser("joined")
    joined.add_argument("--manifest", required=True)
    joined.add_argument("--per-language", type=int, default=3)
    joined.set_defaults(run=measure_joined)
    length = subparsers.add_parser("length")
    length.add_argument("--manifest", required=True)
    length.add_argument("--minutes", type=int, nargs="+", default=[10, 20, 40, 60])
    length.add_argument("--plot", type=Path)
    length.set_defaults(run=measure_length)
    times = subparsers.add_parser("times")
    times.add_argument("--languages", nargs="+", default=["en", "es", "fr", "it", "ru"])
    times.add_argument("--sentences", type=int, default=150)
    times.add_argument("--length", type=float, default=10.0, help="minutes")
    times.set_defaults(run=measure_times)
    for each in (joined, length, times):
        each.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
