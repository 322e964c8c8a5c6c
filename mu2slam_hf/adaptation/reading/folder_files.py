# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The files of a folder: recordings with what is beside them, tables, and the rest; what their names say."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from mu2slam_hf.adaptation.reading.options import SpeakerSource
from mu2slam_hf.data.recording_files import RECORDING_SUFFIXES, walk_files
from mu2slam_hf.data.shard_files import MANIFEST_ENDINGS

ELAN, TEXTGRID, SUBTITLES, TEXT = "ELAN", "TextGrid", "subtitles", "text"
ANNOTATION_SUFFIXES = {".eaf": ELAN, ".textgrid": TEXTGRID, ".srt": SUBTITLES, ".vtt": SUBTITLES, ".txt": TEXT}
"""Extension -> kind of annotation, in the order in which they are preferred."""
# Not .json, which holds anything else.
_TABLE_ENDINGS = tuple(ending for ending in MANIFEST_ENDINGS if not ending.startswith(".json") or "l" in ending)
# The original before its compressed copies, sound before video.
_PREFERRED_AUDIO = (".wav", ".flac", ".aif", ".aiff", ".opus", ".ogg", ".mp3", ".m4a")


@dataclass(kw_only=True)
class RecordingFiles:
    """A recording with the files of its name.

    Attributes:
        audio: the recording.
        stem: path relative to the folder without extension, with forward slashes.
        others: further recordings of the same name, which are not used.
        annotations: (kind, tag) -> file. The tag is what stands between name and extension (`fr` of `talk.fr.txt`),
            in lower case; empty in most cases.
    """

    audio: Path
    stem: str
    others: list[Path] = field(default_factory=list)
    annotations: dict[tuple[str, str], Path] = field(default_factory=dict)

    def of_kind(self, kind: str) -> dict[str, Path]:
        """Tag -> file of one kind of annotation."""
        return {tag: path for (own, tag), path in self.annotations.items() if own == kind}


@dataclass(kw_only=True)
class FolderFiles:
    """The files of a folder and its sub-folders.

    Attributes:
        root: the folder.
        recordings: stem -> recording with what is beside it, by name.
        tables: files that may be manifests.
        orphans: annotations without a recording of their name.
        ignored: extension -> number of other files.
        by_name: name of a file without folder and extension, in lower case -> its recordings.
    """

    root: Path
    recordings: dict[str, RecordingFiles] = field(default_factory=dict)
    tables: list[Path] = field(default_factory=list)
    orphans: list[Path] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    by_name: dict[str, list[RecordingFiles]] = field(default_factory=dict)

    def find_recording(self, name: str) -> RecordingFiles | None:
        """The only recording with a name (without extension), in whichever folder; None if there are several."""
        recordings = self.by_name.get(normalize("NFC", name).lower(), [])
        return recordings[0] if len(recordings) == 1 else None


def find_files(root: Path, only: Path | None = None) -> FolderFiles:
    """All files of a folder by their role; names that start with a dot are skipped.

    Args:
        root: the folder.
        only: a recording or annotation of this folder; only its recording is listed, with what belongs to it.

    Annotations belong to the recording of the same name in the same folder, else to the only one of that name.
    """
    files = FolderFiles(root=root)
    annotations: list[Path] = []
    for path in walk_files(root) if only is None else (path for path in sorted(root.iterdir()) if path.is_file()):
        suffix = path.suffix.lower()
        if suffix in RECORDING_SUFFIXES:
            _add_recording(files, path)
        elif suffix in ANNOTATION_SUFFIXES:
            annotations.append(path)
        elif only is None and path.name.lower().endswith(_TABLE_ENDINGS):
            files.tables.append(path)
        elif only is None:
            files.ignored[suffix or path.name] += 1
    for stem, recording in files.recordings.items():
        files.by_name.setdefault(PurePosixPath(stem).name.lower(), []).append(recording)
    for path in annotations:
        _add_annotation(files, path)
    return files if only is None else _restrict(files, only)


