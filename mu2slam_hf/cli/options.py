# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options shared by several commands. An option has the same meaning in all commands that have it."""

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.corpus_options import named_value
from mu2slam_hf.inference.output_settings import FORMATS

PARTS = ("choosing", "reporting")
"""As `mu2slam_hf.data.selection.PARTS`, which is not imported for the help of a command."""


def add_recordings(parser: Any) -> None:
    """The positional FILE ..., and `--file-list`; see `recordings.list_recordings`."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="recordings, folders of them (with their sub-folders), http(s) addresses; - reads one recording from "
        "standard input",
    )
    parser.add_argument(
        "--file-list", metavar="LIST", help="also the recordings that the text file LIST names, one per line"
    )


def add_source_language_option(parser: Any, default: str = "predicted") -> None:
    """`--from`, as `args.source_lang`: of the input; `--lang` is the language that a command adds or trains."""
    parser.add_argument(
        *("--from", "--source-lang", "--language"),
        dest="source_lang",
        metavar="LANG",
        help=f"language of the input, as es, spa, es-MX or Spanish; default: {default}",
    )


def add_target_languages_option(parser: Any, *, required: bool = False) -> None:
    """`--to`, as the list `args.target_langs`."""
    parser.add_argument(
        *("--to", "--target-lang"),
        dest="target_langs",
        type=language_list,
        action="extend",
        default=[],
        required=required,
        metavar="LANG[,LANG]",
        help="languages to translate into, as en,fr; may be repeated",
    )


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """`--num-beams`, `--ctc-weight`, `--max-new-tokens`; the defaults are those of the checkpoint."""
    parser.add_argument("--num-beams", type=up_to(100), metavar="N", help="number of beams; 1 is greedy search")
    parser.add_argument(
        "--ctc-weight", type=probability, metavar="W", help="weight of CTC in transcription, 0 (attention only) to 1"
    )
    parser.add_argument("--max-new-tokens", type=up_to(100_000), metavar="N", help="maximum number of tokens")


def generation_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The given options of `add_generation_options`."""
    names = ("num_beams", "ctc_weight", "max_new_tokens")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def add_batch_size_option(parser: Any, default: int) -> None:
    """`--batch-size`."""
    text = f"maximum number of items in a batch ({default})"
    parser.add_argument("--batch-size", type=positive_int, default=default, metavar="N", help=text)


def add_batch_seconds_option(parser: Any) -> None:
    """`--batch-seconds`."""
    text = "maximum seconds of audio in a batch, with padding (60)"
    parser.add_argument("--batch-seconds", type=positive_seconds, default=60.0, metavar="SECONDS", help=text)


def add_window_options(parser: Any) -> None:
    """`--chunk-length`, `--vad`, `--batch-seconds`."""
    parser.add_argument(
        "--chunk-length",
        type=positive_seconds,
        metavar="SECONDS",
        help="maximum seconds of speech that the model reads at once; default: that of the checkpoint",
    )
    parser.add_argument(
        "--vad",
        choices=("energy", "silero"),
        default="energy",
        help="what finds the speech: pauses by energy, or the neural network silero-vad (extra: vad), which ignores "
        "noise and music (energy)",
    )
    add_batch_seconds_option(parser)


def add_json_option(parser: Any) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object per line instead of text")


def add_top_option(parser: Any) -> None:
    """`--top`."""
    parser.add_argument("--top", type=positive_int, default=3, metavar="N", help="number of results to print (3)")


def layer_or_all(text: str) -> int | str:
    """The number of a layer, or "all"."""
    return text if text == "all" else number_from_0(text)


def add_results_option(parser: Any) -> None:
    """`--results`."""
    parser.add_argument("--results", metavar="FILE", help="write the record of the evaluation to FILE (JSON)")


def add_plot_option(parser: Any, what: str) -> None:
    """`--plot`."""
    parser.add_argument("--plot", metavar="PATH", help=f"write plots to PATH: {what} (extra: plots)")


