# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A recipe of the kind trains, resumes and saves; the Auto classes load the result."""

import json
import os
from pathlib import Path

import yaml

from mu2slam_hf.recipes.runs import load_runs


def check(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    tree = {
        "kind": "frame_recognition",
        "model": {"config": str(folder / "config.json")},
        "data": {"corpora": {"tones": {"manifest": f"{os.environ['MU2SLAM_TINY']}/train.tsv"}}},
        "training": {"max_steps": 2, "save_steps": 2, "logging_steps": 1, "report_to": [], "disable_tqdm": True},
        "output": {"dir": str(folder / "run")},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(tree))
    for steps in (2, 3):
        for run in load_runs(folder / "recipe.yaml", [f"training.max_steps={steps}"]):
            run.run()
    logs = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logs if "loss" in line] == [1, 2, 3]
    from transformers import AutoModelForCTC

    assert type(AutoModelForCTC.from_pretrained(folder / "run" / "final")).__name__ == "FrameRecognizer"
