# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam align`: alignment of transcripts with their recordings."""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli.files import check_output_folder, read_text
from mu2slam_hf.cli.languages import model_config, resolve_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_json_option,
    add_limit_option,
    add_output_dir_option,
    add_output_format_option,
    add_source_language_option,
)
from mu2slam_hf.cli.recordings import list_recordings, report_all_unusable
from mu2slam_hf.inference.output_settings import FORMATS
from mu2slam_hf.inference.recordings import Recording, print_error, print_json

# Mean confidence of the words of a text below which it is probably not that of the recording.
_NO_CONFIDENCE = 0.01


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "align",
        help="align a transcript with its recording",
        description="Finds start and end of each word of a transcript in its recording, with a confidence. A word * "
        "in the transcript matches any speech. FILE may be a folder, whose recordings have their transcripts beside "
        "them (talk.wav, talk.txt).",
        epilog="Recordings that cannot be read or aligned are reported and skipped; the exit status is then 1.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="a recording, a folder, or - for standard input")
    parser.add_argument("transcript", nargs="*", metavar="TEXT", help="its transcript, or a .txt file with it")
    add_source_language_option(parser, "unknown")
    parser.add_argument(
        "--manifest", metavar="FILE", help="TSV, CSV, JSONL or Parquet with audio, text, lang, ...; instead of FILE"
    )
    add_output_format_option(parser, "tsv")
    add_output_dir_option(parser, "one file per recording and format")
    add_json_option(parser)
    parser.add_argument(
        "--level",
        choices=("word", "token"),
        help="token: characters or pieces; default: words, if the language has spaces",
    )
    add_limit_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True, kw_only=True)
class AlignmentJob:
    """A recording with its transcript.

    Attributes:
        recording: the recording.
        transcript: its text, or the error that says why there is none.
        language: spoken language; None means unknown.
    """

    recording: Recording
    transcript: str | ValueError
    language: str | None


def run(args: argparse.Namespace) -> int:
    """Aligns all recordings; returns 1 if a recording could not be aligned."""
    check_arguments(args)
    resolve_languages(args, model_config(args), source_lang="--from")
    jobs = list(read_jobs(args))
    writer = AlignmentWriter(args, jobs)
    if args.manifest is None and report_all_unusable([job.recording for job in jobs], as_json=args.json):
        return 1
    from mu2slam_hf.inference.alignment import align

    model, processor = load_model(args)
    failed = False
    for job in jobs:
        name = job.recording.name
        try:
            if isinstance(job.transcript, ValueError):
                raise job.transcript
            source = job.recording.source
            alignment = align(model, processor, source, job.transcript, job.language, level=args.level)
        except ValueError as error:
            failed = True
            writer.report(job, error)
            continue
        if alignment.unknown_characters:
            left_out = " ".join(alignment.unknown_characters)
            print_error(name, f"omitted characters (not in the vocabulary): {left_out}")
        confidences = [word.confidence for word in alignment.words if word.confidence is not None]
        if confidences and sum(confidences) / len(confidences) < _NO_CONFIDENCE:
            print_error(name, "warning: the text hardly matches the recording; is it the right one, in this language?")
        writer.write(job, alignment)
    return 1 if failed else 0


def check_arguments(args: argparse.Namespace) -> None:
    """Raises ValueError for missing or contradicting arguments."""
    if (args.manifest is None) == (args.file is None):
        raise ValueError("pass either a recording and its transcript, or --manifest")
    if args.file is not None and not args.transcript and not Path(args.file).is_dir():
        raise ValueError(f"{args.file}: pass its transcript too, or a .txt file that contains it")
    if args.file is not None and args.transcript and Path(args.file).is_dir():
        raise ValueError(f"{args.file}: is a folder; its transcripts are the .txt files beside the recordings")
    if args.output_dir:
        args.formats = args.formats or ["tsv"]
        return
    if args.formats == ["json"]:
        args.json, args.formats = True, None
    if args.json and args.formats:
        raise ValueError(f"--json and --output-format {','.join(args.formats)} cannot both be printed")
    args.formats = args.formats or ["tsv"]
    if len(args.formats) > 1:
        raise ValueError(f"--output-format {','.join(args.formats)}: several formats require --output-dir")


