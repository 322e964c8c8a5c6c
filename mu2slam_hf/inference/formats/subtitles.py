# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Division of transcripts into subtitles of readable length, and their files: SubRip (SRT) and WebVTT."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mu2slam_hf.data.clock import clock
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment


@dataclass(frozen=True, kw_only=True)
class SubtitleUnit:
    """A word, or a character of a text written without spaces.

    Attributes:
        text: the word with its punctuation.
        start_seconds: start in the recording.
        end_seconds: end in the recording.
        joint: what is between it and the previous unit: a space or nothing.
    """

    text: str
    start_seconds: float
    end_seconds: float
    joint: str = " "


def display_width(text: str) -> int:
    """Columns of a text on the screen: two for wide East Asian characters, none for combining marks."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def split_units(
    text: str,
    start_seconds: float,
    end_seconds: float,
    words: Sequence[AlignedWord] = (),
    *,
    max_characters: int = 42,
) -> list[SubtitleUnit]:
    """Divide a text into words with times.

    Args:
        text: transcript or translation of a segment.
        start_seconds: start of the segment.
        end_seconds: end of the segment.
        words: words (or tokens) of the text with known times; without them, times are in proportion to length.
        max_characters: longer words, also whole texts without spaces, are divided into characters.
    """
    if words:
        units = _known_units(text, words)
    else:
        spread = _spread(text.split(), start_seconds, end_seconds)
        units = [SubtitleUnit(text=item, start_seconds=start, end_seconds=end) for item, start, end in spread]
    divided: list[SubtitleUnit] = []
    for unit in units:
        if display_width(unit.text) <= max_characters:
            divided.append(unit)
            continue
        spread = _spread(_characters(unit.text), unit.start_seconds, unit.end_seconds)
        for index, (piece, start, end) in enumerate(spread):
            joint = "" if index else unit.joint
            divided.append(SubtitleUnit(text=piece, start_seconds=start, end_seconds=end, joint=joint))
    return divided


def _known_units(text: str, words: Sequence[AlignedWord]) -> list[SubtitleUnit]:
    """Words with the spaces that the text has between them; tokens of a text without spaces have none."""
    units: list[SubtitleUnit] = []
    index = 0
    for word in words:
        results = text.find(word.text, index)
        between = text[index:results] if results >= 0 else " "
        joint = " " if not units or any(char.isspace() for char in between) else ""
        index = results + len(word.text) if results >= 0 else index
        units.append(
            SubtitleUnit(text=word.text, start_seconds=word.start_seconds, end_seconds=word.end_seconds, joint=joint)
        )
    return units


def _spread(texts: Sequence[str], start_seconds: float, end_seconds: float) -> list[tuple[str, float, float]]:
    """Texts with times in proportion to their length."""
    seconds = (end_seconds - start_seconds) / max(sum(len(text) for text in texts), 1)
    spread, here = [], 0
    for text in texts:
        start = start_seconds + seconds * here
        here += len(text)
        spread.append((text, start, start_seconds + seconds * here))
    return spread


def _characters(text: str) -> list[str]:
    """Characters with the marks that follow them."""
    pieces: list[str] = []
    for char in text:
        if pieces and unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf"):
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


# Limits that broadcasters and streaming services publish: two lines of 42 characters, one to seven seconds, at most
# 20 characters per second.
MAX_LINE_CHARACTERS = 42
MAX_SECONDS = 7.0
MIN_SECONDS = 1.0
MAX_CHARACTERS_PER_SECOND = 20.0
# A longer pause always ends a subtitle.
PAUSE_SECONDS = 0.7
# Between a subtitle that stays on the screen for longer than its speech and the next one.
_GAP_SECONDS = 0.08
# Also the full stops, question and exclamation marks of Arabic, Devanagari, Chinese and Japanese, and an ellipsis.
_SENTENCE_ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f\u061f\u0964")
_CLAUSE_ENDS = frozenset(",;:\uff0c\u3001\uff1b\uff1a\u060c\u061b")


@dataclass(frozen=True, kw_only=True)
class Subtitle:
    """A subtitle.

    Attributes:
        start_seconds: time at which it appears.
        end_seconds: time at which it disappears; later than `start_seconds`.
        lines: one or two lines, each with its words; words of translations have estimated times.
        channel: channel of the speaker, None if the channels were mixed.
    """

    start_seconds: float
    end_seconds: float
    lines: tuple[tuple[SubtitleUnit, ...], ...]
    channel: int | None = None

    @property
    def text(self) -> str:
        """The lines, separated by line breaks."""
        return "\n".join(join_unit_texts(line) for line in self.lines)


def speaker_label(channel: int | None) -> str:
    """`speaker 1` for channel 0; empty if the channels were mixed."""
    return "" if channel is None else f"speaker {channel + 1}"


def build_subtitles(
    transcript: Transcript, target_lang: str | None = None, *, with_labels: bool = False
) -> list[Subtitle]:
    """Divide a transcript or its translation into subtitles.

    Args:
        transcript: segments, with words if their times are known.
        target_lang: subtitles of this translation; None means of the transcript. A translation is shown while its
            segment is spoken, its words in proportion to their length.
        with_labels: leave room in the first line for a label `[speaker 1] ` in front of the text.

    Returns:
        subtitles by start time; those of one speaker do not overlap.

    Choice: a subtitle starts with its first word and stays for at least a second and long enough to be read, if no
    other one follows earlier.
    """
    results: list[Subtitle] = []
    for channel in dict.fromkeys(segment.channel for segment in transcript.segments):
        spoken = [segment for segment in transcript.segments if segment.channel == channel]
        room = len(speaker_label(channel)) + 3 if with_labels and channel is not None else 0
        for index, segment in enumerate(spoken):
            following = spoken[index + 1].start_seconds if index + 1 < len(spoken) else transcript.duration_seconds
            for group in _divide_segment(segment, target_lang, following, room):
                lines = wrap_units(group, room)
                assert lines is not None
                start, end = group[0].start_seconds, group[-1].end_seconds
                results.append(Subtitle(start_seconds=start, end_seconds=end, lines=lines, channel=channel))
    results.sort(key=lambda subtitle: subtitle.start_seconds)
    return list(_set_times(results, transcript.duration_seconds))


def join_unit_texts(units: Sequence[SubtitleUnit]) -> str:
    """The text of units that follow each other."""
    return "".join((unit.joint if index else "") + unit.text for index, unit in enumerate(units))


def _divide_segment(
    segment: TranscriptSegment, target_lang: str | None, following: float, room: int
) -> Iterator[Sequence[SubtitleUnit]]:
    text = segment.text if target_lang is None else segment.translations.get(target_lang, "")
    words = segment.words if target_lang is None else ()
    longest = MAX_LINE_CHARACTERS - room
    units = split_units(text, segment.start_seconds, segment.end_seconds, words, max_characters=longest)
    first = 0
    for index in range(1, len(units) + 1):
        if index == len(units) or units[index].start_seconds - units[index - 1].end_seconds > PAUSE_SECONDS:
            until = units[index].start_seconds if index < len(units) else max(following, units[-1].end_seconds)
            yield from divide_units(units[first:index], until, room)
            first = index


def divide_units(units: Sequence[SubtitleUnit], until: float, room: int = 0) -> list[Sequence[SubtitleUnit]]:
    """Divide words without long pauses into subtitles at the best places, by dynamic programming.

    Args:
        units: words with times; none is longer than a line.
        until: time at which the next subtitle starts.
        room: characters to leave free in the first line.

    Returns:
        groups of consecutive words that fit into two lines and seven seconds (a single longer word is a group of its
        own).
    """
    count = len(units)
    costs = [0.0] + [float("inf")] * count
    starts = [0] * (count + 1)
    for end in range(1, count + 1):
        following = units[end].start_seconds if end < count else until
        for start in range(end - 1, -1, -1):
            group = units[start:end]
            if end - start > 1 and not _fits(group, room):
                break
            cost = costs[start] + _cost(group, following) + (_break_cost(units, end) if end < count else 0.0)
            if cost < costs[end]:
                costs[end], starts[end] = cost, start
    groups: list[Sequence[SubtitleUnit]] = []
    end = count
    while end:
        groups.append(units[starts[end] : end])
        end = starts[end]
    return groups[::-1]


def _fits(group: Sequence[SubtitleUnit], room: int) -> bool:
    seconds = group[-1].end_seconds - group[0].start_seconds
    return seconds <= MAX_SECONDS and wrap_units(group, room) is not None


def _cost(group: Sequence[SubtitleUnit], following: float) -> float:
    """One per subtitle, and more for one that is shown too briefly to be read."""
    seconds = min(max(following - group[0].start_seconds, 1e-3), MAX_SECONDS)
    excess = display_width(join_unit_texts(group)) / seconds / MAX_CHARACTERS_PER_SECOND - 1.0
    return 1.0 + 3.0 * max(0.0, 1.0 - seconds / MIN_SECONDS) + 3.0 * min(max(0.0, excess), 3.0)


def _break_cost(units: Sequence[SubtitleUnit], place: int) -> float:
    """Cost of a break before a word: low after a sentence, a clause or a pause."""
    if _last_letter(units[place - 1].text) in _SENTENCE_ENDS:
        return 0.0
    pause = units[place].start_seconds - units[place - 1].end_seconds
    clause = 0.3 if _last_letter(units[place - 1].text) in _CLAUSE_ENDS else 1.0
    return min(clause, 1.0 - min(pause, PAUSE_SECONDS) / PAUSE_SECONDS)


def _last_letter(text: str) -> str:
    """The last character that is not a closing quotation mark or bracket."""
    closing = ("Pe", "Pf", "Mn")
    for char in reversed(text):
        if unicodedata.category(char) not in closing and char not in "\"'":
            return char
    return ""


def wrap_units(group: Sequence[SubtitleUnit], room: int = 0) -> tuple[tuple[SubtitleUnit, ...], ...] | None:
    """Divide words into one or two lines of similar length, preferably after punctuation; None if they do not fit."""
    widths = [room]
    for index, unit in enumerate(group):
        widths.append(widths[-1] + (len(unit.joint) if index else 0) + display_width(unit.text))
    if widths[-1] <= MAX_LINE_CHARACTERS:
        return (tuple(group),)
    best: tuple[float, int] | None = None
    for index in range(1, len(group)):
        upper, lower = widths[index], widths[-1] - widths[index] - len(group[index].joint)
        if upper > MAX_LINE_CHARACTERS or lower > MAX_LINE_CHARACTERS:
            continue
        last = _last_letter(group[index - 1].text)
        score = abs(upper - lower) + (0 if last in _SENTENCE_ENDS else 6 if last in _CLAUSE_ENDS else 12)
        if best is None or score < best[0]:
            best = (score, index)
    return None if best is None else (tuple(group[: best[1]]), tuple(group[best[1] :]))


def _set_times(subtitles: Sequence[Subtitle], duration: float) -> Iterator[Subtitle]:
    """Let subtitles stay until they are read, without overlap of those of one speaker."""
    free: dict[int | None, float] = {}
    for index, (subtitle, own) in enumerate(zip(subtitles, _next_starts(subtitles), strict=True)):
        if index + 1 < len(subtitles):
            other = subtitles[index + 1].start_seconds - _GAP_SECONDS
        else:
            other = max(duration, subtitle.end_seconds)
        start = max(subtitle.start_seconds, free.get(subtitle.channel, 0.0))
        readable = max(MIN_SECONDS, display_width(subtitle.text) / MAX_CHARACTERS_PER_SECOND)
        end = max(subtitle.end_seconds, min(start + readable, other))
        end = min(end, own, start + MAX_SECONDS)
        end = max(end, start + 0.001)  # of words without duration
        free[subtitle.channel] = end
        yield replace(subtitle, start_seconds=start, end_seconds=end)


def _next_starts(subtitles: Sequence[Subtitle]) -> list[float]:
    """Start of the next subtitle of the same speaker, or infinity."""
    following: dict[int | None, float] = {}
    starts = []
    for subtitle in reversed(subtitles):
        starts.append(following.get(subtitle.channel, float("inf")))
        following[subtitle.channel] = subtitle.start_seconds
    return starts[::-1]


def format_srt(subtitles: Sequence[Subtitle]) -> str:
    """A SubRip file; texts of speakers start with `[speaker 1]`."""
    texts = [
        (f"[{speaker_label(subtitle.channel)}] " if subtitle.channel is not None else "") + subtitle.text
        for subtitle in subtitles
    ]
    return _write(subtitles, texts, "srt")


def format_vtt(subtitles: Sequence[Subtitle], *, word_times: bool = False) -> str:
    """A WebVTT file; speakers are in voice tags `<v Speaker 1>`.

    Args:
        subtitles: the subtitles.
        word_times: add the time of each word, so that players can highlight the current one.
    """
    texts = []
    for subtitle in subtitles:
        lines = [_vtt_line(line, subtitle, word_times) for line in subtitle.lines]
        voice = f"<v {speaker_label(subtitle.channel).capitalize()}>" if subtitle.channel is not None else ""
        texts.append(voice + "\n".join(lines))
    return _write(subtitles, texts, "vtt")


def _vtt_line(line: Sequence[SubtitleUnit], subtitle: Subtitle, word_times: bool) -> str:
    text = ""
    last, end = _milliseconds(subtitle.start_seconds), _milliseconds(subtitle.end_seconds)
    for index, unit in enumerate(line):
        text += unit.joint if index else ""
        time = _milliseconds(unit.start_seconds)
        # Times inside a subtitle must increase and lie within it.
        if word_times and last < time < end:
            text += f"<{clock(time / 1000)}>"
            last = time
        text += unit.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def _write(subtitles: Sequence[Subtitle], texts: Sequence[str], name: str) -> str:
    from pysubs2 import SSAEvent, SSAFile

    file = SSAFile()
    for subtitle, text in zip(subtitles, texts, strict=True):
        # pysubs2 has the line breaks of SubStation Alpha; a word joiner keeps other backslashes as they are.
        raw = text.replace("\\", "\\\u2060").replace("\n", "\\N")
        start, end = _milliseconds(subtitle.start_seconds), _milliseconds(subtitle.end_seconds)
        file.append(SSAEvent(start=start, end=end, text=raw))
    return str(file.to_string(name, keep_ssa_tags=True))


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
