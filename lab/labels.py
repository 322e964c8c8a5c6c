# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training labels by a judge: texts of speech without text, and a check of texts against the speech.

Labels of a recogniser are training data, never references of scores.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from lab.judge import Judge
from mu2slam_hf.data.audio import SAMPLING_RATE, AudioSlice, load_audio
from mu2slam_hf.data.manifests import write_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.inference.alignment import WILDCARD_WORD, AlignedWord, align

# Speech around the first and last word of a piece, half of the pause at most.
_MARGIN_SECONDS = 0.15
# Similarity of a word of a slot to the most similar part of the transcript, 0 to 100.
_LEAST_SLOT_SIMILARITY = 75


@dataclass(frozen=True, kw_only=True)
class LabelSettings:
    """What is kept.

    Attributes:
        max_cer: largest character error rate of the judge against a given text, in percent.
        min_confidence: least confidence of a text of the judge, 0 to 1.
        max_seconds: recordings with text that are longer are aligned, and cut at pauses into pieces of at most this.
        min_pause_seconds: shortest pause to cut at.
    """

    max_cer: float = 40.0
    min_confidence: float = 0.6
    max_seconds: float = 12.0
    min_pause_seconds: float = 0.2


@dataclass(kw_only=True)
class LabelSummary:
    """Counts of a labelled manifest.

    Attributes:
        seconds: seconds of kept recordings by language.
        num_kept: number of kept recordings or pieces by language.
        left_out: number by reason.
    """

    seconds: Counter[str] = field(default_factory=Counter)
    num_kept: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def write_labels(
    records: Sequence[SpeechTextRecord],
    path: str | os.PathLike[str],
    *,
    judge: Judge,
    settings: LabelSettings,
    model: Any = None,
    processor: Any = None,
) -> LabelSummary:
    """Label or check records, and write those that are kept as a JSONL manifest.

    Judgements are kept in `<path>.judged` until the manifest is complete, so an interrupted call goes on where it was.

    Args:
        records: records with recordings.
        path: manifest to write.
        judge: the recogniser.
        settings: what is kept.
        model: model with a CTC head, which aligns long recordings; required only if there are some.
        processor: its processor.

    Returns:
        what was kept and left out.

    Raises:
        ValueError: there is a long recording but no model.
    """
    summary, kept = LabelSummary(), []
    journal = _Journal(Path(f"{os.fspath(path)}.judged"))
    for piece in cut_long_recordings(records, settings, model, processor):
        judged = journal.entries.get(piece.key) or journal.add(piece.key, _judge(judge, piece))
        reason, text = decide(piece, judged, settings)
        if reason:
            summary.left_out[reason] += 1
            continue
        kept.append(replace(piece, text=text))
        summary.num_kept[piece.lang] += 1
        summary.seconds[piece.lang] += judged["seconds"]
    write_manifest(kept, path)
    journal.path.unlink()
    return summary


def _judge(judge: Judge, record: SpeechTextRecord) -> dict[str, Any]:
    samples = load_audio(record.audio)
    return {**asdict(judge.transcribe(samples, record.lang)), "seconds": len(samples) / SAMPLING_RATE}


def decide(record: SpeechTextRecord, judged: dict[str, Any], settings: LabelSettings) -> tuple[str, str]:
    """Why a record is left out (empty if it is kept), and its text.

    Args:
        record: with or without text; slots of an intent in the column `note` must be in the text of the judge.
        judged: fields of its `Judgement`.
        settings: what is kept.
    """
    if not judged["text"]:
        return "the judge understood nothing", ""
    if record.text:
        text = normalize_for_scoring(record.text)
        errors = 100 * Levenshtein.distance(judged["text"], text) / len(text)
        return ("the judge read another text" if errors > settings.max_cer else ""), text
    if judged["confidence"] < settings.min_confidence:
        return "the judge was not sure", ""
    if judged["has_digits"]:
        return "the text has digits", ""
    if not _has_slots(judged["text"], str(record.extra.get("note") or "")):
        return "the text contradicts the slots of the intent", ""
    return "", judged["text"]


