# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Learned quantisers against loops: ids, straight-through gradients, commitment, temperature."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from training_runs import run_in_two_processes

from mu2slam_hf.models import modules_quantization
from mu2slam_hf.models.modules_learned_quantization import (
    LearnedQuantizer,
    RunningStandardization,
    anneal_temperature,
)
from mu2slam_hf.models.modules_losses import diversity_loss

METHODS = ["gumbel", "nearest"]
CASES = [(method, groups) for method in METHODS for groups in (1, 3)]


def build(method: str, num_groups: int = 1, dtype=torch.float64, **kwargs) -> LearnedQuantizer:
    torch.manual_seed(0)
    quantizer = LearnedQuantizer(6, 7, num_groups, 12, method=method, **kwargs)
    with torch.no_grad():
        for parameter in quantizer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
        if method == "nearest":
            mark_all_in_use(quantizer)
    # Statistics that a batch of a test hardly moves.
    quantizer.norm.update(torch.randn(5000, 6) * torch.arange(1.0, 7.0) + 0.5)
    return quantizer.to(dtype)


def mark_all_in_use(quantizer: LearnedQuantizer) -> None:
    """Entries that have been taken from frames and are chosen equally often."""
    quantizer.use.fill_(1.0)
    quantizer.recent_use.fill_(1.0)


