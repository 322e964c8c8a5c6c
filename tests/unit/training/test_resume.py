# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Nothing is lost: killed and resumed runs end as uninterrupted ones, a full disk leaves whole checkpoints only."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import REPOSITORY_ROOT
from safetensors import SafetensorError
from safetensors.torch import load_file
from tiny_trainers import build_trainer, recipe_arguments
from training_runs import assert_equal_weights

from mu2slam_hf.training.checkpoints import check_parts, find_intact_checkpoint, list_checkpoints, list_parts

SETTINGS = (
    "training.gradient_accumulation_steps=2",
    "training.max_steps=12",
    "training.save_steps=4",
    "training.eval_steps=0",
)

KILLED = """
import os, signal, sys
from tiny_trainers import build_trainer
from mu2slam_hf.training import resume

moment, *arguments = sys.argv[1:]
trainer = build_trainer(*arguments)
die = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
if moment == "step":  # in the second micro-batch of update 7, after its forward pass
    calls = iter(range(1000))
    trainer.model.register_forward_hook(lambda *args: die() if next(calls) == 13 else None)
else:  # with the second checkpoint all but renamed
    publish = resume.publish_checkpoint
    resume.publish_checkpoint = lambda a, b: die() if "checkpoint-8" in str(b) else publish(a, b)
trainer.train()
"""


@pytest.fixture(scope="module")
def uninterrupted(tones, tmp_path_factory) -> Path:
    """Weights, optimiser and sampler state after 12 updates in one go."""
    output = tmp_path_factory.mktemp("whole") / "run"
    build_trainer(*recipe_arguments("mu2slam", tones, output, *SETTINGS)).train()
    return output / "checkpoint-12"


@pytest.mark.parametrize("moment", ["step", "checkpoint"])
def test_killed_and_resumed_ends_bit_for_bit_as_uninterrupted(make_trainer, tones, tmp_path, uninterrupted, moment):
    output = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, moment, *recipe_arguments("mu2slam", tones, output, *SETTINGS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY_ROOT / "tests")}
    killed = subprocess.run(command, cwd=REPOSITORY_ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in list_checkpoints(output)] == ["checkpoint-4"]
    assert (output / ".incomplete-checkpoint-8").is_dir() == (moment == "checkpoint")
    make_trainer("mu2slam", *SETTINGS).train(resume_from_checkpoint=True)
    assert not (output / ".incomplete-checkpoint-8").exists()
    last = output / "checkpoint-12"
    assert_equal_weights(uninterrupted, last)
    for name in ("optimizer.pt", "rng_state.pth"):
        states = [torch.load(folder / name, weights_only=False) for folder in (uninterrupted, last)]
        assert str(states[0]) == str(states[1]), name
    first, second = ((folder / "data_progress.json").read_text() for folder in (uninterrupted, last))
    assert first == second


@pytest.mark.parametrize("accumulation, method", [(1, "gumbel"), (2, "nearest")])
def test_a_resumed_run_of_mslam_ends_with_the_same_weights(make_trainer, tmp_path, accumulation, method):
    settings = (
        "training.max_steps=4",
        "training.save_steps=2",
        "training.eval_steps=0",
        f"training.gradient_accumulation_steps={accumulation}",
        f"model.overrides.quantizer_method={method}",
    )
    whole = make_trainer("mslam", *settings, output=tmp_path / "whole")
    whole.train()
    again = make_trainer("mslam", *settings, output=tmp_path / "again")
    again.train(resume_from_checkpoint=str(list_checkpoints(tmp_path / "whole")[0]))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


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

    def state_from_ranks(self, states):
        assert [state["rank"] for state in states] == [0, 1, 2]
        return {"mine": states[1]["mine"]}


def test_states_of_single_ranks_have_their_own_files(make_trainer, uninterrupted, tmp_path):
    trainer = make_trainer("mu2slam", *SETTINGS)
    trainer.tracked_sampler.sampler = PerRankSampler(trainer.tracked_sampler.sampler)
    trainer.args.max_steps = 4
    trainer.train()
    checkpoint = list_checkpoints(trainer.args.output_dir)[-1]
    assert json.loads((checkpoint / "data_progress.json").read_text()) == {"num_rank_states": 1}
    assert "mine" in json.loads((checkpoint / "data_progress_0.json").read_text())

    resumed = make_trainer("mu2slam", *SETTINGS)
    resumed.tracked_sampler.sampler = PerRankSampler(resumed.tracked_sampler.sampler)
    resumed.train(resume_from_checkpoint=True)
    assert_equal_weights(uninterrupted, tmp_path / "run" / "checkpoint-12")

    mine = json.loads((checkpoint / "data_progress_0.json").read_text())["mine"]
    (checkpoint / "checkpoint_parts.json").unlink()
    (checkpoint / "data_progress.json").write_text('{"num_rank_states": 3}')
    for rank in range(3):
        (checkpoint / f"data_progress_{rank}.json").write_text(json.dumps({"mine": mine, "rank": rank}))
    resumed = make_trainer("mu2slam", *SETTINGS, output=tmp_path / "other")
    resumed.tracked_sampler.sampler = PerRankSampler(resumed.tracked_sampler.sampler)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert_equal_weights(uninterrupted, tmp_path / "other" / "checkpoint-12")


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
    trainer = make_trainer("mu2slam", "training.eval_steps=0")
    write = getattr(trainer, target)

    def full(*args, **kwargs):
        if trainer.state.global_step == 8:
            raise error
        return write(*args, **kwargs)

    monkeypatch.setattr(trainer, target, full)
    with pytest.raises(OSError, match="checkpoint-8: could not be written: No space left.*is .*checkpoint-4. Free"):
        trainer.train()
    assert [path.name for path in Path(trainer.args.output_dir).glob("*checkpoint*")] == ["checkpoint-4"]


