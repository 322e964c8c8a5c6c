# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A recipe names the schedule; the first updates mask less."""

from pathlib import Path

from mu2slam_hf.data.masking import MaskingConfig
from mu2slam_hf.recipes.runs.registry import load_runs


def check(folder: Path) -> None:
    config = MaskingConfig(schedule="cosine", schedule_steps=10)
    ratios = [config.at_step(step).text_ratio for step in (0, 4, 9, 20)]
    assert ratios == sorted(ratios) and ratios[0] < 0.05 and ratios[-1] == config.text_ratio
    overrides = ["masking.schedule=cosine", "training.max_steps=2", "training.eval_steps=0", f"output.dir={folder}"]
    for run in load_runs("configuration/recipes/mu2slam/pretrain_tiny_test.yaml", overrides):
        run.run()
    assert (folder / "final" / "model.safetensors").is_file()