def add_output_dir_option(parser: Any, what: str, *, required: bool = False) -> None:
    """`--output-dir`, as `args.output_dir`."""
    names = ("-o", "--output-dir", "--output")
    parser.add_argument(
        *names, dest="output_dir", required=required, metavar="DIR", help=f"folder for everything written: {what}"
    )


def add_like_option(parser: Any) -> None:
    """`--like`, as a list of codes."""
    parser.add_argument(
        "--like",
        type=language_list,
        default=[],
        metavar="LANG[,LANG]",
        help="languages of the model that a new language starts from (all)",
    )


def add_output_format_option(parser: Any, default: str) -> None:
    """`--output-format`, as the list `args.formats` (None if it is not given)."""
    parser.add_argument(
        *("-f", "--output-format"),
        dest="formats",
        type=format_list,
        metavar="FORMAT[,FORMAT]",
        help=f"formats of the output: {', '.join(FORMATS)} or all; default: {default}",
    )


def add_seed_option(parser: Any, what: str, *, default: int | None = 0) -> None:
    """`--seed`."""
    parser.add_argument("--seed", type=int, default=default, help=f"seed of random numbers: {what} (0)")


def add_source_options(parser: Any, *, required: bool = False, repeated: bool = False) -> None:
    """`--corpus` with `--root` and `--option`, or `--manifest`; see `check_source` and `check_sources`.

    Args:
        parser: parser or group.
        required: whether one of both is required.
        repeated: accept both, several times; the values are lists.
    """
    source = parser if repeated else parser.add_mutually_exclusive_group(required=required)
    more: dict[str, Any] = {"action": "append", "default": []} if repeated else {}
    again = "; may be repeated" if repeated else ""
    source.add_argument(
        "--corpus",
        metavar="NAME[=DIR]",
        help=f"corpus known by name, as prompts5, and its folder (or --root){again}",
        **more,
    )
    source.add_argument(
        "--manifest", metavar="FILE", help=f"TSV, CSV, JSONL or Parquet with audio, text, lang, ...{again}", **more
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the corpus")
    parser.add_argument(
        "--option",
        dest="corpus_options",
        type=named_value,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the corpus (`mu2slam corpora NAME` lists them), as domains=[everyday]; may be repeated",
    )


def check_source(args: argparse.Namespace) -> None:
    """Separate NAME=DIR of `--corpus` into `args.corpus` and `args.root`.

    Raises:
        ValueError: a corpus without its folder, or with two.
    """
    if not args.corpus:
        return
    name, root = _split_corpus(args.corpus, args.root)
    if args.root and args.root != root:
        raise ValueError(f"--corpus {args.corpus} has a folder already; remove --root {args.root}")
    args.corpus, args.root = name, root


def check_sources(args: argparse.Namespace, what: str, *, required: bool = True) -> None:
    """Replace each NAME=DIR of a repeated `--corpus` by the pair of name and folder, `--root` by default.

    Args:
        args: arguments of `add_source_options(repeated=True)`.
        what: what the data is used for, for the message.
        required: whether one source at least is required.

    Raises:
        ValueError: no source at all, or a corpus without its folder.
    """
    if required and not (args.corpus or args.manifest):
        raise ValueError(f"pass --corpus or --manifest: {what}")
    args.corpus = [_split_corpus(corpus, args.root) for corpus in args.corpus]


def _split_corpus(corpus: str, root: str | None) -> tuple[str, str]:
    """Name and folder of NAME[=DIR]."""
    name, _, folder = corpus.partition("=")
    folder = folder or root or ""
    if not folder and Path(name).is_file():
        raise ValueError(f"--corpus expects the name of a corpus (`mu2slam corpora`); for a file: --manifest {name}")
    if not folder:
        raise ValueError(f"--corpus {name} requires its folder: --corpus {name}=DIR, or --root DIR")
    return name, folder


def add_split_option(parser: Any, default: str | None = "dev", *, text: str = "dev", **options: Any) -> None:
    """`--split`."""
    parser.add_argument("--split", default=default, help=f"split of the corpus ({text})", **options)


def add_corpus_options(parser: Any, *, required: bool = False) -> None:
    """Options of `records.load_records`: the source, and filters of its records."""
    add_source_options(parser, required=required)
    add_split_option(parser)
    add_languages_option(parser, "use only these")
    add_limit_option(parser)
    add_part_option(parser)


def add_part_option(parser: Any) -> None:
    """`--part`."""
    text = "only a part of the records, by a hash of their ids: choosing (a third, to choose settings by) or reporting"
    parser.add_argument("--part", choices=PARTS, help=text)


def add_languages_option(parser: Any, what: str) -> None:
    """`--languages`, as a list or None."""
    parser.add_argument(
        "--languages",
        nargs="+",
        type=language_list,
        action=Joined,
        metavar="LANG",
        help=f"languages of the data: {what}; en,fr or en fr",
    )


def add_limit_option(parser: Any) -> None:
    """`--limit`."""
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N records of each language")


def add_num_recordings_option(parser: Any) -> None:
    """`--num-recordings`."""
    text = "use only N recordings of each source, spread evenly"
    parser.add_argument("--num-recordings", type=positive_int, metavar="N", help=text)


class Joined(argparse.Action):
    """Concatenates lists."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Store the concatenation."""
        setattr(namespace, self.dest, [item for part in values for item in part])


def add_recipe_option(parser: Any, *, required: bool = False, more: str = "") -> None:
    """`--recipe`."""
    text = f"YAML file, or a name listed by `mu2slam recipes`{more}"
    parser.add_argument("--recipe", required=required, metavar="NAME", help=text)


def add_overrides_option(parser: Any) -> None:
    """`--set KEY=VALUE`, which may be repeated; the list is `args.overrides`."""
    text = "override a value of the recipe, e.g. --set training.max_steps=100; may be repeated"
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help=text)


