# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speed and gradient norms in the logs of every objective, beside counts by hand."""

import json

import pytest
import torch
from tiny_trainers import collate, items_of

from mu2slam_hf.training.gradient_norms import compute_gradient_norms, module_group
from mu2slam_hf.training.throughput import Throughput, measure_product_rate


@pytest.mark.parametrize(
    "kind, tasks", [("supervised", ["speech"]), ("mu2slam", ["asr", "text"]), ("mslam", ["asr", "text"])]
)
def test_speech_is_counted_in_seconds_without_padding(make_trainer, kind, tasks):
    trainer = make_trainer(kind)
    items = [item for item in items_of(trainer, *tasks) if item.waveform is not None]
    seconds = sum(len(item.waveform) for item in items) / 16000
    found = trainer.objective.count_speech_seconds(collate(trainer, *tasks))
    assert found == pytest.approx(seconds, abs=0.03 * len(items))


def test_text_is_counted_in_tokens_of_sources_and_targets(make_trainer):
    trainer = make_trainer("supervised")
    batch = collate(trainer, "text")
    expected = batch["attention_mask"].sum() + (batch["labels"] != -100).sum()
    assert trainer.objective.count_text_tokens(batch) == expected
    assert trainer.objective.count_speech_seconds(batch) == 0


def test_figures_are_of_all_processes(make_trainer):
    trainer = make_trainer("supervised")
    batch = collate(trainer, "speech")
    throughput = Throughput(trainer.objective)
    throughput.add([batch, batch])
    assert list(throughput.timed(iter([1, 2]))) == [1, 2]
    figures = throughput.describe(4.0, 2, 1e9, lambda values: 2 * values)
    assert figures["speech_seconds_per_second"] == pytest.approx(
        trainer.objective.count_speech_seconds(batch), rel=1e-5
    )
    operations = trainer.objective.count_operations(batch)
    assert figures["model_flop_utilization"] == pytest.approx(operations / 2 / 1e9, rel=1e-5)
    assert 0 <= figures["data_wait"] < 1
    throughput.restart()
    assert throughput.describe(4.0, 1, 1e9, lambda values: values)["text_tokens_per_second"] == 0


def test_rate_of_products_is_that_of_the_device():
    assert 1e8 < measure_product_rate(torch.device("cpu"), torch.float32) < 1e15


@pytest.mark.parametrize(
    "name, group",
    [
        ("model.encoder.conformer.layers.0.norm.weight", "encoder.conformer"),
        ("module.model.decoder.layers.3.norm.weight", "decoder.layers"),
        ("ctc_head.bias", "ctc_head"),
        ("base_model.model.model.encoder.conformer.layers.0.q_proj.lora_A.default.weight", "encoder.conformer"),
        ("speech_heads.0.weight", "speech_heads"),
        ("scale", "scale"),
    ],
)
def test_groups_are_parts_of_the_model(name, group):
    assert module_group(name) == group


@pytest.mark.parametrize("max_grad_norm", [0, 0.01])
def test_logs_have_norms_before_clipping_that_add_up_to_the_whole(make_trainer, tmp_path, max_grad_norm):
    trainer = make_trainer("supervised", f"optim.max_grad_norm={max_grad_norm}")
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    trained = [line for line in lines if "loss" in line]
    assert trained
    for line in trained:
        parts = [value for name, value in line.items() if name.startswith("grad_norm_")]
        assert sum(value**2 for value in parts) ** 0.5 == pytest.approx(line["grad_norm"], rel=1e-3)
        assert line["speech_seconds_per_second"] + line["text_tokens_per_second"] > 0
        assert 0 <= line["data_wait"] <= 1 and 0 < line["model_flop_utilization"]


def test_parameters_without_a_gradient_have_no_norm():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    layers[0].weight.grad = torch.full((2, 2), 3.0)
    assert {name: float(norm) for name, norm in compute_gradient_norms(layers).items()} == {"0.weight": 6.0}
