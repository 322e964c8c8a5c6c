# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the model does beside the losses themselves: those are compared with a reference in tests/contract."""

import math

import pytest
import torch
from pretraining_batches import collate, make_items, make_model

from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.models.task_types import PRETRAINING_VIEWS

TASKS = "speech text asr ast mt speech text"


def test_names_of_losses_have_one_order():
    assert len(PRETRAINING_VIEWS) == 11 and len(PRETRAINING_LOSSES) == len(set(PRETRAINING_LOSSES)) == 24
    assert PRETRAINING_LOSSES[0] == "speech_decoder" and PRETRAINING_LOSSES[11] == "speech_mlm"
    assert PRETRAINING_LOSSES[-2:] == ("ctc", "language")


def test_a_model_that_knows_nothing_pays_the_logarithm_of_what_it_chooses_from():
    """With all weights 0 every softmax is even: closed forms for every loss."""
    model = make_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    outputs = model(**collate(make_items(TASKS, target_text="a", samples=3000)))
    losses, config = outputs.named_losses(), model.config
    text_rows = config.vocab_size - config.text_token_offset
    for name, loss in losses.items():
        if name.endswith(("_mlm", "_decoder")):
            assert math.isclose(loss, math.log(config.vocab_size), rel_tol=1e-5), name
    assert math.isclose(losses["language"], math.log(config.num_languages), rel_tol=1e-5)
    # One label in N frames: N (N + 1) / 2 alignments, each of them N even choices.
    frames = 5
    alignments = frames * (frames + 1) / 2
    expected = frames * math.log(text_rows + 2) - math.log(alignments)
    assert math.isclose(losses["ctc"], expected, rel_tol=1e-4)


@torch.no_grad()
def test_logits_on_request_are_those_of_the_losses():
    model, batch = make_model(), collate(make_items(TASKS))
    outputs = model(**batch, output_logits=True)
    assert model(**batch).mlm_logits is None
    for kind, labels, views in (
        ("mlm", batch["mlm_labels"], batch["mlm_view_ids"]),
        ("decoder", batch["decoder_labels"], batch["decoder_view_ids"]),
    ):
        frames = batch["speech_token_ids"].flatten().clamp(min=0) + model.config.speech_token_offset
        ids = torch.cat([torch.tensor([model.config.mask_token_id]), frames, batch["text_ids"]])[labels]
        losses = torch.nn.functional.cross_entropy(outputs[f"{kind}_logits"], ids, reduction="none")
        for number, view in enumerate(PRETRAINING_VIEWS):
            total = outputs.loss_sums[PRETRAINING_LOSSES.index(f"{view}_{kind}")]
            torch.testing.assert_close(losses[views == number].sum(), total)


def test_speech_ids_that_do_not_fit_the_frames():
    model, batch = make_model(), collate(make_items("speech text"))
    for wrong in (batch["speech_token_ids"][:, :-1], batch["speech_token_ids"][..., None]):
        with pytest.raises(ValueError, match="one id per encoder frame"):
            model(**{**batch, "speech_token_ids": wrong})


def gradients(model, batch):
    model.zero_grad()
    outputs = model(**batch)
    outputs.loss.backward()
    return outputs, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("mode", ["autocast", "weights"])
def test_bfloat16_is_near(mode):
    """bfloat16 keeps 8 bits; softmaxes, CTC and sums are in float32 all the same."""
    batch = collate(make_items(TASKS, samples=9000, target_text="noon"))
    expected, expected_gradients = gradients(make_model(), batch)
    model = make_model(dtype=torch.float32 if mode == "autocast" else torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode == "autocast"):
        outputs = model(**batch)
    outputs.loss.backward()
    assert outputs.loss_sums.dtype == outputs.loss.dtype == torch.float32
    torch.testing.assert_close(outputs.loss_sums, expected.loss_sums, rtol=0.05, atol=0.1)
    assert torch.equal(outputs.loss_counts, expected.loss_counts)
    flat = torch.cat([parameter.grad.float().flatten() for parameter in model.parameters()])
    reference = torch.cat([gradient.flatten() for gradient in expected_gradients.values()])
    assert torch.nn.functional.cosine_similarity(flat, reference, dim=0) > 0.98


def test_a_few_steps_lower_every_loss():
    model, batch = make_model(), collate(make_items(TASKS, samples=9000, target_text="noon", source_text="a noon"))
    # Told in every draw here would leave nothing to guess.
    assert (batch["source_language_labels"] >= 0).any()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = model(**batch).named_losses()
    for _ in range(30):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    last = model(**batch).named_losses()
    assert set(first) == set(PRETRAINING_LOSSES)
    assert all(last[name] < first[name] for name in first), {n: (first[n], last[n]) for n in first}


@pytest.mark.slow
def test_compiled_equals_eager():
    """Captured forward and backward; what a code generator makes of the graphs is not ours to test."""
    model, batch = make_model(), collate(make_items(TASKS))
    expected, expected_gradients = gradients(model, batch)
    outputs, actual = gradients(torch.compile(model, backend="aot_eager"), batch)
    torch.testing.assert_close(outputs.loss_sums, expected.loss_sums, rtol=1e-5, atol=1e-5)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(actual[f"_orig_mod.{name}"], gradient, rtol=1e-3, atol=1e-5)
