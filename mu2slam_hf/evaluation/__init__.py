# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation: scores of texts, records of evaluations, and the tasks that are evaluated."""

from pathlib import Path

METRIC_MODULES = ("wer", "cer", "bleu", "chrf", "ter")


def metric_module_path(name: str) -> str:
    """Folder of a local metric module: `evaluate.load(metric_module_path("wer"))` works without the Hub."""
    if name not in METRIC_MODULES:
        raise ValueError(f"unknown metric {name!r}; expected one of {', '.join(METRIC_MODULES)}")
    return str(Path(__file__).parent / "metric_modules" / name)
