# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab assess-tokenizer`: comparison of speech tokenizers."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lab.commands.options import add_synthetic_options, check_synthetic
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli import options
from mu2slam_hf.cli.files import check_output_file
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.model_options import add_device_option
from mu2slam_hf.cli.records import load_sources
from mu2slam_hf.inference.recordings import print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "assess-tokenizer",
        help="compare speech tokenizers: codebook use, bit rate, invariance, phones, speakers",
        description="Prints a table of figures for each speech tokenizer: on recordings, use of the codebook, bits "
        "per second and invariance to speed, level and noise; on synthetic sentences, agreement of two "
        "voices and information about phones (with times of the synthesiser).",
    )
    parser.add_argument(
        "tokenizers", nargs="+", metavar="DIR", help="saved speech tokenizers, or processors that contain one"
    )
    parser.add_argument(
        "--processor", metavar="DIR", help="processor with a feature extractor: for tokenizers saved without one"
    )
    parser.add_argument("--codebook", type=int, default=0, metavar="N", help="index of the codebook (0)")
    data = parser.add_argument_group("recordings; several sources are combined")
    options.add_source_options(data, repeated=True)
    options.add_split_option(data)
    options.add_num_recordings_option(data)
    synthetic = parser.add_argument_group("synthetic sentences (extra: lab)")
    add_synthetic_options(synthetic, 20)
    options.add_seed_option(parser, "of sentences, voices and noise")
    add_device_option(parser, default="cpu")
    options.add_json_option(parser)
    options.add_results_option(parser)
    options.add_plot_option(parser, "use of the codebook, invariance and phones, a folder")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Assesses all tokenizers on the same data and prints one table."""
    options.check_sources(args, "the data to assess tokenizers on", required=not args.synthetic)
    if args.plot:
        options.check_plots()
    if args.synthetic:
        check_synthetic()
    if args.results:
        check_output_file(args.results, "--results")
    args.synthetic = [language_code(lang) for lang in args.synthetic]
    from lab.tokenizers.assessment import assess_tokenizer, format_assessments
    from mu2slam_hf.checkpoints.devices import check_device
    from mu2slam_hf.data.audio import load_audio
    from mu2slam_hf.quantization.tokenizer_loading import load_with_extractor, make_tokenize

    options.quiet_libraries()
    check_device(args.device)
    # Fast checks first.
    loaded = [load_with_extractor(folder, args.processor) for folder in args.tokenizers]
    records = choose_records(args)
    recordings = [load_audio(record.audio) for record in records]
    spoken: dict[str, Any] = {
        "languages": [record.lang for record in records],
        "meanings": [f"{r.corpus}/{r.id}" for r in records],
    }
    sentences = []
    if args.synthetic:
        from lab.synthesis.phones import speak_in_voices

        sentences = speak_in_voices(args.synthetic, args.sentences, other_pitch=True, seed=args.seed)
    assessments = []
    for folder, (tokenizer, feature_extractor) in zip(args.tokenizers, loaded, strict=True):
        config = tokenizer.config
        if not 0 <= args.codebook < config.num_codevector_groups:
            raise ValueError(f"--codebook out of range: {folder} has {config.num_codevector_groups} codebooks")
        tokenize = make_tokenize(tokenizer.to(args.device), feature_extractor, args.codebook)
        size = config.num_codevectors_per_group
        name = Path(folder).resolve().name
        assessments.append(
            assess_tokenizer(tokenize, size, recordings, sentences, name=name, seed=args.seed, **spoken)
        )
    values = [assessment.to_dict() for assessment in assessments]
    if args.json:
        for value in values:
            print_json(value)
    else:
        print(format_assessments(assessments))
    if args.results:
        with atomic_path(args.results) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        from lab.tokenizers.plots import save_plots

        for path in save_plots(assessments, args.plot):
            print(f"written to {path}", file=sys.stderr)
    return 0


def choose_records(args: argparse.Namespace) -> list[Any]:
    """Records with audio of all given corpora and manifests."""
    from mu2slam_hf.data.selection import spread_evenly

    chosen: list[Any] = []
    for _, records in load_sources(args, args.split):
        spoken = [record for record in records if record.audio is not None]
        chosen += spread_evenly(spoken, args.num_recordings)
    return chosen
