# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of the readers of public corpora: shards, languages, faults, and records."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Protocol

from mu2slam_hf.data.corpora.splits import split_spellings
from mu2slam_hf.data.durations import seconds_of, stated_seconds
from mu2slam_hf.data.file_parts import Part, RowPosition
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, UnreadableFileError
from mu2slam_hf.data.text import clean_text
from mu2slam_hf.models.language_codes import canonical_language

# Web text and subtitles contain control characters and halves of surrogate pairs, which are not visible.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# Records of one row of a shard, and the position after it.
PlacedRecords = tuple[list[SpeechTextRecord], RowPosition]
_PART = re.compile(r"(?P<path>.*)#(?P<index>\d+)of(?P<count>\d+)")


class FaultCount(Protocol):
    """Counts records, such as `FailureCount` of `mu2slam_hf.data.examples.failures`."""

    def add(self, reason: str | None) -> None:
        """Count a record: None if it was read, else the reason of the failure; may raise if there are too many."""


@dataclass(frozen=True, kw_only=True)
class CorpusReader(ABC):
    """Reads one split of a corpus, shard by shard: `for shard in reader.shards(): for record in reader(shard): ...`.

    A reader is small and picklable, and a shard is a string, so that they can be divided among processes and machines.

    Attributes:
        root: folder of the corpus.
        split: name of the split.
        languages: canonical codes or the corpus's own; None for all that exist.
        max_duration_seconds: longer recordings are left out.
        parts: number of shards per file (`file#0of4`, ...), for corpora with few large files.
        failures: counts records that cannot be read, which are then skipped; None raises at the first.
        reads_headers: whether missing durations are read from the recordings. Streams read them later, from
            the recordings of their own process only.
    """

    name: ClassVar[str]
    aliases: ClassVar[Mapping[str, str]]
    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test")
    how_to_get: ClassVar[str]
    layout: ClassVar[str]

    root: str
    split: str = "train"
    languages: tuple[str, ...] | None = None
    max_duration_seconds: float | None = None
    parts: int = 1
    failures: FaultCount | None = None
    reads_headers: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", str(self.root))
        if self.languages is not None:
            languages = (self.languages,) if isinstance(self.languages, str) else tuple(self.languages)
            object.__setattr__(self, "languages", languages)
        if not set(split_spellings(self.split)) & set(self.splits):
            raise ValueError(f"{self.name} has no split {self.split!r}; its splits are {', '.join(self.splits)}")
        if self.parts < 1:
            raise ValueError(f"`parts` must be at least 1, got {self.parts}")
        self.codes()

    @abstractmethod
    def files_of(self, code: str) -> list[Path]:
        """Files of a language by the corpus's own code, in order; empty if there are none."""

    def code_of(self, path: Path) -> str:
        """The corpus's code of the language of a file of `files_of`; here, its lowest folder that is such a code."""
        return next(name for name in reversed(path.parts[:-1]) if name in self.aliases)

    @abstractmethod
    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows of a file, as they are."""

    @abstractmethod
    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """Records of a row.

        Raises:
            ValueError: the row is invalid.
        """

    def language_of(self, code: str) -> str:
        """Canonical language of one of the corpus's codes."""
        return self.aliases[code]

    def codes(self) -> tuple[str, ...]:
        """The corpus's own codes of the requested languages."""
        if self.languages is None:
            return tuple(self.aliases)
        codes: list[str] = []
        for language in self.languages:
            results = self.codes_of_language(language)
            if not results:
                known = ", ".join(dict.fromkeys(self.aliases.values()))
                raise ValueError(f"{self.name} has no language {language!r}; it has {known}")
            codes += results
        return tuple(dict.fromkeys(codes))

    def codes_of_language(self, language: str) -> list[str]:
        """The corpus's codes for a canonical language, or for one of its own codes; empty if it has none."""
        of_language = [code for code, canonical in self.aliases.items() if canonical == language]
        if of_language or language in self.aliases:
            return of_language or [language]
        canonical = canonical_language_or_none(language)
        if canonical is None:
            return []
        return [code for code, known in self.aliases.items() if canonical in (known, canonical_language_or_none(code))]

    def shards_by_language(self) -> dict[str, list[str]]:
        """Canonical language -> shards, for the sampling of languages.

        Raises:
            FileNotFoundError: no file was found, or a requested language is missing; the message lists the existing
                files, the expected layout, and where to get them.
        """
        shards: dict[str, list[str]] = {}
        for code in self.codes():
            files = self.files_of(code)
            if files:
                shards.setdefault(self.language_of(code), []).extend(self._parts_of(files))
        missing = {code: self.language_of(code) for code in self.codes()} if self.languages is not None else {}
        for code, language in missing.items():
            if language not in shards:
                raise self.not_found(f"split {self.split!r} of {code!r}")
        if not shards:
            raise self.not_found(f"split {self.split!r}")
        return shards

    def readers_of(self, task: str) -> list[tuple[str | None, "CorpusReader"]]:
        """Readers that a task draws from separately: this one (None), or one for each language in shared files."""
        return [(None, self)]

    def shards(self) -> list[str]:
        """All shards of the split, in the order of languages and files."""
        return [shard for shards in self.shards_by_language().values() for shard in shards]

    def __call__(self, shard: str) -> Iterator[SpeechTextRecord]:
        """Records of a shard, one at a time.

        Raises:
            ManifestError: invalid row or file, with `file:line`, unless `failures` counts them.
        """
        for records, _ in self.read_from(shard):
            yield from records

    def read_from(self, shard: str, start: RowPosition = RowPosition()) -> Iterator[PlacedRecords]:  # noqa: B008
        """Records of a shard from a position on: those of one row or recording, and the position after it.

        Raises:
            ManifestError: as from calling the reader.
        """
        match = _PART.fullmatch(shard)
        path = Path(match["path"] if match else shard)
        part = Part(int(match["index"]), int(match["count"]), start) if match else Part(start=start)
        # Several rows may come from one file, for example the parts of a long recording: they are given together.
        together: list[SpeechTextRecord] = []
        position = part.position
        try:
            for place, row in self.rows(path, part):
                if part.position != position:
                    if together:
                        yield together, position
                    together, position = [], part.position
                together += self._checked(place, row, path)
        except UnreadableFileError as error:
            if self.failures is None:
                raise
            self.failures.add(f"{self.name}: {error}")
        if together:
            yield together, position

    def records(self) -> Iterator[SpeechTextRecord]:
        """All records of the split, one at a time."""
        for shard in self.shards():
            yield from self(shard)

    def record(
        self,
        *,
        id: str,
        lang: str,
        audio: Any = None,
        text: str | None = None,
        translations: Mapping[str, str | None] | None = None,
        duration_seconds: float | None = None,
        speaker: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> SpeechTextRecord | None:
        """A validated record; texts are cleaned and empty ones left out. None if the recording is too long."""
        longest = self.max_duration_seconds
        if longest is not None and duration_seconds is not None and duration_seconds > longest:
            return None
        cleaned = {code: clean(version) for code, version in (translations or {}).items()}
        return SpeechTextRecord(
            id=id,
            audio=audio,
            text=clean(text),
            lang=lang,
            translations={code: version for code, version in cleaned.items() if version and code != lang},
            duration_seconds=duration_seconds,
            speaker=str(speaker) if speaker not in (None, "") else None,
            corpus=self.name,
            extra=dict(extra or {}),
        ).validate()

    def seconds_of(self, stated: Any, audio: Any, name: str | None = None) -> float | None:
        """Duration of a recording, as `seconds_of`; None if only its header has it and `reads_headers` is off."""
        return seconds_of(stated, audio, name) if self.reads_headers else stated_seconds(stated, audio)

    def check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        """Raise a `ValueError` if an option has an invalid value."""
        if getattr(self, name) not in choices:
            raise ValueError(f"`{name}` must be one of {', '.join(choices)}; got {getattr(self, name)!r}")

    def _parts_of(self, files: Iterable[Path]) -> list[str]:
        if self.parts == 1:
            return [str(path) for path in files]
        return [f"{path}#{index}of{self.parts}" for path in files for index in range(self.parts)]

    def _checked(self, place: str, row: Row | ManifestError, path: Path) -> Iterator[SpeechTextRecord]:
        try:
            if isinstance(row, ManifestError):
                raise row
            records = list(self.records_of(row, path))
        except (ValueError, TypeError, KeyError) as error:  # the latter two: a cell that is empty, or of another type
            reason = str(error) if isinstance(error, ValueError) else f"a cell does not fit ({error!r})"
            if self.failures is None:
                raise ManifestError(f"{place}: {reason}") from error
            self.failures.add(f"{self.name}: {place}: {reason}")
            return
        for record in records:
            if record is not None:
                if self.failures is not None:
                    self.failures.add(None)
                yield record

    def not_found(self, what: str) -> FileNotFoundError:
        """The error with the existing files, the expected layout, and where to get them."""
        root = Path(self.root)
        if not root.is_dir():
            there = "no such folder"
        else:
            names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
            there = "it has " + (", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing")
        return FileNotFoundError(
            f"{self.name}: {what} is not in {root} ({there}). Expected layout: {self.layout}. {self.how_to_get}"
        )


def build_reader(reader: type[CorpusReader], root: str | os.PathLike[str], split: str, **options: Any) -> CorpusReader:
    """A reader with its options checked.

    Raises:
        ValueError: unknown option of this corpus; the message lists the known ones.
    """
    known = [field.name for field in fields(reader) if field.name not in ("root", "split", "reads_headers")]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"{reader.name} has no option {unknown[0]!r}; its options are {', '.join(known)}")
    return reader(root=str(root), split=split, **options)


