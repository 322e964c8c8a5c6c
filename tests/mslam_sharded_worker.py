# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What each of the processes of `test_mslam_sharding.py` runs: python -m torch.distributed.run ... this_file FOLDER.

Evaluation mode, so that a run can be compared (no noise of the quantiser); training mode for its statistics.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from mslam_batches import collate, make_batch, make_model
from sharded_worker import describe_shards, save_model, train_sharded
from torch import nn

from mu2slam_hf.training.sharding import build_mesh, gather_weights, shard_model

UPDATES = (("tt", "s"), ("sc", "tpa"), ("", "c"), ("st", "p"))
"""Kinds of records of both processes in each update; the first has nothing at all in one of them."""


def build_parts() -> tuple[nn.Module, list[list[dict]]]:
    """A model with the same weights on every process, and its updates."""
    model = make_model(seed=3, encoder={"conv_norm": "group"})
    batches = [
        [
            collate(model.config, make_batch(model.config, kinds, seed=10 * number + rank))
            for rank, kinds in enumerate(pair)
        ]
        for number, pair in enumerate(UPDATES)
    ]
    return model, batches


def main() -> None:
    """Write losses, shapes and statistics of two processes."""
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    mesh = build_mesh("cpu")
    model, updates = build_parts()
    shard_model(model, mesh)
    shapes = describe_shards(model)
    losses = train_sharded(model, torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-3), updates)
    gather_weights(model)
    save_model(model, folder / "checkpoint")
    learner, updates = build_parts()
    shard_model(learner.train(), mesh)
    train_sharded(learner, torch.optim.SGD(learner.parameters(), lr=0.0), updates)
    norm = learner.quantizer.norm
    statistics = torch.cat([norm.count.view(1), norm.mean, norm.variance])
    both = [torch.empty_like(statistics) for _ in range(2)]
    dist.all_gather(both, statistics)
    if dist.get_rank() == 0:
        report = {"losses": losses, "shapes": shapes, "statistics": [one.tolist() for one in both]}
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
