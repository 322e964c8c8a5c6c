# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training on a tiny corpus: 24 losses however an update is split, the speech tokenizer, faults, exact resume."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor
from mu2slam_hf.data.examples.failures import TooManyBadRecordsError
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.recipes.records import load_records
from mu2slam_hf.recipes.runs import build_run, load_recipe
from mu2slam_hf.synthetic.tones import write_tone_corpus
from mu2slam_hf.training.checkpoints import list_checkpoints
from mu2slam_hf.training.trainer import NonFiniteLossError

ROOT = Path(__file__).resolve().parents[3]
RECIPE = ROOT / "configuration" / "recipes" / "mu2slam" / "pretrain_tiny_test.yaml"
NO_DROPOUT = (
    "model.overrides.encoder_config.hidden_dropout=0",
    "model.overrides.encoder_config.embedding_dropout=0",
    "model.overrides.decoder_config.hidden_dropout=0",
)


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=5, max_words=3)


@pytest.fixture
def make_trainer(tones, tmp_path):
    def make(*overrides, manifest=tones, output=tmp_path / "run"):
        places = [f"data.corpora.train.manifest={manifest}", f"evaluation.corpora.dev.manifest={manifest}"]
        recipe = load_recipe(RECIPE, [*places, f"output.dir={output}", *overrides])
        records = load_records(recipe.data.corpora, "data.corpora")
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
    for tasks in (PRETRAINING_LOSSES, ("text",), ("asr",), ("none",)):
        batch = trainer.data_collator(items_of(trainer, *(task.split("_")[0] for task in tasks)))
        outputs = trainer.forward_batch(trainer.model, batch)
        assert torch.equal(outputs.loss_counts, trainer.count_batch(batch))
        assert trainer.compute_loss_sums(outputs, batch)[0] is outputs.loss_sums
    assert not trainer.count_batch(batch).any()


def test_micro_batches_add_up_to_the_whole_update(make_trainer):
    trainer = make_trainer(*NO_DROPOUT)
    items = items_of(trainer, "speech", "text", "asr", "ast", "mt")
    whole, grads = gradients(trainer, [trainer.data_collator(items)])
    split = [trainer.data_collator(items[start::3]) for start in range(3)]
    parts, part_grads = gradients(trainer, split)
    assert parts == pytest.approx(whole, rel=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(part_grads[name], grad, rtol=1e-3, atol=1e-5)


def test_loss_is_the_weighted_sum_of_means(make_trainer):
    trainer = make_trainer("objective.speech_mlm=7", "objective.ctc=0")
    batch = trainer.data_collator(items_of(trainer, "speech", "asr", "mt"))
    loss, outputs = trainer.compute_loss(trainer.model.eval(), batch, return_outputs=True)
    weights = trainer.args.loss_weights
    assert set(weights) == set(PRETRAINING_LOSSES) and (weights["speech_mlm"], weights["ctc"]) == (7, 0)
    assert (weights["asr_decoder"], weights["mt_alignment_mlm"], weights["text_decoder"]) == (0.3, 0.1, 1.0)
    means = outputs.named_losses()
    assert loss.item() == pytest.approx(sum(weights[name] * mean for name, mean in means.items()), rel=1e-5)


def test_every_parameter_learns_from_every_batch(make_trainer):
    trainer = make_trainer()
    batch = trainer.data_collator(items_of(trainer, "text"))
    trainer.compute_loss(trainer.model.train(), batch).backward()
    assert all(p.grad is not None for p in trainer.model.parameters() if p.requires_grad)
    assert not trainer.model.ctc_head.bias.grad.any()


def test_the_speech_tokenizer_stands_beside_the_model(make_trainer):
    trainer = make_trainer()
    codec = trainer.speech_tokenizer
    assert codec is trainer.processing_class.speech_tokenizer
    assert not any(p.requires_grad for p in codec.parameters())
    names = dict(trainer.model.named_parameters())
    assert not any("codebook" in name or "speech_tokenizer" in name for name in names)
    items = items_of(trainer, "speech")[:3]
    batch = trainer.data_collator(items)
    seen = []
    handle = trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["speech_token_ids"]), with_kwargs=True
    )
    trainer.forward_batch(trainer.model, batch)
    handle.remove()
    expected = trainer.processing_class.encode_speech([item.waveform for item in items], sampling_rate=16000)
    offset = trainer.model.config.speech_token_offset
    assert [[i + offset for i in row if i >= 0] for row in seen[0].tolist()] == expected