def read_jobs(args: argparse.Namespace) -> Iterator[AlignmentJob]:
    """All recordings with transcripts and languages."""
    if args.manifest is not None:
        rows = read_manifest_jobs(args.manifest, args.limit, args.source_lang)
        yield from separate_rows(list(rows)) if args.output_dir else rows
        return
    for recording in find_recordings(args):
        text: str | ValueError
        if args.transcript:
            text = read_transcript(" ".join(args.transcript))
        else:
            try:
                text = read_text(Path(recording.name).with_suffix(".txt"), "the transcript of the recording")
            except ValueError as error:
                text = error
        yield AlignmentJob(recording=recording, transcript=text, language=args.source_lang)


def find_recordings(args: argparse.Namespace) -> Sequence[Recording]:
    """The recordings of FILE; those with files in an output folder have different names there."""
    from mu2slam_hf.inference.output_names import separate_stems

    recordings = list_recordings([args.file])
    if not args.output_dir:
        return recordings
    separated, notes = separate_stems(recordings)
    for note in notes:
        print_error("mu2slam", note)
    return separated


def read_manifest_jobs(manifest: str, limit: int | None, language: str | None) -> Iterator[AlignmentJob]:
    """Rows of a manifest; those without recording or transcript are an error later."""
    from mu2slam_hf.data.manifests import read_manifest

    seen: Counter[str] = Counter()
    records = []
    for record in read_manifest(manifest):
        seen[record.lang] += 1
        if limit is None or seen[record.lang] <= limit:
            records.append(record)
    shared = {name for name, number in Counter(record.id for record in records).items() if number > 1}
    for record in records:
        # The id of a sentence is the same in all languages.
        name = f"{record.lang}/{record.id}" if record.id in shared else record.id
        recording = Recording(name=name, source=record.audio, stem=name.replace("/", "_"))
        lang = language if record.lang == "und" else record.lang
        yield AlignmentJob(recording=recording, transcript=record.text or "", language=lang)


def separate_rows(jobs: Sequence[AlignmentJob]) -> Iterator[AlignmentJob]:
    """Give rows whose ids make the same file name (`a/b`, `a_b`) different ones, with a note for each."""
    from mu2slam_hf.inference.output_names import number_stems

    stems = [job.recording.stem for job in jobs]
    for job, stem in zip(jobs, number_stems(stems, stems), strict=True):
        if stem != job.recording.stem:
            print_error(job.recording.name, f"written as {stem}: {job.recording.stem} belongs to a row before")
        yield replace(job, recording=replace(job.recording, stem=stem))


def read_transcript(text: str) -> str:
    """The text itself, or the content of a file named .txt."""
    return read_text(text, "a transcript") if text.lower().endswith(".txt") else text


class AlignmentWriter:
    """Prints alignments, or writes them to files.

    Args:
        args: arguments of the command.
        jobs: all recordings.

    Raises:
        ValueError: the output folder cannot be written, or one document is asked for several recordings.
    """

    def __init__(self, args: argparse.Namespace, jobs: Sequence[AlignmentJob]) -> None:
        from mu2slam_hf.inference.outputs import Document

        self._formats, self._json = args.formats, args.json
        self._folder = check_output_folder(args.output_dir, formats=FORMATS) if args.output_dir else None
        several = args.manifest is not None or len(jobs) > 1
        if self._folder is None and not args.json and several and args.formats[0] not in ("txt", "tsv"):
            raise ValueError(f"--output-format {args.formats[0]} of several recordings requires --output-dir")
        self._document = Document(args.formats[0], with_names=several, word_times=True)
        # Rows of manifests have ids.
        self._key = "file" if args.manifest is None else "id"

    def write(self, job: AlignmentJob, alignment: Any) -> None:
        """Print or write one alignment."""
        from mu2slam_hf.inference.formats.transcripts import (
            alignment_to_dict,
            alignment_to_transcript,
            format_transcript,
            output_suffixes,
        )

        head = {self._key: job.recording.name}
        if self._json:
            print_json({**head, **alignment_to_dict(alignment)})
        transcript = alignment_to_transcript(alignment, str(job.transcript), job.language)
        if self._folder is None:
            if not self._json:
                self._document.write(job.recording, transcript)
            return
        for name in self._formats:
            (suffix,) = output_suffixes(name)
            if name == "json":
                text = format_json({**head, **alignment_to_dict(alignment)})
            else:
                text = format_transcript(transcript, name, word_times=True)
            with atomic_path(self._folder / (job.recording.stem + suffix)) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def report(self, job: AlignmentJob, error: ValueError) -> None:
        """Report a recording that cannot be aligned."""
        if self._json:
            print_json({self._key: job.recording.name, "error": str(error)})
        else:
            print_error(job.recording.name, error)


def format_json(content: dict[str, Any]) -> str:
    """A JSON file."""
    import json

    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
