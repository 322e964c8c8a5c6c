# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speed of a recipe on this machine."""

import contextlib
import copy
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from mu2slam_hf.adaptation.plan import Pace
from mu2slam_hf.recipes.runs import build_run, load_recipes

# The first updates allocate memory and start the loader.
_WARM_STEPS, _TIMED_STEPS = 2, 4


def measure_pace(tree: dict[str, Any]) -> Pace:
    """Train a few updates of a recipe in a temporary folder, and evaluate once.

    On a CPU they are timed with and without bfloat16, which is faster on some processors and much slower on others.

    Args:
        tree: values of the recipe.
    """
    if torch.cuda.is_available():
        choices = [torch.cuda.is_bf16_supported()]
    else:
        choices = [True, False]
    found = [_measure(tree, bf16) for bf16 in choices]
    return min(found, key=lambda pace: pace.seconds_per_step)


def _measure(tree: dict[str, Any], bf16: bool) -> Pace:
    tree = copy.deepcopy(tree)
    tree.pop("stages", None)
    with tempfile.TemporaryDirectory(prefix="mu2slam-pace-") as folder:
        tree["training"] |= {
            "max_steps": _WARM_STEPS + _TIMED_STEPS,
            "bf16": bf16,
            "logging_steps": 1,
            "eval_steps": 0,
            "save_steps": 1_000_000,
            "average_last": 0,
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
            "report_to": [],
            "disable_tqdm": True,
        }
        tree["output"] = {"dir": folder}
        file = Path(folder) / "recipe.yaml"
        file.write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), encoding="utf-8")
        (recipe,) = load_recipes(file)
        run = build_run(recipe)
        data = run.load_data()
        processor = run.build_processor(data)
        trainer = run.build_trainer(processor, run.build_model(processor, data), data)
        # Its losses would look like the beginning of the training.
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
        logs = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        times = sorted(entry["seconds_per_step"] for entry in logs if "seconds_per_step" in entry)[:-_WARM_STEPS]
        started = time.monotonic()
        if recipe.evaluation.corpora:
            with contextlib.redirect_stdout(io.StringIO()):
                trainer.evaluate()
        return Pace(
            seconds_per_step=sum(times) / len(times),
            evaluation_seconds=time.monotonic() - started,
            bf16=bf16,
        )
