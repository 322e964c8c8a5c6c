# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pre-training script from a folder of recordings to a model that fine-tuning starts from."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT
from training_runs import (
    RECIPES,
    TWO_PROCESSES,
    assert_same_figures,
    check_kill_and_resume,
    make_launcher,
    read_log,
)

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMForPreTraining, Mu2SLAMProcessor
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPE = RECIPES / "pretrain_tiny_test.yaml"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=10, max_words=3)


@pytest.fixture(scope="module")
def launch(tones):
    return make_launcher("pretrain_mu2slam.py", RECIPE, tones)


@pytest.fixture(scope="module")
def finished(launch, tmp_path_factory) -> Path:
    """40 updates at once, at half the rate of the recipe: at the whole one, single losses jump."""
    output = tmp_path_factory.mktemp("finished") / "run"
    settings = ("max_steps=40", "logging_steps=5", "eval_steps=40", "save_steps=20")
    optim = ("optim.warmup_steps=20", "optim.noam_factor=0.5")
    process = launch(output, *(f"training.{setting}" for setting in settings), *optim)
    (output / "console.txt").write_text(process.shown)
    return output


def test_every_loss_falls(finished):
    logs = [logs for logs in read_log(finished) if "loss_text_mlm" in logs]
    first, last = logs[0], logs[-1]
    assert set(PRETRAINING_LOSSES) <= {name.removeprefix("loss_") for name in first}
    for name in PRETRAINING_LOSSES:
        assert last[f"loss_{name}"] < first[f"loss_{name}"], name
    assert last["loss_speech_decoder"] < 0.7 * first["loss_speech_decoder"]


def test_the_console_shows_what_is_mixed_and_short_tables(finished):
    lines = (finished / "console.txt").read_text().splitlines()
    assert any(line.startswith("speech") and "en 50.0%" in line for line in lines)
    table = [number for number, line in enumerate(lines) if line.split()[:3] == ["speech", "text", "asr"]]
    assert len(table) == 8 + 1 and lines[table[0] + 1].split()[0] == "decoder"
    assert not any(line.startswith("{") for line in lines)


def test_the_result_is_whole_and_loads_as_either_model(finished):
    final = finished / "final"
    assert [path.name for path in list_checkpoints(finished)] == ["checkpoint-20", "checkpoint-40"]
    assert yaml.safe_load((final / "recipe.yaml").read_text())["kind"] == "pretraining"
    processor = Mu2SLAMProcessor.from_pretrained(final)
    ids = processor.encode_speech([torch.randn(8000).numpy() * 0.1], sampling_rate=16000)
    assert len(ids[0]) == 13
    pretrained = Mu2SLAMForPreTraining.from_pretrained(final)
    model = Mu2SLAMForConditionalGeneration.from_pretrained(final)
    processor.check_config(model.config)
    assert torch.equal(model.lm_head.bias, pretrained.lm_head.bias)


def test_fine_tuning_starts_from_it(finished, tones, tmp_path):
    tree = yaml.safe_load((RECIPES / "finetune_tiny_test.yaml").read_text())
    tree["model"] = {"init_from": str(finished / "final"), "overrides": {"encoder_config.hidden_dropout": 0.3}}
    del tree["processor"]
    tree["training"].update(max_steps=2, eval_steps=2, logging_steps=1)
    tree["data"]["curriculum"] = []
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    make_launcher("finetune_mu2slam.py", recipe, tones)(tmp_path / "run")
    final = tmp_path / "run" / "final"
    assert Mu2SLAMForConditionalGeneration.from_pretrained(final).config.encoder_config.hidden_dropout == 0.3
    assert Mu2SLAMProcessor.from_pretrained(final).speech_tokenizer is not None
    config = REPOSITORY_ROOT / "configuration" / "models" / "mu2slam" / "tiny.json"
    scratch = {**tree, "model": {"config": str(config)}}
    sizes = yaml.safe_load(RECIPE.read_text())["model"]["overrides"]
    scratch["model"]["overrides"], scratch["processor"] = sizes, {"init_from": str(finished / "final")}
    recipe.write_text(yaml.safe_dump(scratch))
    make_launcher("finetune_mu2slam.py", recipe, tones)(tmp_path / "scratch")
    first, second = (
        next(logs for logs in read_log(folder) if "eval_loss" in logs)
        for folder in (tmp_path / "run", tmp_path / "scratch")
    )
    assert first["eval_loss_asr_decoder"] < second["eval_loss_asr_decoder"], "what was learned before is not lost"


@pytest.mark.slow
@pytest.mark.parametrize("launcher, accumulation", [((), 2), (TWO_PROCESSES, 1)], ids=["alone", "two processes"])
def test_killed_in_the_middle_of_a_step_and_resumed(launch, tmp_path, launcher, accumulation):
    accumulate = f"training.gradient_accumulation_steps={accumulation}"
    check_kill_and_resume(launch, tmp_path, launcher, accumulate)


@pytest.mark.slow
def test_two_processes_do_what_one_does(launch, tmp_path):
    """The global batch is formed first and shared: same losses, dropout 0, 20 updates."""
    tree = yaml.safe_load(RECIPE.read_text())
    dropouts = ("encoder_config.hidden_dropout", "encoder_config.embedding_dropout", "decoder_config.hidden_dropout")
    tree["model"]["overrides"].update(dict.fromkeys(dropouts, 0.0))
    tree["model"]["config"] = str(REPOSITORY_ROOT / tree["model"]["config"])
    tree["training"].update(max_steps=20, logging_steps=1, eval_steps=10, save_steps=20)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    alone, together = tmp_path / "alone", tmp_path / "together"
    launch(alone, "training.gradient_accumulation_steps=2", recipe=recipe)
    launch(together, recipe=recipe, launcher=TWO_PROCESSES)
    assert assert_same_figures(alone, together, ("loss", "count"), rel=1e-4) > 900
