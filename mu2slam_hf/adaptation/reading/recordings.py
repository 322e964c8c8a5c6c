# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records of recordings with ELAN, Praat or subtitle files, with a text file, and of those without any text."""

from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from mu2slam_hf.adaptation.reading.annotation_files import read_elan, read_subtitles, read_textgrid
from mu2slam_hf.adaptation.reading.folder_files import (
    ELAN,
    SUBTITLES,
    TEXT,
    TEXTGRID,
    RecordingFiles,
    session_of_file,
    speaker_of_file,
    split_of_folders,
)
from mu2slam_hf.adaptation.reading.read_data import ReadData, session_extra
from mu2slam_hf.adaptation.reading.text_files import TextFileError, read_text_file
from mu2slam_hf.adaptation.reading.tier_choice import ChosenTier, TierChoiceError, choose_tiers
from mu2slam_hf.adaptation.reading.tiers import (
    AnnotationFile,
    AnnotationFileError,
    AnnotationTier,
    TimedText,
    base_name,
    pair_translations,
    tier_speaker,
)
from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.corpora.reader import canonical_language_or_none
from mu2slam_hf.data.records import SpeechTextRecord

_SHOWN_CHARACTERS = 40


def read_annotated(recording: RecordingFiles, kind: str, data: ReadData) -> bool:
    """Add the records of a recording with annotations of one kind (`ELAN`, `TEXTGRID` or `SUBTITLES`).

    Args:
        recording: the recording with its files.
        kind: kind of annotation to read.
        data: records and findings are added to it.

    Returns:
        whether records were added.
    """
    try:
        if kind == SUBTITLES:
            chosen, offset = _choose_subtitles(recording, data), 0.0
        else:
            path = _own_file(recording, kind, data)
            file = read_elan(path) if kind == ELAN else read_textgrid(path, data.options.encoding)
            chosen, offset = choose_tiers(file.tiers, data.options), _offset(file, recording.audio)
            _count_choices(chosen, kind, data)
    except AnnotationFileError as error:
        data.report_unreadable(error)
        return False
    except TierChoiceError as error:
        data.report("no_tier", next(iter(recording.of_kind(kind).values())), str(error))
        return False
    before = len(data.records)
    unmatched: dict[str, list[set[TimedText]]] = {}
    for choice in chosen:
        for name, texts in _add_tier(choice, recording, offset, data, several=len(chosen) > 1).items():
            unmatched.setdefault(name, []).append(texts)
    tiers = (tier for choice in chosen for tier in (choice.transcript, *choice.translations.values()))
    data.findings += dict.fromkeys(finding for tier in tiers for finding in tier.broken)
    # A tier may hold the translations of several speakers.
    fitting_none = {timed for of_speakers in unmatched.values() for timed in set.intersection(*of_speakers)}
    for timed in sorted(fitting_none, key=lambda timed: (timed.start_seconds, timed.place)):
        shown = timed.text.strip()[:_SHOWN_CHARACTERS]
        data.report("unmatched_translation", timed.place, f"{shown!r} fits no utterance of the transcript")
    return len(data.records) > before


def _own_file(recording: RecordingFiles, kind: str, data: ReadData) -> Path:
    """The file without a tag, else the first; the others are reported."""
    files = recording.of_kind(kind)
    first = "" if "" in files else sorted(files)[0]
    for tag, path in files.items():
        if tag != first:
            data.report("two_files", path, f"{files[first].name} is used for this recording instead")
    return files[first]


def _offset(file: AnnotationFile, audio: Path) -> float:
    """Seconds to add to the times of a file for a recording; that of the same name counts."""
    own = normalize("NFC", audio.stem).lower()
    names = {normalize("NFC", Path(name).stem).lower(): seconds for name, seconds in file.media.items()}
    return names.get(own, 0.0)