def test_a_run_logs_all_losses_with_counts_padding_and_faults_and_leaves_a_whole_model(make_trainer, tones):
    trainer = make_trainer("training.save_steps=100", "training.gradient_accumulation_steps=2")
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


def test_a_loss_that_is_not_finite_names_the_records_of_its_tasks(make_trainer):
    trainer = make_trainer()
    batch = trainer.data_collator(items_of(trainer, "text", "mt"))
    with torch.no_grad():
        trainer.model.mlm_head.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"update 1 is not finite: text_mlm, mt_mlm.*mt:train/0000") as caught:
        trainer.compute_loss(trainer.model.train(), batch)
    assert "speech_mlm" not in str(caught.value)
    batch = trainer.data_collator(items_of(trainer, "text", "asr"))
    batch["input_features"][0, 0, 0] = float("nan")
    with torch.no_grad():
        trainer.model.mlm_head.bias.zero_()
    with pytest.raises(NonFiniteLossError, match=r"ctc.*asr:train/en/0000"):
        trainer.compute_loss(trainer.model.train(), batch)


def test_the_optimiser_is_adam_with_the_noam_schedule(make_trainer):
    trainer = make_trainer("training.max_steps=1", "training.logging_steps=1", "training.eval_steps=0")
    trainer.train()
    assert type(trainer.optimizer.optimizer) is torch.optim.Adam
    assert trainer.state.log_history[0]["learning_rate"] == pytest.approx(32**-0.5 * 40**-1.5)


# ---- nothing lost -----------------------------------------------------------------------------------------------

SETTINGS = (
    "training.gradient_accumulation_steps=2",
    "training.max_steps=12",
    "training.save_steps=4",
    "training.eval_steps=0",
)

KILLED = """
import os, signal, sys
from pathlib import Path
from mu2slam_hf.recipes.runs import build_run, load_recipe
from mu2slam_hf.training import resumable

moment, recipe, *overrides = sys.argv[1:]
run = build_run(load_recipe(recipe, overrides))
records = run.load_data()
processor = run.build_processor(records)
trainer = run.build_trainer(processor, run.build_model(processor), records)
die = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
if moment == "step":  # in the second micro-batch of update 7, after its forward pass
    calls = iter(range(1000))
    trainer.model.register_forward_hook(lambda *args: die() if next(calls) == 13 else None)
else:  # with the second checkpoint all but renamed
    publish = resumable.publish_checkpoint
    resumable.publish_checkpoint = lambda a, b: die() if "checkpoint-8" in str(b) else publish(a, b)
trainer.train()
"""


@pytest.fixture(scope="module")
def uninterrupted(tones, tmp_path_factory):
    """Weights, optimiser and sampler state after 12 updates in one go."""
    output = tmp_path_factory.mktemp("whole") / "run"
    places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
    recipe = load_recipe(RECIPE, [*places, f"output.dir={output}", *SETTINGS])
    records = load_records(recipe.data.corpora, "data.corpora")
    processor = build_run(recipe).build_processor(records)
    build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records).train()
    return output / "checkpoint-12"


@pytest.mark.parametrize("moment", ["step", "checkpoint"])
def test_killed_and_resumed_ends_bit_for_bit_as_uninterrupted(make_trainer, tones, tmp_path, uninterrupted, moment):
    output = tmp_path / "run"
    places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
    command = [sys.executable, "-c", KILLED, moment, str(RECIPE), *places, f"output.dir={output}", *SETTINGS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in list_checkpoints(output)] == ["checkpoint-4"]
    assert (output / ".incomplete-checkpoint-8").is_dir() == (moment == "checkpoint")
    trainer = make_trainer(*SETTINGS)
    trainer.train(resume_from_checkpoint=True)
    assert not (output / ".incomplete-checkpoint-8").exists()
    first, second = (
        load_file(uninterrupted / "model.safetensors"),
        load_file(output / "checkpoint-12" / "model.safetensors"),
    )
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    for name in ("optimizer.pt", "rng_state.pth"):
        states = [
            torch.load(folder / name, weights_only=False) for folder in (uninterrupted, output / "checkpoint-12")
        ]
        assert str(states[0]) == str(states[1]), name
    states = [(folder / "data_progress.json").read_text() for folder in (uninterrupted, output / "checkpoint-12")]
    assert states[0] == states[1]


