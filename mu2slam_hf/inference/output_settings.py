# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of the formats of transcripts, and what a job writes; imports neither torch nor transformers."""

from dataclasses import dataclass
from pathlib import Path

FORMATS = ("txt", "srt", "vtt", "tsv", "json", "textgrid")

WORD_FORMATS = frozenset({"srt", "vtt", "textgrid"})
"""Formats that are better, or only possible, with the times of words."""


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """What a job writes.

    Attributes:
        folder: folder of the files; None to print.
        formats: names of formats: of the files, or of the document to print; without any, text for people.
        as_json: print one JSON object per recording.
        word_times: with the times and confidences of words.
        speakers: channels are speakers.
        overwrite: forget earlier runs, and replace any file.
        translation_only: a document has the translation in place of the transcript.
    """

    folder: Path | None = None
    formats: tuple[str, ...] = ()
    as_json: bool = False
    word_times: bool = False
    speakers: bool = False
    overwrite: bool = False
    translation_only: bool = False

    @property
    def needs_words(self) -> bool:
        """Whether the times of words are written, or needed for a format."""
        return self.word_times or bool(WORD_FORMATS & set(self.formats))
