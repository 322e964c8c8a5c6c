# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Two processes skip the same updates, whichever of them has the loss that is not finite."""

import json
import shutil

import torch
from safetensors.torch import load_file
from training_runs import run_in_two_processes


def test_two_processes_skip_the_same_updates(tones, tmp_path):
    shutil.copytree(tones.parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / tones.name).rename(tmp_path / "tones.tsv")
    run_in_two_processes("skipped_updates_worker.py", tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["step"] == second["step"] == 3
    assert first["message"] == second["message"]
    assert "update 4 is not finite" in first["message"] and ":train/" in first["message"]
    weights = [load_file(tmp_path / f"{rank}.safetensors") for rank in range(2)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
