# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Texts spoken into a folder of audio files with a manifest that `read_manifest` reads."""

import json
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from .synthetic_espeak import INSTALL_HINT, EspeakEngine
from .synthetic_speech import ClipPlan, SoundSettings, plan_clips, speak_plans

logger = logging.getLogger(__name__)

BLOCK_SIZE = 48
MANIFEST_COLUMNS = ("id", "lang", "audio", "duration_s", "speaker", "corpus", "kind", "text", "translations")
# What may be in a text without any meaning for its sound, but splits words or breaks the columns of a manifest:
# soft hyphen, Arabic letter mark, zero-width and direction marks, byte order mark, control characters.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\x00-\x08]")


def clean_text(text: str) -> str:
    """`text` without direction marks, soft hyphens and zero-width characters, every run of white space one space.

    Choice: the zero-width joiner and non-joiner (U+200D, U+200C) stay: they are spelling in Persian and Indic scripts.
    """
    return " ".join(_INVISIBLE.sub("", text).split())


@dataclass(frozen=True, kw_only=True)
class TextToSpeak:
    """One text for `synthesize_texts`.

    Attributes:
        id: name that is unique together with `lang`; clips are named `<id>.<lang>.<k>`.
        lang: language code.
        text: what to say, and the transcript.
        translations: text by language code.
        num_voices: clips of this text; None takes the call's `voices_per_text`.
        kind: free label that is copied to the manifest.
    """

    id: str
    lang: str
    text: str
    translations: Mapping[str, str] = field(default_factory=dict)
    num_voices: int | None = None
    kind: str = ""