@pytest.mark.parametrize("largest_file", [20_000, 150_000])
def test_files_that_really_cannot_be_written(make_trainer, largest_file):
    """The system refuses to let a file grow: first that of the weights, then, further on, that of the optimiser."""
    trainer = make_trainer("mu2slam", "training.eval_steps=0")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    try:
        with pytest.raises(OSError, match="checkpoint-4: could not be written: .*checkpoint is none"):
            trainer.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(Path(trainer.args.output_dir).glob("*checkpoint*")) == []


def test_resuming_without_checkpoint_is_an_error(make_trainer):
    with pytest.raises(ValueError, match="no complete checkpoint"):
        make_trainer("supervised").train(resume_from_checkpoint=True)


def test_averaged_weights_are_loaded_and_tied(make_trainer):
    trainer = make_trainer("supervised")
    trainer.train()
    checkpoints = list_checkpoints(trainer.args.output_dir)
    assert len(checkpoints) == 2
    trainer.load_averaged_weights(checkpoints)
    model = trainer.model
    assert model.lm_head.weight is model.model.encoder.embed_tokens.weight
    first, second = (load_file(path / "model.safetensors") for path in checkpoints)
    name = next(key for key in first if key.endswith("weight"))
    torch.testing.assert_close(model.state_dict()[name], (first[name] + second[name]) / 2)


def test_the_best_checkpoint_survives_rotation_and_becomes_the_result(make_trainer):
    """Updates with a huge rate make it worse and worse, so the first evaluation stays the best."""
    trainer = make_trainer(
        "supervised",
        "training={load_best_model_at_end: true, metric_for_best_model: loss, max_steps: 12, eval_steps: 2, "
        "save_steps: 5, save_total_limit: 1, "
        "disable_tqdm: true, report_to: [], use_cpu: true}",
        "optim={learning_rate: 1.0, warmup_steps: 0, schedule: warmup_constant}",
        "data.curriculum=[]",
    )
    trainer.train()
    losses = {logs["step"]: logs["eval_loss"] for logs in trainer.state.log_history if "eval_loss" in logs}
    best = min(losses, key=losses.get)
    assert list(losses) == [2, 4, 6, 8, 10, 12] and best < 10
    left = {path.name for path in list_checkpoints(trainer.args.output_dir)}
    assert left == {f"checkpoint-{step}" for step in (best, 10, 12)}
    assert trainer.load_best_checkpoint().name == f"checkpoint-{best}"
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best], rel=1e-6)


def test_a_metric_that_is_not_there_is_an_error(make_trainer):
    trainer = make_trainer("supervised", "training.load_best_model_at_end=true", "training.metric_for_best_model=bleu")
    with pytest.raises(ValueError, match=r"kept by 'bleu', but the evaluation gives only .*ctc_wer"):
        trainer.train()
    with pytest.raises(ValueError, match="no best checkpoint: no evaluation"):
        trainer.load_best_checkpoint()


def test_a_checkpoint_that_lacks_a_part_is_not_resumed_from(tmp_path):
    for step in (4, 8):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            (folder / name).write_bytes(b"state")
        list_parts(folder)
    assert find_intact_checkpoint(tmp_path) == tmp_path / "checkpoint-8"
    (tmp_path / "checkpoint-8" / "optimizer.pt").write_bytes(b"")
    (tmp_path / "checkpoint-8" / "scheduler.pt").unlink()
    with pytest.raises(ValueError, match=r"optimizer.pt has 0 bytes instead of 5, scheduler.pt is missing"):
        check_parts(tmp_path / "checkpoint-8")
    assert find_intact_checkpoint(tmp_path) == tmp_path / "checkpoint-4"
    (tmp_path / "checkpoint-4" / "rng_state.pth").unlink()
    with pytest.raises(ValueError, match="There is no other; remove it to start anew"):
        find_intact_checkpoint(tmp_path)
