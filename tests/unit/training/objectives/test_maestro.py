# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from maestro_batches import make_maestro, make_maestro_batch

from mu2slam_hf.models.modeling_maestro_pretraining import MAESTRO_LOSSES
from mu2slam_hf.training.objectives.maestro import AlignmentAverageUpdate, MaestroObjective, MaestroObjectiveConfig


def skipped_at(objective, model, step: int) -> set[str]:
    given = []
    handle = model.register_forward_pre_hook(
        lambda *inputs: given.append(inputs[2]["skipped_losses"]), with_kwargs=True
    )
    objective.forward(model, make_maestro_batch(model.config, "stc"), step)
    handle.remove()
    return set(given[0])


@pytest.mark.parametrize("kinds", ["s", "t", "c", "stc", "ssttcc"])
def test_counts_are_those_of_the_model(kinds):
    """Known before the model has run."""
    model = make_maestro()
    batch = make_maestro_batch(model.config, kinds, garbage=50.0, extra=3)
    objective = MaestroObjective(model)
    counts = objective.stack(objective.count(batch))
    with torch.no_grad():
        outputs = objective.forward(model, batch, step=0)
    assert counts.tolist() == outputs.loss_counts.tolist()
    sums = objective.sum(outputs, batch, is_training=True)
    assert tuple(sums) == MAESTRO_LOSSES


def test_losses_start_at_their_steps():
    model = make_maestro().train()
    starts = {"matching": 5, "duration": 5, "aligned_mlm": 9}
    objective = MaestroObjective(model, MaestroObjectiveConfig(start_steps=starts))
    assert skipped_at(objective, model, 4) == set(starts)
    assert skipped_at(objective, model, 5) == {"aligned_mlm"} and skipped_at(objective, model, 9) == set()
    # Evaluation computes all of them, whatever the step.
    assert skipped_at(objective, model.eval(), 0) == set()


def test_a_loss_without_weight_is_not_computed_in_training():
    model = make_maestro().train()
    objective = MaestroObjective(model, MaestroObjectiveConfig(matching=0, start_steps={"matching": 3}))
    assert skipped_at(objective, model, 10**9) == {"matching"}


def test_the_average_follows_after_each_update():
    model, callback = make_maestro(alignment_ema_decay=0.5), AlignmentAverageUpdate()
    weight = model.model.conformer.layers[0].feed_forward1.up_proj.weight
    own = model.average.model.conformer.layers[0].feed_forward1.up_proj.weight

    class State:
        global_step = 0

    wrapped = torch.nn.ModuleDict({"module": model})
    callback.on_train_begin(None, State, None, model=wrapped)
    assert torch.equal(own, weight)
    with torch.no_grad():
        weight.add_(1.0)
    callback.on_step_end(None, State, None, model=wrapped)
    torch.testing.assert_close(own, weight - 0.5)
    # A resumed run has its average in the checkpoint.
    State.global_step = 4
    callback.on_train_begin(None, State, None, model=wrapped)
    torch.testing.assert_close(own, weight - 0.5)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ({"rnnt": 3}, r"start_steps\.rnnt: only matching, duration, aligned_mlm"),
        ({"matching": -1}, "must not be negative"),
    ],
)
def test_wrong_starts_are_refused(starts, message):
    with pytest.raises(ValueError, match=message):
        MaestroObjectiveConfig(start_steps=starts)
