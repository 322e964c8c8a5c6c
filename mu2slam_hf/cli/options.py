# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options shared by several commands."""

import argparse
from typing import Any


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--device`."""
    parser.add_argument(
        "--model", default="default", metavar="PATH", help="folder or Hub name; default: the checkpoint in the package"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")


def load_model(args: argparse.Namespace, *, any_class: bool = True) -> tuple[Any, Any]:
    """Model and processor of `add_model_options`, without messages of transformers.

    Args:
        args: arguments of the command.
        any_class: whether the model may be of any class of the package, or only for conditional generation.
    """
    from mu2slam_hf.checkpoints import load_any_checkpoint, load_checkpoint

    quiet_libraries()
    return (load_any_checkpoint if any_class else load_checkpoint)(args.model, device=args.device)


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """`--num-beams`, `--ctc-weight`, `--max-new-tokens`; the defaults are those of the checkpoint."""
    parser.add_argument("--num-beams", type=positive_int, metavar="N", help="number of beams; 1 is greedy search")
    parser.add_argument(
        "--ctc-weight", type=float, metavar="W", help="weight of CTC in transcription, 0 (attention only) to 1"
    )
    parser.add_argument("--max-new-tokens", type=positive_int, metavar="N", help="maximum number of tokens")


def generation_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The given options of `add_generation_options`."""
    names = ("num_beams", "ctc_weight", "max_new_tokens")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def add_source_options(parser: Any, *, required: bool = False) -> None:
    """`--corpus` with `--root`, or `--manifest`."""
    source = parser.add_mutually_exclusive_group(required=required)
    source.add_argument("--corpus", metavar="NAME", help="corpus known by name, e.g. prompts5, with --root")
    source.add_argument("--manifest", metavar="FILE", help="TSV, CSV, JSONL or Parquet with audio, text, lang, ...")
    parser.add_argument("--root", metavar="DIR", help="folder of the corpus")


def check_source(args: argparse.Namespace) -> None:
    """Raises ValueError if a corpus is given without its folder."""
    if args.corpus and not args.root:
        raise ValueError(f"--corpus {args.corpus} requires --root, the folder of the corpus")


def add_corpus_options(parser: Any, *, required: bool = False, languages: str = "use only these") -> None:
    """Options of `records.load_records`: the source, and filters of its records."""
    add_source_options(parser, required=required)
    parser.add_argument("--split", default="dev", help="split of the corpus (dev)")
    text = f"{languages}: en,fr or en fr"
    parser.add_argument("--languages", nargs="+", type=language_list, action=_Joined, metavar="LANG", help=text)
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N records of each language")


class _Joined(argparse.Action):
    """Concatenates lists."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, [item for part in values for item in part])


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


def positive_int(text: str) -> int:
    """A positive integer argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {value}")
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


def quiet_libraries() -> None:
    """Disable progress bars and messages of transformers in the output of a command."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
