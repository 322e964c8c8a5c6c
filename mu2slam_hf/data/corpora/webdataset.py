# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""WebDataset archives as shards of a stream: tar files with consecutive files for each sample."""

import json
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.file_parts import WHOLE, Part
from mu2slam_hf.data.table_files import (
    ManifestError,
    PlacedRow,
    Row,
    archive_files,
    end_of_member,
    open_archive,
    reading,
)

AUDIO_ENDINGS = ("wav", "flac", "opus", "mp3", "ogg")


@dataclass(frozen=True, kw_only=True)
class WebDatasetReader(ManifestShardReader):
    """Reads one archive after another: `for record in reader("train-0001.tar"): ...`.

    A sample is all consecutive files with one name up to the first dot: `key.wav` (.flac, .opus, .mp3, .ogg),
    `key.txt` with the text, `key.json` with an object that has the columns of a manifest; other files are skipped.
    The name is the id, unless the object has one. Recordings stay in the record as bytes.
    """

    def rows(self, path: Path, columns: Collection[str] | None = None, part: Part = WHOLE) -> Iterator[PlacedRow]:
        """One row per sample; audio is skipped if `columns` are given without `audio`."""
        with_audio = columns is None or "audio" in columns
        first = part.start.row if part.start.offset else 0
        with reading(path), open_archive(path, part.start.offset) as archive:
            files = (file for file in archive_files(archive) if not PurePosixPath(file.name).name.startswith("."))
            samples = groupby(files, lambda file: _key_and_ending(file.name)[0])
            for position, (key, members) in enumerate(samples, start=first):
                ends = [0]
                row = _row(archive, key, _noting_ends(members, ends), with_audio)
                ends += map(end_of_member, members)  # the rest of a faulty sample
                if part.has(position, offset=ends[-1]):
                    yield f"{path}:{key}", row


def _noting_ends(members: Iterator[tarfile.TarInfo], ends: list[int]) -> Iterator[tarfile.TarInfo]:
    for member in members:
        ends.append(end_of_member(member))
        yield member


def _key_and_ending(name: str) -> tuple[str, str]:
    """Name up to the first dot after the folders, and the rest in lower case."""
    file = PurePosixPath(name)
    stem, _, ending = file.name.partition(".")
    return str(file.with_name(stem)), ending.lower()


def _row(
    archive: tarfile.TarFile, key: str, members: Iterator[tarfile.TarInfo], with_audio: bool
) -> Row | ManifestError:
    row: Row = {"id": key}
    texts: Row = {}
    for member in members:
        ending = _key_and_ending(member.name)[1]
        if ending in AUDIO_ENDINGS and with_audio:
            texts["audio"] = {"path": member.name, "bytes": _content(archive, member)}
        elif ending in ("txt", "json"):
            try:
                content = _content(archive, member).decode("utf-8-sig")
                value = content.strip() if ending == "txt" else json.loads(content)
            except (UnicodeDecodeError, json.JSONDecodeError) as error:
                return ManifestError(f"{member.name} is not valid {'JSON' if ending == 'json' else 'UTF-8'} ({error})")
            if ending == "txt":
                texts["text"] = value
            elif isinstance(value, dict):
                row |= value
            else:
                return ManifestError(f"{member.name}: expected an object with columns, got {type(value).__name__}")
    return row | texts


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, "only regular files are read"
    return file.read()
