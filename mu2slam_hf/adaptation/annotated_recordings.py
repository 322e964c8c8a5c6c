# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records of recordings with ELAN, Praat or subtitle files: one for each annotation, cut by its times."""

from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from mu2slam_hf.adaptation.elan import read_elan
from mu2slam_hf.adaptation.folder_files import ELAN, SUBTITLES, TEXTGRID, RecordingFiles
from mu2slam_hf.adaptation.praat import read_textgrid
from mu2slam_hf.adaptation.read_data import ReadData, session_extra
from mu2slam_hf.adaptation.speakers import speaker_of_file, split_of_folders
from mu2slam_hf.adaptation.subtitle_files import read_subtitles
from mu2slam_hf.adaptation.tier_choice import ChosenTier, TierChoiceError, choose_tiers
from mu2slam_hf.adaptation.tier_names import base_name, tier_speaker
from mu2slam_hf.adaptation.tier_pairing import pair_translations
from mu2slam_hf.adaptation.tiers import AnnotationFile, AnnotationFileError, AnnotationTier, TimedText
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
    for one in chosen:
        for name, texts in _add_tier(one, recording, offset, data, several=len(chosen) > 1).items():
            unmatched.setdefault(name, []).append(texts)
    for broken in dict.fromkeys(finding for one in chosen for tier in _tiers_of(one) for finding in tier.broken):
        data.findings.append(broken)
    # A tier may hold the translations of several speakers.
    for timed in sorted((timed for one in unmatched.values() for timed in set.intersection(*one)), key=_start):
        shown = timed.text.strip()[:_SHOWN_CHARACTERS]
        data.report("unmatched_translation", timed.place, f"{shown!r} fits no utterance of the transcript")
    return len(data.records) > before


def _tiers_of(one: ChosenTier) -> list[AnnotationTier]:
    return [one.transcript, *one.translations.values()]


def _start(timed: TimedText) -> float:
    return timed.start_seconds


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
        there = ", ".join(path.name for path in recording.of_kind(SUBTITLES).values())
        raise TierChoiceError(f"there are only subtitles in other languages ({there}), none in {lang}")
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
    for one in chosen:
        parts = [f"{kind}: tier {_shown_name(one.transcript)} is the transcript ({one.reason})"]
        for lang in data.options.target_langs:
            tier = one.translations.get(lang)
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
    one: ChosenTier, recording: RecordingFiles, offset: float, data: ReadData, *, several: bool
) -> dict[str, set[TimedText]]:
    """Add a record for each text of a transcript; returns the translations of each tier that fit none."""
    utterances = one.transcript.texts
    translations: dict[str, dict[int, str]] = {}
    unmatched: dict[str, set[TimedText]] = {}
    for lang, tier in one.translations.items():
        translations[lang], rest = pair_translations(utterances, tier.texts)
        unmatched[tier.name] = set(rest)
    # Tiers without a speaker of their own, one for each of several: their names tell the speakers apart.
    tier_name = one.transcript.name if several else None
    told = tier_speaker(one.transcript) or tier_name
    own = told or speaker_of_file(recording.stem, data.options.speaker_from)
    extra = session_extra(recording.stem, split_of_folders(recording.stem))
    for place, timed in enumerate(utterances):
        texts = {lang: found[place] for lang, found in translations.items() if place in found}
        start, end = timed.start_seconds + offset, timed.end_seconds + offset
        if start < 0:
            data.report("broken_row", timed.place, "the annotation starts before the recording")
            continue
        data.add(
            SpeechTextRecord(
                id=_slice_id(recording.stem, start, end, own if several else None),
                audio=AudioSlice(str(recording.audio), start, end),
                text=data.cleaner.clean(timed.text, timed.place),
                lang=data.options.lang,
                translations=_cleaned(texts, timed, data),
                duration_seconds=end - start,
                speaker=timed.speaker or own,
                corpus=data.corpus,
                extra=extra,
            ),
            timed.place,
            speaker_is_told=(timed.speaker or told) is not None,
        )
    return unmatched


def _slice_id(stem: str, start: float, end: float, speaker: str | None) -> str:
    """Depends on the times, not on the number, so that it does not change when other annotations are added."""
    return f"{stem}@{start:.3f}-{end:.3f}" + (f"@{speaker}" if speaker else "")


def _cleaned(texts: dict[str, str], timed: TimedText, data: ReadData) -> dict[str, str]:
    cleaned = {lang: data.cleaner.clean(text, timed.place) for lang, text in texts.items()}
    return {lang: text for lang, text in cleaned.items() if text}


ANNOTATED_KINDS = (ELAN, TEXTGRID, SUBTITLES)
"""Kinds of annotations with times, in the order in which they are preferred."""
