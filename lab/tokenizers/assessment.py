# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Assessment of a speech tokenizer without training a model on its ids (similar to STAB and DASB).

On recordings: use of the codebook, bits per second, and stability of ids under changes of speed, level and noise. On
sentences spoken by two synthetic voices: agreement of the ids of both voices, and information of ids about phones. The
phone times are those of the synthesiser (phoneme events of espeak-ng), not of human annotators.

Shapes: n samples, N ids, G codebooks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lab.synthesis.phones import SpokenVersion
from lab.tokenizers.measures import (
    compute_bit_rates,
    compute_bpe_rate,
    compute_phone_agreement,
    compute_timed_agreement,
    compute_warped_agreement,
)
from mu2slam_hf.data.acoustics import reverberate
from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.data.augmentation import add_noise, change_speed
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.models.modeling_speech_encoders import IDS_PER_SECOND
from mu2slam_hf.models.modules_quantization import compute_codebook_health, count_codes
from mu2slam_hf.quantization.tokenizer_loading import Ids, Tokenize

# Maps names of figures to descriptions, in the order of the table. Shares are 0 to 1.
FIGURES = {
    "usage": "share of the codebook in use",
    "perplexity": "perplexity of the ids: effective number of entries",
    "dead_codes": "entries without a frame",
    "bits_nominal": "bits per second: log2 of the codebook for every id",
    "bits_entropy": "bits per second: entropy of the ids",
    "bits_run_length": "bits per second: runs of equal ids",
    "bits_zlib": "bits per second: compressed by zlib",
    "bits_bz2": "bits per second: compressed by bz2",
    "mean_run": "mean length of a run of equal ids, in ids",
    "bpe_500": "tokens per second after 500 merges (BPE) learned on the other half of the clips; 25 without",
    "usage_least": "share of the codebook in use by the language that uses the smallest one",
    "speed_0.9": "share of ids unchanged at 0.9 of the speed (and pitch)",
    "speed_1.1": "share of ids unchanged at 1.1 of the speed (and pitch)",
    "gain_-12db": "share of ids unchanged at -12 dB",
    "shift_10ms": "share of ids unchanged after a shift by 10 ms",
    "noise_20db": "share of ids unchanged with noise of the clip's spectrum at 20 dB",
    "noise_10db": "share of ids unchanged with noise of the clip's spectrum at 10 dB",
    "white_20db": "share of ids unchanged with white noise at 20 dB, which fills empty bands",
    "reverberation": "share of ids unchanged in a room with 0.4 s of reverberation",
    "context": "share of ids of one half of a clip unchanged when the other half is silent",
    "language_agreement": "share of equal ids of one sentence in two languages, warped in time",
    "language_agreement_chance": "the same for different sentences",
    "pitch_agreement": "share of equal ids of one voice at two pitches, three semitones apart, warped in time",
    "speaker_agreement": "share of equal ids of two voices on the same sentence, warped in time",
    "speaker_agreement_chance": "the same for two voices on different sentences",
    "phone_purity": "share of frames with the most frequent phone of their id",
    "phone_purity_chance": "the same for shuffled ids",
    "id_purity": "share of frames with the most frequent id of their phone",
    "phone_information": "mutual information / entropy of the phones",
    "phone_information_chance": "the same for shuffled ids",
    "phone_nmi": "2 x mutual information / both entropies",
    "phone_nmi_chance": "the same for shuffled ids",
}

_NUM_MERGES = 500
_DECAY_SECONDS, _DIRECT_DB = 0.4, 3.0
_GAIN = 10.0 ** (-12.0 / 20.0)
_SHIFT_SAMPLES = SAMPLING_RATE // 100


