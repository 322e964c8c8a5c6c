# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The share of the blank is a loss with a coefficient in the recipe, logged under its name."""

import json
from pathlib import Path

from mu2slam_hf.recipes.runs.registry import load_runs

RECIPE = "configuration/recipes/mu2slam/finetune_tiny_test.yaml"


def check(folder: Path) -> None:
    overrides = ["objective.blank=0.5", "training.max_steps=2", "training.logging_steps=1", "training.eval_steps=0"]
    for run in load_runs(RECIPE, [*overrides, f"output.dir={folder}"]):
        run.run()
    logs = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    values = [line["loss_blank"] for line in logs if "loss_blank" in line]
    assert values and all(0 < value < 1 for value in values)
