# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What each of the processes of `test_sharding.py` runs: python -m torch.distributed.run ... sharded_worker.py FOLDER.

Everything that needs two processes is here, because starting them takes longer than what they do. What they find is
written to `FOLDER/report.json`; the test looks at it, and compares it with one process that shards nothing.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from helpers import make_tiny_config, make_tiny_processor
from pretraining_batches import collate, make_items
from torch.distributed.tensor import DTensor

from mu2slam_hf import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.modules_losses import weighted_mean_sum
from mu2slam_hf.training.sharding import (
    bfloat16_policy,
    build_mesh,
    build_whole_model,
    gather_weights,
    load_sharded_optimizer,
    save_sharded_optimizer,
    shard_model,
)

UPDATES = (
    (("text", "mt"), ("speech",)),  # the first process hears nothing, the second reads nothing
    (("asr", "text"), ("ast", "mt", "speech")),
    ((), ("asr",)),  # the first process has nothing to do
    (("speech", "text"), ("mt",)),
)
"""Tasks of the micro-batches of both processes in each update."""


def build_model() -> Mu2SLAMForPreTraining:
    """The same weights on every process; no dropout."""
    processor = make_tiny_processor()
    config = make_tiny_config(vocab_size=len(processor.tokenizer), conv_norm="group")
    for part in (config.encoder_config, config.decoder_config):
        part.hidden_dropout = 0.0
    config.encoder_config.embedding_dropout = 0.0
    torch.manual_seed(0)
    return Mu2SLAMForPreTraining(config).train()


def build_updates() -> list[list[dict]]:
    """Model inputs of both micro-batches of each update."""
    return [
        [collate(make_items(list(tasks), seed=10 * number + rank)) for rank, tasks in enumerate(pair)]
        for number, pair in enumerate(UPDATES)
    ]


def build_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """A large epsilon, so that gradients that are 0 but for rounding move nothing."""
    return torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-3)


def train_alone(model, updates: list[list[dict]], optimizer: torch.optim.Optimizer | None = None) -> list[float]:
    """Reference: one process takes both micro-batches of each update one after the other."""
    optimizer, losses = optimizer or build_optimizer(model), []
    for pair in updates:
        with torch.no_grad():
            counts = sum(model(**batch).loss_counts for batch in pair)
        total = sum(weighted_mean_sum(model(**batch).loss_sums, counts) for batch in pair)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total.item())
    return losses


def train_sharded(model, optimizer, updates: list[list[dict]], every_gradient: bool = True) -> list[float]:
    """Each process takes its micro-batch; counts are added up over both, and FSDP averages gradients."""
    losses = []
    for pair in updates:
        outputs = model(**pair[dist.get_rank()])
        counts = outputs.loss_counts.clone()
        dist.all_reduce(counts)
        loss = weighted_mean_sum(outputs.loss_sums, counts)
        (loss * dist.get_world_size()).backward()
        assert not every_gradient or all(parameter.grad is not None for parameter in model.parameters())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        total = loss.detach().clone()
        dist.all_reduce(total)
        losses.append(total.item())
    return losses


def save_model(model, folder: Path) -> None:
    """Write a sharded model as an ordinary checkpoint."""
    whole = build_whole_model(model)
    if whole is not None:
        whole.save_pretrained(folder)
    dist.barrier()


def describe_shards(model) -> dict[str, list]:
    """Global and local shape of every parameter; fails where one is no `DTensor`."""
    shapes = {}
    for name, parameter in model.named_parameters():
        assert isinstance(parameter, DTensor), name
        shapes[name] = [list(parameter.shape), list(parameter.to_local().shape)]
    return shapes


def resume_differs(folder: Path, mesh, updates: list[list[dict]]) -> float:
    """Largest difference between a run of four updates and one that is stopped after two and resumed."""
    first = shard_model(build_model(), mesh)
    optimizer = build_optimizer(first)
    train_sharded(first, optimizer, updates[:2])
    save_model(first, folder / "half")
    save_sharded_optimizer(first, optimizer, folder / "half_optimizer")
    train_sharded(first, optimizer, updates[2:])
    second = shard_model(Mu2SLAMForPreTraining.from_pretrained(folder / "half").train(), mesh)
    optimizer = build_optimizer(second)
    load_sharded_optimizer(second, optimizer, folder / "half_optimizer")
    train_sharded(second, optimizer, updates[2:])
    whole, resumed = gather_weights(first), gather_weights(second)
    return max((float((whole[name] - resumed[name]).abs().max()) for name in whole), default=0.0)


def first_losses(mesh, updates: list[list[dict]], *, checkpointing: bool = False, bfloat16: bool = False) -> float:
    """Loss of the second of two updates with other settings."""
    model = build_model()
    if checkpointing:
        model.gradient_checkpointing_enable()
    shard_model(model, mesh, mixed_precision=bfloat16_policy() if bfloat16 else None, reshard_after_forward=bfloat16)
    return train_sharded(model, build_optimizer(model), updates[:2])[1]


def generates_the_same(mesh) -> bool:
    """Greedy search over a sharded model gives what it gives over a whole one."""
    torch.manual_seed(0)
    model = Mu2SLAMForConditionalGeneration(build_model().config).eval()
    request = {"source_lang": "en", "target_lang": "fr", "max_new_tokens": 4}
    features = torch.randn(2, 30, 80, generator=torch.Generator().manual_seed(0))
    expected = model.generate(input_features=features, **request)
    return torch.equal(shard_model(model, mesh).generate(input_features=features, **request), expected)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    mesh, updates = build_mesh("cpu"), build_updates()
    model = shard_model(build_model(), mesh)
    table = model.model.encoder.embed_tokens.weight
    heads = (model.lm_head, model.mlm_head, model.ctc_head, model.model.decoder.embed_tokens)
    report = {
        "tied": all(head.weight is table for head in heads),
        "losses": train_sharded(model, build_optimizer(model), updates),
        "shapes": describe_shards(model),
    }
    save_model(model, folder / "saved")
    report["resume"] = resume_differs(folder, mesh, updates)
    report["checkpointing"] = first_losses(mesh, updates, checkpointing=True)
    report["bfloat16"] = first_losses(mesh, updates, bfloat16=True)
    report["replicated"] = first_losses(build_mesh("cpu", num_replicas=2), updates)
    report["generates"] = generates_the_same(mesh)
    if dist.get_rank() == 0:
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
