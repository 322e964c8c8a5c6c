# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every loss of pre-training and every gradient equals the slow reference; packed rows equal plain batches."""

import pytest
import torch
from pretraining_batches import collate, make_items, make_model, read_items
from reference_pretraining import Reference

from mu2slam_hf.models.configuration_conformer import POSITION_EMBEDDINGS_TYPES
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.models.task_types import PRETRAINING_TASKS, PRETRAINING_VIEWS

ALL = "speech text asr ast mt"
ENCODERS = [
    *({"conv_norm": "group", "position_embeddings_type": positions} for positions in POSITION_EMBEDDINGS_TYPES),
    *({"conv_norm": "layer", "position_embeddings_type": positions} for positions in ("sinusoidal", "rotary")),
    # Of running statistics, as in evaluation; in training it mixes all sequences of a batch, by its nature.
    {"conv_norm": "batch", "position_embeddings_type": "relative_key"},
]
IDS = ["-".join(encoder.values()) for encoder in ENCODERS]
# In float64 nothing is left of what looks like rounding in float32.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-11}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES, ids=["float32", "float64"])
WEIGHTS = torch.linspace(0.4, 1.7, len(PRETRAINING_LOSSES)).roll(7)


def run_reference(model, items, **options) -> Reference:
    examples = read_items(items, **options)
    for example in examples:
        for side in (example.source, example.target):
            if side is not None and side.features is not None:
                side.features = side.features.to(model.dtype)
    return Reference(model).run(examples)


def gradients(model, loss) -> dict[str, torch.Tensor]:
    """By name; zeros where a loss does not reach a parameter."""
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
    }


def assert_same_gradients(actual, expected, tolerance: float) -> None:
    """Relative to the norm of each gradient.

    Some are nothing but rounding (a softmax does not feel the bias of its keys): what is smaller than the rounding of
    all gradients together counts as 0.
    """
    scale = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    rounding = torch.finfo(scale.dtype).eps * scale
    for name, gradient in expected.items():
        error, size = (actual[name] - gradient).norm(), gradient.norm()
        assert error <= tolerance * size + rounding, f"{name}: {error:.2e} of {size:.2e}, all together {scale:.2e}"


def assert_parity(model, items, dtype=torch.float32, **options) -> Reference:
    """Values, counts and gradients of a packed batch; returns the reference."""
    outputs = model(**collate(items, **options), loss_weights=WEIGHTS)
    reference = run_reference(model, items, **options)
    for name, total, count in zip(PRETRAINING_LOSSES, outputs.loss_sums, outputs.loss_counts, strict=True):
        assert count == reference.counts.get(name, 0), name
        expected = torch.as_tensor(reference.sums.get(name, 0.0), dtype=dtype)
        torch.testing.assert_close(
            total, expected, rtol=TOLERANCES[dtype], atol=0.0, msg=lambda m, n=name: f"{n}: {m}"
        )
    expected = reference.total(PRETRAINING_LOSSES, WEIGHTS.tolist())
    torch.testing.assert_close(outputs.loss, expected, rtol=TOLERANCES[dtype], atol=0.0)
    assert_same_gradients(gradients(model, outputs.loss), gradients(model, expected), TOLERANCES[dtype])
    return reference


@DTYPES
@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
def test_all_tasks(encoder, dtype):
    items = make_items(f"{ALL} {ALL} text asr", seed=3)
    # One transcript that fits its frames for certain.
    items += make_items("mt asr", seed=4, target_text="noon", samples=9000)
    items = list({item.drawn.example.id: item for item in items}.values())
    reference = assert_parity(make_model(dtype=dtype, **encoder), items, dtype)
    assert set(reference.sums) == set(PRETRAINING_LOSSES)


def test_each_loss_by_itself():
    """Its gradient too: two errors could cancel in a sum of losses."""
    model = make_model(seed=1, dtype=torch.float64)
    items = make_items("speech text mt ast asr", seed=3, target_text="on a noon", samples=9000)
    outputs, reference = model(**collate(items)), run_reference(model, items)
    compared = 0
    for total, name in zip(outputs.loss_sums, PRETRAINING_LOSSES, strict=True):
        if name in reference.sums:
            actual, expected = gradients(model, total), gradients(model, reference.sums[name])
            assert_same_gradients(actual, expected, TOLERANCES[torch.float64])
            compared += 1
    assert compared == len(PRETRAINING_LOSSES)


