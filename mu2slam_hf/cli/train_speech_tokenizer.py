# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam train-speech-tokenizer`: training of a speech tokenizer on recordings."""

import argparse
import os
import sys
from typing import Any

from mu2slam_hf.cli.corpus_options import corpus_options
from mu2slam_hf.cli.model_options import add_device_option
from mu2slam_hf.cli.options import (
    add_kind_option,
    add_layer_option,
    add_num_recordings_option,
    add_output_dir_option,
    add_overrides_option,
    add_processor_option,
    add_recipe_option,
    add_seed_option,
    add_source_options,
    add_split_option,
    check_source,
    number_from_0,
    positive_int,
    quiet_libraries,
)

# Maps options of the command to keys of the recipe.
_NAMES: dict[str, str | tuple[str, ...]] = {
    "kind": "codebook.kind",
    "num_codevectors": "codebook.num_codevectors",
    "num_codebooks": "codebook.num_codebooks",
    "context": "codebook.num_context_frames",
    "center": "codebook.center_utterances",
    "encoder": "codebook.encoder",
    "layer": "codebook.layer",
    "processor": "feature_extractor",
    "mslam": "codebook.init_from",
    "passes": "kmeans.passes",
    "updates": "contrastive.training.max_steps",
    "seed": ("kmeans.seed", "contrastive.training.seed"),
    "device": "device",
    "output_dir": "output",
}


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train-speech-tokenizer",
        help="train a speech tokenizer on recordings",
        description="Trains a codebook by k-means, on log-mel frames or a layer of a speech encoder, or by a "
        "contrastive loss, with a small auxiliary encoder; or measures the input statistics of a random "
        "projection; and saves a speech tokenizer. After an interruption, k-means resumes after its last "
        "pass, contrastive training after its last checkpoint.",
        epilog="All other values have the defaults of recipes.",
    )
    add_recipe_option(parser, more="; the options below override its values")
    kinds = ("kmeans", "contrastive", "random_projection")
    add_kind_option(parser, f"{', '.join(kinds)} (kmeans)", choices=kinds)
    add_output_dir_option(parser, "the tokenizer")
    data = parser.add_argument_group("recordings")
    add_source_options(data)
    add_split_option(data, None, text="train")
    add_num_recordings_option(data)
    codebook = parser.add_argument_group("codebook")
    codebook.add_argument("--num-codevectors", type=positive_int, metavar="N", help="entries per codebook (1024)")
    codebook.add_argument("--num-codebooks", type=positive_int, metavar="N", help="codebooks of random_projection (1)")
    codebook.add_argument(
        "--context", type=number_from_0, metavar="N", help="context frames of 40 ms on either side (1)"
    )
    codebook.add_argument(
        "--center",
        action="store_true",
        default=None,
        help="subtract the mean of each utterance: ids then depend less on level, microphone and voice",
    )
    codebook.add_argument("--encoder", metavar="DIR", help="quantise a layer of this speech encoder")
    add_layer_option(codebook, "its states are quantised; 0 is the input of the first layer")
    codebook.add_argument(
        "--mslam", metavar="DIR", help="extract the tokenizer of this trained mSLAM model, without training"
    )
    add_processor_option(codebook, "its log-mel features are quantised")
    codebook.add_argument("--passes", type=positive_int, metavar="N", help="passes of k-means over the recordings (8)")
    codebook.add_argument("--updates", type=positive_int, metavar="N", help="updates of contrastive training (1000)")
    add_seed_option(codebook, "of the codebook and of training", default=None)
    add_device_option(codebook)
    add_overrides_option(codebook)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains and saves a tokenizer; prints a line for each pass."""
    values = recipe_values(args)
    from mu2slam_hf.recipes.runs.speech_tokenizer import load_speech_tokenizer_recipe, train_speech_tokenizer

    quiet_libraries()
    recipe = load_speech_tokenizer_recipe(args.recipe, args.overrides, values)

    def print_pass(done: Any) -> None:
        health = done.health
        print(
            f"pass {done.number}: {done.num_frames} frames, inertia {done.inertia:.4f}, "
            f"{100 * health.usage:.1f} % used, perplexity {health.perplexity:.0f}",
            flush=True,
        )
        if done.number == recipe.kmeans.passes and health.usage < 0.6:
            print("less than 60 % of the codebook is used: use fewer entries or more audio", file=sys.stderr)

    tokenizer = train_speech_tokenizer(recipe, print_pass)
    config = tokenizer.config
    books = f"{config.num_codevector_groups} x " if config.num_codevector_groups > 1 else ""
    if os.environ.get("RANK", "0") == "0":  # saved by the first process only
        print(f"{config.kind}, {books}{config.num_codevectors_per_group} entries, written to {recipe.output}")
    return 0


def recipe_values(args: argparse.Namespace) -> dict[str, Any]:
    """Convert the options of the command line to values of the recipe.

    Raises:
        ValueError: no recordings are given, or an option would have no effect.
    """
    values: dict[str, Any] = {}
    for option, names in _NAMES.items():
        if getattr(args, option) is not None:
            values |= dict.fromkeys([names] if isinstance(names, str) else names, getattr(args, option))
    if args.mslam:
        values.setdefault("codebook.kind", "contrastive")
    check_source(args)
    for option, needs in (("root", ["corpus"]), ("split", ["corpus"]), ("num_recordings", ["corpus", "manifest"])):
        if getattr(args, option) is not None and not any(getattr(args, name) for name in needs):
            key = "limit" if option == "num_recordings" else option
            raise ValueError(
                f"--{option.replace('_', '-')} requires {' or '.join(f'--{name}' for name in needs)}; for the corpora "
                f"of a recipe use --set corpora.NAME.{key}={getattr(args, option)}"
            )
    options = corpus_options(args, [args.corpus] if args.corpus else [])
    source: dict[str, Any] = {}
    if args.corpus:
        source = {"name": args.corpus, "root": args.root, "split": args.split or "train"}
        source |= {"options": options[args.corpus]} if options[args.corpus] else {}
    elif args.manifest:
        source = {"manifest": args.manifest}
    elif not args.recipe and not args.mslam:
        raise ValueError("pass --recipe, --corpus with --root, or --manifest")
    if source:
        values["corpora"] = {"recordings": source | ({"limit": args.num_recordings} if args.num_recordings else {})}
    if not args.recipe and not args.output_dir:
        raise ValueError("--output-dir, the folder to write, is required")
    return values
