# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Errors of the times of recognised words in long recordings of synthetic speech, whose times are known.

Sentences of espeak-ng (extra: lab) with pauses of 0.3 to 1.5 s, language given; starts and ends of words that are
recognised as they were said.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from lab.synthesis.phones import find_words, speak_in_voices
from mu2slam_hf import TranscriptionOptions, load_default, transcribe_recordings
from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.data.text import normalize_for_scoring


def add_options(parser: argparse.ArgumentParser) -> None:
    """Languages and lengths."""
    parser.add_argument("--languages", nargs="+", default=["en", "es", "fr", "it", "ru"], metavar="LANG")
    parser.add_argument("--sentences", type=int, default=150, help="sentences of each language (150)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of a recording at most (10)")
    parser.add_argument("--seed", type=int, default=0)


def speak(lang: str, options: argparse.Namespace) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """A long recording, and its words with starts and ends in seconds."""
    spoken = speak_in_voices([lang], options.sentences, seed=options.seed, form="spoken")
    generator, pieces, known, here = np.random.default_rng(options.seed), [], [], 0
    for version in (version for versions in spoken for version in versions):
        if here > 60 * SAMPLING_RATE * options.minutes:
            break
        pause = np.zeros(int(generator.uniform(0.3, 1.5) * SAMPLING_RATE), dtype=np.float32)
        for text, start, end in find_words(version):
            known.append((text, start + here / SAMPLING_RATE, end + here / SAMPLING_RATE))
        pieces += [version.audio, pause]
        here += len(version.audio) + len(pause)
    return np.concatenate(pieces), known


def match_words(known: Sequence[str], found: Sequence[str]) -> list[tuple[int, int]]:
    """Places of equal words in an alignment of both sequences by edit distance."""
    pairs = []
    for block in Levenshtein.opcodes(list(known), list(found)).as_list():
        if block[0] == "equal":
            pairs += list(zip(range(block[1], block[2]), range(block[3], block[4]), strict=True))
    return pairs


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each language, and one for all together."""
    model, processor = load_default()
    rows: list[dict[str, object]] = []
    everything: list[float] = []
    for lang in options.languages:
        waveform, known = speak(lang, options)
        started = time.perf_counter()
        settings = TranscriptionOptions(source_lang=lang, timestamps="word")
        (transcript,) = transcribe_recordings(model, processor, [waveform], settings)
        seconds = time.perf_counter() - started
        words = transcript.words
        edges = [edge for word in words for edge in (word.start_seconds, word.end_seconds)]
        # Of an entry of several words, only its first start and last end are known.
        single = [entry for entry in known if len(entry[0].split()) == 1]
        pairs = match_words([normalize_for_scoring(text) for text, _, _ in single], [word.text for word in words])
        errors = [1000 * abs(words[b].start_seconds - single[a][1]) for a, b in pairs]
        errors += [1000 * abs(words[b].end_seconds - single[a][2]) for a, b in pairs]
        everything += errors
        rows.append(
            {
                "language": lang,
                "minutes": len(waveform) / SAMPLING_RATE / 60,
                "seconds": seconds,
                "words said": len(known),
                "matched": len(pairs),
                "median error, ms": statistics.median(errors),
                "mean error, ms": statistics.mean(errors),
                "ordered": all(a <= b for a, b in zip(edges, edges[1:], strict=False)),
                "inside": edges[0] >= 0 and edges[-1] <= transcript.duration_seconds,
            }
        )
    together = dict.fromkeys(rows[0], "") | {
        "language": "all",
        "median error, ms": statistics.median(everything),
        "mean error, ms": statistics.mean(everything),
    }
    return [*rows, together]
