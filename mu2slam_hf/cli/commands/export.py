# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam export`: a model for onnxruntime, compared with PyTorch before it is written."""

import argparse
from typing import Any

from mu2slam_hf.cli.model_options import add_model_option, dtype_name
from mu2slam_hf.cli.options import add_output_dir_option, quiet_libraries
from mu2slam_hf.inference.recordings import print_error


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "export",
        help="write a model for onnxruntime",
        description="Writes an encoder-decoder as ONNX graphs, with its processor and configurations. `mu2slam "
        "transcribe --model DIR` and `mu2slam serve --model DIR` run the folder without PyTorch weights. The graphs "
        "are compared with the model first; if they differ, nothing is written (extra: export).",
    )
    add_model_option(parser)
    add_output_dir_option(parser, "graphs, weights, processor, export.json; must not exist or be empty", required=True)
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="format of the graphs (onnx)")
    parser.add_argument(
        "--dtype",
        type=dtype_name,
        choices=("float32", "int8"),
        default="float32",
        help="type of the weights in memory (float32); int8: products in 8 bits, which changes texts",
    )
    parser.add_argument(
        "--check-on",
        nargs="+",
        default=[],
        metavar="FILE",
        help="recordings, or folders of them, on which the graphs are compared with the model (generated sounds)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the folder.

    Raises:
        ValueError: the output folder is not empty, a recording cannot be read, or the model cannot be exported.
        ImportError: the extra is not installed.
    """
    from mu2slam_hf.atomic_files import check_free_folder
    from mu2slam_hf.checkpoints.onnx_folders import EXPORT_PACKAGES, check_onnx_packages
    from mu2slam_hf.cli.recordings import list_recordings

    check_onnx_packages(EXPORT_PACKAGES, "mu2slam export")
    folder = check_free_folder(args.output_dir)
    recordings = list_recordings(args.check_on) if args.check_on else []
    quiet_libraries()
    from mu2slam_hf.checkpoints.model_choice import ModelChoice
    from mu2slam_hf.data.audio import load_audio
    from mu2slam_hf.export.onnx_export import check_exportable, export_onnx

    model, processor = ModelChoice(name=args.model, backend="torch").load()
    check_exportable(model)
    rate = processor.feature_extractor.sampling_rate
    check = export_onnx(
        model,
        processor,
        folder,
        dtype=args.dtype,
        waveforms=[load_audio(recording.source, rate, name=recording.name) for recording in recordings],
        source=args.model,
        progress=lambda step: print_error("mu2slam", step),
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(
        f"{folder}: {size / 1e6:.1f} MB. Compared on {check.num_recordings} recordings ({check.seconds:.1f} s): "
        f"states differ by at most {check.states:.1g}; the same are {check.num_ctc_texts} CTC texts and "
        f"{check.num_texts} transcripts."
    )
    return 0