@dataclass(frozen=True, kw_only=True)
class TokenizerAssessment:
    """Result of the assessment of one tokenizer.

    Attributes:
        name: name in tables.
        figures: values by the names of `FIGURES`, except those not measured.
        num_codevectors: K.
        num_recordings: number of recordings.
        num_seconds: total duration, in multiples of 40 ms.
        num_sentences: number of synthetic sentences.
        num_phone_frames: number of frames with a phone.
        counts: number of uses of each entry on the recordings.
    """

    name: str
    figures: Mapping[str, float]
    num_codevectors: int
    num_recordings: int = 0
    num_seconds: float = 0.0
    num_sentences: int = 0
    num_phone_frames: int = 0
    counts: Sequence[int] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types."""
        return {**vars(self), "figures": dict(self.figures), "counts": list(self.counts)}


def assess_tokenizer(
    tokenize: Tokenize,
    num_codevectors: int,
    recordings: Sequence[FloatArray] = (),
    sentences: Sequence[Sequence[SpokenVersion]] = (),
    *,
    languages: Sequence[str] = (),
    meanings: Sequence[str] = (),
    name: str = "",
    seed: int = 0,
) -> TokenizerAssessment:
    """Assess one tokenizer.

    Args:
        tokenize: function from `make_tokenize`.
        num_codevectors: K.
        recordings: `(n,)` float32 at 16 kHz.
        sentences: output of `speak_in_voices`; the first two voices of each are compared.
        languages: the language of each recording, if known.
        meanings: the sentence of each recording, equal in all languages, if known.
        name: name in tables.
        seed: seed of noise and shuffling.

    Raises:
        ValueError: neither recordings nor sentences are given.
    """
    if not recordings and not sentences:
        raise ValueError("no data to assess the tokenizer on: pass recordings, sentences, or both")
    figures: dict[str, float] = {}
    facts: dict[str, Any] = {}
    if recordings:
        ids = tokenize(recordings)
        counts = count_codes(torch.from_numpy(np.concatenate(ids)), num_codevectors)
        health = compute_codebook_health(counts)
        figures |= {"usage": health.usage, "perplexity": health.perplexity, "dead_codes": float(health.num_dead)}
        figures |= compute_bit_rates(ids, num_codevectors) | compute_invariance(tokenize, recordings, ids, seed)
        if len(ids) > 1:
            figures["bpe_500"] = compute_bpe_rate(ids, _NUM_MERGES)
        if languages:
            figures["usage_least"] = min(
                len(np.unique(np.concatenate([row for row, own in zip(ids, languages, strict=True) if own == lang])))
                for lang in set(languages)
            )
            figures["usage_least"] /= num_codevectors
        if languages and meanings:
            figures |= compute_language_agreement(ids, languages, meanings)
        facts |= {"num_recordings": len(ids), "num_seconds": sum(map(len, ids)) / IDS_PER_SECOND}
        facts["counts"] = tuple(counts.tolist())
    if sentences:
        spoken = [tokenize([version.audio for version in versions]) for versions in sentences]
        figures |= compute_speaker_agreement(sentences, spoken)
        phone_figures, num_frames = compute_phone_figures(sentences, spoken, seed)
        figures |= phone_figures
        facts |= {"num_sentences": len(sentences), "num_phone_frames": num_frames}
    ordered = {key: figures[key] for key in FIGURES if key in figures}
    return TokenizerAssessment(name=name, figures=ordered, num_codevectors=num_codevectors, **facts)


def compute_invariance(
    tokenize: Tokenize, recordings: Sequence[FloatArray], ids: Sequence[Ids], seed: int
) -> dict[str, float]:
    """Share of ids that are unchanged when clips are modified, weighted by the length of the clips.

    Args:
        tokenize: waveforms to ids.
        recordings: the clips.
        ids: ids of the original clips.
        seed: seed of the noise, which is the same for all tokenizers.
    """

    def reverberate_clip(wave: FloatArray, number: int) -> FloatArray:
        generator = counter_generator(seed, "reverberation", number)
        return reverberate(wave, _DECAY_SECONDS, _DIRECT_DB, generator)

    def noisy(add: Callable[..., FloatArray], snr_db: float) -> list[FloatArray]:
        return [
            add(wave, snr_db, counter_generator(seed, "assessment", number)) for number, wave in enumerate(recordings)
        ]

    changes: dict[str, tuple[float, list[FloatArray]]] = {
        "speed_0.9": (0.9, [change_speed(wave, 0.9) for wave in recordings]),
        "speed_1.1": (1.1, [change_speed(wave, 1.1) for wave in recordings]),
        "gain_-12db": (1.0, [(wave * _GAIN).astype(np.float32) for wave in recordings]),
        "shift_10ms": (1.0, [np.pad(wave, (_SHIFT_SAMPLES, 0)) for wave in recordings]),
        "noise_20db": (1.0, noisy(add_shaped_noise, 20.0)),
        "noise_10db": (1.0, noisy(add_shaped_noise, 10.0)),
        "white_20db": (1.0, noisy(add_noise, 20.0)),
        "reverberation": (1.0, [reverberate_clip(wave, number) for number, wave in enumerate(recordings)]),
    }
    figures = {"context": compute_context_invariance(tokenize, recordings, ids)}
    for key, (speed, waves) in changes.items():
        pairs = list(zip(ids, tokenize(waves), strict=True))
        kept = sum(compute_timed_agreement(original, changed, speed) * len(changed) for original, changed in pairs)
        figures[key] = kept / sum(len(changed) for _, changed in pairs)
    return figures


def compute_context_invariance(tokenize: Tokenize, recordings: Sequence[FloatArray], ids: Sequence[Ids]) -> float:
    """Share of the ids of each half of the clips that are unchanged when the other half is silent.

    Args:
        tokenize: waveforms to ids.
        recordings: the clips.
        ids: ids of the original clips.
    """
    kept = total = 0
    for keeps_first in (True, False):
        changed = []
        for wave in recordings:
            half = wave.copy()
            half[len(wave) // 2 :] *= not keeps_first
            half[: len(wave) // 2] *= keeps_first
            changed.append(half)
        for original, row in zip(ids, tokenize(changed), strict=True):
            middle = len(row) // 2
            chosen = slice(0, middle) if keeps_first else slice(middle, None)
            kept += int(np.sum(original[chosen] == row[chosen]))
            total += len(original[chosen])
    return kept / total


def compute_language_agreement(
    ids: Sequence[Ids], languages: Sequence[str], meanings: Sequence[str]
) -> dict[str, float]:
    """Agreement of the ids of sentences in two languages, and of different sentences in these languages.

    Args:
        ids: ids of each recording.
        languages: the language of each.
        meanings: the sentence of each, equal in all languages.

    Returns:
        nothing if no sentence has two languages.
    """
    groups: dict[str, dict[str, Ids]] = {}
    for row, language, meaning in zip(ids, languages, meanings, strict=True):
        groups.setdefault(meaning, {}).setdefault(language, row)
    # Pairs of rows by pair of languages.
    pairs: dict[tuple[str, str], list[tuple[Ids, Ids]]] = {}
    for versions in groups.values():
        first, second, *_ = [*sorted(versions), "", ""]
        if second:
            pairs.setdefault((first, second), []).append((versions[first], versions[second]))
    same, other = [], []
    for rows in pairs.values():
        for (first_row, second_row), (_, following) in zip(rows, [*rows[1:], rows[0]], strict=True):
            same.append(compute_warped_agreement(first_row, second_row))
            if len(rows) > 1:
                other.append(compute_warped_agreement(first_row, following))
    figures = {"language_agreement": float(np.mean(same))} if same else {}
    return figures | ({"language_agreement_chance": float(np.mean(other))} if other else {})


def add_shaped_noise(waveform: FloatArray, snr_db: float, generator: np.random.Generator) -> FloatArray:
    """Add stationary noise with the spectrum of the clip, `(n,)` to `(n,)`.

    White noise would fill the empty bands of telephone speech, and measure the bandwidth.
    """
    spectrum = np.abs(np.fft.rfft(waveform))
    noise = np.fft.irfft(spectrum * np.exp(2j * np.pi * generator.random(len(spectrum))), len(waveform))
    power = float(np.mean(np.square(noise)))
    if power == 0.0:
        return waveform
    wanted = float(np.mean(np.square(waveform, dtype=np.float64))) / 10.0 ** (snr_db / 10.0)
    return (waveform + noise * np.sqrt(wanted / power)).astype(np.float32)


def compute_speaker_agreement(
    sentences: Sequence[Sequence[SpokenVersion]], spoken: Sequence[Sequence[Ids]]
) -> dict[str, float]:
    """Agreement of the first two voices of each sentence, of different sentences of one language, and of two pitches.

    Args:
        sentences: sentences with at least two versions each.
        spoken: ids of all versions.
    """
    by_language: dict[str, list[Sequence[Ids]]] = {}
    for versions, rows in zip(sentences, spoken, strict=True):
        by_language.setdefault(versions[0].lang, []).append(rows)
    pitched = [
        compute_warped_agreement(rows[0], row)
        for versions, rows in zip(sentences, spoken, strict=True)
        for version, row in zip(versions[1:], rows[1:], strict=True)
        if version.speaker == versions[0].speaker and version.pitch != versions[0].pitch
    ]
    same, other = [], []
    for group in by_language.values():
        for rows, following in zip(group, [*group[1:], group[0]], strict=True):
            same.append(compute_warped_agreement(rows[0], rows[1]))
            if len(group) > 1:
                other.append(compute_warped_agreement(rows[0], following[1]))
    figures = {"speaker_agreement": float(np.mean(same))}
    if pitched:
        figures["pitch_agreement"] = float(np.mean(pitched))
    return figures | ({"speaker_agreement_chance": float(np.mean(other))} if other else {})


def compute_phone_figures(
    sentences: Sequence[Sequence[SpokenVersion]], spoken: Sequence[Sequence[Ids]], seed: int
) -> tuple[dict[str, float], int]:
    """Purity and mutual information of ids and phones, over all versions, and the number of frames.

    Choice: pauses are excluded; they make up a third of some clips, are easy to recognise, and would inflate all
    figures. The phone of a frame is that at its centre.
    """
    ids, phones = [], []
    for versions, rows in zip(sentences, spoken, strict=True):
        for version, row in zip(versions, rows, strict=True):
            for id_, symbol in zip(row.tolist(), label_frames(version, len(row)), strict=True):
                if symbol:
                    ids.append(id_)
                    phones.append(symbol)
    frames = np.asarray(ids, dtype=np.int64)
    shuffled = compute_phone_agreement(counter_generator(seed, "shuffled").permutation(frames), phones)
    chance = {f"{name}_chance": value for name, value in shuffled.items() if f"{name}_chance" in FIGURES}
    return {**compute_phone_agreement(frames, phones), **chance}, len(ids)


def label_frames(version: SpokenVersion, num_frames: int) -> list[str]:
    """The phone at the centre of each frame of 40 ms; empty in pauses and after the end.

    Choice: frame n is labelled at 40n + 20 ms, the centre of its step, for all tokenizers. The receptive field of the
    front end `conv2d` is centred at 40n + 5 ms; labels at that time changed the figures by no more than noise.
    """
    ends = np.asarray([phone.end_seconds for phone in version.phones])
    middles = (np.arange(num_frames) + 0.5) / IDS_PER_SECOND
    places = np.searchsorted(ends, middles, side="right")
    return [version.phones[place].symbol if place < len(ends) else "" for place in places.tolist()]


def format_assessments(assessments: Iterable[TokenizerAssessment]) -> str:
    """A Markdown table with one column per tokenizer, and a line about the data."""
    assessments = list(assessments)
    rows = [["figure", *(assessment.name for assessment in assessments), "description"]]
    for key, meaning in FIGURES.items():
        if any(key in assessment.figures for assessment in assessments):
            rows.append([key, *(_format(assessment.figures.get(key)) for assessment in assessments), meaning])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    first = assessments[0]
    facts = f"{first.num_recordings} recordings, {first.num_seconds / 60:.1f} minutes"
    facts += f"; {first.num_sentences} synthetic sentences in two voices, {first.num_phone_frames} frames with a phone"
    return "\n".join([*lines, "", facts + "; phone times are those of the synthesiser."])


def _format(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 2 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
