# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM on a tiny corpus: seven losses however an update is split, temperature, codebook figures, exact resume."""

import json
import math
from pathlib import Path

import pytest
import torch

from mu2slam_hf import MSLAMForPreTraining, Mu2SLAMProcessor
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.recipes.runs import build_run, load_recipe
from mu2slam_hf.synthetic.tones import write_tone_corpus
from mu2slam_hf.training.checkpoints import list_checkpoints
from mu2slam_hf.training.trainer import NonFiniteLossError

ROOT = Path(__file__).resolve().parents[3]
RECIPE = ROOT / "configuration" / "recipes" / "mslam" / "pretrain_tiny_test.yaml"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=5, max_words=3)


@pytest.fixture
def make_trainer(tones, tmp_path):
    def make(*overrides, output=tmp_path / "run"):
        places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
        recipe = load_recipe(RECIPE, [*places, f"output.dir={output}", *overrides])
        records = build_run(recipe).load_data()
        processor = build_run(recipe).build_processor(records)
        return build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records)

    return make


def items_of(trainer, *tasks: str):
    dataset = trainer.train_dataset
    return [dataset[i] for i, example in enumerate(dataset.examples) if example.id.split(":")[0] in tasks]


def gradients(trainer, batches):
    trainer.model.zero_grad()
    counts = torch.stack([trainer.count_batch(batch) for batch in batches]).sum(0)
    total = 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=counts)
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in trainer.model.named_parameters()}


def test_the_counts_are_those_of_the_model(make_trainer):
    trainer = make_trainer()
    for tasks in (("speech", "text", "asr"), ("text",), ("asr",), ("speech",), ("none",)):
        batch = trainer.data_collator(items_of(trainer, *tasks))
        outputs = trainer.forward_batch(trainer.model, batch)
        assert outputs.loss_counts.tolist() == trainer.count_batch(batch).tolist(), tasks
        assert trainer.compute_loss_sums(outputs, batch)[0] is outputs.loss_sums
    assert not trainer.count_batch(batch).any()