def probability(text: str) -> float:
    """An argument from 0 to 1."""
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def text_encoding(name: str) -> str:
    """The name of an encoding of texts; others of Python (rot13, hex) change bytes or characters."""
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected an encoding of texts, such as cp1252, got {name!r}") from error
    return name


def positive_int(text: str) -> int:
    """A positive integer argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {value}")
    return value


def up_to(maximum: int) -> Callable[[str], int]:
    """A type of arguments: integers from 1 to a maximum, above which memory would not suffice."""

    def number(text: str) -> int:
        value = positive_int(text)
        if value > maximum:
            raise argparse.ArgumentTypeError(f"expected a number of at most {maximum}, got {value}")
        return value

    return number


def positive_seconds(text: str) -> float:
    """A positive number of seconds."""
    value = float(text)
    if not 0.0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, at most 1000000, got {text}")
    return value


def number_from_0(text: str) -> int:
    """A non-negative integer argument."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {value}")
    return value


def language_list(text: str) -> list[str]:
    """`en,fr` as a list."""
    codes = [code.strip() for code in text.split(",")]
    if not all(codes):
        raise argparse.ArgumentTypeError(f"expected language codes separated by commas, got {text!r}")
    return codes


def format_list(text: str) -> list[str]:
    """`txt,srt` or `all` as a list."""
    names = [name.strip().lower().removeprefix(".") for name in text.split(",")]
    if names == ["all"]:
        return list(FORMATS)
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown format {unknown[0]!r}; expected {', '.join(FORMATS)} or all")
    return list(dict.fromkeys(names))


def check_plots() -> None:
    """Raises ImportError if matplotlib is not installed, before anything is computed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("--plot requires matplotlib: pip install 'mu2slam-hf[plots]'")


def check_silero() -> None:
    """Raises ImportError if silero-vad is not installed, before a model is loaded."""
    if importlib.util.find_spec("silero_vad") is None:
        raise ImportError("--vad silero requires silero-vad: pip install 'mu2slam-hf[vad]'")


def quiet_libraries() -> None:
    """Disable progress bars and messages of transformers in the output of a command."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def add_bootstrap_option(parser: Any, default: int) -> None:
    """`--bootstrap`."""
    text = "number of resamples of the utterances for 95 %% confidence intervals: 0 for none"
    parser.add_argument("--bootstrap", type=int, default=default, metavar="N", help=f"{text} ({default})")
