# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The temperature follows the update, also after a restart; a codebook that collapses is named once, with numbers."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

from mu2slam_hf.models.modules_learned_quantization import LearnedQuantizer
from mu2slam_hf.quantization import quantizer_callbacks
from mu2slam_hf.quantization.quantizer_callbacks import (
    CodebookWatch,
    QuantizerConfig,
    QuantizerSchedule,
    drop_frozen_gradients,
    find_quantizer,
)


class Model(nn.Module):
    """A quantiser on one linear map, with some loss."""

    def __init__(self, method: str = "gumbel", groups: int = 1):
        super().__init__()
        torch.manual_seed(0)
        self.subsampling = nn.Linear(4, 4)
        self.linear = nn.Linear(4, 4)
        self.quantizer = LearnedQuantizer(4, 8, groups, 4, method=method)

    def forward(self, x):
        frames = self.subsampling(x)
        output = self.quantizer(self.linear(frames))
        loss = output.vectors.square().mean() + self.linear(frames).square().mean()
        return {"loss": loss if output.commitment is None else loss + output.commitment.mean()}


class DroppingTrainer(Trainer):
    """Drops gradients as the trainer of mSLAM does."""

    def training_step(self, model, *args):
        loss = super().training_step(model, *args)
        drop_frozen_gradients(model)
        return loss


class Seen:
    """The logs as callbacks after ours find them."""

    def __init__(self):
        self.logs = []

    def callback(self):
        seen = self

        class Keep(TrainerCallback):
            def on_log(self, args, state, control, logs=None, **kwargs):
                seen.logs.append(dict(logs))

        return Keep()


def build_trainer(folder, max_steps: int, model=None, freeze_after=None, **watch):
    seen = Seen()
    config = QuantizerConfig(min_gumbel_temperature=0.5, gumbel_temperature_decay=0.8, freeze_after=freeze_after)
    trainer = DroppingTrainer(
        model or Model(),
        TrainingArguments(
            str(folder),
            max_steps=max_steps,
            logging_steps=1,
            save_steps=2,
            per_device_train_batch_size=16,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=[{"x": torch.randn(4, generator=torch.Generator().manual_seed(n))} for n in range(64)],
        callbacks=[QuantizerSchedule(config), CodebookWatch(config, **watch), seen.callback()],
    )
    return trainer, seen


def test_temperature_is_that_of_the_update_and_a_resumed_run_keeps_it(tmp_path):
    trainer, seen = build_trainer(tmp_path, 4)
    trainer.train()
    expected = [2.0, 1.6, 1.28, 1.024]
    assert [log["gumbel_temperature"] for log in seen.logs if "loss" in log] == pytest.approx(expected)
    resumed, seen = build_trainer(tmp_path, 6)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert [log["gumbel_temperature"] for log in seen.logs if "loss" in log] == pytest.approx([0.8192, 0.65536])
    loaded = Model()
    from safetensors.torch import load_file

    loaded.load_state_dict(load_file(tmp_path / "checkpoint-4" / "model.safetensors"))
    assert float(loaded.quantizer.temperature) == pytest.approx(1.024)


@pytest.mark.parametrize("method", ["gumbel", "nearest"])
def test_from_some_update_on_front_end_and_quantizer_stand_still_and_the_rest_does_not(method, tmp_path):
    states = []

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            states.append({name: value.clone() for name, value in model.state_dict().items()})

    trainer, _ = build_trainer(tmp_path, 6, Model(method), 3)
    trainer.add_callback(Keep())
    trainer.train()
    assert len(states) == 6
    held = {name for name in states[0] if not name.startswith("linear.")} - {"quantizer.temperature"}
    assert {"quantizer.norm.mean", "quantizer.codebook", "subsampling.weight"} <= held
    for name in states[0]:
        before, after = states[2][name], states[5][name]
        assert torch.equal(before, after) == (name in held), name
    assert all(
        not torch.equal(states[0][name], states[2][name]) for name in ("subsampling.weight", "quantizer.codebook")
    )


def test_a_run_that_goes_on_is_frozen_as_well(tmp_path):
    whole, _ = build_trainer(tmp_path, 6, Model("nearest"), 3)
    whole.train()
    trainer, _ = build_trainer(tmp_path, 6, Model("nearest"), 3)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], value), name