def _has_slots(text: str, note: str) -> bool:
    """Whether all words of the slots of an intent are in a text, nearly."""
    slots = json.loads(note).get("slots", {}) if note.startswith("{") else {}
    words = [word for value in slots.values() for word in normalize_for_scoring(value).split()]
    return all(fuzz.partial_ratio(word, text) >= _LEAST_SLOT_SIMILARITY for word in words)


def cut_long_recordings(
    records: Iterable[SpeechTextRecord], settings: LabelSettings, model: Any, processor: Any
) -> Iterator[SpeechTextRecord]:
    """The records; long ones with text in pieces, without speech before and after the text.

    Args:
        records: records; the audio of long ones must be a file.
        settings: lengths.
        model: as in `align`.
        processor: its processor.

    Raises:
        ValueError: a record is long, and there is no model.
    """
    for record in records:
        if not record.text or (record.duration_seconds or 0) <= settings.max_seconds:
            yield record
            continue
        if model is None:
            raise ValueError(f"{record.key} has {record.duration_seconds:.0f} s: a model is needed to cut it")
        text = f"{WILDCARD_WORD} {normalize_for_scoring(record.text)} {WILDCARD_WORD}"
        words = align(model, processor, record.audio, text, record.lang).words
        for number, piece in enumerate(cut_at_pauses(words[1:-1], settings)):
            start, end = _span(words, piece)
            yield replace(
                record,
                id=f"{record.id}.{number:02d}",
                audio=AudioSlice(os.fspath(record.audio), start, end),
                text=" ".join(word.text for word in piece),
                duration_seconds=end - start,
            )


def cut_at_pauses(words: Sequence[AlignedWord], settings: LabelSettings) -> list[list[AlignedWord]]:
    """Divide words at pauses into pieces of at most `max_seconds`.

    Words between two pauses that are longer than that are left out.
    """
    phrases: list[list[AlignedWord]] = []
    for word in words:
        if phrases and word.start_seconds - phrases[-1][-1].end_seconds < settings.min_pause_seconds:
            phrases[-1].append(word)
        else:
            phrases.append([word])
    pieces: list[list[AlignedWord]] = []
    for phrase in phrases:
        if phrase[-1].end_seconds - phrase[0].start_seconds > settings.max_seconds:
            continue
        follows = bool(pieces) and words.index(pieces[-1][-1]) + 1 == words.index(phrase[0])
        if follows and phrase[-1].end_seconds - pieces[-1][0].start_seconds <= settings.max_seconds:
            pieces[-1] += phrase
        else:
            pieces.append(list(phrase))
    return pieces


def _span(words: Sequence[AlignedWord], piece: Sequence[AlignedWord]) -> tuple[float, float]:
    """Start and end of a piece in seconds, with a part of the pauses around it."""
    first, last = words.index(piece[0]), words.index(piece[-1])
    before = piece[0].start_seconds - words[first - 1].end_seconds
    after = words[last + 1].start_seconds - piece[-1].end_seconds
    start = piece[0].start_seconds - min(max(before, 0) / 2, _MARGIN_SECONDS)
    return start, piece[-1].end_seconds + min(max(after, 0) / 2, _MARGIN_SECONDS)


class _Journal:
    """Judgements by key, one JSON line each; an incomplete last line is dropped."""

    def __init__(self, path: Path) -> None:
        self.path, self.entries = path, {}
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        for line in lines:
            key, judged = json.loads(line)
            self.entries[key] = judged
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def add(self, key: str, judged: dict[str, Any]) -> dict[str, Any]:
        """Keep a judgement; returns it."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, judged], ensure_ascii=False) + "\n")
        self.entries[key] = judged
        return judged
