# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Output of transcripts: text, JSON lines or one document on standard output, or files in a folder."""

from typing import Any, Protocol

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.inference.formats.subtitles import speaker_label
from mu2slam_hf.inference.formats.transcripts import (
    GROWING_FORMATS,
    describe_transcript,
    format_transcript,
    transcript_rows,
)
from mu2slam_hf.inference.journal import TranscriptJournal, WindowJournal, compute_key
from mu2slam_hf.inference.output_names import list_outputs
from mu2slam_hf.inference.output_settings import OutputSettings
from mu2slam_hf.inference.recordings import Recording, print_error, print_json, printable, to_utf8
from mu2slam_hf.inference.transcription_job import TranscriptionJob
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.models.language_codes import UNDETERMINED


class TranscriptOutput(Protocol):
    """Where the transcripts of a run go."""

    shows_beginnings: bool
    """Whether the beginning of a transcript may be written before its end is known."""

    def find(self, recording: Recording) -> Transcript | None:
        """The transcript of a recording from an earlier run, if it is finished."""

    def journal_of(self, recording: Recording) -> WindowJournal | None:
        """The finished windows of a recording from an earlier run, and where further ones are recorded."""

    def begin(self, recording: Recording, beginning: Transcript) -> None:
        """Print the settled beginning of a transcript."""

    def write(self, recording: Recording, transcript: Transcript) -> None:
        """Print or write a transcript.

        Raises:
            ValueError, OSError: it cannot be written.
        """

    def report(self, recording: Recording, error: object) -> None:
        """Report a recording that cannot be transcribed."""


class PrintedOutput:
    """An output on standard output, which remembers nothing; errors go to standard error."""

    shows_beginnings = False

    def find(self, recording: Recording) -> Transcript | None:
        """None."""
        return None

    def journal_of(self, recording: Recording) -> WindowJournal | None:
        """None."""
        return None

    def begin(self, recording: Recording, beginning: Transcript) -> None:
        """Nothing."""

    def report(self, recording: Recording, error: object) -> None:
        """Print an error."""
        print_error(recording.name, error)


class GrowingText(PrintedOutput):
    """A text that is printed as far as it is settled, then to its end."""

    _num_printed = 0

    def format(self, recording: Recording, transcript: Transcript, *, is_beginning: bool = False) -> str:
        """The text; that of a beginning is the beginning of the text of the whole."""
        raise TypeError(f"{type(self).__name__} has no text.")

    def begin(self, recording: Recording, beginning: Transcript) -> None:
        """Print what was not printed before."""
        self._print_rest(self.format(recording, beginning, is_beginning=True))

    def write(self, recording: Recording, transcript: Transcript) -> None:
        """Print what was not printed before, to the end."""
        self._print_rest(self.format(recording, transcript))
        self._num_printed = 0

    def report(self, recording: Recording, error: object) -> None:
        """Print an error."""
        self._num_printed = 0
        super().report(recording, error)

    def _print_rest(self, text: str) -> None:
        if len(text) > self._num_printed:
            print(text[self._num_printed :], end="", flush=True)
            self._num_printed = len(text)


class JsonLines(PrintedOutput):
    """One JSON object per recording and line; that of an unusable one has `error`."""

    def write(self, recording: Recording, transcript: Transcript) -> None:
        """Print a transcript."""
        print_json({"file": recording.name, **describe_transcript(transcript)})

    def report(self, recording: Recording, error: object) -> None:
        """Print an error."""
        print_json({"file": recording.name, "error": str(error)})


