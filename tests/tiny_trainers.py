# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Trainers of the smallest recipes, and batches of what they train on."""

from pathlib import Path

import torch
from helpers import REPOSITORY_ROOT

from mu2slam_hf.recipes.runs.registry import build_run, load_recipe

RECIPES = {
    "supervised": "mu2slam/finetune_tiny_test.yaml",
    "mu2slam": "mu2slam/pretrain_tiny_test.yaml",
    "mslam": "mslam/pretrain_tiny_test.yaml",
}


def recipe_arguments(kind: str, tones: Path, output: Path, *overrides: str) -> list[str]:
    """File of a recipe, and its overrides for a manifest of `write_tone_corpus`."""
    places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
    file = REPOSITORY_ROOT / "configuration" / "recipes" / RECIPES[kind]
    return [str(file), *places, f"output.dir={output}", *overrides]


def build_trainer(recipe: str, *overrides: str):
    """The trainer of a recipe."""
    run = build_run(load_recipe(recipe, overrides))
    data = run.load_data()
    processor = run.build_processor(data)
    return run.build_trainer(processor, run.build_model(processor, data), data)


def items_of(trainer, *kinds: str) -> list:
    """Items of the training examples whose ids begin with one of `kinds`: tasks, of supervised training modalities."""
    dataset = getattr(trainer.train_dataset, "datasets", [trainer.train_dataset])[0]
    return [dataset[i] for i, example in enumerate(dataset.examples) if example.id.split(":")[0] in kinds]


def collate(trainer, *kinds: str, rows: slice = slice(None)) -> dict:
    """One batch of `items_of`."""
    return trainer.data_collator(items_of(trainer, *kinds)[rows])


def count(trainer, *batches: dict) -> torch.Tensor:
    """Targets of each loss in all batches."""
    return torch.stack([trainer.objective.stack(trainer.objective.count(batch)) for batch in batches]).sum(0)


def gradients(trainer, batches: list[dict]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of an update of several micro-batches, without dropout."""
    trainer.model.eval().zero_grad()
    total = 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=count(trainer, *batches))
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