def read_all(
    reader: type[CorpusReader], root: str | os.PathLike[str], split: str = "train", **options: Any
) -> list[SpeechTextRecord]:
    """All records of a split in memory, for corpora that fit there.

    Raises:
        ManifestError: invalid row or file, or two records with the same id.
    """
    return unique_records(build_reader(reader, root, split, **options).records(), f"{reader.name}, {root}")


def unique_records(records: Iterable[SpeechTextRecord], place: str) -> list[SpeechTextRecord]:
    """The records as a list.

    Raises:
        ManifestError: two records have the same id and language; the message starts with `place`.
    """
    results: dict[str, SpeechTextRecord] = {}
    for record in records:
        if record.key in results:
            raise ManifestError(f"{place}: the id {record.id!r} ({record.lang}) occurs twice")
        results[record.key] = record
    return list(results.values())


def recording_name(audio: Any, path: str | None) -> str:
    """Name of a recording without folder and extension, by its audio cell, else by its path."""
    named = audio.get("path") if isinstance(audio, Mapping) else audio
    return PurePosixPath(str(named or path or "")).stem


def clean(text: str | None) -> str | None:
    """`clean_text` without control characters; None if the result is empty.

    Raises:
        ManifestError: not a string.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise ManifestError(f"a text must be a string, got {type(text).__name__}")
    return clean_text(_UNUSABLE.sub(" ", text)) or None


def language_aliases(codes: Iterable[str]) -> dict[str, str]:
    """A corpus's codes -> canonical languages without script and region.

    Choice: `sv-SE` of one corpus and `sv` of another are one language for sampling and for the model's table, as in
    the paper's counts. Regions are in the corpus's own code.
    """
    return {code: canonical_language(code).split("-")[0] for code in codes}


def canonical_language_or_none(code: str) -> str | None:
    """The canonical code, or None for an invalid code."""
    try:
        return canonical_language(code)
    except ValueError:
        return None
