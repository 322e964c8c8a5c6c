# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options and reading of a user's own recordings, for all commands that start from them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli.languages import model_config
from mu2slam_hf.cli.model_options import add_model_option
from mu2slam_hf.cli.options import add_output_dir_option, add_target_languages_option

if TYPE_CHECKING:
    from mu2slam_hf.adaptation.options import CheckLimits, ReadingOptions
    from mu2slam_hf.adaptation.prepared_data import PreparedData

REPORT_FILE = "report.html"
# As in mu2slam_hf.adaptation.settings and options, which are not imported for the help of a command.
_NEW_MODEL = "new"
_SPEAKER_SOURCES = ("auto", "file", "folder", "none")
_SPLIT_CHOICES = ("auto", "speaker", "session", "text")


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
    reading = parser.add_argument_group("reading")
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
        choices=_SPEAKER_SOURCES,
        default="auto",
        help="where the speaker is taken from if neither annotation nor table has one: the name of the file up to the "
        "first _, the folder, or nothing; default: the name of the file, if its first part is a word",
    )
    reading.add_argument(
        "--encoding", metavar="NAME", help="encoding of texts and tables that are not UTF-8, such as cp1252"
    )
    division = parser.add_argument_group(
        "development data; a division that is stored in the output folder is kept unless one of these is given"
    )
    division.add_argument(
        "--split-by",
        choices=_SPLIT_CHOICES,
        help="what is kept together: speakers, sessions or equal sentences; default: the first that is possible",
    )
    division.add_argument("--dev-share", type=float, metavar="P", help="share of development data (0.1)")


def reading_options(args: argparse.Namespace) -> "ReadingOptions":
    """The options of reading.

    Raises:
        ValueError: an unknown language, or a value of another form.
    """
    from mu2slam_hf.adaptation.options import ReadingOptions

    return ReadingOptions(
        lang=args.lang,
        target_langs=tuple(args.target_langs),
        tiers=tuple(args.tier),
        translation_tiers=_read_pairs(args.translation_tier, "--translation-tier", args.target_langs),
        columns=_read_pairs(args.column, "--column"),
        encoding=args.encoding,
        speaker_from=args.speaker_from,
    )


def prepare_user_data(args: argparse.Namespace, report_dir: Path | None) -> "PreparedData":
    """Reads, inspects and divides the data of the options; a bar on a terminal shows the progress.

    Args:
        args: arguments of the command.
        report_dir: folder of an earlier report, whose division of the data is kept.

    Raises:
        ValueError: see `prepare_data`.
    """
    from tqdm import tqdm

    from mu2slam_hf.adaptation.options import SplitSettings
    from mu2slam_hf.adaptation.prepared_data import load_previous_split, prepare_data

    options = reading_options(args)
    given = {"dev_share": args.dev_share, "by": args.split_by}
    settings = SplitSettings(**{name: value for name, value in given.items() if value is not None})
    is_new = any(value is not None for value in given.values())
    previous = None if is_new or report_dir is None else load_previous_split(report_dir)
    if not Path(args.folder).exists():
        raise ValueError(f"{args.folder}: no such file or folder")
    limits = read_limits(args)
    with tqdm(desc="listening to the recordings", unit="file", leave=False, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return prepare_data(
            args.folder,
            options,
            tokenizer=_load_tokenizer(args),
            limits=limits,
            split_settings=settings,
            previous=previous,
            progress=show,
        )


def write_report(prepared: "PreparedData", args: argparse.Namespace, report_dir: Path) -> tuple[Path, Path]:
    """Writes the report as a page and as data; returns both files."""
    from mu2slam_hf.adaptation.report_html import render_html

    data_file = prepared.save(report_dir)
    page = report_dir / REPORT_FILE
    with atomic_path(page) as temporary:
        content = render_html(prepared.report, samples_per_frame=read_limits(args).samples_per_frame)
        temporary.write_text(content, encoding="utf-8")
    return page, data_file


def read_limits(args: argparse.Namespace) -> "CheckLimits":
    """Limits of the inspection for the model of `--model`."""
    from mu2slam_hf.adaptation.options import CheckLimits
    from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig

    encoder = model_config(args).get("encoder_config") if args.model != _NEW_MODEL else None
    if not isinstance(encoder, dict):
        return CheckLimits()
    return CheckLimits(samples_per_frame=ConformerEncoderConfig.from_dict(encoder).samples_per_frame)


def _load_tokenizer(args: argparse.Namespace) -> Any:
    """The tokenizer of `--model`; None for a speech encoder or new weights, which get one of the data's characters."""
    from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint
    from mu2slam_hf.checkpoints.folders import load_processor

    if args.model == _NEW_MODEL or "encoder_config" not in model_config(args):
        return None
    return load_processor(default_checkpoint() if args.model == DEFAULT_NAME else args.model).tokenizer


def _read_pairs(texts: Sequence[str], option: str, default_keys: Sequence[str] = ()) -> dict[str, Any]:
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
