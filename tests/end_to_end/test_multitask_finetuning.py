# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning with fixed shares of tasks, speech and text at once: two processes do what one does, in two stages."""

import json
from pathlib import Path

import pytest
import yaml
from helpers import REPOSITORY_ROOT
from training_runs import RECIPES, TWO_PROCESSES, assert_same_figures, make_launcher, read_log

from mu2slam_hf.data.tones import write_tone_corpus

TINY = RECIPES / "finetune_tiny_test.yaml"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=10, max_words=3)


@pytest.fixture(scope="module")
def recipe(tones, tmp_path_factory) -> Path:
    """Two stages: 2 AST, 1 ASR and 1 MT example in a batch, then recognition alone."""
    tiny = yaml.safe_load(TINY.read_text())
    dropouts = ("encoder_config.hidden_dropout", "encoder_config.embedding_dropout", "decoder_config.hidden_dropout")
    config = str(REPOSITORY_ROOT / tiny["model"]["config"])
    corpus = {"manifest": str(tones)}
    shares = {"ast": 2, "asr": 1, "mt": 1}
    tree = {
        "kind": "multitask_finetuning",
        "model": {"config": config, "overrides": tiny["model"]["overrides"] | dict.fromkeys(dropouts, 0.0)},
        "processor": tiny["processor"],
        "data": {
            "corpora": {"train": corpus},
            "tasks": {task: {"share": share, "corpus_weights": {"train": 1}} for task, share in shares.items()},
            "spec_augment": {"max_time_mask_frames": 10, "max_frequency_mask_bins": 8},
        },
        "decoder_noise": {"ratio": 0.2, "k": 4},
        "optim": {"schedule": "noam", "noam_factor": 0.05, "warmup_steps": 4},
        "training": tiny["training"] | {"max_steps": 6, "logging_steps": 1, "eval_steps": 3, "save_steps": 6},
        "evaluation": {"corpora": {"dev": corpus}},
        "stages": [
            {"name": "multitask"},
            {"name": "asr", "set": {"data.tasks.ast.share": 0, "data.tasks.mt.share": 0, "data.tasks.asr.share": 4}},
        ],
    }
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.slow
def test_two_processes_do_what_one_does(recipe, tones, tmp_path):
    launch = make_launcher("finetune_mu2slam.py", recipe, tones)
    alone, together = tmp_path / "alone", tmp_path / "together"
    launch(alone, "training.gradient_accumulation_steps=2")
    launch(together, launcher=TWO_PROCESSES)
    for stage in ("1_multitask", "2_asr"):
        assert assert_same_figures(alone / stage, together / stage, ("loss",), rel=1e-4) > 10
    # A loss of weight 0 is logged as 0.
    losses = [
        {
            name
            for logs in read_log(alone / stage)
            for name, value in logs.items()
            if name.startswith("loss_") and value
        }
        for stage in ("1_multitask", "2_asr")
    ]
    assert losses == [{"loss_asr_decoder", "loss_ast_decoder", "loss_mt_decoder"}, {"loss_asr_decoder"}]
    results = json.loads((alone / "final" / "results.json").read_text())
    assert results["eval_loss_mt_decoder"] > 0, "the development set has all tasks in both stages"
