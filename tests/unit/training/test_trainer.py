# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer on a tiny corpus: losses however the batch is split, errors with record ids, complete checkpoints."""

from pathlib import Path

import pytest
import torch

from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.recipes.processors import build_processor
from mu2slam_hf.recipes.records import load_records
from mu2slam_hf.recipes.runs import build_run, load_recipe
from mu2slam_hf.synthetic.tones import write_tone_corpus
from mu2slam_hf.training.trainer import NonFiniteLossError

RECIPE = Path(__file__).resolve().parents[3] / "configuration" / "recipes" / "mu2slam" / "finetune_tiny_test.yaml"


@pytest.fixture(scope="module")
def make_trainer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    manifest = write_tone_corpus(folder, num_sentences=5, max_words=3)

    def make(output, *overrides):
        recipe = load_recipe(
            RECIPE,
            [
                f"data.corpora.train.manifest={manifest}",
                f"evaluation.corpora.dev.manifest={manifest}",
                f"output.dir={output}",
                *overrides,
            ],
        )
        records = load_records(recipe.data.corpora, "data.corpora")
        processor = build_processor(recipe, records)
        return build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records)

    return make


@pytest.fixture
def trainer(make_trainer, tmp_path):
    return make_trainer(tmp_path / "run")


def batch_of(trainer, modality: str, rows: slice = slice(None)):
    wanted = [i for i, e in enumerate(trainer.train_dataset.datasets[0].examples) if e.source_modality == modality]
    dataset = trainer.train_dataset.datasets[0]
    return trainer.data_collator([dataset[index] for index in wanted[rows]])


