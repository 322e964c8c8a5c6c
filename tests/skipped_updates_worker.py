# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""One of two processes that train together: `torch.distributed.run ... skipped_updates_worker.py FOLDER`.

At the second update, the losses of the second process are not finite.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tiny_trainers import build_trainer, recipe_arguments

from mu2slam_hf.training.finite_updates import NonFiniteLossError


def main() -> None:
    """Train until too many updates are not finite; leave `FOLDER/<rank>.safetensors` and `FOLDER/<rank>.json`."""
    folder = Path(sys.argv[1])
    overrides = ["training.max_skipped_updates=1", "training.max_steps=5", "training.eval_steps=0"]
    trainer = build_trainer(*recipe_arguments("mslam", folder / "tones.tsv", folder / "run", *overrides))
    rank = dist.get_rank()
    compute = trainer.objective.sum

    def sum_losses(outputs, batch, **kwargs):
        broken = rank == 1 and trainer.state.global_step in (1, 3)
        return {
            name: value * (float("nan") if broken else 1.0)
            for name, value in compute(outputs, batch, **kwargs).items()
        }

    trainer.objective.sum = sum_losses
    message = ""
    try:
        trainer.train()
    except NonFiniteLossError as error:
        message = str(error)
    found = {"step": trainer.state.global_step, "message": message}
    (folder / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    weights = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    assert all(torch.isfinite(value).all() for value in weights.values())
    save_file(weights, folder / f"{rank}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