class ReadableText(GrowingText):
    """Text for people.

    Args:
        language_given: whether the language was given, and need not be printed.
        word_times: print words with times and confidences.
        multilingual: whether segments may have different languages, all of which the first line names.
    """

    def __init__(self, *, language_given: bool = False, word_times: bool = False, multilingual: bool = False) -> None:
        self.language_given, self.word_times = language_given, word_times
        self.shows_beginnings = not multilingual

    def format(self, recording: Recording, transcript: Transcript, *, is_beginning: bool = False) -> str:
        """The lines of a transcript."""
        return "".join(f"{line}\n" for line in self.lines(recording.name, transcript))

    def lines(self, name: str, transcript: Transcript) -> list[str]:
        """Name, length and language; then transcript and translations, with times if there are several segments."""
        segments = transcript.segments
        note = "" if self.language_given or not segments else f", {describe_language(transcript)}"
        lines = [f"{printable(name)} ({transcript.duration_seconds:.1f} s{note})"]
        if not segments:
            return [*lines, "  (no speech)"]
        plain = len(segments) > 1 and len({s.language for s in segments}) == 1 and not segments[0].translations
        for segment in segments:
            head = f"[{_clock(segment.start_seconds)} - {_clock(segment.end_seconds)}] " if len(segments) > 1 else ""
            label = f"[{speaker_label(segment.channel)}] " if segment.channel is not None else ""
            texts = _texts(segment)
            width = max(map(len, texts))
            for index, (lang, text) in enumerate(texts.items()):
                start = head + label if index == 0 else " " * len(head + label)
                lines.append(f"  {start}{text}" if plain else f"  {start}{lang:<{width}}  {text}")
            if self.word_times:
                lines += map(_word_line, segment.words)
        return lines


def describe_language(transcript: Transcript) -> str:
    """`language predicted: es, 98 %`, or that it is uncertain and what the text was written as."""
    if transcript.language == UNDETERMINED:
        written = transcript.written_language or transcript.segments[0].written_language
        return "language uncertain" + (f": written as {written}" if written else "")
    languages = list(dict.fromkeys(segment.language for segment in transcript.segments))
    if len(languages) > 1:
        return f"languages predicted: {', '.join(languages)}"
    share = transcript.language_probability
    return f"language predicted: {transcript.language}" + ("" if share is None else f", {100 * share:.0f} %")


def _texts(segment: TranscriptSegment) -> dict[str, str]:
    """Transcript and translations by language."""
    lang = segment.written_language or segment.language
    return {lang: segment.text, **{lang_: text for lang_, text in segment.translations.items() if lang_ != lang}}


def _word_line(word: Any) -> str:
    confidence = "" if word.confidence is None else f"{100 * word.confidence:3.0f} %"
    return f"  {word.start_seconds:7.2f} {word.end_seconds:7.2f}  {confidence}  {word.text}"


