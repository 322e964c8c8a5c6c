# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer with every objective on a tiny corpus: losses however an update is split, logs, evaluation, console."""

import itertools
import json
import math

import pytest
import torch
from tiny_trainers import collate, count, gradients, items_of
from transformers import TrainerCallback

from mu2slam_hf import MSLAMForPreTraining, Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor
from mu2slam_hf.data.examples.failures import TooManyBadRecordsError
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.training.checkpoints import list_checkpoints
from mu2slam_hf.training.finite_updates import NonFiniteLossError

ALL_TASKS = ("speech", "text", "asr", "ast", "mt")


@pytest.mark.parametrize(
    "kind, tasks, overrides",
    [
        ("supervised", ["speech"], ()),
        ("supervised", ["text"], ()),
        ("mu2slam", ALL_TASKS, ()),
        # Diversity is of the frames of one micro-batch.
        ("mslam", ALL_TASKS[:3], ["objective.diversity=0"]),
    ],
)
def test_micro_batches_add_up_to_the_whole_update(make_trainer, kind, tasks, overrides):
    trainer = make_trainer(kind, *overrides)
    whole, grads = gradients(trainer, [collate(trainer, *tasks)])
    parts, part_grads = gradients(trainer, [collate(trainer, *tasks, rows=slice(n, None, 3)) for n in range(3)])
    assert parts == pytest.approx(whole, rel=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(part_grads[name], grad, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("kind", ["mu2slam", "mslam"])
def test_counts_and_loss_are_those_of_the_model(make_trainer, kind):
    trainer = make_trainer(kind, "objective.speech_mlm=7", "objective.ctc=0")
    objective, names = trainer.objective, trainer.objective.names
    assert names == (PRETRAINING_LOSSES if kind == "mu2slam" else MSLAM_LOSSES)
    for tasks in (ALL_TASKS, ["text"], ["asr"], ["speech"], ["none"]):
        batch = collate(trainer, *tasks)
        loss, outputs = trainer.compute_loss(trainer.model.eval(), batch, return_outputs=True)
        assert outputs.loss_counts.tolist() == count(trainer, batch).tolist(), tasks
        sums = objective.sum(outputs, batch, is_training=False)
        assert objective.stack(sums).tolist() == outputs.loss_sums.tolist()
        expected = sum(objective.weights[name] * mean for name, mean in outputs.named_losses().items())
        assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert not count(trainer, batch).any()
    assert (objective.weights["speech_mlm"], objective.weights["ctc"]) == (7, 0)


@pytest.mark.parametrize(
    "kind, task", [("supervised", "text"), ("mu2slam", "text"), *(("mslam", task) for task in ALL_TASKS[:3])]
)
def test_every_parameter_learns_from_every_batch(make_trainer, kind, task):
    trainer = make_trainer(kind)
    trainer.compute_loss(trainer.model.train(), collate(trainer, task, rows=slice(2))).backward()
    assert all(p.grad is not None for p in trainer.model.parameters() if p.requires_grad)
    assert task == "asr" or not trainer.model.ctc_head.bias.grad.any()


@pytest.mark.parametrize(
    "kind, tasks, broken, message, others",
    [
        ("supervised", ["speech"], "ctc_head", r"update 1 is not finite: ctc\. .*speech:train/en/0001", ()),
        ("mu2slam", ["text", "mt"], "mlm_head", r"not finite: text_mlm, mt_mlm.*mt:train/0000", ["speech_mlm"]),
        ("mu2slam", ["text", "asr"], "ctc_head", r"not finite: ctc\. .*asr:train/en/0000", ()),
        ("mslam", ALL_TASKS[:3], "ctc_head", r"not finite: ctc\. .*asr:", ["speech:", "text:"]),
        ("mslam", ALL_TASKS[:3], "project_q", r"not finite: contrastive\. .*speech:", ["asr:"]),
    ],
)
def test_a_loss_that_is_not_finite_names_the_records_that_may_have_caused_it(
    make_trainer, kind, tasks, broken, message, others
):
    trainer = make_trainer(kind, "training.max_skipped_updates=0")
    batch = collate(trainer, *tasks)
    with torch.no_grad():
        getattr(trainer.model, broken).bias.fill_(float("nan"))
    trainer.compute_loss(trainer.model.train(), batch).backward()
    with pytest.raises(NonFiniteLossError, match=message) as caught:
        trainer._get_grad_norm(trainer.model)
    assert not [other for other in others if other in str(caught.value)]


class _WeightsAfterUpdates(TrainerCallback):
    def __init__(self):
        self.weights = []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.weights.append(model.lm_head.weight.detach().clone())


@pytest.mark.parametrize("max_skipped", [0, 1])
def test_an_update_that_is_not_finite_is_skipped_a_set_number_of_times(make_trainer, monkeypatch, max_skipped):
    trainer = make_trainer(
        "supervised", f"training.max_skipped_updates={max_skipped}", "training.logging_steps=1", "training.max_steps=4"
    )
    watch = _WeightsAfterUpdates()
    trainer.add_callback(watch)
    compute = trainer.objective.sum

    def broken_at_update_2(outputs, batch, **kwargs):
        scale = float("nan") if trainer.state.global_step == 1 else 1.0
        return {name: value * scale for name, value in compute(outputs, batch, **kwargs).items()}

    monkeypatch.setattr(trainer.objective, "sum", broken_at_update_2)
    if max_skipped == 0:
        with pytest.raises(NonFiniteLossError, match="update 2 is not finite: .*train/"):
            trainer.train()
        return
    trainer.train()
    changed = [not torch.equal(*pair) for pair in itertools.pairwise(watch.weights)]
    assert changed == [False, True, True], "update 2 leaves the weights of update 1"
    assert all(weights.isfinite().all() for weights in watch.weights)
    logs = [line for line in trainer.state.log_history if "skipped_updates" in line]
    assert [line["skipped_updates"] for line in logs] == [0, 1, 1, 1]
    assert all(math.isfinite(line["loss"]) for line in logs)


def test_supervised_training_logs_every_loss_by_name(make_trainer):
    trainer = make_trainer("supervised")
    trainer.train()
    names = {name for logs in trainer.state.log_history for name in logs}
    assert {"loss_asr_decoder", "loss_ast_decoder", "loss_mt_decoder", "loss_ctc", "loss_language"} <= names
    assert {"eval_loss_ctc", "eval_ctc_cer", "eval_ctc_wer", "eval_ctc_cer_en", "eval_loss"} <= names
    assert not [name for name in names if name.startswith("count_")]


def test_pretraining_logs_all_losses_with_counts_padding_and_faults_and_leaves_a_whole_model(make_trainer):
    trainer = make_trainer("mu2slam", "training.save_steps=100", "training.gradient_accumulation_steps=2")
    trainer.train()
    history = [logs for logs in trainer.state.log_history if "loss_text_mlm" in logs]
    names = {name for logs in history for name in logs}
    assert names >= {f"{kind}_{name}" for kind in ("loss", "count") for name in PRETRAINING_LOSSES}
    assert all(0 <= logs[f"padding_{side}"] < 0.3 for logs in history for side in ("encoder", "decoder"))
    assert all(logs["unreadable_recordings"] == logs["ctc_too_long"] == 0 for logs in history)
    assert history[-1]["count_text_decoder"] > 2 * 2 * 2, "of all micro-batches since the last log"
    evaluated = [logs for logs in trainer.state.log_history if "eval_loss" in logs]
    assert [logs["step"] for logs in evaluated] == [4, 8] and "eval_loss_asr_alignment_mlm" in evaluated[0]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(evaluated[-1]["eval_loss"], rel=1e-6), "the same masks"
    folder = list_checkpoints(trainer.args.output_dir)[-1]
    assert Mu2SLAMProcessor.from_pretrained(folder).speech_tokenizer is not None
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(folder)
    assert torch.equal(loaded.lm_head.bias, trainer.model.lm_head.bias)


def test_mslam_logs_temperature_and_figures_of_the_codebook(make_trainer, tmp_path):
    settings = ("training.max_steps=4", "training.eval_steps=2", "training.save_steps=4")
    trainer = make_trainer("mslam", *settings, "model.overrides.quantizer_method=gumbel")
    trainer.train()
    logs = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    trained = [line for line in logs if "loss" in line]
    assert [line["gumbel_temperature"] for line in trained] == pytest.approx([2.0 * 0.99, 2.0 * 0.99**3])
    for line in trained:
        assert 0 < line["codebook_usage"] <= 1 and 1 <= line["codebook_perplexity"] <= 16
        assert {f"{kind}_{name}" for kind in ("loss", "count") for name in MSLAM_LOSSES} <= set(line)
        assert 0 <= line["padding_speech"] < 1 and 0 <= line["padding_text"] < 1
    evaluated = [line for line in logs if "eval_loss" in line]
    assert {f"eval_loss_{name}" for name in MSLAM_LOSSES} <= set(evaluated[0]) and len(evaluated) == 2
    folder = list_checkpoints(tmp_path / "run")[-1]
    temperature = MSLAMForPreTraining.from_pretrained(folder).quantizer.temperature
    assert float(temperature) == pytest.approx(2.0 * 0.99**3)
    assert Mu2SLAMProcessor.from_pretrained(folder).speech_tokenizer is None


def test_evaluation_does_not_depend_on_its_batches(make_trainer, tmp_path):
    large = make_trainer("supervised", output=tmp_path / "a").evaluate()
    small = make_trainer("supervised", "evaluation.batch.max_examples=1", output=tmp_path / "b").evaluate()
    for name, value in large.items():
        if "runtime" not in name and name != "epoch":
            assert small[name] == pytest.approx(value, rel=1e-4), name


def test_the_optimiser_is_adam_with_the_noam_schedule(make_trainer):
    trainer = make_trainer("mu2slam", "training.max_steps=1", "training.logging_steps=1", "training.eval_steps=0")
    trainer.train()
    assert type(trainer.optimizer.optimizer) is torch.optim.Adam
    assert trainer.state.log_history[0]["learning_rate"] == pytest.approx(32**-0.5 * 40**-1.5)


@pytest.fixture
def damage(tmp_path):
    """A corpus of its own with some recordings overwritten by noise."""

    def damage(number: int):
        manifest = write_tone_corpus(tmp_path / "damaged", num_sentences=8, max_words=2)
        for path in sorted((manifest.parent / "audio" / "train").glob("*.wav"))[:number]:
            path.write_bytes(b"this is no recording")
        return manifest

    return damage


def test_unreadable_recordings_are_counted_and_named_and_the_run_goes_on(make_trainer, damage, caplog):
    trainer = make_trainer("mu2slam", "data.max_failed_share=0.5", "training.eval_steps=0", manifest=damage(2))
    trainer.train()
    logs = [logs for logs in trainer.state.log_history if "unreadable_recordings" in logs]
    assert trainer.state.global_step == 8 and logs[-1]["unreadable_recordings"] > 0
    assert "speech:train/en/0000" in caplog.text


def test_too_many_unreadable_recordings_stop_the_run(make_trainer, damage):
    trainer = make_trainer("mu2slam", "data.max_failed_share=0.1", "training.eval_steps=0", manifest=damage(14))
    with pytest.raises(TooManyBadRecordsError, match=r"exceeds the maximum share of 0\.1; the latest: \w+:train/"):
        trainer.train()


@pytest.mark.parametrize("accumulation", [1, 2])
def test_what_is_frozen_has_no_gradient_and_no_share_in_the_norm(make_trainer, monkeypatch, accumulation):
    trainer = make_trainer(
        "mslam",
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


def test_development_sets_have_the_tasks_of_mslam_only(make_trainer):
    examples = make_trainer("mslam").development_sets["dev"].dataset.examples
    assert {example.task for example in examples} == {"speech", "text", "asr"}


def test_a_phase_may_bring_its_own_coefficients(make_trainer):
    phases = "data.curriculum=[{steps: 2, tasks: [asr], objective: {ctc: 0, asr_decoder: 0.5}}, {steps: 2}]"
    trainer = make_trainer("supervised", phases, "training.max_steps=4")
    both = trainer.train_dataset.datasets
    assert {t.task for e in both[0].examples for t in e.targets} == {"asr"}
    items = items_of(trainer, "speech")[:1]
    batches = [phase(items) | extras for phase, extras in trainer.data_collator.phases]
    assert "loss_weights" not in batches[1]
    for batch, weights in zip(batches, ([0.5, 1, 1, 0, 0.1], [1, 1, 1, 1, 0.1]), strict=True):
        loss, outputs = trainer.compute_loss(trainer.model.eval(), batch, return_outputs=True)
        sums = trainer.objective.sum(outputs, batch, is_training=False)
        assert ("ctc" in sums) == (weights[3] > 0)
        expected = (torch.tensor(weights) * trainer.objective.stack(sums) / count(trainer, batch).clamp_min(1)).sum()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