@dataclass(kw_only=True)
class FolderSummary:
    """What was written: clips and seconds by language, and texts that stayed silent or were too long."""

    manifest: Path
    num_clips: Counter = field(default_factory=Counter)
    seconds: Counter = field(default_factory=Counter)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Hours of audio over all languages."""
        return sum(self.seconds.values()) / 3600


def library_versions(engine: EspeakEngine) -> dict[str, str]:
    """Versions of everything that decides text and samples; recorded beside every manifest."""
    versions = {"espeak-ng": engine.version.split()[0]}
    for name in ("espeakng-loader", "Babel", "num2words", "soxr", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def synthesize_texts(
    texts: Iterable[TextToSpeak | tuple],
    out_dir: str | os.PathLike,
    *,
    voices_per_text: int = 1,
    seed: int = 0,
    settings: SoundSettings | None = None,
    max_duration_seconds: float = 30.0,
    num_workers: int = 1,
    corpus: str = "synthetic",
    audio_format: str = "flac",
    description: Mapping[str, object] | None = None,
) -> FolderSummary:
    """Speak texts into `out_dir/audio` and write `manifest.tsv` and `synthesis.json` (settings, versions) beside it.

    The folder appears under its name only when it is complete. The same texts, seed and versions give the same bytes,
    whatever `num_workers` is.

    Args:
        texts: `TextToSpeak`, or tuples `(id, lang, text)` or `(id, lang, text, translations)`.
        out_dir: folder to create; it must not exist or must be empty.
        voices_per_text: clips of each text, in different voices.
        seed: of voices, rates, pitches, levels and bandwidths.
        settings: bandwidth and level; by default 3 of 4 clips are limited to 4 kHz.
        max_duration_seconds: longer clips are left out and named in the summary.
        num_workers: threads, each with an espeak-ng server of its own.
        corpus: value of the manifest's column of that name.
        audio_format: `flac` or `wav`, 16 bit.
        description: copied to `synthesis.json`.

    Returns:
        Path of the manifest, counts and what was left out.

    Raises:
        ImportError: the extra `synthetic` is not installed.
        ValueError: `out_dir` is in use, the format is unknown, or no text gave a clip.
    """
    target, settings = Path(out_dir), settings or SoundSettings()
    if audio_format not in ("flac", "wav"):
        raise ValueError(f"audio_format must be 'flac' or 'wav', got {audio_format!r}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists and is not an empty folder; give a new name or remove it")
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    summary = FolderSummary(manifest=target / "manifest.tsv")
    blocks = _blocks(_plan_all(texts, voices_per_text, seed, settings))
    with EspeakEngine() as engine:
        versions = library_versions(engine)
    with open(partial / "manifest.tsv", "w", encoding="utf-8", newline="\n") as manifest:
        manifest.write("\t".join(MANIFEST_COLUMNS) + "\n")
        for rows in _run_blocks(blocks, partial, settings, audio_format, num_workers):
            _write_rows(rows, manifest, summary, corpus, max_duration_seconds, partial)
    if not summary.num_clips:
        raise ValueError(f"nothing was written to {target}: {summary.left_out[:3] or 'there were no texts'}")
    facts = {
        **{"seed": seed, "settings": asdict(settings), "versions": versions, "voices_per_text": voices_per_text},
        **{"block_size": BLOCK_SIZE, "num_clips": dict(summary.num_clips), "seconds": dict(summary.seconds)},
        **{"hours": summary.hours, "left_out": summary.left_out, "description": dict(description or {})},
    }
    (partial / "synthesis.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
    if target.exists():
        target.rmdir()
    os.replace(partial, target)
    return summary


_Clip = tuple[str, TextToSpeak, ClipPlan]


def _plan_all(texts: Iterable, voices_per_text: int, seed: int, settings: SoundSettings) -> Iterator[_Clip]:
    for item in texts:
        if not isinstance(item, TextToSpeak):
            item = TextToSpeak(id=item[0], lang=item[1], text=item[2], translations=item[3] if len(item) > 3 else {})
        num_voices = voices_per_text if item.num_voices is None else item.num_voices
        key = f"{seed}:{item.lang}:{item.id}"
        text = clean_text(item.text)
        for k, plan in enumerate(plan_clips(text, item.lang, key=key, settings=settings, num_voices=num_voices)):
            yield f"{item.id}.{item.lang}.{k}", item, plan


def _blocks(clips: Iterator[_Clip]) -> Iterator[list[tuple[int, _Clip]]]:
    block: list[tuple[int, _Clip]] = []
    for clip in enumerate(clips):
        block.append(clip)
        if len(block) == BLOCK_SIZE:
            yield block
            block = []
    if block:
        yield block


def _run_blocks(blocks, folder: Path, settings: SoundSettings, audio_format: str, num_workers: int) -> Iterator[list]:
    """Rows `(clip, file name, seconds)` per block, in the order of the blocks, with few blocks in flight."""
    try:
        import soundfile
    except ImportError as error:
        raise ImportError(f"{INSTALL_HINT} (soundfile is missing)") from error
    engines = [EspeakEngine() for _ in range(max(1, num_workers))]

    def speak(number: int, block: list[tuple[int, _Clip]]) -> list[tuple[_Clip, str, float]]:
        rows = []
        waves = speak_plans(engines[number % len(engines)], [clip[2] for _, clip in block], settings)
        for (index, clip), wave in zip(block, waves, strict=True):
            # At most 1,000 files in a folder: many file systems and every file browser slow down above that.
            name = f"audio/{clip[1].lang}/{index // 1000:04d}/{index % 1000:03d}.{audio_format}"
            if len(wave):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / name, wave, settings.sampling_rate, subtype="PCM_16")
            rows.append((clip, name, len(wave) / settings.sampling_rate))
        return rows

    try:
        with ThreadPoolExecutor(len(engines)) as pool:
            waiting: list = []
            for number, block in enumerate(blocks):
                waiting.append(pool.submit(speak, number, block))
                if len(waiting) > 2 * len(engines):
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
    finally:
        for engine in engines:
            engine.close()


def _write_rows(rows: Sequence, manifest, summary: FolderSummary, corpus: str, max_seconds: float, folder: Path) -> None:
    for (clip_id, item, plan), name, seconds in rows:
        if seconds == 0:
            summary.left_out.append((clip_id, "silent"))
        elif seconds > max_seconds:
            (folder / name).unlink()
            summary.left_out.append((clip_id, f"{seconds:.1f} s is longer than {max_seconds:g} s"))
        else:
            translations = {lang: clean_text(text) for lang, text in item.translations.items()}
            packed = json.dumps(translations, ensure_ascii=False, sort_keys=True)
            values = (clip_id, item.lang, name, f"{seconds:.3f}", plan.speaker, corpus, item.kind)
            manifest.write("\t".join([*values, plan.request.text, packed]) + "\n")
            summary.num_clips[item.lang] += 1
            summary.seconds[item.lang] += seconds