def _clock(seconds: float) -> str:
    """`01:02.3`, or `1:01:02.3`."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:" if hours else "") + f"{minutes:02}:{rest // 10:02}.{rest % 10}"


class Document(GrowingText):
    """One format on standard output.

    Args:
        form: the format.
        target_lang: the translation to print; None means the transcript.
        with_names: tsv of several recordings: a first column `file`.
        **options: passed to `format_transcript`.
    """

    def __init__(self, form: str, *, target_lang: str | None = None, with_names: bool = False, **options: Any) -> None:
        self._form, self._target_lang, self._with_names, self._options = form, target_lang, with_names, options
        self._has_header = False
        self.shows_beginnings = form in GROWING_FORMATS

    def format(self, recording: Recording, transcript: Transcript, *, is_beginning: bool = False) -> str:
        """The document, or the rows of a table, after its header in the first one."""
        if self._form != "tsv":
            options = {"target_lang": self._target_lang, "is_beginning": is_beginning, **self._options}
            return format_transcript(transcript, self._form, **options)
        header, *rows = transcript_rows(transcript, **self._options)
        lines = [] if self._has_header else [[*(["file"] if self._with_names else []), *header]]
        lines += [[*([printable(recording.name)] if self._with_names else []), *row] for row in rows]
        return "".join("\t".join(line) + "\n" for line in lines)

    def write(self, recording: Recording, transcript: Transcript) -> None:
        """Print what was not printed before, to the end."""
        super().write(recording, transcript)
        self._has_header = True


class FolderOutput:
    """One file per recording and format in a folder, whose journal remembers what is finished.

    Args:
        job: its recordings have different stems.
        settings: with a folder, which is created with the first file.

    Raises:
        ValueError: a file to write is there and was not written by an earlier run, or belongs to two recordings.
    """

    shows_beginnings = False

    def __init__(self, job: TranscriptionJob, settings: OutputSettings) -> None:
        assert settings.folder is not None
        self._folder = settings.folder
        self._description = job.describe()
        target_langs = list(job.options.target_langs)
        self._options: dict[str, Any] = {
            "word_times": settings.word_times,
            "speakers": settings.speakers,
            "target_langs": target_langs,
        }
        self._json = JsonLines() if settings.as_json else None
        self._overwrite = settings.overwrite
        self._keys: dict[str, str] = {}
        self._outputs = list_outputs(self._folder, job.recordings, settings.formats, target_langs)
        self._journal = TranscriptJournal(self._folder, forget=settings.overwrite)
        foreign = [
            path
            for files in self._outputs.values()
            for path in files
            # What is no file is an error of its recording alone.
            if not settings.overwrite and path.is_file() and not self._journal.is_known(path)
        ]
        if foreign:
            more = f" and {len(foreign) - 1} more files exist" if len(foreign) > 1 else " exists"
            raise ValueError(
                f"{foreign[0]}{more}, and no earlier run wrote {'them' if len(foreign) > 1 else 'it'}; "
                "pass --overwrite to replace, or another --output-dir"
            )

    def find(self, recording: Recording) -> Transcript | None:
        """The transcript of an earlier run with the same content, options and model."""
        self._keys[recording.name] = key = compute_key(recording, self._description)
        return self._journal.find(key)

    def journal_of(self, recording: Recording) -> WindowJournal | None:
        """The windows of an interrupted run with the same content, options and model."""
        return self._journal.windows_of(self._keys[recording.name])

    def begin(self, recording: Recording, beginning: Transcript) -> None:
        """Nothing: files are written when they are complete."""

    def write(self, recording: Recording, transcript: Transcript) -> None:
        """Write those files that are not there with this content yet.

        Raises:
            ValueError: a file would have to be replaced that was edited since it was written, or that others have
                written since the run has started; it is left as it is, and the other files of the recording are
                written.
        """
        key = self._keys[recording.name]
        if key not in self._journal:
            self._journal.add(key, transcript)
        written, edited = [], []
        for path, (name, lang) in self._outputs[recording.stem].items():
            content_key = f"{key}/{name}/{lang or ''}/{'words' if self._options['word_times'] else ''}"
            if self._journal.is_written(path, content_key):
                continue
            if not self._overwrite and self._journal.is_edited(path):
                edited.append(str(path))
                continue
            head = {"file": recording.name}
            text = format_transcript(transcript, name, target_lang=lang, head=head, **self._options)
            with atomic_path(path) as temporary:
                temporary.write_text(to_utf8(text), encoding="utf-8")
            self._journal.add_file(path, content_key)
            written.append(str(path))
        if edited:
            raise ValueError(
                f"{', '.join(edited)}: was edited since it was written, and is kept; pass --overwrite to replace, or "
                "another --output-dir"
            )
        if self._json:
            self._json.write(recording, transcript)
        else:
            note = "" if transcript.segments else ", no speech"
            files = ", ".join(written) or "unchanged, already written"
            if len(written) > 2:
                files = f"{len(written)} files, {self._folder / recording.stem}.*"
            print(
                f"{printable(recording.name)} ({transcript.duration_seconds:.1f} s{note}): {printable(files)}",
                flush=True,
            )

    def report(self, recording: Recording, error: object) -> None:
        """Report an error."""
        if self._json:
            self._json.report(recording, error)
        else:
            print_error(recording.name, error)


def build_output(job: TranscriptionJob, settings: OutputSettings) -> TranscriptOutput:
    """The output of a job.

    Args:
        job: the job; its recordings have different stems if it writes files.
        settings: what to write.

    Raises:
        ValueError: see `FolderOutput`.
    """
    target_langs = job.options.target_langs
    if settings.folder is not None:
        return FolderOutput(job, settings)
    if settings.as_json:
        return JsonLines()
    if not settings.formats:
        language_given = job.options.source_lang is not None
        return ReadableText(
            language_given=language_given,
            word_times=settings.word_times,
            multilingual=job.options.multilingual,
        )
    form = settings.formats[0]
    translated = settings.translation_only and target_langs and form != "tsv"
    return Document(
        form,
        target_lang=target_langs[0] if translated else None,
        with_names=len(job.recordings) > 1,
        word_times=settings.word_times,
        speakers=settings.speakers,
        target_langs=list(target_langs),
    )