def _choose_subtitles(recording: RecordingFiles, data: ReadData) -> list[ChosenTier]:
    """`talk.srt` (or `talk.mdw.srt`) is the transcript, `talk.fr.srt` a translation into French."""
    transcript, translations = None, {}
    lang = data.options.lang
    for tag, path in sorted(recording.of_kind(SUBTITLES).items()):
        code = canonical_language_or_none(tag) if tag else lang
        if code == lang and transcript is None:
            transcript = path
        elif code in data.options.target_langs:
            translations[code] = path
        elif code == lang:
            data.report("two_files", path, f"{transcript} is used for this recording instead")
        elif code is not None:
            data.other_translations[code] += 1
        else:
            data.report("two_files", path, f"{tag!r} is no language, and it is not clear what this file is for")
    if transcript is None:
        names = ", ".join(path.name for path in recording.of_kind(SUBTITLES).values())
        raise TierChoiceError(f"there are only subtitles in other languages ({names}), none in {lang}")
    encoding = data.options.encoding
    tiers = {}
    for code, path in translations.items():
        try:
            tiers[code] = read_subtitles(path, encoding)
        except AnnotationFileError as error:
            data.report_unreadable(error)
    return [
        ChosenTier(transcript=read_subtitles(transcript, encoding), translations=tiers, reason="subtitles of its name")
    ]


def _count_choices(chosen: Sequence[ChosenTier], kind: str, data: ReadData) -> None:
    """Count the file once for each choice, however many speakers have a tier."""
    choices = set()
    for choice in chosen:
        parts = [f"{kind}: tier {_shown_name(choice.transcript)} is the transcript ({choice.reason})"]
        for lang in data.options.target_langs:
            tier = choice.translations.get(lang)
            parts.append(
                f"tier {_shown_name(tier)} is the translation into {lang}" if tier else f"no tier is in {lang}"
            )
        choices.add("; ".join(parts))
    data.choices.update(sorted(choices))


def _shown_name(tier: AnnotationTier) -> str:
    """The name of a tier; that of each speaker of many counts as one."""
    base = base_name(tier)
    return repr(tier.name) if base == tier.name else f"{base!r} of each speaker"


def _add_tier(
    choice: ChosenTier, recording: RecordingFiles, offset: float, data: ReadData, *, several: bool
) -> dict[str, set[TimedText]]:
    """Add a record for each text of a transcript; returns the translations of each tier that fit none."""
    utterances = choice.transcript.texts
    translations: dict[str, dict[int, str]] = {}
    unmatched: dict[str, set[TimedText]] = {}
    for lang, tier in choice.translations.items():
        translations[lang], rest = pair_translations(utterances, tier.texts)
        unmatched[tier.name] = set(rest)
    # Tiers without a speaker of their own, one for each of several: their names tell the speakers apart.
    tier_name = choice.transcript.name if several else None
    named_speaker = tier_speaker(choice.transcript) or tier_name
    tier_voice = named_speaker or speaker_of_file(recording.stem, data.options.speaker_from)
    extra = session_extra(recording.stem, split_of_folders(recording.stem))
    for index, timed in enumerate(utterances):
        start, end = timed.start_seconds + offset, timed.end_seconds + offset
        if start < 0:
            data.report("broken_row", timed.place, "the annotation starts before the recording")
            continue
        texts = {
            lang: data.cleaner.clean(of_tier[index], timed.place)
            for lang, of_tier in translations.items()
            if index in of_tier
        }
        data.add(
            SpeechTextRecord(
                id=_slice_id(recording.stem, start, end, tier_voice if several else None),
                audio=AudioSlice(str(recording.audio), start, end),
                text=data.cleaner.clean(timed.text, timed.place),
                lang=data.options.lang,
                translations={lang: text for lang, text in texts.items() if text},
                duration_seconds=end - start,
                speaker=timed.speaker or tier_voice,
                corpus=data.corpus,
                extra=extra,
            ),
            timed.place,
            speaker_is_named=(timed.speaker or named_speaker) is not None,
        )
    return unmatched


def _slice_id(stem: str, start: float, end: float, speaker: str | None) -> str:
    """Depends on the times, not on the number, so that it does not change when other annotations are added."""
    return f"{stem}@{start:.3f}-{end:.3f}" + (f"@{speaker}" if speaker else "")


ANNOTATED_KINDS = (ELAN, TEXTGRID, SUBTITLES)
"""Kinds of annotations with times, in the order in which they are preferred."""


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
        speaker_is_named=False,
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