def test_figures_come_when_there_are_enough_frames(tmp_path):
    trainer, seen = build_trainer(tmp_path, 5, frames_per_entry=4)
    trainer.train()
    logs = [log for log in seen.logs if "loss" in log]
    # 16 frames an update, 32 are needed.
    assert ["codebook_usage" in log for log in logs] == [False, True, False, True, False]
    assert all(0 < log["codebook_usage"] <= 1 and 1 <= log["codebook_perplexity"] <= 8 for log in logs[1::2])
    assert not find_quantizer(trainer.model)._forward_hooks


@pytest.mark.parametrize("groups", [1, 2])
def test_figures_equal_a_count_and_evaluation_is_not_counted(groups):
    model, watch = Model(groups=groups), CodebookWatch(QuantizerConfig(), frames_per_entry=1)
    state, arguments = TrainerState(), SimpleNamespace(world_size=1)
    watch.on_train_begin(arguments, state, None, model=model)
    x = torch.randn(50, 4)
    model.eval()(torch.randn(30, 4))
    model.train()(x)
    ids = model.quantizer.find_codes(model.linear(model.subsampling(x))).reshape(50, groups)
    logs = {"loss": 1.0}
    watch.on_log(arguments, state, None, logs=logs, model=model)
    shares = [torch.bincount(column, minlength=8) / 50 for column in ids.T]
    usage = sum(float((share > 0).float().mean()) for share in shares) / groups
    perplexity = sum(float(torch.special.entr(share).sum().exp()) for share in shares) / groups
    assert logs["codebook_usage"] == pytest.approx(usage)
    assert logs["codebook_perplexity"] == pytest.approx(perplexity)
    evaluation = {"eval_loss": 1.0}
    watch.on_log(arguments, state, None, logs=evaluation, model=model)
    assert evaluation == {"eval_loss": 1.0}


def test_a_collapse_is_named_once_with_numbers_and_advice(monkeypatch):
    said = []
    monkeypatch.setattr(quantizer_callbacks.logger, "warning", said.append)
    model, watch = Model(), CodebookWatch(QuantizerConfig(), frames_per_entry=1, grace_updates=10)
    with torch.no_grad():
        model.quantizer.linear.bias[3] = 1000.0  # one entry for all
    state, arguments = TrainerState(), SimpleNamespace(world_size=1)
    watch.on_train_begin(arguments, state, None, model=model)
    for step in (5, 10, 15):
        model.train()(torch.randn(40, 4))
        state.global_step = step
        watch.on_log(arguments, state, None, logs={"loss": 1.0}, model=model)
    assert len(said) == 1
    assert "at update 10 only 12 % of its 8 entries are used (perplexity 1 over 40 frames)" in said[0]
    assert "weight of the diversity loss" in said[0]


def test_a_codebook_in_use_is_not_named(monkeypatch):
    said = []
    monkeypatch.setattr(quantizer_callbacks.logger, "warning", said.append)
    watch = CodebookWatch(QuantizerConfig(), grace_updates=0)
    counts = torch.ones(1, 8, dtype=torch.int64) * 10
    watch._counts = counts
    watch.on_log(SimpleNamespace(world_size=1), TrainerState(), None, logs={"loss": 1.0}, model=Model())
    assert said == [] and counts.sum() == 0


def test_nearest_has_no_temperature():
    model, logs = Model("nearest"), {"loss": 1.0}
    QuantizerSchedule(QuantizerConfig()).on_step_begin(None, TrainerState(), None, model=model)
    CodebookWatch(QuantizerConfig()).on_log(
        SimpleNamespace(world_size=1), TrainerState(), None, logs=logs, model=model
    )
    assert "gumbel_temperature" not in logs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_gumbel_temperature": 3.0}, "min_gumbel_temperature must be"),
        ({"min_gumbel_temperature": 0.0}, "min_gumbel_temperature must be"),
        ({"gumbel_temperature_decay": 1.1}, "gumbel_temperature_decay must"),
        ({"freeze_after": -1}, "must not be negative, got -1"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        QuantizerConfig(**values)


def test_a_model_without_a_quantizer_is_refused():
    with pytest.raises(ValueError, match="Linear has no quantiser of its own"):
        find_quantizer(nn.Linear(2, 2))
