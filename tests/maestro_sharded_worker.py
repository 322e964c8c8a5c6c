# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What each process of `test_maestro_sharding.py` runs: python -m torch.distributed.run ... this_file FOLDER."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from maestro_batches import make_maestro, make_maestro_batch
from sharded_worker import describe_shards, save_model, train_sharded
from torch import nn

from mu2slam_hf.training.sharding import build_mesh, gather_weights, shard_model

UPDATES = (("tt", "s"), ("sc", "tc"), ("", "c"), ("st", "c"))
"""Kinds of records of both processes in each update; the first has nothing at all in one of them."""


def build_parts() -> tuple[nn.Module, list[list[dict]]]:
    """A model with the same weights on every process, and its updates; the first two skip losses."""
    model = make_maestro(seed=3)
    skipped = (("matching", "duration", "aligned_mlm"), ("aligned_mlm",), (), ())
    batches = [
        [
            {**make_maestro_batch(model.config, kinds, seed=10 * number + rank), "skipped_losses": skipped[number]}
            for rank, kinds in enumerate(pair)
        ]
        for number, pair in enumerate(UPDATES)
    ]
    return model, batches


def main() -> None:
    """Write losses and shapes of two processes."""
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    mesh = build_mesh("cpu")
    model, updates = build_parts()
    shard_model(model, mesh)
    shapes = describe_shards(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-3)
    losses = train_sharded(model, optimizer, updates, every_gradient=False)
    gather_weights(model)
    save_model(model, folder / "checkpoint")
    if dist.get_rank() == 0:
        report = {"losses": losses, "shapes": shapes}
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
