# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Maestro from a folder of recordings to recognition and retrieval, through the script."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from helpers import REPOSITORY_ROOT
from training_runs import TWO_PROCESSES, assert_equal_weights, check_kill_and_resume, make_launcher, read_log

from mu2slam_hf import MaestroForPreTraining, MSLAMForCTC, Mu2SLAMProcessor
from mu2slam_hf.cli import main
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.modeling_maestro_pretraining import MAESTRO_LOSSES
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPE = REPOSITORY_ROOT / "configuration" / "recipes" / "maestro" / "pretrain_tiny_test.yaml"
EXAMPLES = REPOSITORY_ROOT / "examples" / "manifest.tsv"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=10, max_words=3)


@pytest.fixture(scope="module")
def launch(tones):
    return make_launcher("pretrain_mslam.py", RECIPE, tones)


@pytest.fixture(scope="module")
def finished(launch, tmp_path_factory) -> Path:
    """60 updates on the recordings of the repository."""
    output = tmp_path_factory.mktemp("finished") / "run"
    settings = ("max_steps=60", "logging_steps=10", "eval_steps=60", "save_steps=30")
    corpora = (f"data.corpora.train.manifest={EXAMPLES}", f"evaluation.corpora.dev.manifest={EXAMPLES}")
    starts = ("objective.start_steps.matching=20", "objective.start_steps.aligned_mlm=30")
    launch(output, *(f"training.{setting}" for setting in settings), *corpora, *starts, "optim.learning_rate=0.004")
    return output


def test_losses_start_when_they_are_meant_to_and_fall(finished):
    logs = [logs for logs in read_log(finished) if "loss_rnnt" in logs]
    first, last = logs[0], logs[-1]
    assert first["loss_matching"] == first["loss_aligned_mlm"] == 0.0 and first["count_matching"] > 0
    started = next(entry for entry in logs if entry["loss_matching"] > 0)
    assert started["step"] == 30
    for name in ("rnnt", "ctc", "duration", "speech_mlm"):
        assert last[f"loss_{name}"] < 0.95 * first[f"loss_{name}"], name
    assert 0 < last["loss_matching"] < 2.0 and last["loss_aligned_mlm"] > 0


def test_the_result_is_whole(finished):
    final = finished / "final"
    assert yaml.safe_load((final / "recipe.yaml").read_text())["kind"] == "maestro_pretraining"
    model = MaestroForPreTraining.from_pretrained(final)
    Mu2SLAMProcessor.from_pretrained(final).check_config(model.config)
    assert model.average is not None
    results = json.loads((final / "results.json").read_text())
    assert all(f"eval_loss_{name}" in results for name in MAESTRO_LOSSES)


def test_recognition_from_the_result(finished, tones, tmp_path):
    tree = {
        "kind": "head_finetuning",
        "model": {"init_from": str(finished / "final")},
        "processor": {"allow_unknown_characters": True},
        "head": {"kind": "ctc"},
        "data": {"corpora": {"train": {"manifest": str(tones)}}, "per_device_train_batch_size": 10},
        "training": {"max_steps": 2, "save_steps": 2, "eval_steps": 0, "use_cpu": True, "disable_tqdm": True},
    }
    recipe = tmp_path / "head.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    make_launcher("finetune_mslam.py", recipe, tones)(tmp_path / "ctc")
    model = MSLAMForCTC.from_pretrained(tmp_path / "ctc" / "final")
    assert not hasattr(model.config, "transducer_config") and not hasattr(model.model, "text_frontend")


def test_retrieval_with_the_result(finished, capsys):
    command = ["retrieve", "--model", str(finished / "final"), "--manifest", str(EXAMPLES), "--score", "mean"]
    assert main(command) == 0
    assert "recall" in capsys.readouterr().out


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_resumed_across_a_start(launch, tmp_path, decay):
    """A run that goes on from update 4 ends with the bits of one that was not stopped; losses start at 3 and 6."""
    settings = ("training.max_steps=8", "training.save_steps=4", f"model.overrides.alignment_ema_decay={decay}")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    launch(whole, *settings)
    assert [path.name for path in list_checkpoints(whole)] == ["checkpoint-4", "checkpoint-8"]
    shutil.copytree(whole, resumed, ignore=shutil.ignore_patterns("final", "checkpoint-8"))
    launch(resumed, *settings)
    assert_equal_weights(whole / "final", resumed / "final")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), TWO_PROCESSES], ids=["alone", "two processes"])
def test_killed_in_the_middle_of_a_step_and_resumed(launch, tmp_path, launcher):
    check_kill_and_resume(launch, tmp_path, launcher, "objective.start_steps.aligned_mlm=12")
