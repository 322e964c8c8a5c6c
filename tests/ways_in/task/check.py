# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A corpus may have the task, and its decoder loss is logged under its name."""

import json
from pathlib import Path

from mu2slam_hf.recipes.runs import load_runs

RECIPE = "configuration/recipes/mu2slam/finetune_tiny_test.yaml"


def check(folder: Path) -> None:
    tasks = ["data.corpora.train.tasks=[asr, copy]", "data.text_batch_share=0.5"]
    steps = ["training.max_steps=6", "training.logging_steps=1", "training.eval_steps=0", "training.save_steps=6"]
    for run in load_runs(RECIPE, [*tasks, *steps, f"output.dir={folder}"]):
        run.run()
    logged = {name for line in (folder / "log.jsonl").read_text().splitlines() for name in json.loads(line)}
    assert {"loss_asr_decoder", "loss_copy_decoder"} <= logged and "loss_mt_decoder" not in logged
