# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every loss of mSLAM's pre-training and every gradient equals the slow reference; packed rows equal padded ones."""

import pytest
import torch
from mslam_batches import FRONTENDS, collate, make_batch, make_model
from reference_mslam import Reference

from mu2slam_hf.models.configuration_conformer import POSITION_EMBEDDINGS_TYPES
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES

ALL = "sctpsta"
WEIGHTS = torch.linspace(0.4, 1.7, len(MSLAM_LOSSES)).roll(3)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
ENCODERS = [
    *({"conv_norm": "group", "position_embeddings_type": positions} for positions in POSITION_EMBEDDINGS_TYPES),
    {"conv_norm": "layer", "position_embeddings_type": "rotary"},
    {"conv_norm": "batch", "position_embeddings_type": "relative_key", "final_layer_norm": True},
]
IDS = ["-".join(map(str, encoder.values())) for encoder in ENCODERS]
QUANTIZERS = [
    {"quantizer_method": method, "num_codevector_groups": groups}
    for method in ("gumbel", "nearest")
    for groups in (1, 2)
]


def convert(batch, dtype):
    for utterance in batch.utterances:
        utterance.speech = utterance.speech.to(dtype)
    return batch


def gradients(model, loss) -> dict[str, torch.Tensor]:
    """By name; zeros where a loss does not reach a parameter."""
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
    }


def assert_same_gradients(actual, expected, tolerance: float) -> None:
    """Relative to the norm of each; what is smaller than the rounding of all together counts as 0."""
    scale = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    rounding = 16 * torch.finfo(scale.dtype).eps * scale
    for name, gradient in expected.items():
        error, size = (actual[name] - gradient).norm(), gradient.norm()
        assert error <= tolerance * size + rounding, f"{name}: {error:.2e} of {size:.2e}, all together {scale:.2e}"


def assert_parity(model, batch, dtype=torch.float32, **options) -> Reference:
    """Values, counts and gradients of a batch; returns the reference."""
    inputs = collate(model.config, convert(batch, torch.float32))
    name = model.main_input_name
    inputs[name] = inputs[name].to(dtype)
    outputs = model(**inputs, loss_weights=WEIGHTS, **options)
    reference = Reference(model).run(convert(batch, dtype))
    for name, total, count in zip(MSLAM_LOSSES, outputs.loss_sums, outputs.loss_counts, strict=True):
        assert count == reference.counts.get(name, 0), name
        expected = torch.as_tensor(reference.sums.get(name, 0.0), dtype=dtype)
        torch.testing.assert_close(total, expected, rtol=TOLERANCE[dtype], atol=0.0, msg=lambda m, n=name: f"{n}: {m}")
    expected = reference.total(MSLAM_LOSSES, WEIGHTS.tolist())
    torch.testing.assert_close(outputs.loss, expected, rtol=TOLERANCE[dtype], atol=0.0)
    assert_same_gradients(gradients(model, outputs.loss), gradients(model, expected), TOLERANCE[dtype])
    return reference


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
def test_all_kinds_of_data(encoder, packed):
    model = make_model(encoder=encoder)
    reference = assert_parity(model, make_batch(model.config, ALL, seed=3), pack_sequences=packed)
    assert set(reference.sums) == set(MSLAM_LOSSES)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_front_ends(frontend):
    """In float64, with the learned mask (noise is drawn in float32): some front ends are steep."""
    model = make_model(encoder=FRONTENDS[frontend], speech_mask="learned", dtype=torch.float64)
    reference = assert_parity(model, make_batch(model.config, ALL, seed=4), torch.float64)
    assert set(reference.sums) == set(MSLAM_LOSSES)


@pytest.mark.parametrize("is_training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda options: "-".join(map(str, options.values())))
def test_quantisers(quantizer, is_training, monkeypatch):
    """In float64, with the learned mask, as the softmax is steep; in training without Gumbel's noise, torch's draw."""

    def draw_best(logits, tau, hard, dim):
        soft = (logits / tau).softmax(dim)
        best = torch.nn.functional.one_hot(logits.argmax(dim), logits.shape[dim]).to(soft.dtype)
        return best + soft - soft.detach()

    monkeypatch.setattr(torch.nn.functional, "gumbel_softmax", draw_best)
    model = make_model(seed=1, speech_mask="learned", dtype=torch.float64, **quantizer).train(is_training)
    assert_parity(model, make_batch(model.config, ALL, seed=5), torch.float64)


OPTIONS = [
    {"ctc_input": "pair"},
    {"add_speech_projection": False},
    {"quantizer_center_utterances": True},
    {"quantizer_stop_gradient": True, "quantizer_method": "nearest"},
    {"quantizer_center_utterances": True, "quantizer_stop_gradient": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options):
    model = make_model(seed=2, **options)
    assert_parity(model, make_batch(model.config, ALL, seed=6))


@pytest.mark.parametrize("quantizer_method", ["gumbel", "nearest"])
def test_in_double_precision(quantizer_method):
    """Nothing is left of what looks like rounding. (Noise is drawn in float32; the learned mask is not.)"""
    model = make_model(seed=3, dtype=torch.float64, speech_mask="learned", quantizer_method=quantizer_method)
    assert_parity(model, make_batch(model.config, ALL, seed=7), torch.float64)


def test_each_loss_by_itself():
    """Its gradient too: two errors could cancel in a sum of losses."""
    model = make_model(seed=4, dtype=torch.float64, speech_mask="learned", quantizer_method="nearest").train()
    batch = make_batch(model.config, ALL, seed=8)
    inputs = collate(model.config, batch)
    inputs["input_features"] = inputs["input_features"].double()
    outputs, reference = model(**inputs), Reference(model).run(convert(batch, torch.float64))
    for name, total in zip(MSLAM_LOSSES, outputs.loss_sums, strict=True):
        actual, expected = gradients(model, total), gradients(model, reference.sums[name])
        assert_same_gradients(actual, expected, TOLERANCE[torch.float64])


@pytest.mark.parametrize("kinds", ["s", "t", "p", "c", "a", "ss", "ct", "sp", "tta"])
def test_one_kind_alone(kinds):
    model = make_model(seed=5)
    assert_parity(model, make_batch(model.config, kinds, seed=9))


@pytest.mark.parametrize("length", [1, 4, 5, 9])
def test_very_short_speech(length):
    """One frame or two: nothing to tell it from, too short for some transcripts."""
    model = make_model(seed=6, encoder={"conv_norm": "group"})
    batch = make_batch(model.config, "s", seed=10, length=length)
    batch.utterances[0].masked[0] = True
    batch.utterances[0].negatives = {}
    pair = make_batch(model.config, "c", seed=11, length=length)
    pair.utterances[0].transcript = [100, 100, 100]
    batch.pairs = [(1, 0)]
    batch.utterances += pair.utterances
    batch.texts += pair.texts
    reference = assert_parity(model, batch)
    assert "contrastive" not in reference.sums and reference.counts["speech_mlm"] >= 1


@pytest.mark.parametrize("kinds", ["s", "t", "p", "c", "a", ""])
@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("quantizer_method", ["gumbel", "nearest"])
def test_every_parameter_has_a_gradient_whatever_the_batch(kinds, frontend, quantizer_method):
    model = make_model(seed=7, encoder=FRONTENDS[frontend], quantizer_method=quantizer_method).train()
    outputs = model(**collate(model.config, make_batch(model.config, kinds, seed=12)))
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    if not kinds:
        assert outputs.loss == 0 and not outputs.loss_counts.any()
        assert not any(parameter.grad.any() for parameter in model.parameters())