def _restrict(files: FolderFiles, only: Path) -> FolderFiles:
    """The recording that a file is or belongs to; without one, the file is an orphan."""
    own = {
        stem: recording
        for stem, recording in files.recordings.items()
        if any(map(only.samefile, (recording.audio, *recording.others, *recording.annotations.values())))
    }
    orphans = [path for path in files.orphans if only.samefile(path)]
    return FolderFiles(root=files.root, recordings=own, orphans=orphans)


def _stem_of(root: Path, path: Path) -> str:
    # File systems of macOS write accents as separate characters, others do not.
    return normalize("NFC", path.relative_to(root).with_suffix("").as_posix())


def _add_recording(files: FolderFiles, path: Path) -> None:
    stem = _stem_of(files.root, path)
    recording = files.recordings.setdefault(stem, RecordingFiles(audio=path, stem=stem))
    paths = {recording.audio, *recording.others, path}
    recording.audio, *recording.others = sorted(paths, key=_audio_rank)


def _audio_rank(path: Path) -> tuple[int, str]:
    ranks = {suffix: rank for rank, suffix in enumerate(_PREFERRED_AUDIO)}
    return ranks.get(path.suffix.lower(), len(ranks)), path.name


def _add_annotation(files: FolderFiles, path: Path) -> None:
    kind = ANNOTATION_SUFFIXES[path.suffix.lower()]
    stem = _stem_of(files.root, path)
    # talk.txt, talk.wav.txt and talk.fr.txt belong to talk.wav; a name may have dots of its own.
    candidates = [(stem, "")]
    if "." in PurePosixPath(stem).name:
        shorter, _, tag = stem.rpartition(".")
        candidates.append((shorter, "" if f".{tag.lower()}" in RECORDING_SUFFIXES else tag.lower()))
    for candidate, tag in candidates:
        recording = files.recordings.get(candidate) or files.find_recording(PurePosixPath(candidate).name)
        if recording is not None:
            recording.annotations.setdefault((kind, tag), path)
            return
    files.orphans.append(path)


# Folders that say what kind of files they hold, not which session.
_GENERIC_FOLDERS = frozenset(
    """
    audio audios wav wavs flac mp3 ogg opus clip clips recording recordings sound sounds media data corpus files raw
    """.split()
)
# First words of file names that are no names of speakers.
_GENERIC_WORDS = frozenset(
    """
    audio rec recording record sound track tape file clip session sess story text sample test train dev valid utt
    utterance sentence zoom voice memo new note part wav dico dict word words elicit elicitation interview speaker spk
    """.split()
)
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation", "development"), "dev"),
    **dict.fromkeys(("test", "eval", "evaluation"), "test"),
}


def speaker_of_file(stem: str, source: SpeakerSource) -> str | None:
    """The speaker of a recording by its name.

    Args:
        stem: path relative to the folder, without extension.
        source: see `ReadingOptions.speaker_from`.

    Returns:
        None if the name does not tell. Depends on this file only, not on the others, so that it does not change when
        files are added.
    """
    path = PurePosixPath(stem)
    if source == "none":
        return None
    if source == "folder":
        return path.parent.name or None
    first, separator, _ = path.name.partition("_")
    if source == "file":
        return (first if separator else path.name) or None
    is_word = bool(separator) and re.fullmatch(r"[^\W\d_]{2,}", first) is not None
    return first if is_word and first.lower() not in _GENERIC_WORDS else None


def session_of_file(stem: str, corpus: str) -> str:
    """The session of a short recording: its folder, without folders such as `audio`; of those at the top, the corpus.

    Args:
        stem: path relative to the folder, without extension.
        corpus: name of the folder itself.
    """
    names = [name for name in PurePosixPath(stem).parent.parts if name.lower() not in _GENERIC_FOLDERS]
    names = [name for name in names if name.lower() not in _SPLITS]
    return "/".join(names) or corpus


def split_of_folders(stem: str) -> str | None:
    """`train`, `dev` or `test` if one of the folders of a recording is called so (or validation, eval, ...).

    Names of recordings do not count: many first recordings are called test.
    """
    return next(filter(None, map(split_of_name, PurePosixPath(stem).parent.parts)), None)


def split_of_name(name: str) -> str | None:
    """`train`, `dev` or `test` for the name of a split in any of its spellings; None for anything else."""
    return _SPLITS.get(name.strip().lower())
