# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The training scripts with a sharded model on two processes: the same figures as one, exact resume, plain weights."""

import shutil
from pathlib import Path

import pytest
import yaml
from helpers import REPOSITORY_ROOT
from torch.distributed.checkpoint import FileSystemReader
from training_runs import RECIPES, TWO_PROCESSES, assert_equal_weights, assert_same_figures, make_launcher

from mu2slam_hf import Mu2SLAMForConditionalGeneration
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.training.checkpoints import list_checkpoints
from mu2slam_hf.training.sharding import OPTIMIZER_FOLDER, take_over_launch_settings

DROPOUTS = ("encoder_config.hidden_dropout", "encoder_config.embedding_dropout", "decoder_config.hidden_dropout")
LAUNCHED = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_OFFLOAD_PARAMS": "false",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    "FSDP_ACTIVATION_CHECKPOINTING": "false",
}
"""What `accelerate launch --config_file configuration/accelerate/fsdp2.yaml` puts into the environment."""


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=10, max_words=3)


@pytest.fixture(scope="module")
def write_recipe(tmp_path_factory):
    """Write a recipe of the repository again, without dropout and with settings of `training`."""

    def write(name: str, **training) -> Path:
        tree = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
        tree["model"]["overrides"].update(dict.fromkeys(DROPOUTS, 0.0))
        tree["model"]["config"] = str(REPOSITORY_ROOT / tree["model"]["config"])
        tree["training"].update(training)
        path = tmp_path_factory.mktemp("recipes") / f"{name}.yaml"
        path.write_text(yaml.safe_dump(tree))
        return path

    return write


@pytest.mark.slow
def test_pretraining_shards_and_does_what_one_process_does(write_recipe, tones, tmp_path, monkeypatch):
    """Sharded as accelerate asks, then, from the middle on, as the recipe asks: bit for bit the same."""
    recipe = write_recipe("pretrain_tiny_test", max_steps=20, logging_steps=1, eval_steps=10, save_steps=10)
    launch = make_launcher("pretrain_mu2slam.py", recipe, tones)
    alone, sharded = tmp_path / "alone", tmp_path / "sharded"
    launch(alone, "training.gradient_accumulation_steps=2")
    with monkeypatch.context() as patch:
        for name, value in LAUNCHED.items():
            patch.setenv(name, value)
        launch(sharded, launcher=TWO_PROCESSES)
    assert assert_same_figures(alone, sharded, ("loss", "count", "grad_norm"), rel=1e-4) > 900
    assert [path.name for path in list_checkpoints(sharded)] == ["checkpoint-10", "checkpoint-20"]
    optimizer = FileSystemReader(sharded / "checkpoint-20" / OPTIMIZER_FOLDER).read_metadata().state_dict_metadata
    table = optimizer["optimizer.state.model.encoder.embed_tokens.weight.exp_avg"]
    assert len(table.chunks) == 2 and table.chunks[0].sizes[0] < table.size[0]
    assert_equal_weights(sharded / "final", sharded / "checkpoint-20")
    _, info = Mu2SLAMForConditionalGeneration.from_pretrained(sharded / "final", output_loading_info=True)
    assert not info["missing_keys"]

    whole = tmp_path / "whole"
    sharded.rename(whole)
    shutil.copytree(whole, sharded)
    for name in ("checkpoint-20", "final"):
        shutil.rmtree(sharded / name)
    launch(sharded, "training.shard_parameters=true", launcher=TWO_PROCESSES)
    assert_equal_weights(sharded / "final", whole / "final")


@pytest.mark.slow
def test_fine_tuning_shards_too(write_recipe, tones, tmp_path):
    """Batches of speech and of text touch other parameters; accumulation, generation and averages need them whole."""
    recipe = write_recipe("finetune_tiny_test", max_steps=6, logging_steps=1, eval_steps=3, save_steps=3)
    launch = make_launcher("finetune_mu2slam.py", recipe, tones)
    settings = ("training.average_last=2", "evaluation.generate_examples=2")
    alone, sharded = tmp_path / "alone", tmp_path / "sharded"
    launch(alone, *settings, "training.gradient_accumulation_steps=4")
    accumulated = ("training.gradient_accumulation_steps=2", "training.shard_parameters=true")
    launch(sharded, *settings, *accumulated, launcher=TWO_PROCESSES)
    assert assert_same_figures(alone, sharded, ("loss", "cer", "wer"), rel=1e-3) > 30
    one, other = (Mu2SLAMForConditionalGeneration.from_pretrained(path / "final") for path in (alone, sharded))
    for (name, first), second in zip(one.named_parameters(), other.parameters(), strict=True):
        assert (first - second).abs().max() < 0.02, name


def test_a_launch_configuration_is_taken_over_once(monkeypatch):
    assert take_over_launch_settings() is None
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    settings = take_over_launch_settings(num_replicas=2)
    assert settings is not None and settings.num_replicas == 2
    assert settings.reshard_after_forward and not settings.cpu_offload
    assert take_over_launch_settings() is None, "accelerate must not shard a second time"


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"FSDP_VERSION": "1"}, "fsdp_version: 2"),
        ({"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "fsdp_cpu_ram_efficient_loading: false"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "training.activation_checkpointing: true"),
    ],
)
def test_what_is_not_done_says_what_to_set(monkeypatch, changed, message):
    for name, value in {**LAUNCHED, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        take_over_launch_settings()
