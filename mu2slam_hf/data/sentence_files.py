# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of sentences, one a line, with their translations in files that are aligned line by line."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from mu2slam_hf.data.file_parts import WHOLE, Part
from mu2slam_hf.data.records import named_language
from mu2slam_hf.data.table_files import PlacedRow, UnreadableFileError, table_format, table_rows, text_lines

_ENDING = re.compile(r"(?:\.txt)?(?:\.gz)?$", re.IGNORECASE)


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
    name = _ENDING.sub("", path.name)
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