def test_micro_batches_add_up_to_the_whole_update(make_trainer):
    """But for diversity, which is of the frames of one micro-batch, and for what training draws and keeps."""
    trainer = make_trainer("objective.diversity=0")
    trainer.model.eval()
    items = items_of(trainer, "speech", "text", "asr")
    whole, grads = gradients(trainer, [trainer.data_collator(items)])
    parts, part_grads = gradients(trainer, [trainer.data_collator(items[start::3]) for start in range(3)])
    assert parts == pytest.approx(whole, rel=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(part_grads[name], grad, rtol=1e-3, atol=2e-5)


def test_loss_is_the_weighted_sum_of_means(make_trainer):
    trainer = make_trainer("objective.speech_mlm=7", "objective.ctc=0")
    batch = trainer.data_collator(items_of(trainer, "speech", "asr"))
    loss, outputs = trainer.compute_loss(trainer.model.eval(), batch, return_outputs=True)
    weights = trainer.args.loss_weights
    assert set(weights) == set(MSLAM_LOSSES) and (weights["speech_mlm"], weights["ctc"]) == (7, 0)
    means = outputs.named_losses()
    assert loss.item() == pytest.approx(sum(weights[name] * mean for name, mean in means.items()), rel=1e-5)


@pytest.mark.parametrize("task", ["speech", "text", "asr"])
def test_every_parameter_learns_from_every_batch(make_trainer, task):
    trainer = make_trainer()
    trainer.compute_loss(trainer.model.train(), trainer.data_collator(items_of(trainer, task)[:2])).backward()
    assert all(p.grad is not None for p in trainer.model.parameters() if p.requires_grad)


def test_temperature_and_figures_of_the_codebook(make_trainer, tmp_path):
    settings = ("training.max_steps=4", "training.eval_steps=2", "training.save_steps=4")
    trainer = make_trainer(*settings, "model.overrides.quantizer_method=gumbel")
    trainer.train()
    logs = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    trained = [line for line in logs if "loss" in line]
    assert [line["gumbel_temperature"] for line in trained] == pytest.approx([2.0 * 0.99, 2.0 * 0.99**3])
    for line in trained:
        assert 0 < line["codebook_usage"] <= 1 and 1 <= line["codebook_perplexity"] <= 16
        assert {f"count_{name}" for name in MSLAM_LOSSES} <= set(line)
        assert {f"loss_{name}" for name in MSLAM_LOSSES} <= set(line)
        assert 0 <= line["padding_speech"] < 1 and 0 <= line["padding_text"] < 1
    evaluated = [line for line in logs if "eval_loss" in line]
    assert {f"eval_loss_{name}" for name in MSLAM_LOSSES} <= set(evaluated[0]) and len(evaluated) == 2
    saved = MSLAMForPreTraining.from_pretrained(list_checkpoints(tmp_path / "run")[-1])
    assert float(saved.quantizer.temperature) == pytest.approx(2.0 * 0.99**3)
    assert Mu2SLAMProcessor.from_pretrained(list_checkpoints(tmp_path / "run")[-1]).speech_tokenizer is None


@pytest.mark.parametrize("accumulation", [1, 2])
def test_what_is_frozen_has_no_gradient_and_no_share_in_the_norm(make_trainer, monkeypatch, accumulation):
    trainer = make_trainer(
        "quantizer.freeze_after=0",
        "training.max_steps=2",
        "training.logging_steps=1",
        f"training.gradient_accumulation_steps={accumulation}",
        "objective.contrastive=5",
    )
    norms, names = [], set()

    def record(model):
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        names.update(grads)
        norms.append(float(torch.stack([grad.norm() for grad in grads.values()]).norm()))
        return clip(model)

    clip = trainer._clip_grad_norm
    monkeypatch.setattr(trainer, "_clip_grad_norm", record)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    logged = [log["grad_norm"] for log in trainer.state.log_history if "grad_norm" in log]
    assert logged == pytest.approx(norms, rel=1e-4) and len(logged) == 2
    held = {name for name in before if {"quantizer", "subsampling"} & set(name.split("."))}
    assert names and not names & held
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) or name not in held, name


@pytest.mark.parametrize("accumulation, method", [(1, "gumbel"), (2, "nearest")])
def test_a_resumed_run_ends_with_the_same_weights(make_trainer, tmp_path, accumulation, method):
    settings = (
        "training.max_steps=4",
        "training.save_steps=2",
        "training.eval_steps=0",
        f"training.gradient_accumulation_steps={accumulation}",
        f"model.overrides.quantizer_method={method}",
    )
    whole = make_trainer(*settings, output=tmp_path / "whole")
    whole.train()
    first = list_checkpoints(tmp_path / "whole")[0]
    again = make_trainer(*settings, output=tmp_path / "again")
    again.train(resume_from_checkpoint=str(first))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_a_loss_that_is_not_finite_names_the_records_of_its_task(make_trainer):
    trainer = make_trainer()
    batch = trainer.data_collator(items_of(trainer, "speech", "text", "asr"))
    with torch.no_grad():
        trainer.model.ctc_head.bias.fill_(math.nan)
    with pytest.raises(NonFiniteLossError, match=r"not finite: ctc\. .*asr:") as caught:
        trainer.compute_loss(trainer.model, batch)
    assert "speech:" not in str(caught.value) and "text:" not in str(caught.value)
    with torch.no_grad():
        trainer.model.ctc_head.bias.zero_()
        trainer.model.project_q.bias.fill_(math.nan)
    with pytest.raises(NonFiniteLossError, match=r"not finite: contrastive\. .*speech:"):
        trainer.compute_loss(trainer.model, batch)


def test_development_sets_have_the_tasks_of_mslam_only(make_trainer):
    trainer = make_trainer()
    examples = trainer.development_sets["dev"].dataset.examples
    assert {example.id.split(":")[0] for example in examples} == {"speech", "text", "asr"}
