# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the model does beside the losses themselves: those are compared with a reference in tests/contract."""

import math

import pytest
import torch
from mslam_batches import NUM_CODES, VOCABULARY, collate, make_batch, make_model

from mu2slam_hf import MSLAMForPreTraining
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modules_segments import lay_out_segments, pack_sequences

ALL = "sctpsa"


def all_kinds(model, seed: int = 0) -> dict:
    return collate(model.config, make_batch(model.config, ALL, seed=seed))


def test_a_model_that_knows_nothing_pays_the_logarithm_of_what_it_chooses_from():
    """With all weights 0 every softmax is even, and every code as likely as any other."""
    model = make_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    batch = make_batch(model.config, ALL)
    for utterance in batch.utterances:
        for frame, found in utterance.negatives.items():
            utterance.negatives[frame] = (found * 3)[:3]
    losses = model(**collate(model.config, batch)).named_losses()
    assert math.isclose(losses["contrastive"], math.log(4), rel_tol=1e-5)
    assert abs(losses["diversity"]) < 1e-5
    for name in ("speech_mlm", "tlm_speech"):
        assert math.isclose(losses[name], math.log(NUM_CODES), rel_tol=1e-5)
    for name in ("text_mlm", "tlm_text"):
        assert math.isclose(losses[name], math.log(VOCABULARY), rel_tol=1e-5)


def test_masks_that_do_not_fit():
    model = make_model()
    batch = all_kinds(model)
    with pytest.raises(ValueError, match="one entry per encoder frame"):
        model(**{**batch, "mask_time_indices": batch["mask_time_indices"][:, :-1]})
    row, frame = (~batch["mask_time_indices"]).nonzero()[0].tolist()
    negatives = batch["negative_frames"].clone()
    negatives[row, frame, 0] = 0
    with pytest.raises(ValueError, match="must be -1 except at masked real frames"):
        model(**{**batch, "negative_frames": negatives})


def test_one_utterance_in_two_pairs():
    """A transcript and a translation of it; each pair is one sequence of its own."""
    model = make_model()
    batch = make_batch(model.config, "ct")
    batch.pairs = [(0, 0), (0, 1)]
    outputs = model(**collate(model.config, batch))
    masked = sum(batch.utterances[0].masked)
    assert outputs.loss_counts[MSLAM_LOSSES.index("tlm_speech")] == 2 * masked
    assert outputs.loss_counts[MSLAM_LOSSES.index("text_mlm")] == 0
    assert outputs.codevector_ids.shape == (masked, 1)
    model.config.ctc_input = "pair"
    assert model(**collate(model.config, batch)).loss_counts[-1] == 3


@pytest.mark.parametrize("mode", ["autocast", "weights"])
def test_bfloat16_is_near(mode):
    """Softmaxes, CTC, similarities and sums are in float32 all the same."""
    options = {"speech_mask": "learned", "contrastive_logits_temperature": 1.0}
    expected = make_model(**options)(**all_kinds(make_model()))
    model = make_model(dtype=torch.float32 if mode == "autocast" else torch.bfloat16, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode == "autocast"):
        outputs = model(**all_kinds(model))
    outputs.loss.backward()
    assert outputs.loss_sums.dtype == outputs.loss.dtype == torch.float32
    assert torch.equal(outputs.loss_counts, expected.loss_counts)
    torch.testing.assert_close(outputs.loss_sums, expected.loss_sums, rtol=0.1, atol=0.2)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("quantizer_method", ["gumbel", "nearest"])
def test_a_quantiser_is_loaded_as_it_is(quantizer_method, tmp_path):
    model = make_model(quantizer_method=quantizer_method)
    model.save_pretrained(tmp_path)
    loaded = MSLAMForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert loaded.speech_heads[0].weight.dtype == torch.bfloat16
    before, after = model.quantizer.state_dict(), loaded.quantizer.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert {value.dtype for value in after.values() if value.is_floating_point()} == {torch.float32}
    outputs = loaded.train()(**all_kinds(loaded))
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss_sums).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in loaded.parameters())


@pytest.mark.parametrize("quantizer_method", ["gumbel", "nearest"])
def test_a_few_steps_lower_the_losses(quantizer_method):
    """Targets stand still here: while codes are learned, they get harder to predict, as they should."""
    model = make_model(quantizer_method=quantizer_method)
    model.freeze_feature_encoder()
    model.quantizer.requires_grad_(False)
    batch = all_kinds(model)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    first = model(**batch).named_losses()
    for _ in range(40):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    last = model(**batch).named_losses()
    assert last["diversity"] == first["diversity"]
    assert all(last[name] < first[name] for name in first if name != "diversity"), (first, last)


@pytest.mark.parametrize("quantizer_method", ["gumbel", "nearest"])
def test_diversity_alone_spreads_the_codes(quantizer_method):
    model = make_model(quantizer_method=quantizer_method).train()
    batch = all_kinds(model)
    weights = torch.tensor([float(name == "diversity") for name in MSLAM_LOSSES])
    optimizer = torch.optim.Adam(model.quantizer.parameters(), lr=0.02)
    first = model(**batch).named_losses()["diversity"]
    for _ in range(10):
        optimizer.zero_grad()
        model(**batch, loss_weights=weights).loss.backward()
        optimizer.step()
    assert model(**batch).named_losses()["diversity"] < first


def test_sequences_packed_first_fit_decreasing():
    assert pack_sequences([3, 9, 4, 6, 2], 9) == [(1, 6, 1), (0, 0, 0), (2, 0, 0), (1, 0, 0), (2, 4, 1)]
    first, second = torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])
    rows = lay_out_segments(torch.tensor([0, 2, 2]), first, torch.tensor([10, 20, 30]), second, pack=True)
    assert rows.units.tolist() == [[0, 1, 10], [20, 21, 2]]
    assert rows.sequence_ids.tolist() == [[1, 1, 1], [1, 1, 2]]
    assert rows.position_ids.tolist() == [[0, 1, 0], [0, 1, 0]]
    assert rows.segment_ids.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert rows.starts.tolist() == [0, 3, 5]
    rows = lay_out_segments(torch.tensor([0, 2, 2]), first, torch.tensor([10, 20, 30]), second)
    assert rows.sequence_ids.tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]] and rows.starts.tolist() == [0, 3, 6]