@pytest.mark.parametrize("task", PRETRAINING_TASKS)
def test_one_task_alone(task):
    model = make_model(seed=2)
    reference = assert_parity(model, make_items([task] * 3, seed=5))
    views = {name.removesuffix("_mlm").removesuffix("_decoder") for name in reference.sums} - {"ctc", "language"}
    assert views == {view for view in PRETRAINING_VIEWS if view.split("_")[0] == task}


@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
@pytest.mark.parametrize("samples", [1, 640, 641])
def test_one_frame_and_one_token(samples, encoder):
    """The decoder of such a denoising view reads nothing but `<s>`."""
    items = make_items(f"{ALL} asr", seed=6, samples=samples, source_text="a", target_text="e")
    reference = assert_parity(make_model(seed=3, **encoder), items)
    assert reference.counts["ctc"] == 2 and reference.counts["text_decoder"] == 1


def test_contents_that_may_not_be_predicted():
    """Texts of unknown characters only: no masked prediction, no CTC, `</s>` as the only target."""
    items = make_items("text text asr mt", seed=7, source_text="\u4e00", target_text="\u4e00\u4e01", samples=3000)
    reference = assert_parity(make_model(seed=4), items)
    assert not {"text_mlm", "text_decoder", "ctc", "asr_backward_mlm"} & set(reference.sums)
    assert reference.counts["asr_decoder"] == reference.counts["mt_decoder"] == 1


def test_clean_input_of_ctc():
    items = make_items("asr asr speech", seed=8, samples=9000, target_text="noon")
    reference = assert_parity(make_model(seed=5), items, ctc_input="clean")
    assert "asr_mlm" not in reference.sums and reference.counts["ctc"] == 8


@pytest.mark.parametrize("items", [[], make_items("text", source_text="\u4e00")], ids=["nothing", "no-targets"])
def test_a_batch_without_targets(items):
    """0, not NaN; and every parameter takes part, with a gradient of 0."""
    model = make_model(seed=6)
    batch = collate(items)
    batch["source_language_labels"].fill_(-100)
    outputs = model(**batch)
    outputs.loss.backward()
    assert outputs.loss == 0 and not outputs.loss_sums.any() and not outputs.loss_counts.any()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name


@pytest.mark.parametrize("task", PRETRAINING_TASKS)
def test_every_parameter_has_a_gradient_whatever_the_batch(task):
    model = make_model(seed=7)
    model(**collate(make_items([task], seed=1))).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
def test_packed_equals_plain(encoder):
    model = make_model(seed=8, **encoder)
    items = make_items(f"{ALL} {ALL} text text asr", seed=9)
    packed = model(**collate(items))
    plain = [model(**batch) for batch in collate(items, layout="plain")]
    sums = torch.stack([outputs.loss_sums for outputs in plain]).sum(dim=0)
    counts = torch.stack([outputs.loss_counts for outputs in plain]).sum(dim=0)
    assert torch.equal(packed.loss_counts, counts) and len(plain) == len(PRETRAINING_VIEWS)
    torch.testing.assert_close(packed.loss_sums, sums, rtol=1e-5, atol=0.0)
    expected = (sums / counts.clamp(min=1)).sum()
    assert_same_gradients(gradients(model, packed.loss), gradients(model, expected), 1e-5)


@pytest.mark.parametrize("options", [{"max_row_length": 1}, {"pad_to_multiple_of": 32}])
def test_rows_of_any_length_give_the_same(options):
    model = make_model(seed=9)
    items = make_items(f"{ALL} {ALL}", seed=10)
    expected, actual = model(**collate(items)), model(**collate(items, **options))
    assert actual.encoder_last_hidden_state.shape != expected.encoder_last_hidden_state.shape
    assert torch.equal(actual.loss_counts, expected.loss_counts)
    torch.testing.assert_close(actual.loss_sums, expected.loss_sums, rtol=1e-5, atol=0.0)
    assert_same_gradients(gradients(model, actual.loss), gradients(model, expected.loss), 1e-5)


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_attention_backends(backend):
    model = make_model(seed=10)
    model.set_attn_implementation(backend)
    assert_parity(model, make_items(ALL, seed=11))
