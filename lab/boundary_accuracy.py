# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Accuracy of forced alignment on synthetic speech.

The known times are those of espeak-ng: exact for its voices, but not a measure of the accuracy on human speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.synthesis.phones import SpokenVersion, find_words
from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.inference.alignment import AlignedWord, align


@dataclass(frozen=True, kw_only=True)
class BoundaryErrors:
    """Differences between aligned and known boundaries.

    Attributes:
        start_seconds: `(n,)` aligned minus known start of each word; positive is late.
        end_seconds: `(n,)` the same for ends.
        num_sentences: number of sentences measured.
        num_left_out: number of sentences skipped because known and aligned words could not be matched.
    """

    start_seconds: np.ndarray
    end_seconds: np.ndarray
    num_sentences: int
    num_left_out: int

    def figures(self) -> dict[str, float]:
        """Mean and median absolute error and mean error in milliseconds, share within 50 and 100 ms in percent."""
        found: dict[str, float] = {}
        for name, errors in (("start", self.start_seconds), ("end", self.end_seconds)):
            found[f"{name}_mean_absolute_ms"] = 1000 * float(np.abs(errors).mean())
            found[f"{name}_median_absolute_ms"] = 1000 * float(np.median(np.abs(errors)))
            found[f"{name}_mean_ms"] = 1000 * float(errors.mean())
            found[f"{name}_within_50ms"] = 100 * float((np.abs(errors) <= 0.05).mean())
            found[f"{name}_within_100ms"] = 100 * float((np.abs(errors) <= 0.1).mean())
        return found


def measure_boundaries(model: Any, processor: Any, sentences: Sequence[SpokenVersion]) -> BoundaryErrors:
    """Align synthetic sentences and compare with the word times of espeak-ng.

    Args:
        model: as in `align`.
        processor: its processor.
        sentences: output of `speak_in_voices`, in the form "spoken".

    Raises:
        ValueError: no sentence could be measured.
    """
    starts, ends, left_out = [], [], 0
    for version in sentences:
        known = find_words(version)
        words = align(model, processor, version.audio, version.text, version.lang).words
        pairs = _pair(known, words)
        if pairs is None:
            left_out += 1
            continue
        for (_, start, end), (first, last) in zip(known, pairs, strict=True):
            starts.append(first.start_seconds - start)
            ends.append(last.end_seconds - end)
    if not starts:
        raise ValueError("no sentence could be measured")
    return BoundaryErrors(
        start_seconds=np.asarray(starts),
        end_seconds=np.asarray(ends),
        num_sentences=len(sentences) - left_out,
        num_left_out=left_out,
    )


def constant_rate_boundaries(sentences: Sequence[SpokenVersion]) -> BoundaryErrors:
    """A baseline: words spread over the clip in proportion to their number of letters."""
    starts, ends = [], []
    for version in sentences:
        seconds = len(version.audio) / SAMPLING_RATE / max(len(version.text), 1)
        place = 0
        for text, start, end in find_words(version):
            place = version.text.index(text, place)
            starts.append(place * seconds - start)
            ends.append((place + len(text)) * seconds - end)
            place += len(text)
    return BoundaryErrors(
        start_seconds=np.asarray(starts), end_seconds=np.asarray(ends), num_sentences=len(sentences), num_left_out=0
    )


def _pair(
    known: Sequence[tuple[str, float, float]], words: Sequence[AlignedWord]
) -> list[tuple[AlignedWord, AlignedWord]] | None:
    """First and last aligned word of each known entry, which may contain several; None if they do not match."""
    pairs, place = [], 0
    for text, _, _ in known:
        number = len(text.split())
        chosen = words[place : place + number]
        if " ".join(word.text for word in chosen) != text:
            return None
        pairs.append((chosen[0], chosen[-1]))
        place += number
    return pairs if place == len(words) else None
