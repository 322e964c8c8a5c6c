# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options and reading of a user's own recordings, for all commands that start from them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mu2slam_hf.adaptation.reading.options import (
    SPEAKER_SOURCES,
    SPLIT_CHOICES,
    ReadingOptions,
    SplitSettings,
    TextForm,
)
from mu2slam_hf.adaptation.training.settings import NEW_MODEL
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.cli.model_options import add_model_option
from mu2slam_hf.cli.options import add_output_dir_option, add_target_languages_option, text_encoding

if TYPE_CHECKING:
    from mu2slam_hf.adaptation.report.prepared_data import InspectionJob, PreparedData
    from mu2slam_hf.adaptation.training.job import AdaptationJob


_FORMS: dict[str, TextForm] = {"always": "normalized", "never": "written"}


def add_user_data_options(parser: argparse.ArgumentParser, *, output: str) -> None:
    """FOLDER, `--lang`, `--to`, `--output-dir`, `--model`, and how files are read and divided.

    Args:
        parser: parser of the command.
        output: what is written to `--output-dir`.
    """
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="folder with recordings and, under the same names, ELAN files (.eaf), Praat TextGrids, subtitles (.srt, "
        ".vtt) or texts (.txt, translations .fr.txt); or a table (TSV, CSV) with the columns audio and text",
    )
    parser.add_argument(
        "--lang", required=True, metavar="LANG", help="language: the one that is spoken, as mdw, fr or French"
    )
    add_target_languages_option(parser)
    add_output_dir_option(parser, output)
    add_model_option(parser)
    _add_reading_options(parser.add_argument_group("reading"))
    division = parser.add_argument_group(
        "development data; a division that is stored in the output folder is kept unless one of these is given"
    )
    division.add_argument(
        "--split-by",
        choices=SPLIT_CHOICES,
        help="what is kept together: speakers, sessions or equal sentences; default: the first that is possible",
    )
    division.add_argument("--dev-share", type=float, metavar="P", help="share of development data (0.1)")


def _add_reading_options(reading: argparse._ArgumentGroup) -> None:
    reading.add_argument(
        "--tier",
        action="append",
        default=[],
        metavar="NAME",
        help="tier with the transcript in ELAN and Praat files; may be repeated; default: by language, name and place",
    )
    reading.add_argument(
        "--translation-tier",
        action="append",
        default=[],
        metavar="[LANG=]NAME",
        help="tier with the translation; LANG= is needed with several languages",
    )
    reading.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="KIND=NAME",
        help="column of a table, such as text=transcription, text_fr=french or speaker=who; default: the usual names",
    )
    reading.add_argument(
        "--speaker-from",
        choices=SPEAKER_SOURCES,
        default="auto",
        help="where the speaker is taken from if neither annotation nor table has one: the name of the file up to the "
        "first _, the folder, or nothing; default: the name of the file, if its first part is a word",
    )
    reading.add_argument(
        "--encoding",
        type=text_encoding,
        metavar="NAME",
        help="encoding of texts and tables that are not UTF-8, such as cp1252",
    )
    reading.add_argument(
        "--texts",
        action="append",
        default=[],
        metavar="FILE",
        help="text file with one sentence per line; texts.ro has its translations line by line in texts.en beside it; "
        "may be repeated, and may be a table. Texts without translation are used by --pretrain only",
    )
    form = reading.add_mutually_exclusive_group()
    form.add_argument(
        "--lowercase",
        action="store_true",
        help="change all transcripts and translations to lower case; kept for further calls with the same folder",
    )
    form.add_argument(
        "--normalize",
        nargs="?",
        choices=("always", "never"),
        const="always",
        help="convert to lower case without punctuation first (all transcripts and translations); never: leave texts "
        "as they are, also if an earlier call with the same folder has changed them",
    )


def read_inspection_job(args: argparse.Namespace, report_dir: Path | None) -> "InspectionJob":
    """The job of the options of `add_user_data_options`.

    Args:
        args: arguments of the command.
        report_dir: folder of the report, and of an earlier one, whose division of the data is kept.

    Raises:
        ValueError: an unknown language, or a value of another form.
    """
    from mu2slam_hf.adaptation.report.prepared_data import InspectionJob

    split = {"dev_share": args.dev_share, "by": args.split_by}
    split = {name: value for name, value in split.items() if value is not None}
    options = ReadingOptions(
        lang=args.lang,
        target_langs=tuple(args.target_langs),
        tiers=tuple(args.tier),
        translation_tiers=_read_pairs(args.translation_tier, "--translation-tier", args.target_langs),
        columns=_read_pairs(args.column, "--column"),
        encoding=args.encoding,
        speaker_from=args.speaker_from,
        texts=tuple(map(str, map(Path, args.texts))),
        text_form="lowercase" if args.lowercase else _FORMS.get(args.normalize),
    )
    return InspectionJob(
        source=args.folder,
        options=options,
        model=None if args.model == NEW_MODEL else ModelChoice(name=args.model),
        split_settings=SplitSettings(**split) if split else None,
        report_dir=report_dir,
    )


def prepare_with_progress(job: "InspectionJob | AdaptationJob") -> "PreparedData":
    """Runs the reading of a job; a bar on a terminal shows the progress."""
    from tqdm import tqdm

    with tqdm(desc="listening to the recordings", unit="file", leave=False, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return job.prepare(show)


def _read_pairs(texts: Sequence[str], option: str, default_keys: Sequence[str] = ()) -> dict[str, str]:
    """`KEY=VALUE` as pairs; a value alone has the only default key.

    Raises:
        ValueError: no `=`, or a key twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator and len(default_keys) == 1:
            key, value = default_keys[0], text
        elif not (separator and key.strip() and value.strip()):
            raise ValueError(f"{option} {text}: expected the form KEY=NAME, such as {option} fr=translation")
        if key.strip() in pairs:
            raise ValueError(f"{option} is given twice for {key.strip()}")
        pairs[key.strip()] = value.strip()
    return pairs
