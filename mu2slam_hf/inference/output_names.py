# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of the output files of recordings, without two recordings that write the same file."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mu2slam_hf.inference.formats.transcripts import output_suffixes
from mu2slam_hf.inference.recordings import Recording, is_address


def separate_stems(recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
    """Give recordings with the same stem different ones; also returns a note for each such stem.

    Choice: those in different folders keep the part of their paths in which they differ (`a/talk`, `b/talk`); those
    in one folder keep their extension (`talk.wav`, `talk.mp3`). A file that is given twice has one output.
    """
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, recording in enumerate(recordings):
        identity = recording.name if _is_remote(recording) else os.path.abspath(recording.name)
        # Compared without case: file systems may not distinguish it.
        groups[recording.stem.casefold()][identity].append(place)
    separated, notes = list(recordings), []
    for group in groups.values():
        if len(group) == 1:
            continue
        stems = _different_stems([recordings[indices[0]] for indices in group.values()])
        for indices, stem in zip(group.values(), stems, strict=True):
            for place in indices:
                separated[place] = replace(recordings[place], stem=stem)
        name = recordings[next(iter(group.values()))[0]].stem
        notes.append(f"{len(group)} recordings are named {name}: written as {', '.join(stems)}")
    return separated, notes


def _is_remote(recording: Recording) -> bool:
    return not isinstance(recording.source, str) or is_address(recording.source)


def _different_stems(recordings: Sequence[Recording]) -> list[str]:
    """Stems that differ: parts of the paths, then extensions, then numbers."""
    local = [Path(os.path.abspath(item.name)) for item in recordings if not _is_remote(item)]
    common = Path(os.path.commonpath([path.parent for path in local])) if local else Path()
    stems = [
        item.stem
        if _is_remote(item)
        else Path(os.path.abspath(item.name)).relative_to(common).with_suffix("").as_posix()
        for item in recordings
    ]
    folded = _folded(stems)
    for index, item in enumerate(recordings):
        if folded.count(folded[index]) > 1 and not _is_remote(item):
            stems[index] += Path(item.name).suffix
    return number_stems(stems, [item.stem for item in recordings])


def number_stems(stems: Sequence[str], bases: Sequence[str]) -> list[str]:
    """Different stems: one that occurs before becomes its base with a number, as `talk-2`.

    Args:
        stems: any number; compared without case, which file systems may not distinguish.
        bases: what the number is appended to, one for each stem.
    """
    taken: set[str] = set()
    different = []
    for stem, base in zip(stems, bases, strict=True):
        number = 2
        while stem.casefold() in taken:
            stem = f"{base}-{number}"
            number += 1
        taken.add(stem.casefold())
        different.append(stem)
    return different


def _folded(stems: Iterable[str]) -> list[str]:
    return [stem.casefold() for stem in stems]


def list_outputs(
    folder: Path, recordings: Sequence[Recording], formats: Sequence[str], target_langs: Sequence[str]
) -> Mapping[str, dict[Path, tuple[str, str | None]]]:
    """Output files by stem: path -> format and language of the translation.

    Raises:
        ValueError: two recordings would write one file, or a file would be outside the folder.
    """
    outputs: dict[str, dict[Path, tuple[str, str | None]]] = {}
    owners: dict[str, str] = {}
    for recording in recordings:
        files: dict[Path, tuple[str, str | None]] = {}
        if Path(recording.stem).is_absolute() or ".." in Path(recording.stem).parts:
            raise ValueError(f"{recording.name}: its output {recording.stem} would be outside {folder}")
        for name in formats:
            for suffix, lang in output_suffixes(name, target_langs).items():
                path = folder / (recording.stem + suffix)
                owner = owners.setdefault(str(path).casefold(), recording.stem)
                if owner != recording.stem:
                    raise ValueError(
                        f"{owner} and {recording.stem} would both be written to {path}; rename one of the recordings, "
                        "or transcribe them into different folders"
                    )
                files[path] = (name, lang)
        outputs[recording.stem] = files
    return outputs
