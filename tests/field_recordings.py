# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings with annotations as field linguists have them: tapes of noise, and their transcripts in all formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import soundfile as sf

from mu2slam_hf.inference.formats.transcripts import Tier, format_textgrid

RATE = 16_000


class Line(NamedTuple):
    """An utterance of a tape."""

    start: float
    end: float
    text: str
    french: str | None = None


LINES = (
    Line(0.5, 2.25, "ngá mwε móoyεlε", "moi, je suis ici"),
    Line(2.5, 4.0, "wa mísi ámiyeengá", "il a vu"),
    Line(4.125, 6.5, "báa ábhiá idunú", None),
    Line(7.0, 9.875, "obengi ábhari tsέsi ekóró", "le chasseur a tué l'antilope"),
)


def write_tape(path: Path, seconds: float = 10.0, *, seed: int = 0, level: float = 0.1, rate: int = RATE, channels=1):
    """White noise, another one for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0.0, level, (round(seconds * rate), channels))
    sf.write(path, np.clip(samples, -1, 1).astype(np.float32), rate, subtype=None)
    return path


def write_elan(path: Path, tiers: dict[str, Sequence[Line]], *, media: str | None = None, origin: int = 0) -> Path:
    """An ELAN file with a tier of each name and its translations as a child tier `<name>-fr`."""
    from pympi.Elan import Eaf

    document = Eaf()
    document.remove_tier("default")
    document.add_linguistic_type("association", constraints="Symbolic_Association", timealignable=False)
    if media:
        document.add_linked_file(f"file:///C:/fieldwork/{media}", relpath=f"./{media}", mimetype="audio/x-wav")
        document.media_descriptors[0]["TIME_ORIGIN"] = str(origin)
    for name, lines in tiers.items():
        speaker = name.partition("@")[2] or None
        document.add_tier(name, part=speaker)
        if any(line.french for line in lines):
            document.add_tier(f"{name}-fr", ling="association", parent=name, part=speaker)
        for line in lines:
            start, end = round(1000 * line.start), round(1000 * line.end)
            document.add_annotation(name, start, end, line.text)
            if line.french:
                document.add_ref_annotation(f"{name}-fr", name, (start + end) // 2, line.french)
    document.to_file(str(path))
    return path


def join_recordings(path: Path, waveforms: Sequence[np.ndarray], *, pause_seconds: float = 0.4) -> list[slice]:
    """A tape of 16 kHz recordings with silence around each, at whole milliseconds as ELAN stores them.

    Returns the samples of each recording in the tape.
    """
    per_millisecond = RATE // 1000
    places, here = [], round(1000 * pause_seconds)
    for waveform in waveforms:
        end = here + len(waveform) // per_millisecond
        places.append(slice(here * per_millisecond, end * per_millisecond))
        here = end + round(1000 * pause_seconds)
    tape = np.zeros(here * per_millisecond, dtype=np.float32)
    for place, waveform in zip(places, waveforms, strict=True):
        tape[place] = waveform[: place.stop - place.start]
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, tape, RATE)
    return places


def write_textgrid(path: Path, lines: Sequence[Line], seconds: float = 10.0, encoding: str = "utf-8") -> Path:
    """A TextGrid with the tiers `mdw` and `fr`."""
    return write_textgrids(path, {"": lines}, seconds, encoding)


def write_textgrids(path: Path, lines: dict[str, Sequence[Line]], seconds: float, encoding: str = "utf-8") -> Path:
    """A TextGrid with the tiers `mdw` and `fr` for each ending of their names, such as `@Anna`."""
    tiers = []
    for ending, own in lines.items():
        tiers += [
            Tier(f"mdw{ending}", [(line.start, line.end, line.text) for line in own]),
            Tier(f"fr{ending}", [(line.start, line.end, line.french) for line in own if line.french]),
        ]
    path.write_bytes(format_textgrid(tiers, seconds).encode(encoding))
    return path


def write_subtitles(folder: Path, stem: str, lines: Sequence[Line], suffix: str = ".srt") -> None:
    """Subtitles of the transcript, and of the translation into French."""
    for name, texts in (
        (stem, [(line.start, line.end, line.text) for line in lines]),
        (f"{stem}.fr", [(line.start, line.end, line.french) for line in lines if line.french]),
    ):
        header = ["WEBVTT", "", "NOTE made by hand", ""] if suffix == ".vtt" else []
        for number, (start, end, text) in enumerate(texts, start=1):
            header += [str(number), f"{_clock(start, suffix)} --> {_clock(end, suffix)}", text, ""]
        (folder / f"{name}{suffix}").write_text("\n".join(header), encoding="utf-8")


def write_clips(folder: Path, texts: dict[str, str], **french: str) -> Path:
    """A clip of 3 s with a text file for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_tape(folder / f"{name}.wav", 3.0, seed=crc32(name.encode()))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    for name, text in french.items():
        (folder / f"{name}.fr.txt").write_text(text, encoding="utf-8")
    return folder


def _clock(seconds: float, suffix: str) -> str:
    milliseconds = round(1000 * seconds)
    point = "." if suffix == ".vtt" else ","
    return f"00:00:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
