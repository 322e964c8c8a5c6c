# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Synthetic speech that switches between two languages, made of parallel texts.

Paper: the talk on speech in many languages: code-switched speech by splicing (Du et al. 2021). A word or the tail of a
sentence is taken from its translation; the parts are spoken by one voice of espeak-ng in both languages, and joined.
"""

import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from lab.synthesis.espeak import EspeakEngine
from lab.synthesis.folder import BLOCK_SIZE
from lab.synthesis.speech import SoundSettings, plan_clips, speak_plans
from mu2slam_hf.atomic_files import check_free_folder
from mu2slam_hf.data.records import SpeechTextRecord

KINDS = ("word", "tail")
MANIFEST_COLUMNS = ("id", "lang", "audio", "duration_s", "speaker", "corpus", "kind", "text", "parts")
_MIN_WORDS = 3
# Silence around a part that is quieter than its peak by 40 dB is cut, except for this.
_KEPT_SECONDS, _QUIET = 0.02, 0.01


@dataclass(frozen=True, kw_only=True)
class SwitchedText:
    """A sentence whose parts are in two languages.

    Attributes:
        id: unique.
        kind: `word`, one word is foreign; `tail`, all words from somewhere on.
        parts: (language, text), at least two; the first is in the language of the sentence.
    """

    id: str
    kind: str
    parts: Sequence[tuple[str, str]]


def switch_texts(
    records: Iterable[SpeechTextRecord], pairs: Sequence[tuple[str, str]], *, seed: int = 0
) -> Iterator[SwitchedText]:
    """A sentence of each kind for each record of the first language of a pair, with the second one in it.

    Words are matched by their relative position in both texts; no dictionary is used.

    Args:
        records: texts with translations, with three words or more.
        pairs: (language of the sentence, foreign language).
        seed: seed of the positions.
    """
    for record in records:
        for lang, foreign in pairs:
            text, translation = (record.text or "").split(), record.translations.get(foreign, "").split()
            if record.lang != lang or min(len(text), len(translation)) < _MIN_WORDS:
                continue
            source = random.Random(f"{seed}/{record.key}/{foreign}")
            for kind in KINDS:
                # A part of the sentence is before the foreign one.
                first = source.randrange(1, len(text))
                place = min(round(first / len(text) * len(translation)), len(translation) - 1)
                if kind == "tail":
                    parts = [(lang, text[:first]), (foreign, translation[max(place, 1) :])]
                else:
                    parts = [
                        (lang, text[:first]),
                        (foreign, translation[place : place + 1]),
                        (lang, text[first + 1 :]),
                    ]
                named = [(code, " ".join(words)) for code, words in parts if words]
                yield SwitchedText(id=f"{record.id}.{foreign}.{kind}", kind=kind, parts=named)


def write_switched_folder(
    texts: Iterable[SwitchedText],
    out_dir: str | os.PathLike[str],
    *,
    seed: int = 0,
    sound: SoundSettings | None = None,
    corpus: str = "code_switching",
) -> Path:
    """Speak switched texts in `out_dir/audio`, with `manifest.tsv`; its column `parts` has the times of the languages.

    Args:
        texts: sentences.
        out_dir: folder to create; must not exist or be empty. It appears when it is complete.
        seed: seed of voices.
        sound: bandwidth, level, rates.
        corpus: value of the column `corpus`.

    Returns:
        the manifest.

    Raises:
        ImportError: the extra `lab` is not installed.
        ValueError: `out_dir` is not empty, or there are no texts.
    """
    sound, target = sound or SoundSettings(), check_free_folder(out_dir)
    unfinished = target.with_name(f".{target.name}.partial")
    (unfinished / "audio").mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = [MANIFEST_COLUMNS]
    pending = list(texts)
    if not pending:
        raise ValueError("no sentence of the records has both languages of a pair, with three words or more in each")
    with EspeakEngine() as engine:
        for start in range(0, len(pending), BLOCK_SIZE):
            for text in pending[start : start + BLOCK_SIZE]:
                waves, speaker = _speak_parts(engine, text, sound, seed)
                if not all(len(wave) for wave in waves):
                    continue
                name = f"audio/{len(rows) - 1:05d}.flac"
                soundfile.write(unfinished / name, np.concatenate(waves), sound.sampling_rate, subtype="PCM_16")
                rows.append(_describe(text, waves, name, speaker, corpus, sound.sampling_rate))
    lines = ["\t".join(row) for row in rows]
    (unfinished / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    if target.is_dir():
        target.rmdir()
    os.replace(unfinished, target)
    return target / "manifest.tsv"


def _speak_parts(
    engine: EspeakEngine, text: SwitchedText, sound: SoundSettings, seed: int
) -> tuple[list[np.ndarray], str]:
    """Waveforms of the parts, by one variant of the voices of both languages, and the name of the variant."""
    plans = []
    for lang, words in text.parts:
        # The same key gives the same variant, rate, pitch, level and bandwidth in each language.
        (plan,) = plan_clips(words, lang, key=f"switch/{seed}/{text.id}", settings=sound)
        plans.append(plan)
    waves = speak_plans(engine, [replace(plan, band_limited=plans[0].band_limited) for plan in plans], sound)
    return [_trim(wave, sound.sampling_rate) for wave in waves], plans[0].request.voice.partition("+")[2]


def _trim(wave: np.ndarray, sampling_rate: int) -> np.ndarray:
    loud = np.flatnonzero(np.abs(wave) > _QUIET * np.abs(wave).max(initial=0.0))
    if not len(loud):
        return wave[:0]
    kept = round(_KEPT_SECONDS * sampling_rate)
    return wave[max(loud[0] - kept, 0) : loud[-1] + kept]


def _describe(
    text: SwitchedText, waves: Sequence[np.ndarray], name: str, speaker: str, corpus: str, rate: int
) -> tuple[str, ...]:
    """The row of the manifest."""
    parts, start = [], 0
    for (lang, words), wave in zip(text.parts, waves, strict=True):
        stop = start + len(wave)
        parts.append({"lang": lang, "text": words, "start": round(start / rate, 3), "end": round(stop / rate, 3)})
        start = stop
    whole = " ".join(words for _, words in text.parts)
    packed = json.dumps(parts, ensure_ascii=False)
    return (
        *(text.id, text.parts[0][0], name, f"{start / rate:.3f}", f"espeak:{speaker}", corpus, text.kind, whole),
        packed,
    )
