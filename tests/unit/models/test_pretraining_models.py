# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What both pre-training models do beside their losses, which tests/contract compares with references."""

import copy
import doctest
import inspect
from collections.abc import Callable
from typing import NamedTuple

import mslam_batches
import pretraining_batches
import pytest
import torch

from mu2slam_hf import MSLAMForPreTraining, Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES


class Case(NamedTuple):
    """A model with random weights, and a batch with all kinds of data."""

    build: Callable
    collate: Callable
    losses: tuple[str, ...]


CASES = {
    "mu2slam": Case(
        pretraining_batches.make_model,
        lambda config: pretraining_batches.collate(
            pretraining_batches.make_items("speech text asr ast mt speech text")
        ),
        PRETRAINING_LOSSES,
    ),
    "mslam": Case(
        mslam_batches.make_model,
        lambda config: mslam_batches.collate(config, mslam_batches.make_batch(config, "sctpsa")),
        MSLAM_LOSSES,
    ),
}


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@pytest.mark.parametrize("model_class", [Mu2SLAMForPreTraining, MSLAMForPreTraining])
def test_the_example_of_the_docstring_runs(model_class):
    text = inspect.getdoc(model_class).replace("```python", "").replace("```", "")
    example = doctest.DocTestParser().get_doctest(text, {}, model_class.__name__, None, 0)
    assert len(example.examples) >= 6
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.summarize().failed == 0


def test_weights_enter_the_loss_and_nothing_else(case):
    model, weights = case.build(), torch.rand(len(case.losses))
    batch = case.collate(model.config)
    plain, weighted = model(**batch), model(**batch, loss_weights=weights)
    assert torch.equal(plain.loss_sums, weighted.loss_sums)
    means = plain.loss_sums / plain.loss_counts.clamp(min=1)
    torch.testing.assert_close(plain.loss, means.sum())
    torch.testing.assert_close(weighted.loss, (weights * means).sum())
    names = [name for name, count in zip(case.losses, plain.loss_counts, strict=True) if count]
    assert list(plain.named_losses()) == names
    as_tuple = model(**batch, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[1], plain.loss_sums)
    assert type(plain).__name__ == f"{type(model).__name__}Output"


def test_input_and_softmax_heads_share_one_table_with_biases_of_their_own(case):
    model = case.build()
    heads = [module for name, module in model.named_children() if name in ("lm_head", "mlm_head", "ctc_head")]
    assert len(heads) >= 2 and all(head.weight is model.get_input_embeddings().weight for head in heads)
    assert len({id(head.bias) for head in heads}) == len(heads)
    assert not model.can_generate()


def test_activation_checkpointing_changes_nothing(case):
    model = case.build().train()
    batch, before, results = case.collate(model.config), copy.deepcopy(model.state_dict()), []
    for checkpointing in (False, True):
        model.load_state_dict(before)  # statistics move in training
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.manual_seed(0)
        model.zero_grad()
        outputs = model(**batch)
        outputs.loss.backward()
        results.append((outputs.loss_sums, {name: p.grad.clone() for name, p in model.named_parameters()}))
    (expected_sums, expected), (sums, actual) = results
    assert torch.equal(sums, expected_sums)
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")
