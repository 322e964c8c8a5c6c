# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Folders of synthetic clips: audio files, a manifest for `read_manifest`, and a record of settings and versions."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import soundfile

from lab.synthesis.engine_registry import EngineGroup
from lab.synthesis.speech import SoundSettings, SyntheticClip, speak_plans
from lab.synthesis.speech_engine import ESPEAK_NG
from lab.synthesis.voice_mix import VoiceMix
from mu2slam_hf.atomic_files import check_free_folder

# Number of clips synthesised by one fork of espeak-ng: the audio of a clip depends on its block only.
BLOCK_SIZE = 48
MANIFEST_COLUMNS = ("id", "lang", "audio", "duration_s", "speaker", "corpus", "kind", "text", "translations")
AUDIO_FORMATS = ("flac", "wav")


@dataclass(kw_only=True)
class FolderSummary:
    """Summary of a written folder.

    Attributes:
        manifest: path of `manifest.tsv`.
        num_clips: number of clips by language.
        seconds: seconds of audio by language.
        left_out: (id, reason) of skipped clips, which were silent, too fast or too long.
    """

    manifest: Path
    num_clips: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Hours of audio over all languages."""
        return sum(self.seconds.values()) / 3600


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """Settings of a folder of clips.

    Attributes:
        corpus: value of the column `corpus` of the manifest.
        audio_format: `flac` or `wav`, 16 bit.
        max_duration_seconds: longer clips are skipped.
        max_characters_per_second: faster clips, which CTC cannot align at 25 encoder frames per second, are skipped.
        num_workers: number of threads, each with speech engines of its own; does not affect the result.
    """

    corpus: str = "synthetic"
    audio_format: str = "flac"
    max_duration_seconds: float = 30.0
    max_characters_per_second: float = 24.0
    num_workers: int = 1

    def __post_init__(self) -> None:
        if self.audio_format not in AUDIO_FORMATS:
            raise ValueError(f"audio_format must be one of {', '.join(AUDIO_FORMATS)}; got {self.audio_format!r}")


def library_versions(engines: EngineGroup) -> dict[str, str]:
    """Versions of all engines and libraries that affect texts and samples, recorded with every manifest."""
    versions = engines.versions()
    for name in ("espeakng-loader", "Babel", "num2words", "soxr", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def write_clips(
    clips: Iterable[SyntheticClip],
    out_dir: str | os.PathLike[str],
    *,
    sound: SoundSettings,
    folder: FolderSettings,
    description: Mapping[str, object],
    voices: VoiceMix | None = None,
) -> FolderSummary:
    """Synthesise clips in `out_dir/audio`, with `manifest.tsv` and `synthesis.json` (settings, versions).

    The folder appears when it is complete. The same clips and versions give the same bytes. An interrupted call is
    continued by the same call: finished blocks are in `.NAME.partial` beside the folder.

    Args:
        clips: clips to synthesise, in blocks of 48.
        out_dir: folder to create; must not exist or be empty.
        sound: bandwidth and rate of the audio.
        folder: format, limits, workers.
        description: copied to `synthesis.json`.
        voices: the engines of the clips, which are recorded too; None means espeak-ng.

    Returns:
        path of the manifest, counts and skipped clips.

    Raises:
        ImportError: an engine, or the extra `lab`, is not installed.
        ValueError: `out_dir` is not empty, was begun with other settings or versions, or no clip was written.
    """
    target = check_free_folder(out_dir)
    engines = (ESPEAK_NG,) if voices is None else voices.engines
    with EngineGroup(engines) as group:
        versions = library_versions(group)
    facts = {
        **{"versions": versions, "sound": asdict(sound), "folder": asdict(folder), "block_size": BLOCK_SIZE},
        **{"description": dict(description)},
    }
    # Voices are described before and after: their shares are known when their languages have been used.
    # The number of workers does not change the clips.
    same = {"folder": asdict(replace(folder, num_workers=1)), "engines": list(engines)}
    progress = FolderProgress(target, {**facts, **same})
    for number, rows in _speak_blocks(_blocks(clips), progress, sound, folder, engines):
        progress.write_block(number, rows, folder)
    summary = progress.summary
    if not summary.num_clips:
        raise ValueError(f"no clips were written to {target}: {summary.left_out[:3] or 'there were no texts'}")
    facts |= {
        **{"num_clips": dict(summary.num_clips), "hours": summary.hours},
        **{"seconds": summary.seconds, "left_out": summary.left_out},
        **({} if voices is None else {"voices": voices.describe()}),
    }
    progress.finish(facts)
    return summary


_NumberedBlock = list[tuple[int, SyntheticClip]]
_Rows = list[tuple[SyntheticClip, str, float]]


def _blocks(clips: Iterable[SyntheticClip]) -> Iterator[_NumberedBlock]:
    numbered = enumerate(clips)
    while block := list(islice(numbered, BLOCK_SIZE)):
        yield block


def _speak_blocks(
    blocks: Iterable[_NumberedBlock],
    progress: "FolderProgress",
    sound: SoundSettings,
    folder: FolderSettings,
    engines: Sequence[str],
) -> Iterator[tuple[int, _Rows]]:
    """Number and rows `(clip, file name, seconds)` of each unfinished block, in order; few blocks are pending."""
    target = progress.folder
    groups = [EngineGroup(engines) for _ in range(max(1, folder.num_workers))]

    def speak(number: int, block: _NumberedBlock) -> _Rows:
        rows = []
        waves = speak_plans(groups[number % len(groups)], [clip.plan for _, clip in block], sound)
        for (index, clip), wave in zip(block, waves, strict=True):
            # At most 1,000 files per folder, because many file systems and browsers slow down above that.
            name = f"audio/{clip.lang}/{index // 1000:04d}/{index % 1000:03d}.{folder.audio_format}"
            if len(wave):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(target / name, wave, sound.sampling_rate, subtype="PCM_16")
            rows.append((clip, name, len(wave) / sound.sampling_rate))
        return rows

    try:
        with ThreadPoolExecutor(len(groups)) as pool:
            waiting: list[tuple[int, Future[_Rows]]] = []
            for number, block in islice(enumerate(blocks), progress.num_blocks, None):
                waiting.append((number, pool.submit(speak, number, block)))
                if len(waiting) > 2 * len(groups):
                    first, future = waiting.pop(0)
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
    finally:
        for group in groups:
            group.close()


class FolderProgress:
    """An unfinished folder of clips: its finished blocks, in `.NAME.partial` beside the folder.

    Each line of `blocks.jsonl` is a finished block with what it adds to the summary, and the length of the manifest
    after it. The first line has the settings.

    Attributes:
        folder: the folder until it is finished.
        summary: of the finished blocks.
        num_blocks: number of finished blocks.
    """

    def __init__(self, target: Path, settings: Mapping[str, object]) -> None:
        """Begin a folder, or continue one.

        Raises:
            ValueError: it was begun with other settings.
        """
        self._target, self.folder = target, target.with_name(f".{target.name}.partial")
        self.summary, self.num_blocks = FolderSummary(manifest=target / "manifest.tsv"), 0
        self._journal, self._manifest = self.folder / "blocks.jsonl", self.folder / "manifest.tsv"
        header = json.dumps({"settings": settings}, default=str, sort_keys=True)
        if self._journal.is_file():
            self._restore(header)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manifest.write_text("\t".join(MANIFEST_COLUMNS) + "\n", encoding="utf-8", newline="\n")
            self._journal.write_text(header + "\n", encoding="utf-8")

    def _restore(self, header: str) -> None:
        # The last line is incomplete if the process was killed while it was written.
        first, *lines = self._journal.read_text(encoding="utf-8").split("\n")[:-1] or [""]
        if first != header:
            raise ValueError(
                f"{self.folder} was begun with other settings or versions; remove it, or choose another output folder"
            )
        blocks = [json.loads(line) for line in lines]
        self._journal.write_text("".join(f"{line}\n" for line in (first, *lines)), encoding="utf-8")
        for block in blocks:
            self._add(block)
        self.num_blocks = len(blocks)
        end = blocks[-1]["end"] if blocks else len("\t".join(MANIFEST_COLUMNS)) + 1
        os.truncate(self._manifest, end)

    def _add(self, block: Mapping[str, Any]) -> None:
        self.summary.num_clips.update(block["num_clips"])
        for lang, seconds in block["seconds"].items():
            self.summary.seconds[lang] = self.summary.seconds.get(lang, 0.0) + seconds
        self.summary.left_out += [(name, reason) for name, reason in block["left_out"]]

    def write_block(self, number: int, rows: _Rows, folder: FolderSettings) -> None:
        """Add the usable clips of a block to the manifest, and remove the files of the others.

        Args:
            number: number of the block; blocks come in order.
            rows: clips with file names and durations in seconds.
            folder: limits.
        """
        block = FolderSummary(manifest=self._manifest)
        with open(self._manifest, "a", encoding="utf-8", newline="\n") as manifest:
            _write_rows(rows, manifest, block, self.folder, folder)
            manifest.flush()
            end = os.fstat(manifest.fileno()).st_size
        line = {
            **{"end": end, "num_clips": dict(block.num_clips), "seconds": block.seconds, "left_out": block.left_out}
        }
        with open(self._journal, "a", encoding="utf-8") as journal:
            journal.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._add(line)
        self.num_blocks = number + 1

    def finish(self, facts: Mapping[str, object]) -> None:
        """Write `synthesis.json`, and give the folder its name."""
        text = json.dumps(facts, indent=1, ensure_ascii=False, default=str)
        (self.folder / "synthesis.json").write_text(text + "\n", encoding="utf-8")
        self._journal.unlink()
        if self._target.is_dir():
            self._target.rmdir()
        os.replace(self.folder, self._target)


def _write_rows(
    rows: Sequence[tuple[SyntheticClip, str, float]],
    manifest: TextIO,
    summary: FolderSummary,
    target: Path,
    folder: FolderSettings,
) -> None:
    for clip, name, seconds in rows:
        text, engine = clip.transcript or clip.plan.request.text, clip.plan.request.engine
        problem = ""
        if seconds == 0:
            problem = "espeak-ng is silent" if engine == ESPEAK_NG else f"{engine} has no usable audio"
        elif seconds > folder.max_duration_seconds:
            problem = f"{seconds:.1f} s is longer than {folder.max_duration_seconds:g} s"
        elif len(text) > folder.max_characters_per_second * seconds:
            problem = f"{len(text) / seconds:.0f} characters per second"
        if problem:
            (target / name).unlink(missing_ok=True)
            summary.left_out.append((f"{clip.lang}/{clip.id}", problem))
            continue
        packed = json.dumps(dict(clip.translations), ensure_ascii=False, sort_keys=True)
        cells = (clip.id, clip.lang, name, f"{seconds:.3f}", clip.plan.speaker, folder.corpus, clip.kind, text, packed)
        manifest.write("\t".join(cells) + "\n")
        summary.num_clips[clip.lang] += 1
        summary.seconds[clip.lang] = summary.seconds.get(clip.lang, 0.0) + seconds
