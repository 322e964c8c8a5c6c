# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""File formats of transcripts: text, SRT and WebVTT subtitles, TSV, JSON, TextGrid (Praat)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.inference.alignment import Alignment
from mu2slam_hf.inference.formats.subtitles import build_subtitles, format_srt, format_vtt, speaker_label
from mu2slam_hf.inference.output_settings import FORMATS
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment, transcript_to_dict
from mu2slam_hf.models.language_codes import UNDETERMINED


def alignment_to_dict(alignment: Alignment) -> dict[str, Any]:
    """Plain JSON types, times to the millisecond."""
    return {
        "duration_seconds": round(alignment.duration_seconds, 3),
        "score": round(alignment.score, 6),
        "unknown_characters": list(alignment.unknown_characters),
        "words": [
            {
                "word": word.text,
                "start": round(word.start_seconds, 3),
                "end": round(word.end_seconds, 3),
                "confidence": None if word.confidence is None else round(word.confidence, 6),
            }
            for word in alignment.words
        ],
    }


def alignment_to_transcript(alignment: Alignment, text: str, language: str | None = None) -> Transcript:
    """A transcript of one segment, from the first to the last word.

    Args:
        alignment: the aligned words.
        text: the text that was aligned.
        language: the spoken language; None means unknown.
    """
    segment = TranscriptSegment(
        start_seconds=alignment.words[0].start_seconds,
        end_seconds=alignment.words[-1].end_seconds,
        text=" ".join(text.split()),
        language=language or UNDETERMINED,
        words=alignment.words,
    )
    return Transcript(segments=(segment,), duration_seconds=alignment.duration_seconds, language=segment.language)


Interval = tuple[float, float, str]
"""Start and end in seconds, and a text."""

# Praat does not accept empty intervals; times are written with 6 digits.
_SHORTEST_SECONDS = 1e-6


@dataclass(frozen=True)
class Tier:
    """An interval tier.

    Attributes:
        name: name of the tier.
        intervals: by start time, without overlap; the tier is filled with intervals without text.
    """

    name: str
    intervals: Sequence[Interval]


def format_textgrid(tiers: Sequence[Tier], duration_seconds: float) -> str:
    """A TextGrid in long form, in which each tier covers the recording without gaps."""
    end = f"{duration_seconds:.6f}"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, start=1):
        intervals = fill_gaps(tier.intervals, duration_seconds)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(tier.name)}"]
        lines += ["        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(intervals)}"]
        for index, (start, stop, text) in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{index}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {stop:.6f}",
            ]
            lines.append(f"            text = {_quoted(text)}")
    return "\n".join(lines) + "\n"


def fill_gaps(intervals: Iterable[Interval], duration_seconds: float) -> list[Interval]:
    """The intervals with empty ones between them; intervals without duration or past the end are left out."""
    filled: list[Interval] = []
    here = 0.0
    for start, end, text in intervals:
        start, end = max(start, here), min(end, duration_seconds)
        if end - start < _SHORTEST_SECONDS:
            continue
        if start - here >= _SHORTEST_SECONDS:
            filled.append((here, start, ""))
        else:
            start = here
        filled.append((start, end, text))
        here = end
    if duration_seconds - here >= _SHORTEST_SECONDS or not filled:
        filled.append((here, duration_seconds, ""))
    return filled


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_SUFFIXES = {"textgrid": ".TextGrid"}  # Praat's capitals
GROWING_FORMATS = frozenset({"txt", "srt", "vtt", "tsv"})
"""Formats in which the beginning of a transcript is the beginning of the whole document."""

# One text per file: translations are in files of their own.
_ONE_TEXT = frozenset({"txt", "srt", "vtt"})


def output_suffixes(name: str, target_langs: Sequence[str] = ()) -> dict[str, str | None]:
    """Suffixes of the files of a format -> language of the translation in it; None for the transcript.

    `.srt` and `.en.srt`, as players look for them; formats with room for all texts have one file.
    """
    suffix = _SUFFIXES.get(name, f".{name}")
    extra = {f".{lang}{suffix}": lang for lang in target_langs} if name in _ONE_TEXT else {}
    return {suffix: None, **extra}


