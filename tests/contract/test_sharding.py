# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A sharded model is really in parts, trains as a whole one does, and its checkpoint loads with plain transformers."""

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from sharded_worker import build_model, build_updates, train_alone
from training_runs import run_in_two_processes

from mu2slam_hf import Mu2SLAMForConditionalGeneration
from mu2slam_hf.training.sharding import build_mesh, shard_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where two processes left their report and their checkpoint."""
    folder = tmp_path_factory.mktemp("sharded")
    run_in_two_processes("sharded_worker.py", folder)
    return folder


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def reference():
    """Losses and weights of one process that shards nothing."""
    model = build_model()
    return train_alone(model, build_updates()), model


def test_parameters_are_in_parts_and_tied_ones_stay_one(report):
    assert report["tied"]
    whole = {name: list(parameter.shape) for name, parameter in build_model().named_parameters()}
    assert {name: shape for name, (shape, _) in report["shapes"].items()} == whole
    for name, (shape, local) in report["shapes"].items():
        assert local == [-(-shape[0] // 2), *shape[1:]], name


def test_losses_are_those_of_one_process(report, reference):
    assert report["losses"] == pytest.approx(reference[0], rel=1e-4)


def test_checkpoint_loads_plainly_and_equals_the_unsharded_result(folder, reference):
    weights = reference[1].state_dict()
    for kind in (Mu2SLAMForConditionalGeneration, type(reference[1])):
        loaded, info = kind.from_pretrained(folder / "saved", output_loading_info=True)
        assert not info["missing_keys"] and not info["mismatched_keys"]
        assert loaded.lm_head.weight is loaded.model.encoder.embed_tokens.weight
        for name, weight in loaded.state_dict().items():
            torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=2e-5, msg=name)


def test_resumed_equals_uninterrupted_bit_for_bit(report):
    assert report["resume"] == 0.0


def test_other_settings_train_alike(report, reference):
    """Activation checkpointing, whole layers between forward and backward, two copies, bfloat16."""
    assert report["checkpointing"] == pytest.approx(reference[0][1], rel=1e-4)
    assert report["replicated"] == pytest.approx(reference[0][1], rel=1e-4)
    assert report["bfloat16"] == pytest.approx(reference[0][1], rel=0.02)
    assert report["bfloat16"] != reference[0][1]


def test_generation_runs_sharded(report):
    assert report["generates"]


def test_what_cannot_be_sharded_says_why(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r"processes \(1\) must be a multiple of num_replicas \(2\)"):
            build_mesh("cpu", num_replicas=2)
        mesh = build_mesh("cpu")
        with pytest.raises(ValueError, match="Linear has no layers to shard"):
            shard_model(torch.nn.Linear(2, 2), mesh)
        model = shard_model(build_model(), mesh)
        with pytest.raises(ValueError, match="already sharded"):
            shard_model(model, mesh)
    finally:
        dist.destroy_process_group()
