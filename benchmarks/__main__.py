# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speed beside other models, interleaved in one process, with what the machine can do in the same run.

    python -m benchmarks [NAME ...] [--repeats 9] [--threads 2] [--output FOLDER]

NAME is a benchmark of the tables below; default: all that need neither data, nor an extra, nor much memory. With
--output, benchmarks.json and benchmarks.md are written. A benchmark whose outputs differ from its reference fails
before it measures. `NAME --help` lists the options of a benchmark.
"""

import argparse
import json
import shlex
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from benchmarks import (
    codebook_search,
    data_loading,
    decoder_noise,
    drafts,
    encoder,
    features,
    generation,
    joined_recordings,
    live,
    onnx_backend,
    operation_shares,
    paper_size,
    pretraining_step,
    quantization,
    recording_length,
    serving,
    startup,
    training_step,
    transcription_speed,
    transducer_loss,
    vector_search,
    whole_recordings,
    word_times,
    zero_shot_classification,
)
from benchmarks.machine import describe_machine, measure_limits
from mu2slam_hf.atomic_files import atomic_path

DEFAULT: dict[str, Any] = {
    "features": features,
    "encoder": encoder,
    "generation": generation,
    "drafts": drafts,
    "transcription_speed": transcription_speed,
    "training_step": training_step,
    "decoder_noise": decoder_noise,
    "codebook_search": codebook_search,
    "transducer_loss": transducer_loss,
    "startup": startup,
    "data_loading": data_loading,
}
ON_REQUEST: dict[str, Any] = {
    "operation_shares": operation_shares,
    "quantization": quantization,
    "onnx_backend": onnx_backend,
    "serving": serving,
    "live": live,
    "pretraining_step": pretraining_step,
    "paper_size": paper_size,
    "joined_recordings": joined_recordings,
    "recording_length": recording_length,
    "whole_recordings": whole_recordings,
    "vector_search": vector_search,
    "word_times": word_times,
    "zero_shot_classification": zero_shot_classification,
}
"""These need data, an extra or much memory, or explain the others."""

BENCHMARKS = DEFAULT | ON_REQUEST
"""Modules with `run(options) -> rows`, and `add_options(parser)` if they have options of their own."""


def format_table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table; numbers with three digits."""
    show = [
        [
            f"{value:.3g}"
            if isinstance(value, float) and value < 1000
            else f"{value:.0f}"
            if isinstance(value, float)
            else str(value)
            for value in row.values()
        ]
        for row in rows
    ]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *show]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_report(report: dict[str, Any]) -> str:
    """The report as Markdown: machine and limits, then a table for each benchmark."""
    parts = [
        "# Benchmarks",
        f"`{report['command']}`",
        format_table([report["machine"]]),
        format_table([report["limits"]]),
    ]
    for name, rows in report["benchmarks"].items():
        parts += [f"## {name}", BENCHMARKS[name].__doc__.strip(), format_table(rows)]
    return "\n\n".join(parts) + "\n"


def build_parser(name: str | None) -> argparse.ArgumentParser:
    """The common options, and those of a benchmark."""
    module = None if name is None else BENCHMARKS[name]
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name or '[NAME ...]'}",
        description=(__doc__ if module is None else module.__doc__),
        epilog=f"NAME: {', '.join(DEFAULT)} (default: these), {', '.join(ON_REQUEST)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=int, default=9, help="rounds; medians are reported (9)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, help="folder for benchmarks.json and benchmarks.md")
    if hasattr(module, "add_options"):
        module.add_options(parser)
    return parser


def read_options(arguments: list[str]) -> dict[str, argparse.Namespace]:
    """The options of every benchmark to run."""
    names = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        build_parser(None).error(f"unknown benchmark {unknown[0]!r}; expected {', '.join(BENCHMARKS)}")
    given = arguments[len(names) :]
    if not names:
        build_parser(None).parse_args(given)
    return {name: build_parser(name).parse_args(given) for name in names or DEFAULT}


def main() -> None:
    """Measure, print, and write the report."""
    options_by_name = read_options(sys.argv[1:])
    options = next(iter(options_by_name.values()))  # the common ones are the same everywhere
    torch.set_num_threads(options.threads)
    report = {
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "machine": describe_machine(),
        "limits": measure_limits(options.repeats),
        "benchmarks": {name: BENCHMARKS[name].run(chosen) for name, chosen in options_by_name.items()},
    }
    text = format_report(report)
    print(text, end="")
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        contents = {"benchmarks.json": json.dumps(report, indent=1) + "\n", "benchmarks.md": text}
        for name, content in contents.items():
            with atomic_path(options.output / name) as path:
                path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
