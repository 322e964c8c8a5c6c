# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run leaves in its folder: the recipe as it was run, and the final model with its processor and figures."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import get_last_checkpoint

from mu2slam_hf.recipes.loader import dump_recipe
from mu2slam_hf.recipes.schema import Recipe
from mu2slam_hf.training.checkpoints import INCOMPLETE_PREFIX, all_or_nothing, publish_checkpoint


def final_folder(recipe: Any) -> Path:
    """Where the final model goes."""
    return Path(recipe.output.final or os.path.join(recipe.output.dir, "final"))


def find_resume_checkpoint(recipe: Any) -> str | None:
    """Newest complete checkpoint of the output folder, if the recipe wants to resume."""
    folder = recipe.output.dir
    return get_last_checkpoint(folder) if recipe.training.resume and os.path.isdir(folder) else None


def save_recipe(recipe: Any, folder: str | Path) -> None:
    """`recipe.yaml` with every default filled in, and `run.json` with the commit and versions it ran with."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    run = {"commit": find_commit(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    (folder / "run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def find_commit() -> str | None:
    """Hash of the checked-out commit, with `-dirty` where tracked files were changed; None outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None


def round_weights(model: Any) -> None:
    """To bfloat16, but for what the model keeps in float32 (the quantiser of mSLAM: rounded, it gives other ids)."""
    kept = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not kept & set(name.split(".")):
            tensor.data = tensor.data.to(torch.bfloat16)


def save_final(recipe: Any, model: Any, processor: Any, results: dict[str, float]) -> Path:
    """Write the final model, its processor, the recipe and the figures of its last evaluation.

    The folder gets its name when it is complete, like a checkpoint.
    """
    final = final_folder(recipe)
    incomplete = final.with_name(INCOMPLETE_PREFIX + final.name)
    shutil.rmtree(incomplete, ignore_errors=True)
    with all_or_nothing(incomplete, final):
        if recipe.output.dtype == "bfloat16":
            round_weights(model)
        model.save_pretrained(incomplete)
        if isinstance(recipe, Recipe) and recipe.lora is not None and recipe.lora.merge:
            model.merge_and_unload().save_pretrained(incomplete / "merged")
            processor.save_pretrained(incomplete / "merged")
        processor.save_pretrained(incomplete)
        save_recipe(recipe, incomplete)
        (incomplete / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        publish_checkpoint(incomplete, final)
    return final
