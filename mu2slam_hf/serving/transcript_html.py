# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Words and segments of a transcript in HTML, for the page of a server."""

from html import escape

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.formats.transcripts import translated_languages
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment

# Below it, a word is marked as doubtful.
_DOUBTFUL = 0.5


def format_words(transcript: Transcript) -> str:
    """A list of words with times and confidences, those below one half with a question mark."""
    if not transcript.segments:
        return "<p>There is no speech in this recording.</p>"
    if not transcript.words:
        return "<p>The model gives no times of words here.</p>"
    items = "".join(_format_word(word, _written(segment)) for segment in transcript.segments for word in segment.words)
    return f'<ul class="words" aria-label="Words with times and confidence">{items}</ul>'


def _format_word(word: AlignedWord, lang: str) -> str:
    times = f"{word.start_seconds:.2f} to {word.end_seconds:.2f} s"
    if word.confidence is None:
        share, doubt, shown, style = "confidence unknown", "", "? %", ""
    else:
        doubt = " ?" if word.confidence < _DOUBTFUL else ""
        shown = f"{100 * word.confidence:.0f} %{doubt}"
        share, style = f"confidence {shown}", f' style="--confidence: {100 * word.confidence:.0f}%"'
    kind = ' class="doubtful"' if doubt else ""
    return (
        f'<li{kind}{style} title="{times}, {share}"><span lang="{escape(lang)}" dir="auto">{escape(word.text)}</span>'
        f"<small>{word.start_seconds:.2f} s<br>{shown}</small></li>"
    )


def format_segments(transcript: Transcript) -> str:
    """A table of segments with their times, languages, texts and translations."""
    if not transcript.segments:
        return ""
    languages = translated_languages(transcript)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("start", "end", "language", "text", *languages))
    rows = "".join(_format_segment(segment, languages) for segment in transcript.segments)
    return f'<table class="segments"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _format_segment(segment: TranscriptSegment, languages: list[str]) -> str:
    times = "".join(f"<td>{seconds:.2f} s</td>" for seconds in (segment.start_seconds, segment.end_seconds))
    texts = [(_written(segment), segment.text), *((lang, segment.translations.get(lang, "")) for lang in languages)]
    shown = "".join(f'<td lang="{escape(lang)}" dir="auto">{escape(text)}</td>' for lang, text in texts)
    return f"<tr>{times}<td>{escape(segment.language)}</td>{shown}</tr>"


def _written(segment: TranscriptSegment) -> str:
    return segment.written_language or segment.language