def frames(count: int = 20, dtype=torch.float64, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 6, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def normalized(quantizer: LearnedQuantizer, frame: torch.Tensor) -> torch.Tensor:
    return (frame - quantizer.norm.mean) / (quantizer.norm.variance + 1e-5).sqrt()


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.square().sum().sqrt()


def naive_entries(quantizer: LearnedQuantizer, features: torch.Tensor):
    """Per frame and codebook: scores of the entries (K,), the latent vector or None, the entries (K, D / G)."""
    for frame in features:
        mapped = quantizer.linear(normalized(quantizer, frame))
        row = []
        for group, part in enumerate(mapped.chunk(quantizer.num_groups)):
            entries = list(quantizer.codebook[group])
            if quantizer.method == "gumbel":
                row.append((part, None, entries))
                continue
            latent, entries = unit(part), [unit(entry) for entry in entries]
            scores = torch.stack([-(latent - entry).square().sum() for entry in entries])
            row.append((scores, latent, entries))
        yield row


@pytest.mark.parametrize(("method", "groups"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_ids_equal_a_loop_and_have_no_noise(method, groups, training):
    quantizer, features = build(method, groups).train(training), frames()
    found = quantizer(features).ids
    naive = [[int(scores.argmax()) for scores, _, _ in row] for row in naive_entries(quantizer, features)]
    expected = torch.tensor(naive).squeeze(-1) if groups == 1 else torch.tensor(naive)
    assert torch.equal(found, expected)
    assert torch.equal(quantizer.find_codes(features), expected)
    assert expected.shape == ((20,) if groups == 1 else (20, 3))


@pytest.mark.parametrize(("method", "groups"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_evaluation_equals_a_loop_and_is_deterministic(method, groups, dtype, tolerance):
    quantizer, features = build(method, groups, dtype).eval(), frames(dtype=dtype)
    output, again = quantizer(features), quantizer(features)
    for one, other in zip(output, again, strict=True):
        assert one is other is None or torch.equal(one, other)
    vectors, probabilities = [], []
    for row in naive_entries(quantizer, features):
        vectors.append(torch.cat([entries[int(scores.argmax())] for scores, _, entries in row]))
        sharp = [
            scores if latent is None else 10.0 * torch.stack([latent @ entry for entry in entries])
            for scores, latent, entries in row
        ]
        probabilities.append(torch.stack([score.exp() / score.exp().sum() for score in sharp]))
    torch.testing.assert_close(output.vectors, torch.stack(vectors), atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(output.probabilities, torch.stack(probabilities), atol=tolerance, rtol=tolerance)
    assert output.vectors.shape == (20, 12) and output.probabilities.shape == (20, groups, 7)


@pytest.mark.parametrize("groups", [1, 3])
def test_gumbel_draws_hard_entries_and_its_gradient_is_that_of_the_soft_ones(groups):
    quantizer, features = build("gumbel", groups).train(), frames()
    quantizer.set_temperature(0.7)
    weights = torch.randn(20, 12, dtype=torch.float64)
    parameters = [features, *quantizer.parameters()]
    torch.manual_seed(5)
    output = quantizer(features)
    found = torch.autograd.grad((output.vectors * weights).sum(), parameters)

    torch.manual_seed(5)
    noise = -torch.empty(20, groups, 7, dtype=torch.float64).exponential_().log()
    logits = torch.stack([torch.stack([scores for scores, _, _ in row]) for row in naive_entries(quantizer, features)])
    soft = ((logits + noise) / 0.7).softmax(-1)
    hard = functional.one_hot(soft.argmax(-1), 7).to(soft)
    for frame in range(20):
        expected = torch.cat([quantizer.codebook[group, int(soft[frame, group].argmax())] for group in range(groups)])
        torch.testing.assert_close(output.vectors[frame], expected)
    # Forward the chosen entries; backward, to the logits the soft shares, to the codebook the chosen ones.
    surrogate = torch.einsum("mgk,gkd->mgd", soft, quantizer.codebook.detach()) + torch.einsum(
        "mgk,gkd->mgd", hard, quantizer.codebook
    )
    expected = torch.autograd.grad((surrogate.flatten(1) * weights).sum(), parameters)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
    assert (output.ids.reshape(20, groups) != soft.argmax(-1)).any(), "ids carry no noise"


@pytest.mark.parametrize("groups", [1, 3])
def test_nearest_passes_its_gradient_through_and_draws_frames_to_their_entries(groups):
    quantizer, features = build("nearest", groups, commitment_weight=0.4).train(), frames()
    weights = torch.randn(20, 12, dtype=torch.float64)
    output = quantizer(features)
    torch.testing.assert_close(output.vectors, quantizer.eval()(features).vectors)
    quantizer.train()
    latents, distances = [], []
    for row in naive_entries(quantizer, features):
        latents.append(torch.cat([latent for _, latent, _ in row]))
        total = 0.0
        for scores, latent, entries in row:
            entry = entries[int(scores.argmax())]
            total = total + 0.4 * (latent - entry).square().sum()
        distances.append(total / groups)
    torch.testing.assert_close(output.commitment, torch.stack(distances))
    # Straight through: the gradient of the vectors is that of the latents. The entries are no parameters.
    parameters = [features, *quantizer.parameters()]
    found = torch.autograd.grad((output.vectors * weights).sum(), parameters, retain_graph=True)
    expected = torch.autograd.grad((torch.stack(latents) * weights).sum(), parameters, retain_graph=True)
    found += torch.autograd.grad(output.commitment.sum(), parameters)
    expected += torch.autograd.grad(torch.stack(distances).sum(), parameters)
    assert len(found) == 4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_statistics_are_those_of_all_frames_and_then_follow_the_new_ones():
    norm, frames_seen = RunningStandardization(3, window=50), []
    for count in (7, 0, 1, 30):
        frames_seen.append(torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) * 4 + 100)
        norm.update(frames_seen[-1])
        seen = torch.cat(frames_seen)
        torch.testing.assert_close(norm.mean, seen.mean(0))
        torch.testing.assert_close(norm.variance, seen.var(0, correction=0), rtol=1e-4, atol=1e-4)
        assert float(norm.count) == len(seen)
    standardised = norm(seen)
    torch.testing.assert_close(standardised.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(standardised.var(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    # The past of 38 frames, then 50 at most, against new ones.
    norm.update(torch.zeros(38, 3))
    torch.testing.assert_close(norm.mean, seen.mean(0) / 2)
    assert float(norm.count) == 50
    for _ in range(20):
        norm.update(torch.ones(50, 3))
    torch.testing.assert_close(norm.mean, torch.ones(3), rtol=1e-3, atol=1e-3)


def test_only_training_moves_the_statistics_and_a_constant_feature_is_no_harm():
    quantizer = LearnedQuantizer(6, 7, 1, 12)
    features = torch.randn(20, 6) + 3
    features[:, 2] = 5.0
    quantizer.eval()(features)
    quantizer.find_codes(features)
    assert float(quantizer.norm.count) == 0
    output = quantizer.train()(features)
    assert float(quantizer.norm.count) == 20
    torch.testing.assert_close(quantizer.norm.mean, features.mean(0))
    assert output.vectors.isfinite().all()
    assert {"norm.mean", "norm.variance", "norm.count"} <= set(quantizer.state_dict())


def test_what_all_frames_have_in_common_does_not_choose_for_them():
    """A large offset in all frames: the ids differ all the same."""
    torch.manual_seed(0)
    quantizer = LearnedQuantizer(32, 64, 1, 16).train()
    output = quantizer(torch.randn(2000, 32) + 100 * torch.randn(32))
    assert len(output.ids.unique()) > 50
    assert float(diversity_loss(output.probabilities).detach()) < 0.3


def unit_latents(quantizer: LearnedQuantizer, features: torch.Tensor) -> torch.Tensor:
    """Of one codebook, `(M, D)`."""
    return torch.stack([unit(quantizer.linear(normalized(quantizer, frame))) for frame in features]).detach()


def test_entries_of_nearest_begin_as_frames():
    """Of fewer frames than entries each becomes one; the others wait for the next frames."""
    quantizer = LearnedQuantizer(6, 7, 1, 12, method="nearest").double().train()
    first = quantizer.codebook.clone()
    quantizer(frames(0))
    assert torch.equal(quantizer.codebook, first) and not quantizer.use.any()
    features = frames(5, seed=1)
    output = quantizer(features)
    given = quantizer.use[0] > 0.5
    assert int(given.sum()) == 5 and len(output.ids.unique()) == 5 and given[output.ids].all()
    torch.testing.assert_close(quantizer.codebook[0, output.ids], unit_latents(quantizer, features))
    torch.testing.assert_close(output.vectors, unit_latents(quantizer, features))
    assert torch.equal(quantizer.codebook[0, ~given], first[0, ~given])
    quantizer(frames(30, seed=2))
    assert (quantizer.use[0] > 0.5).all()


@pytest.mark.parametrize(("num_updates", "decay"), [(1, 0.9), (20, 0.9), (80, 1 - 1 / 40)])
def test_entries_of_nearest_are_running_means_of_the_frames_that_choose_them(num_updates, decay):
    """With `memory` 0.5: of half of all updates so far, but of ten at least."""
    quantizer = build("nearest", memory=0.5).train()
    quantizer.use[0, 2] = 3.0
    quantizer.recent_use[0, 2] = 2.0
    quantizer.updates.fill_(num_updates - 1)
    features, before = frames(40), quantizer.codebook[0].clone()
    quantizer.norm.count.fill_(1e12)  # statistics that stand still
    latents = unit_latents(quantizer, features)
    ids = [min(range(7), key=lambda k, z=z: float((z - unit(before[k])).norm())) for z in latents]
    quantizer(features)
    for number in range(7):
        chosen = [latent for latent, index in zip(latents, ids, strict=True) if index == number]
        past = decay * (3.0 if number == 2 else 1.0)
        new = (1 - decay) * 7 / 40
        use = past + new * len(chosen)
        assert float(quantizer.use[0, number]) == pytest.approx(use, rel=1e-6)
        # Whether an entry is still chosen is judged by the last updates alone.
        recent = 0.97 * (2.0 if number == 2 else 1.0) + 0.03 * len(chosen) * 7 / 40
        assert float(quantizer.recent_use[0, number]) == pytest.approx(recent, rel=1e-6)
        expected = (past * before[number] + new * sum(chosen)) / use if chosen else before[number]
        torch.testing.assert_close(quantizer.codebook[0, number], expected)


def test_entries_of_nearest_that_nothing_chooses_become_frames():
    """Three entries lie where no frame is: they come back, after as many updates as their use needs to fall."""
    torch.manual_seed(0)
    quantizer = LearnedQuantizer(6, 7, 1, 12, method="nearest").train()
    far = -quantizer._unit_latents(torch.randn(1, 6) + 100)[0, 0].detach()
    mark_all_in_use(quantizer)
    quantizer.codebook[0, :3] = far
    spread = [torch.randn(60, 6) * 0.3 + 100 for _ in range(100)]
    quantizer.norm.count.fill_(1e12)
    expected = math.ceil(math.log(quantizer.min_use) / math.log(quantizer.watch_decay))
    for number, features in enumerate(spread[: expected + 5]):
        ids = quantizer(features).ids
        if number < expected:
            assert not set(ids.tolist()) & {0, 1, 2}
    assert {0, 1, 2} <= set(ids.tolist())


def test_evaluation_leaves_the_entries_and_a_resumed_run_draws_the_same_ones(tmp_path):
    quantizer = LearnedQuantizer(6, 50, 2, 12, method="nearest").train()
    quantizer(frames(20, torch.float32))
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    assert {"codebook", "use", "recent_use", "updates"} <= set(before) and int(before["updates"]) == 1
    quantizer.eval()(frames(30, torch.float32, seed=4))
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())
    save_file(before, tmp_path / "quantizer.safetensors")
    other = LearnedQuantizer(6, 50, 2, 12, method="nearest").train()
    other.load_state_dict(load_file(tmp_path / "quantizer.safetensors"))
    torch.manual_seed(1)  # the global generator has no say
    for module in (quantizer.train(), other):
        module(frames(20, torch.float32, seed=5))
    for name, value in quantizer.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_two_processes_have_the_same_entries(tmp_path):
    run_in_two_processes("quantizer_worker.py", tmp_path)
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert int(first["updates"]) == 3 and float(first["norm.count"]) == 80
    # All of the frames of both are counted, wherever they are.
    assert (first["use"] > 0).all()


def test_gumbel_has_no_commitment():
    assert build("gumbel")(frames()).commitment is None


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_gets_a_gradient(method):
    quantizer = build(method, 3).train()
    output = quantizer(frames())
    loss = output.vectors.square().sum() * 0.1 + output.probabilities[..., 0].sum()
    (loss if output.commitment is None else loss + output.commitment.sum()).backward()
    for name, parameter in quantizer.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


@pytest.mark.parametrize(("method", "groups"), CASES)
def test_no_frames(method, groups):
    output = build(method, groups).train()(frames(0))
    assert output.vectors.shape == (0, 12) and output.probabilities.shape == (0, groups, 7)
    assert output.ids.shape == ((0,) if groups == 1 else (0, 3))


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_does_not_see_the_others_and_memory_is_bounded(method, monkeypatch):
    quantizer, features = build(method, 3).eval(), frames(35)
    whole = quantizer.find_codes(features)
    rows = []
    product = torch.addmm
    monkeypatch.setattr(modules_quantization, "SEARCH_CHUNK_ENTRIES", 7 * 10)
    monkeypatch.setattr(torch, "addmm", lambda bias, a, b: rows.append(len(a)) or product(bias, a, b))
    assert torch.equal(quantizer.find_codes(features), whole)
    assert rows == [10, 10, 10, 5] * 3
    for number in (0, 17, 34):
        assert torch.equal(quantizer.find_codes(features[number : number + 1])[0], whole[number])


@pytest.mark.parametrize("method", METHODS)
def test_ids_are_those_of_float32_under_autocast(method):
    quantizer, features = build(method, 1, torch.float32).eval(), frames(2000, torch.float32)
    expected = quantizer.find_codes(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = quantizer(features)
        assert torch.equal(quantizer.find_codes(features), expected)
    assert torch.equal(output.ids, expected)
    assert output.vectors.dtype == output.probabilities.dtype == torch.float32


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_weights_and_features_are_computed_in_float32(method):
    quantizer = build(method, 3, torch.bfloat16).train()
    output = quantizer(frames(dtype=torch.bfloat16))
    assert output.vectors.dtype == torch.float32
    assert torch.equal(output.ids, quantizer.float().find_codes(frames(dtype=torch.bfloat16).float()))


def test_temperature_is_in_the_checkpoint_and_follows_its_formula(tmp_path):
    quantizer = build("gumbel", dtype=torch.float32)
    assert float(quantizer.temperature) == 2.0
    quantizer.set_temperature(anneal_temperature(1000, 2.0, 0.5, 0.999))
    save_file(quantizer.state_dict(), tmp_path / "quantizer.safetensors")
    other = LearnedQuantizer(6, 7, 1, 12)
    other.load_state_dict(load_file(tmp_path / "quantizer.safetensors"))
    assert float(other.temperature) == pytest.approx(2.0 * 0.999**1000)
    assert anneal_temperature(0) == 2.0
    assert anneal_temperature(10**7) == 0.1
    assert anneal_temperature(1387, 2.0, 0.5, 0.999) == 0.5
    assert "temperature" not in build("nearest").state_dict()


def test_a_hot_gumbel_softmax_spreads_its_gradient():
    """At a high temperature all entries get a share, at a low one hardly any but the chosen."""
    shares = []
    for temperature in (100.0, 0.01):
        quantizer, features = build("gumbel").train(), frames()
        quantizer.set_temperature(temperature)
        torch.manual_seed(0)
        output = quantizer(features)
        gradient = torch.autograd.grad(output.vectors.sum(), quantizer.linear.bias)[0]
        shares.append(float((gradient.abs() * temperature).mean()))
    assert shares[0] > 3 * shares[1]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: LearnedQuantizer(6, 7, 1, 12, method="fsq"), "must be one of gumbel, nearest; got 'fsq'"),
        (lambda: LearnedQuantizer(6, 7, 5, 12), r"codevector_dim \(12\) must be a multiple"),
        (lambda: build("gumbel").set_temperature(0.0), "must be above 0; got 0.0"),
        (lambda: build("nearest").set_temperature(1.0), "has a temperature; this one has 'nearest'"),
    ],
)
def test_what_makes_no_sense_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        function()
