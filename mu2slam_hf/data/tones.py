# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A tiny n-way parallel corpus of tones for tests and experiments, which can be learned in minutes."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.data.random_keys import counter_generator

TONE_WORDS: dict[str, tuple[str, ...]] = {
    "en": ("one", "two", "three", "four", "red", "blue", "house", "tree"),
    "es": ("uno", "dos", "tres", "cuatro", "rojo", "azul", "casa", "árbol"),
    "fr": ("un", "deux", "trois", "quatre", "rouge", "bleu", "maison", "arbre"),
    "it": ("uno", "due", "tre", "quattro", "rosso", "blu", "casa", "albero"),
    "ru": ("один", "два", "три", "четыре", "красный", "синий", "дом", "дерево"),
}
"""Maps languages to words, in the order of their meanings."""

_COLUMNS = ("id", "lang", "audio", "duration_s", "speaker", "text", "translations")


def tone_waveform(
    lang: str, meanings: Sequence[int], *, sampling_rate: int = 16_000, word_seconds: float = 0.4
) -> FloatArray:
    """One tone per word, with two frequencies determined by meaning and language.

    Choice: 0.4 s per word is 10 encoder frames, enough for CTC with the longest of `TONE_WORDS`.

    Returns:
        `(n,)` float32, `n = len(meanings) * word_seconds * sampling_rate`.
    """
    time = np.arange(round(word_seconds * sampling_rate)) / sampling_rate
    envelope = np.sin(np.pi * np.arange(len(time)) / len(time)) ** 0.5
    second = 2000.0 + 300.0 * sorted(TONE_WORDS).index(lang)
    words = [
        0.2 * envelope * (np.sin(2 * np.pi * (300.0 + 150.0 * meaning) * time) + np.sin(2 * np.pi * second * time))
        for meaning in meanings
    ]
    return np.concatenate(words).astype(np.float32)


def write_tone_corpus(
    folder: str | os.PathLike[str],
    *,
    num_sentences: int = 8,
    languages: Sequence[str] = ("en", "fr"),
    max_words: int = 4,
    sampling_rate: int = 16_000,
    split: str = "train",
    seed: int = 0,
) -> Path:
    """Write `<split>.tsv` and `audio/<split>/`: every sentence spoken in every language, translated into the others.

    Args:
        folder: folder to create.
        num_sentences: number of sentences per language.
        languages: some of `TONE_WORDS`.
        max_words: maximum number of words per sentence.
        sampling_rate: rate of the WAV files in Hz.
        split: name of the manifest.
        seed: sentences are a function of seed and split.

    Returns:
        path of the manifest.

    Raises:
        ValueError: a language has no tone words.
    """
    unknown = sorted(set(languages) - set(TONE_WORDS))
    if unknown:
        raise ValueError(f"tone words exist for {', '.join(TONE_WORDS)}, but not for {', '.join(unknown)}")
    folder = Path(folder)
    audio_folder = folder / "audio" / split
    audio_folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / f"{split}.tsv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerow(_COLUMNS)
        for number in range(num_sentences):
            generator = counter_generator(seed, "tones", split, number)
            meanings = generator.integers(len(TONE_WORDS["en"]), size=int(generator.integers(1, max_words + 1)))
            texts = {lang: " ".join(TONE_WORDS[lang][meaning] for meaning in meanings) for lang in languages}
            for lang in languages:
                waveform = tone_waveform(lang, meanings.tolist(), sampling_rate=sampling_rate)
                path = audio_folder / f"{number:04d}_{lang}.wav"
                sf.write(path, waveform, sampling_rate, subtype="PCM_16")
                others = {other: text for other, text in texts.items() if other != lang}
                seconds = f"{len(waveform) / sampling_rate:.3f}"
                relative = path.relative_to(folder).as_posix()
                translations = json.dumps(others, ensure_ascii=False)
                writer.writerow((f"{number:04d}", lang, relative, seconds, f"tone_{lang}", texts[lang], translations))
    return manifest