def gradients(trainer, batches):
    trainer.model.eval()
    trainer.model.zero_grad()
    counts = torch.stack([trainer.count_batch(batch) for batch in batches]).sum(0)
    total = 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=counts)
        loss.backward()
        total += loss.item()
    return total, {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("modality", ["speech", "text"])
def test_micro_batches_add_up_to_the_whole_batch(trainer, modality):
    whole, grads = gradients(trainer, [batch_of(trainer, modality)])
    parts, part_grads = gradients(
        trainer, [batch_of(trainer, modality, slice(0, 3)), batch_of(trainer, modality, slice(3, None))]
    )
    assert parts == pytest.approx(whole, rel=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(part_grads[name], grad, rtol=1e-4, atol=1e-6)


def test_loss_is_the_weighted_sum_of_the_means_of_the_models_own_losses(trainer):
    batch = batch_of(trainer, "speech")
    trainer.model.eval()
    with torch.no_grad():
        outputs = trainer.forward_batch(trainer.model, batch)
        sums, _ = trainer.compute_loss_sums(outputs, batch)
        own = trainer.model(**{k: v for k, v in batch.items() if k not in ("task_ids", "record_ids")})
    means = sums / trainer.count_batch(batch).clamp_min(1)
    tokens = trainer.count_batch(batch)[:3]
    decoder = (sums[:3].sum() / tokens.sum()).item()
    config = trainer.model.config
    expected = decoder + config.ctc_loss_weight * means[3] + config.language_loss_weight * means[4]
    assert own.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_text_batch_gives_zero_gradients_to_what_it_leaves_out(trainer):
    batch = batch_of(trainer, "text")
    trainer.model.train()
    trainer.compute_loss(trainer.model, batch).backward()
    assert all(p.grad is not None for p in trainer.model.parameters() if p.requires_grad)
    assert trainer.model.ctc_head.bias.grad.abs().sum() == 0


def test_a_switched_off_loss_is_not_computed(make_trainer, tmp_path):
    trainer = make_trainer(tmp_path / "run", "objective.ctc=0", "objective.language=0")
    sums, computed = trainer.compute_loss_sums(
        trainer.forward_batch(trainer.model, batch_of(trainer, "speech")), batch_of(trainer, "speech")
    )
    assert computed == (True, False, False)
    assert sums[3:].tolist() == [0.0, 0.0]


def test_a_phase_may_bring_its_own_coefficients(make_trainer, tmp_path):
    phases = "data.curriculum=[{steps: 2, tasks: [asr], objective: {ctc: 0, asr_decoder: 0.5}}, {steps: 2}]"
    trainer = make_trainer(tmp_path / "run", phases, "training.max_steps=4")
    both = trainer.train_dataset.datasets
    assert {t.task for e in both[0].examples for t in e.targets} == {"asr"}
    speech = [next(i for i, e in enumerate(d.examples) if e.source_modality == "speech") for d in both]
    batches = [trainer.data_collator([both[phase][DrawKey(index, phase=phase)]]) for phase, index in enumerate(speech)]
    assert "loss_weights" not in batches[1]
    trainer.model.eval()
    for batch, weights in zip(batches, ([0.5, 1, 1, 0, 0.1], [1, 1, 1, 1, 0.1]), strict=True):
        loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
        sums, computed = trainer.compute_loss_sums(outputs, batch)
        assert computed[1] == (weights[3] > 0)
        expected = (torch.tensor(weights) * sums / trainer.count_batch(batch).clamp_min(1)).sum()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_loss_that_is_not_finite_names_its_records(trainer):
    batch = batch_of(trainer, "speech", slice(0, 2))
    batch["input_features"][0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteLossError, match=batch["record_ids"][1]):
        trainer.compute_loss(trainer.model.train(), batch)


def test_training_logs_every_loss_by_name(trainer):
    trainer.train()
    names = {name for logs in trainer.state.log_history for name in logs}
    assert {"loss_asr_decoder", "loss_ast_decoder", "loss_mt_decoder", "loss_ctc", "loss_language"} <= names
    assert {"eval_loss_ctc", "eval_ctc_cer", "eval_ctc_wer", "eval_ctc_cer_en", "eval_loss"} <= names


def test_evaluation_does_not_depend_on_its_batches(make_trainer, tmp_path):
    large = make_trainer(tmp_path / "a").evaluate()
    small = make_trainer(tmp_path / "b", "evaluation.batch.max_examples=1").evaluate()
    for name, value in large.items():
        if "runtime" not in name and name != "epoch":
            assert small[name] == pytest.approx(value, rel=1e-4), name


def test_a_full_disk_leaves_no_half_checkpoint(trainer, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer, "_save_rng_state", full)
    with pytest.raises(RuntimeError, match="No space left.*the last complete checkpoint is none"):
        trainer.train()
    assert [path.name for path in Path(trainer.args.output_dir).glob("*checkpoint*")] == []


def test_resuming_without_checkpoint_is_an_error(trainer):
    with pytest.raises(ValueError, match="no complete checkpoint"):
        trainer.train(resume_from_checkpoint=True)


def test_averaged_weights_are_loaded_and_tied(trainer, tmp_path):
    trainer.train()
    checkpoints = sorted(Path(trainer.args.output_dir).glob("checkpoint-*"))
    assert len(checkpoints) == 2
    trainer.load_averaged_weights(checkpoints)
    model = trainer.model
    assert model.lm_head.weight is model.model.encoder.embed_tokens.weight
    from safetensors.torch import load_file

    first, second = (load_file(path / "model.safetensors") for path in checkpoints)
    name = "model.encoder.conformer.layers.0.feed_forward1.up_proj.weight"
    name = name if name in first else next(key for key in first if key.endswith("weight"))
    torch.testing.assert_close(model.state_dict()[name], (first[name] + second[name]) / 2)


def test_noise_is_on_the_decoder_inputs_in_training_only(make_trainer, tmp_path):
    trainer = make_trainer(tmp_path / "run", "decoder_noise={ratio: 0.5, k: 4}")
    batch = batch_of(trainer, "speech")
    clean = {name: value.clone() for name, value in batch.items() if isinstance(value, torch.Tensor)}
    seen = []
    handle = trainer.model.model.decoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    for step in (0, 0, 1):
        trainer.state.global_step = step
        trainer.compute_loss(trainer.model.train(), batch)
    trainer.forward_batch(trainer.model.eval(), batch)
    handle.remove()
    first, again, later, evaluated = seen
    assert torch.equal(first, again) and not torch.equal(first, later)
    assert torch.equal(evaluated, clean["decoder_input_ids"])
    changed = first != evaluated
    text = evaluated >= trainer.model.config.text_token_offset
    assert 0.3 < changed[text].float().mean() < 0.7 and not changed[~text].any()
    assert all(torch.equal(batch[name], value) for name, value in clean.items())


def test_the_best_checkpoint_survives_rotation_and_becomes_the_result(make_trainer, tmp_path):
    """Updates with a huge rate make it worse and worse, so the first evaluation stays the best."""
    trainer = make_trainer(
        tmp_path / "run",
        "training={keep: best, best_metric: loss, max_steps: 12, eval_steps: 2, save_steps: 5, save_total_limit: 1, "
        "progress_bar: false, tensorboard: false, use_cpu: true}",
        "optim={learning_rate: 0.5, warmup_steps: 0, schedule: warmup_constant}",
        "data.curriculum=[]",
    )
    trainer.train()
    losses = {logs["step"]: logs["eval_loss"] for logs in trainer.state.log_history if "eval_loss" in logs}
    best = min(losses, key=losses.get)
    assert list(losses) == [2, 4, 6, 8, 10, 12] and best < 10
    left = {path.name for path in Path(trainer.args.output_dir).glob("checkpoint-*")}
    assert left == {f"checkpoint-{step}" for step in (best, 10, 12)}
    assert trainer.load_best_checkpoint().name == f"checkpoint-{best}"
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best], rel=1e-6)


def test_a_metric_that_is_not_there_is_an_error(make_trainer, tmp_path):
    trainer = make_trainer(tmp_path / "run", "training.keep=best", "training.best_metric=bleu")
    with pytest.raises(ValueError, match=r"kept by 'bleu', but the evaluation gives only .*ctc_wer"):
        trainer.train()
    with pytest.raises(ValueError, match="no best checkpoint: no evaluation"):
        trainer.load_best_checkpoint()
