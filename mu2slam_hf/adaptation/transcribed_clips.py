# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records of recordings with their text in a file beside them, and of those without any text."""

from pathlib import Path

from mu2slam_hf.adaptation.folder_files import TEXT, RecordingFiles
from mu2slam_hf.adaptation.read_data import ReadData, session_extra
from mu2slam_hf.adaptation.speakers import session_of_file, speaker_of_file, split_of_folders
from mu2slam_hf.adaptation.text_files import TextFileError, read_text_file
from mu2slam_hf.data.corpora.reader import canonical_language_or_none
from mu2slam_hf.data.records import SpeechTextRecord


def add_clip(recording: RecordingFiles, data: ReadData) -> None:
    """Add the record of a recording with `<name>.txt` (transcript) and `<name>.<language>.txt` (translations).

    Without a readable transcript the recording is added as speech without text.
    """
    lang = data.options.lang
    transcript: str | None = None
    place = str(recording.audio)
    translations: dict[str, str] = {}
    for tag, path in sorted(recording.of_kind(TEXT).items()):
        code = canonical_language_or_none(tag) if tag else lang
        if code is None:
            data.report("two_files", path, f"{tag!r} is no language, and it is not clear what this file is for")
            continue
        text = _read(path, data)
        if code != lang:
            if text:
                translations[code] = text
        elif transcript is None:
            transcript, place = text, str(path)
        elif text:
            data.report("two_files", path, f"{Path(place).name} is used for this recording instead")
    data.add(
        SpeechTextRecord(
            id=recording.stem,
            audio=str(recording.audio),
            text=transcript,
            lang=lang,
            translations=translations,
            speaker=speaker_of_file(recording.stem, data.options.speaker_from),
            corpus=data.corpus,
            extra=session_extra(session_of_file(recording.stem, data.corpus), split_of_folders(recording.stem)),
        ),
        place,
        speaker_is_told=False,
    )


def _read(path: Path, data: ReadData) -> str | None:
    try:
        text = read_text_file(path, data.options.encoding)
    except TextFileError as error:
        data.report_unreadable(error)
        return None
    cleaned = data.cleaner.clean(text, str(path))
    if cleaned is None:
        data.report("empty_text", path, "the file has no text")
    return cleaned
