# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speed beside other models, interleaved in one process, with what the machine can do in the same run.

    python -m benchmarks [NAME ...] [--repeats 9] [--threads 2] [--output FOLDER]

NAME is a benchmark of the table below; default: all. With --output, benchmarks.json and benchmarks.md are written. A
benchmark whose outputs differ from its reference fails before it measures.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks import data_loading, drafts, encoder, features, generation, startup, training_step
from benchmarks.machine import describe_machine, measure_limits
from mu2slam_hf.atomic_files import atomic_path

BENCHMARKS: dict[str, Any] = {
    "features": features,
    "encoder": encoder,
    "generation": generation,
    "drafts": drafts,
    "training_step": training_step,
    "startup": startup,
    "data_loading": data_loading,
}


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
    parts = ["# Benchmarks", format_table([report["machine"]]), format_table([report["limits"]])]
    for name, rows in report["benchmarks"].items():
        parts += [f"## {name}", BENCHMARKS[name].__doc__.strip(), format_table(rows)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure, print, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--repeats", type=int, default=9, help="rounds; medians are reported (9)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, help="folder for benchmarks.json and benchmarks.md")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; expected {', '.join(BENCHMARKS)}")
    torch.set_num_threads(options.threads)
    report = {
        "machine": describe_machine(),
        "limits": measure_limits(options.repeats),
        "benchmarks": {name: BENCHMARKS[name].run(options.repeats) for name in options.names or BENCHMARKS},
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
