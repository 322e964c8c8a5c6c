# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Language packs of IARPA Babel: telephone conversations, transcribed with times."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.reader import CorpusReader
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, text_lines
from mu2slam_hf.models.language_codes import canonical_language

# Number of the pack in its file names -> (language, identifier in the catalogue of the LDC).
# Paper: A.1 has 17 languages, without their names; Choice: these.
BABEL_PACKS: dict[str, tuple[str, str]] = {
    "101": ("yue", "LDC2016S02"),
    "102": ("as", "LDC2016S06"),
    "103": ("bn", "LDC2016S08"),
    "104": ("ps", "LDC2016S09"),
    "105": ("tr", "LDC2016S10"),
    "106": ("tl", "LDC2016S13"),
    "107": ("vi", "LDC2017S01"),
    "201": ("ht", "LDC2017S03"),
    "202": ("sw", "LDC2017S05"),
    "203": ("lo", "LDC2017S08"),
    "204": ("ta", "LDC2017S13"),
    "205": ("kmr", "LDC2017S22"),
    "206": ("zu", "LDC2017S19"),
    "207": ("tpi", "LDC2018S02"),
    "301": ("ceb", "LDC2018S07"),
    "302": ("kk", "LDC2018S13"),
    "404": ("ka", "LDC2016S12"),
}
_NAME = re.compile(r"BABEL_[A-Za-z0-9]+_(?P<pack>\d{3})_(?P<speaker>\d+)_(?P<date>\d+)_(?P<time>\d+)_(?P<channel>\w+)")
_TIME = re.compile(r"\[(\d+(?:\.\d+)?)\]")
_TAG = re.compile(r"<[^<>]*>")
# Mispronounced words are between asterisks, truncated words have a hyphen, the end of a turn has a tilde.
_MARKS = re.compile(r"[*~]|(?<!\S)-+|-+(?!\S)")
_UNINTELLIGIBLE = "(())"


@dataclass(frozen=True, kw_only=True)
class BabelReader(CorpusReader):
    """IARPA Babel, as the LDC ships it: SPHERE or WAV files with transcripts of alternating times and texts.

    A record is one transcribed stretch of a conversation. Choice: stretches without a word (`<no-speech>`, noises) are
    left out, those with unintelligible words have no text (their audio is still speech); marks of mispronunciation and
    of truncated words are removed.

    Attributes:
        kind: conversational or scripted.
    """

    name: ClassVar[str] = "babel"
    aliases = {pack: canonical_language(code) for pack, (code, _) in BABEL_PACKS.items()}
    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "sub-train", "eval")
    layout: ClassVar[str] = "<pack>/conversational/training/{audio,transcription}/BABEL_*_<number>_*.{sph,wav,txt}"
    how_to_get: ClassVar[str] = (
        "The packs are sold by the Linguistic Data Consortium (https://catalog.ldc.upenn.edu): "
        + ", ".join(f"{code} {number}" for code, number in BABEL_PACKS.values())
    )

    kind: str = "conversational"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("kind", ("conversational", "scripted"))

    def files_of(self, code: str) -> list[Path]:
        """The folders with transcripts of a pack: at the root, or up to three folders below it."""
        split = {"train": "training", "validation": "dev"}.get(self.split, self.split)
        patterns = ("*/" * depth + f"{self.kind}/{split}/transcription" for depth in range(4))
        folders = [folder for pattern in patterns for folder in sorted(Path(self.root).glob(pattern))]
        return [folder for folder in folders if self.code_of(folder) == code]

    def code_of(self, path: Path) -> str:
        """The number in the names of the files."""
        return next((match["pack"] for file in path.glob("*.txt") if (match := _NAME.fullmatch(file.stem))), "")

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """One row per stretch; parts consist of whole conversations."""
        pack = self.code_of(path)
        for position, transcript in enumerate(sorted(path.glob("*.txt"))):
            if part.has(position):
                for place, row in self._stretches(transcript, path.parent / "audio"):
                    yield place, row if isinstance(row, ManifestError) else {**row, "pack": pack}

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record, or none without a word."""
        words = _words(row["text"])
        unintelligible = _UNINTELLIGIBLE in row["text"]
        if not words and not unintelligible:
            return
        audio: AudioSlice = row["audio"]
        if audio.duration_seconds <= 0:
            raise ManifestError(f"ends at {audio.end_seconds:g} s, begins at {audio.start_seconds:g} s")
        match = _NAME.fullmatch(Path(audio.path).stem)
        yield self.record(
            id=f"{Path(audio.path).stem}_{round(1000 * audio.start_seconds):07d}",
            lang=self.language_of(row["pack"]),
            audio=audio,
            text=None if unintelligible else words,
            duration_seconds=audio.duration_seconds,
            speaker=f"{match['speaker']}_{match['channel']}" if match else None,
            extra={"transcript": row["text"]},
        )

    def _stretches(self, transcript: Path, audio_folder: Path) -> Iterator[PlacedRow]:
        recordings = (audio_folder / f"{transcript.stem}{suffix}" for suffix in (".sph", ".wav"))
        audio = next((path for path in recordings if path.is_file()), None)
        if audio is None:
            yield str(transcript), ManifestError(f"no recording {transcript.stem}.sph or .wav in {audio_folder}")
            return
        start: float | None = None
        text = ""
        for number, line in text_lines(transcript):
            match = _TIME.fullmatch(line.strip())
            if match is None:
                text = f"{text} {line}".strip()
                continue
            # Two consecutive times: the stretch between them has no transcript.
            if start is not None and text:
                yield f"{transcript}:{number}", {"text": text, "audio": AudioSlice(str(audio), start, float(match[1]))}
            start, text = float(match[1]), ""


def _words(text: str) -> str:
    """The words, without tags and marks."""
    return " ".join(_MARKS.sub(" ", _TAG.sub(" ", text.replace(_UNINTELLIGIBLE, " "))).split())


CORPUS = Corpus.of_reader(
    BabelReader,
    tasks=("speech", "asr"),
    licence="user agreement of the LDC for IARPA Babel; not redistributable",
    redistributable_weights=False,
    citation=(
        "Gales et al.: Speech recognition and keyword spotting for low-resource languages: Babel project "
        "research at CUED. SLTU 2014."
    ),
    source="https://catalog.ldc.upenn.edu, 17 language packs",
    columns=("[start time]", "transcript", "[end time]"),
    paper_use="speech-only; ASR, 17 languages (A.1)",
    paper_hours={"asr": 1000.0},
)