DISK_FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "target, error",
    [
        ("save_model", SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")),
        ("_save_optimizer_and_scheduler", RuntimeError("PytorchStreamWriter failed writing: No space left on device")),
        ("_save_rng_state", DISK_FULL),
        ("_write_sampler_state", DISK_FULL),
        ("_store_callback_states", DISK_FULL),
    ],
)
def test_a_full_disk_leaves_only_whole_checkpoints(make_trainer, monkeypatch, target, error):
    trainer = make_trainer("training.eval_steps=0")
    write = getattr(trainer, target)

    def full(*args, **kwargs):
        if trainer.state.global_step == 8:
            raise error
        return write(*args, **kwargs)

    monkeypatch.setattr(trainer, target, full)
    with pytest.raises(RuntimeError, match="Could not write .*checkpoint-8: .*No space left.*is .*checkpoint-4. Free"):
        trainer.train()
    assert [path.name for path in Path(trainer.args.output_dir).glob("*checkpoint*")] == ["checkpoint-4"]


@pytest.mark.parametrize("largest_file", [20_000, 150_000])
def test_files_that_really_cannot_be_written(make_trainer, largest_file):
    """The system refuses to let a file grow: first that of the weights, then, further on, that of the optimiser."""
    trainer = make_trainer("training.eval_steps=0")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    try:
        with pytest.raises(RuntimeError, match="Could not write .*checkpoint-4: .*checkpoint is none"):
            trainer.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(Path(trainer.args.output_dir).glob("*checkpoint*")) == []


@pytest.fixture
def damage(tmp_path):
    """A corpus of its own with some recordings overwritten by noise."""

    def damage(number: int) -> Path:
        manifest = write_tone_corpus(tmp_path / "damaged", num_sentences=8, max_words=2)
        for path in sorted((manifest.parent / "audio" / "train").glob("*.wav"))[:number]:
            path.write_bytes(b"this is no recording")
        return manifest

    return damage


def test_unreadable_recordings_are_counted_and_named_and_the_run_goes_on(make_trainer, damage, caplog):
    trainer = make_trainer("data.max_failed_share=0.5", "training.eval_steps=0", manifest=damage(2))
    trainer.train()
    logs = [logs for logs in trainer.state.log_history if "unreadable_recordings" in logs]
    assert trainer.state.global_step == 8 and logs[-1]["unreadable_recordings"] > 0
    assert "speech:train/en/0000" in caplog.text


def test_too_many_unreadable_recordings_stop_the_run(make_trainer, damage):
    trainer = make_trainer("data.max_failed_share=0.1", "training.eval_steps=0", manifest=damage(14))
    with pytest.raises(TooManyBadRecordsError, match=r"more than the share of 0\.1 allowed; the latest: \w+:train/"):
        trainer.train()


class PerRankSampler:
    """Stands for a sampler over streams: each rank has a state of its own."""

    state_is_per_rank = True

    def __init__(self, sampler):
        self.sampler = sampler

    def __iter__(self):
        return iter(self.sampler)

    def state_dict(self):
        return {"mine": self.sampler.state_dict()}

    def load_state_dict(self, state):
        self.sampler.load_state_dict(state["mine"])


def test_states_of_single_ranks_have_their_own_files(make_trainer, uninterrupted, tmp_path):
    trainer = make_trainer(*SETTINGS)
    trainer.tracked_sampler.sampler = PerRankSampler(trainer.tracked_sampler.sampler)
    trainer.args.max_steps = 4
    trainer.train()
    checkpoint = list_checkpoints(trainer.args.output_dir)[-1]
    assert json.loads((checkpoint / "data_progress.json").read_text()) == {"num_rank_states": 1}
    assert "mine" in json.loads((checkpoint / "data_progress_0.json").read_text())

    resumed = make_trainer(*SETTINGS)
    resumed.tracked_sampler.sampler = PerRankSampler(resumed.tracked_sampler.sampler)
    resumed.train(resume_from_checkpoint=True)
    first, second = (
        load_file(folder / "model.safetensors") for folder in (uninterrupted, tmp_path / "run" / "checkpoint-12")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)

    (checkpoint / "data_progress.json").write_text('{"num_rank_states": 3}')
    with pytest.raises(ValueError, match="the places of 3 processes in their streams, but there are 1 now"):
        make_trainer(*SETTINGS).train(resume_from_checkpoint=str(checkpoint))
