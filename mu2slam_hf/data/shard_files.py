# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of a user's data: those of a split, their rows, and texts with their translations in files beside them."""

import glob
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from mu2slam_hf.data.file_parts import WHOLE, Part
from mu2slam_hf.data.records import named_language
from mu2slam_hf.data.table_files import (
    TABLE_FORMATS,
    ManifestError,
    PlacedRow,
    UnreadableFileError,
    table_format,
    table_rows,
    text_lines,
)

MANIFEST_ENDINGS = (*TABLE_FORMATS, *(f"{ending}.gz" for ending in TABLE_FORMATS if ending != ".parquet"))
ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz")
_OTHER_SPLIT = re.compile(r"(dev|val|valid|validation|eval|test)([-_.]|$)")


def find_shards(
    where: str | os.PathLike[str], split: str = "train", endings: tuple[str, ...] = MANIFEST_ENDINGS
) -> list[Path]:
    """The manifests or archives of a split, sorted by name.

    Args:
        where: a file; a glob pattern, such as `shards/*.jsonl.gz`; or a folder. In a folder, the first of these that
            exists: `<split>.tsv` (or another extension); `<split>/metadata.csv` and the like;
            `<split>-00000-of-00002.parquet`, `<split>_7.jsonl` and the like; all files in `<split>/`; the same below
            `data/`; and for `train`: `manifest.tsv` or `metadata.csv`, else all files except those named after another
            split.
        split: train, dev, ...; for folders only.
        endings: extensions of the files.

    Raises:
        ManifestError: no file was found; the message lists the files that exist.
    """
    where = Path(where)
    if where.is_file():
        return [where]
    if not where.is_dir():
        results = [Path(name) for name in sorted(glob.glob(str(where), recursive=True)) if Path(name).is_file()]
        if not results:
            expected = "no file matches" if glob.has_magic(str(where)) else "no such file or folder"
            raise ManifestError(f"{where}: {expected}; expected files that end in {', '.join(endings)}")
        return results
    folders = (where, where / "data")
    for results in (files for folder in folders for files in _layouts(folder, split, endings)):
        if results:
            return results
    for folder in folders if split == "train" else ():
        results = [path for path, stem in _files_by_stem(folder, endings).items() if not _OTHER_SPLIT.match(stem)]
        if results:
            return results
    there = ", ".join(sorted(path.name for path in where.iterdir())[:10]) or "nothing"
    expected = f"no files of the split {split!r} that end in {', '.join(endings)} (such as {split}{endings[0]})"
    raise ManifestError(f"{where}: {expected}; there is {there}")


def _layouts(folder: Path, split: str, endings: tuple[str, ...]) -> list[list[Path]]:
    """The files of each layout, in order of precedence."""
    stems = _files_by_stem(folder, endings)
    inside = _files_by_stem(folder / split, endings)
    numbered = re.compile(rf"{re.escape(split)}[-_.]?\d.*")
    return [
        [path for path, stem in stems.items() if stem == split][:1],
        [path for path, stem in inside.items() if stem == "metadata"][:1],
        [path for path, stem in stems.items() if numbered.fullmatch(stem)],
        list(inside),
        [path for path, stem in stems.items() if split == "train" and stem in ("manifest", "metadata")][:1],
    ]


def _files_by_stem(folder: Path, endings: tuple[str, ...]) -> dict[Path, str]:
    """File -> its name without the extension, sorted by name."""
    files = {}
    for path in sorted(folder.glob("*")):
        ending = next((ending for ending in endings if path.name.lower().endswith(ending)), None)
        if ending is not None and path.is_file():
            files[path] = path.name[: -len(ending)]
    return files


_SENTENCE_ENDING = re.compile(r"(?:\.txt)?(?:\.gz)?$", re.IGNORECASE)


def manifest_rows(
    path: Path,
    file_format: str | None = None,
    columns: Collection[str] | None = None,
    *,
    part: Part = WHOLE,
    encoding: str | None = None,
) -> Iterator[PlacedRow]:
    """Rows of a table, see `table_rows`, or of a file of sentences.

    Sentences are in a file whose name ends in `.txt` or in a language, such as `corpus.en` or `corpus.en.txt`. Files
    beside it that differ in the language only, such as `corpus.ro`, have the translations, line by line.

    Raises:
        ManifestError: another format, or the file cannot be read (further).
        UnreadableFileError: a translation has another number of lines.
    """
    if file_format is None and table_format(path) is None:
        name, lang, ending = _split_name(path)
        if lang is not None or ".txt" in ending:
            return _sentence_rows(path, name, lang, ending, part, encoding)
    return table_rows(path, file_format, columns, part=part, encoding=encoding)


def _split_name(path: Path) -> tuple[str, str | None, str]:
    """Name, language and ending of a file; without a language, the name has all but the ending."""
    name = _SENTENCE_ENDING.sub("", path.name)
    ending = path.name[len(name) :].lower()
    stem, _, tag = name.rpartition(".")
    lang = named_language(tag) if stem else None
    return stem if lang else name, lang, ending


def _sentence_rows(
    path: Path, name: str, lang: str | None, ending: str, part: Part, encoding: str | None
) -> Iterator[PlacedRow]:
    translations: dict[str, Path] = {}
    for other in sorted(path.parent.iterdir()) if lang is not None else ():
        other_name, other_lang, other_ending = _split_name(other)
        if (other_name, other_ending) == (name, ending) and other_lang not in (None, lang) and other.is_file():
            translations[f"text_{other_lang}"] = other
    files = [path, *translations.values()]
    if translations:
        counts = [sum(1 for _ in text_lines(file, encoding)) for file in files]
        for other, count in zip(files[1:], counts[1:], strict=True):
            if count != counts[0]:
                raise UnreadableFileError(
                    f"{path}: has {counts[0]:,} lines, but {other.name} beside it has {count:,}; expected the "
                    f"translation of each line in the same line of {other.name}. Correct one of them, or rename "
                    f"{other.name} if it is no translation"
                )
    language = {} if lang is None else {"lang": lang}
    for position, lines in enumerate(zip(*(text_lines(file, encoding) for file in files), strict=True)):
        (number, text), *others = lines
        if part.has(position, line=number) and text.strip():
            versions = dict(zip(translations, (other for _, other in others), strict=True))
            yield f"{path}:{number}", {"id": f"{name}-{number}", "text": text, **language, **versions}
