# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of a folder of recordings, or a manifest, into records."""

import os
from pathlib import Path

from mu2slam_hf.adaptation.reading.annotation_files import read_elan
from mu2slam_hf.adaptation.reading.folder_files import (
    ANNOTATION_SUFFIXES,
    ELAN,
    TEXT,
    FolderFiles,
    RecordingFiles,
    find_files,
)
from mu2slam_hf.adaptation.reading.options import ReadingOptions
from mu2slam_hf.adaptation.reading.read_data import ReadData
from mu2slam_hf.adaptation.reading.recordings import ANNOTATED_KINDS, add_clip, read_annotated
from mu2slam_hf.adaptation.reading.tables import TableColumnError, TableError, read_table, read_texts_alone
from mu2slam_hf.adaptation.reading.tiers import AnnotationFileError
from mu2slam_hf.data.recording_files import RECORDING_SUFFIXES
from mu2slam_hf.data.shard_files import MANIFEST_ENDINGS

_EXPECTED = (
    "a folder with recordings (.wav, .mp3, ...) and their texts: ELAN files (.eaf), Praat TextGrids, subtitles (.srt, "
    ".vtt) or text files (.txt) of the same name, or a table (.tsv, .csv) with the columns audio and text"
)


def read_data(source: str | os.PathLike[str], options: ReadingOptions) -> ReadData:
    """Read all recordings of a folder with their texts.

    In this order, the first that a recording has is used: a row of a table, an ELAN file, a TextGrid, subtitles, a
    text file; the annotations of a file that cannot be read are replaced by the next kind. A recording without any is
    speech without text. No audio is decoded.

    Args:
        source: a folder (searched with its sub-folders), a manifest, or one recording or annotation.
        options: languages, tiers, columns, files with further texts.

    Returns:
        records and everything that was left out or looks wrong.

    Raises:
        ValueError: there is no such folder or file, or nothing in it that can be read.
    """
    path = Path(source)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; expected {_EXPECTED}")
    corpus = (path if path.is_dir() else path.parent).resolve().name or "recordings"
    data = ReadData(options=options, corpus=corpus)
    if path.is_dir():
        _read_folder(find_files(path), data)
    elif path.suffix.lower() in {*RECORDING_SUFFIXES, *ANNOTATION_SUFFIXES}:
        _read_folder(find_files(path.parent, only=path), data)
    elif path.name.lower().endswith(MANIFEST_ENDINGS):
        read_table(path, data, audio_root=path.parent, with_file_split=False)
    else:
        raise ValueError(f"{path}: files with this ending are not read; expected {_EXPECTED}")
    if not data.records:
        raise ValueError(_describe_nothing(path, data))
    for name in options.texts:
        read_texts_alone(Path(name), data)
    return data


def _read_folder(files: FolderFiles, data: ReadData) -> None:
    named: set[str] = set()
    for table in files.tables:
        try:
            named |= read_table(table, data, audio_root=files.root)
            data.choices["a table with a row for each recording"] += 1
        except TableColumnError as error:
            data.report_unreadable(error, "unclear_columns")
        except TableError as error:
            data.report_unreadable(error)
    _adopt_orphans(files)
    for recording in files.recordings.values():
        if any(os.path.abspath(path) in named for path in (recording.audio, *recording.others)):
            continue
        for other in recording.others:
            data.report("two_files", other, f"{recording.audio.name} of the same name is used instead")
        _read_recording(recording, data)
    for path in files.orphans:
        data.report("no_recording", path, f"there is no recording called {path.stem}")
    for suffix, count in sorted(files.ignored.items()):
        data.choices[f"files that are not read: {suffix}"] += count


def _adopt_orphans(files: FolderFiles) -> None:
    """Give annotations without a recording of their name to the recording that the ELAN file itself names."""
    remaining = []
    for path in files.orphans:
        try:
            names = [Path(name).stem for name in read_elan(path).media] if path.suffix.lower() == ".eaf" else []
        except AnnotationFileError:
            names = []
        recording = next(filter(None, map(files.find_recording, names)), None)
        if recording is None or (ELAN, "") in recording.annotations:
            remaining.append(path)
        else:
            recording.annotations[ELAN, ""] = path
    files.orphans = remaining


def _read_recording(recording: RecordingFiles, data: ReadData) -> None:
    kinds = [kind for kind in ANNOTATED_KINDS if recording.of_kind(kind)]
    texts = [TEXT] if recording.of_kind(TEXT) else []
    for number, kind in enumerate(kinds, start=1):
        if read_annotated(recording, kind, data):
            for other in kinds[number:] + texts:
                data.choices[f"recordings with {kind} and {other}: {kind} is used"] += 1
            return
    if texts or not kinds:
        add_clip(recording, data)


def _describe_nothing(path: Path, data: ReadData) -> str:
    """The message for a folder in which nothing can be read, with the first reasons."""
    reasons = [str(finding) for finding in data.findings[:3]]
    if not reasons:
        return f"{path}: there are no recordings; expected {_EXPECTED}"
    more = f" (and {len(data.findings) - 3} more)" if len(data.findings) > 3 else ""
    return f"{path}: nothing can be used: {'; '.join(reasons)}{more}"