def format_transcript(
    transcript: Transcript,
    name: str,
    *,
    target_lang: str | None = None,
    word_times: bool = False,
    target_langs: Sequence[str] = (),
    speakers: bool = False,
    head: Mapping[str, Any] | None = None,
    is_beginning: bool = False,
) -> str:
    """The content of a file.

    Args:
        transcript: a transcript, which may be without speech.
        name: one of `FORMATS`.
        target_lang: for txt, srt and vtt: write this translation instead of the transcript.
        word_times: tsv: one line per word instead of one per segment; vtt: times of words inside subtitles.
        target_langs: tsv: languages of the columns of translations, also where there is no speech.
        speakers: tsv: add a column `speaker`.
        head: json: values to place before those of the transcript, such as the name of the file.
        is_beginning: more segments will follow, in one of `GROWING_FORMATS`: the beginning of the final document.

    Raises:
        ValueError: unknown format.
    """
    if name == "txt":
        return format_text(transcript, target_lang)
    if name in ("srt", "vtt"):
        subtitles = build_subtitles(transcript, target_lang, with_labels=name == "srt")
        if is_beginning:  # what follows decides how the last segment is divided, and how long it stays
            last = transcript.segments[-1].start_seconds
            subtitles = [subtitle for subtitle in subtitles if subtitle.start_seconds < last]
        timed = word_times and target_lang is None
        text = format_srt(subtitles) if name == "srt" else format_vtt(subtitles, word_times=timed)
        # An empty line separates a subtitle from the next one.
        return f"{text.rstrip()}\n" if is_beginning and subtitles else text
    if name == "tsv":
        rows = transcript_rows(transcript, word_times=word_times, target_langs=target_langs, speakers=speakers)
        return "".join("\t".join(row) + "\n" for row in rows)
    if name == "json":
        return json.dumps({**(head or {}), **describe_transcript(transcript)}, ensure_ascii=False, indent=1) + "\n"
    if name == "textgrid":
        return format_textgrid(list(_tiers(transcript)), transcript.duration_seconds)
    raise ValueError(f"unknown format {name!r}; expected one of {', '.join(FORMATS)}")


def describe_transcript(transcript: Transcript) -> dict[str, Any]:
    """`transcript_to_dict`, with whole translations if there are any."""
    content = transcript_to_dict(transcript)
    languages = translated_languages(transcript)
    if languages:
        content["translations"] = {lang: transcript.translation(lang) for lang in languages}
    return content


def translated_languages(transcript: Transcript) -> list[str]:
    """Languages of the translations of any segment, in their order."""
    return list(dict.fromkeys(lang for segment in transcript.segments for lang in segment.translations))


def format_text(transcript: Transcript, target_lang: str | None = None) -> str:
    """One line per segment; those of speakers start with `[speaker 1]`."""
    lines = []
    for segment in transcript.segments:
        text = segment.text if target_lang is None else segment.translations.get(target_lang, "")
        label = f"[{speaker_label(segment.channel)}] " if segment.channel is not None else ""
        lines.append(f"{label}{text}\n")
    return "".join(lines)


def transcript_rows(
    transcript: Transcript, *, word_times: bool = False, target_langs: Sequence[str] = (), speakers: bool = False
) -> Iterator[list[str]]:
    """Header and rows of a table of segments or words, without tabs and line breaks; times in seconds.

    Args:
        transcript: a transcript, which may be without speech.
        word_times: words instead of segments.
        target_langs: languages of the columns of translations, in a table of segments.
        speakers: add a column `speaker`.
    """
    languages = [] if word_times else target_langs
    start = ["start", "end", *(["speaker"] if speakers else [])]
    yield [*start, "confidence", "word"] if word_times else [*start, "language", "text", *languages]
    for segment in transcript.segments:
        speaker = [speaker_label(segment.channel)] if speakers else []
        if word_times:
            for word in segment.words:
                confidence = "" if word.confidence is None else f"{word.confidence:.4f}"
                yield [*_times(word), *speaker, confidence, _cell(word.text)]
        else:
            texts = [segment.text, *(segment.translations.get(lang, "") for lang in languages)]
            yield [*_times(segment), *speaker, segment.language, *map(_cell, texts)]


def _times(part: Any) -> list[str]:
    return [f"{part.start_seconds:.3f}", f"{part.end_seconds:.3f}"]


def _cell(text: str) -> str:
    return " ".join(text.split())


def _tiers(transcript: Transcript) -> Iterator[Tier]:
    """Words, segments and translations, for each speaker."""
    channels = sorted({segment.channel for segment in transcript.segments if segment.channel is not None})
    for channel in (*channels,) or (None,):
        segments = [segment for segment in transcript.segments if segment.channel == channel]
        label = f"{speaker_label(channel)} " if channel is not None else ""
        words = [(w.start_seconds, w.end_seconds, w.text) for segment in segments for w in segment.words]
        if words or not segments:
            yield Tier(f"{label}words", words)
        yield Tier(f"{label}segments", [_interval(segment, segment.text) for segment in segments])
        for lang in translated_languages(transcript):
            texts = [_interval(segment, segment.translations.get(lang, "")) for segment in segments]
            yield Tier(f"{label}translation {lang}", texts)


def _interval(segment: TranscriptSegment, text: str) -> tuple[float, float, str]:
    return segment.start_seconds, segment.end_seconds, text
