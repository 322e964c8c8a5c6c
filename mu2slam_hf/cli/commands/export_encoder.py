# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam export-encoder`: a trained speech encoder in the format of transformers that it was imported from."""

import argparse
from typing import Any

from mu2slam_hf.cli.options import add_output_dir_option, quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "export-encoder",
        help="write a trained speech encoder in the format that it was imported from",
        description="Writes the speech encoder of a model, and its feature extractor, in the format of transformers: "
        "w2v-BERT 2.0 or Wav2Vec2-Conformer. The model must have started from such an encoder.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the model, as runs/mine/final")
    add_output_dir_option(parser, "encoder and feature extractor; must not exist or be empty", required=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the encoder.

    Raises:
        ValueError: the output folder is not empty, or the encoder has no such format.
    """
    quiet_libraries()
    from mu2slam_hf.atomic_files import check_free_folder
    from mu2slam_hf.checkpoints import load_any_checkpoint
    from mu2slam_hf.interop.speech_encoder_export import export_speech_encoder

    folder = check_free_folder(args.output_dir)
    model, processor = load_any_checkpoint(args.model)
    encoder = export_speech_encoder(model, folder, processor.feature_extractor)
    size = sum(parameter.numel() for parameter in encoder.parameters())
    print(f"{type(encoder).__name__}, {size / 1e6:.1f} M weights, written to {folder}")
    return 0
