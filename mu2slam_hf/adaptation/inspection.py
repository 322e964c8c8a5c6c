# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Inspection of records together with their audio: what can be used, and what should be looked at."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mu2slam_hf.adaptation.options import CheckLimits
from mu2slam_hf.adaptation.read_data import ReadData
from mu2slam_hf.adaptation.recording_levels import RecordingLevels
from mu2slam_hf.adaptation.speech_pieces import cut_speech
from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, AudioSlice
from mu2slam_hf.data.clock import clock
from mu2slam_hf.data.records import SpeechTextRecord

Levels = Mapping[str, RecordingLevels | AudioError]


@dataclass(kw_only=True)
class InspectedData:
    """Records that can be used; everything else is a finding of `ReadData`.

    Attributes:
        labelled: recordings with a transcript, a translation, or both, with measured durations, cut at the end of
            their file.
        untranscribed: speech without text, in pieces of at most `CheckLimits.max_seconds`.
        texts: texts without recording, from tables.
        num_tokens: text -> its number of tokens, if a tokenizer was given.
    """

    labelled: list[SpeechTextRecord] = field(default_factory=list)
    untranscribed: list[SpeechTextRecord] = field(default_factory=list)
    texts: list[SpeechTextRecord] = field(default_factory=list)
    num_tokens: dict[str, int] = field(default_factory=dict)


def audio_sources(data: ReadData) -> dict[str, Any]:
    """Name -> source of each recording of the data, for `measure_recordings`; slices of one file are one recording."""
    return {audio_name(record): _source_of(record) for record in data.records if record.audio is not None}


def audio_name(record: SpeechTextRecord) -> str:
    """Path of the recording of a record; its key, if the audio is in the record itself."""
    source = _source_of(record)
    return source if isinstance(source, str) else record.key


def inspect_records(
    data: ReadData, levels: Levels, limits: CheckLimits, encode: Callable[[list[str]], list[list[int]]] | None = None
) -> InspectedData:
    """Sort records into usable ones and findings.

    Args:
        data: records; findings are added to it.
        levels: of all `audio_sources`.
        limits: limits of lengths and levels.
        encode: texts -> token ids without special tokens, such as `tokenizer.encode_ctc_labels`; None leaves out the
            check whether CTC has enough frames for a text.

    Returns:
        the usable records, in the order of `data.records`.
    """
    found = InspectedData()
    inspector = _Inspector(data=data, limits=limits, levels=levels)
    inspector.report_recordings()
    needed_frames: dict[str, int] = {}
    if encode is not None:
        texts = list(dict.fromkeys(record.text for record in data.records if record.text))
        for text, ids in zip(texts, encode(texts), strict=True):
            found.num_tokens[text] = len(ids)
            # CTC requires a blank between two equal labels.
            needed_frames[text] = len(ids) + sum(one == two for one, two in zip(ids, ids[1:], strict=False))
    for record in data.records:
        if record.audio is None:
            found.texts.append(record)
            continue
        fitted = inspector.fit_to_recording(record)
        if fitted is None or inspector.is_silent(fitted):
            continue
        if fitted.text is None and not fitted.translations:
            found.untranscribed += inspector.cut(fitted)
        elif fitted.text is None or inspector.has_usable_text(fitted, needed_frames.get(fitted.text, 0)):
            found.labelled.append(fitted)
    return found


@dataclass(kw_only=True)
class _Inspector:
    data: ReadData
    limits: CheckLimits
    levels: Levels

    def report(self, kind: str, record: SpeechTextRecord, message: str) -> None:
        self.data.report(kind, self.data.places[record.key], message, record.key)

    def report_recordings(self) -> None:
        """One finding for each recording that cannot be read to its end, however many utterances it has."""
        num_records: dict[str, int] = {}
        for record in self.data.records:
            if record.audio is not None:
                name = audio_name(record)
                num_records[name] = num_records.get(name, 0) + 1
        for name, measured in self.levels.items():
            kind, reason = "unreadable_audio", str(measured)
            if isinstance(measured, RecordingLevels):
                kind, reason = "damaged_audio", measured.damage
            if not reason:
                continue
            count, reason = num_records[name], reason.removeprefix(f"{name}: ")
            lost = f"; its {count} utterances are left out" if count > 1 and kind == "unreadable_audio" else ""
            place = next(r for r in self.data.records if r.audio is not None and audio_name(r) == name)
            row = self.data.places[place.key]
            where = name if os.path.exists(name) else row
            message = reason if where == name else f"{name}: {reason}"
            named = "" if row in (name, where) else f"; {'first named' if count > 1 else 'named'} in {row}"
            self.data.report(kind, where, f"{message}{lost}{named}")

    def fit_to_recording(self, record: SpeechTextRecord) -> SpeechTextRecord | None:
        """The record with its measured duration, cut at the end of the file; None if it cannot be used."""
        measured = self.levels[audio_name(record)]
        if isinstance(measured, AudioError):
            return None
        whole = measured.duration_seconds
        audio, seconds = record.audio, whole
        if isinstance(audio, AudioSlice):
            if audio.start_seconds >= whole:
                reason = f"the recording ends at {clock(whole)}, before the annotation starts"
                self.report("beyond_end", record, reason)
                return None
            if audio.end_seconds > whole + self.limits.end_tolerance_seconds:
                reason = f"the annotation ends at {clock(audio.end_seconds)}, the recording at {clock(whole)}"
                self.report("cut_at_end", record, reason)
            if audio.end_seconds > whole:
                audio = replace(audio, end_seconds=whole)
            seconds = audio.duration_seconds
        if seconds < self.limits.min_seconds:
            self.report("too_short", record, f"{seconds:.2f} s; the shortest is {self.limits.min_seconds:g} s")
            return None
        if (record.text is not None or record.translations) and seconds > self.limits.max_seconds:
            reason = f"{seconds:.1f} s; the longest utterance is {self.limits.max_seconds:g} s"
            self.report("too_long", record, reason)
            return None
        return replace(record, audio=audio, duration_seconds=seconds)

    def is_silent(self, record: SpeechTextRecord) -> bool:
        measured = self.levels[audio_name(record)]
        assert isinstance(measured, RecordingLevels)
        audio = record.audio
        times = (audio.start_seconds, audio.end_seconds) if isinstance(audio, AudioSlice) else (0.0, None)
        peak = measured.peak_db(*times)
        if peak >= self.limits.silence_db:
            return False
        self.report("silent", record, f"the loudest part has {peak:.0f} dB; speech has more than -50 dB")
        return True

    def cut(self, record: SpeechTextRecord) -> list[SpeechTextRecord]:
        measured = self.levels[audio_name(record)]
        assert isinstance(measured, RecordingLevels) and record.duration_seconds is not None
        return cut_speech(record, measured, self.limits)

    def has_usable_text(self, record: SpeechTextRecord, needed_frames: int) -> bool:
        assert record.text is not None and record.duration_seconds is not None
        if not any(char.isalnum() for char in record.text):
            self.report("no_letters", record, f"the text is {record.text!r}")
            return False
        frames = math.ceil(record.duration_seconds * SAMPLING_RATE / self.limits.samples_per_frame)
        if needed_frames > frames:
            reason = (
                f"{record.duration_seconds:.2f} s for {len(record.text)} characters ({record.text[:40]!r}); the model "
                f"can write at most {frames} in this time, and would need {needed_frames}"
            )
            self.report("too_much_text", record, reason)
            return False
        return True


def _source_of(record: SpeechTextRecord) -> Any:
    return record.audio.path if isinstance(record.audio, AudioSlice) else record.audio
