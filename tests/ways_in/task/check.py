# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A corpus may have the task, its decoder loss is logged under its name, and it is evaluated by its metrics."""

import json
import os
from pathlib import Path

from mu2slam_hf.cli import main
from mu2slam_hf.recipes.runs.registry import load_runs

RECIPE = "configuration/recipes/mu2slam/finetune_tiny_test.yaml"


def check(folder: Path) -> None:
    tasks = ["data.corpora.train.tasks=[asr, copy]", "data.text_batch_share=0.5"]
    steps = ["training.max_steps=6", "training.logging_steps=1", "training.eval_steps=0", "training.save_steps=6"]
    for run in load_runs(RECIPE, [*tasks, *steps, f"output.dir={folder}"]):
        run.run()
    logged = {name for line in (folder / "log.jsonl").read_text().splitlines() for name in json.loads(line)}
    assert {"loss_asr_decoder", "loss_copy_decoder"} <= logged and "loss_mt_decoder" not in logged
    manifest = ["--manifest", f"{os.environ['MU2SLAM_TINY']}/train.tsv", "--tasks", "copy"]
    results = ["--results", str(folder / "scores.json"), "--max-new-tokens", "3"]
    assert main(["evaluate", *manifest, *results, "--model", str(folder / "final")]) == 0
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert {score["metric"] for score in scores} == {"cer"} and {score["task"] for score in scores} == {"copy"}
