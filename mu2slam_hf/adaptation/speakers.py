# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speaker, session and split of a recording, from the names of its file and folders."""

import re
from pathlib import PurePosixPath

from mu2slam_hf.adaptation.options import SpeakerSource

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
