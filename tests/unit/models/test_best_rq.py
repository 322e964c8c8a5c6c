# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""BEST-RQ as a setting of mSLAM's pre-training: codes of the features, masked features, one loss on speech alone."""

import math

import pytest
import torch
from mslam_batches import NUM_CODES, collate, make_batch, make_config

from mu2slam_hf import MSLAMForPreTraining
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modules_quantization import find_nearest_codes, standardize_utterances

GROUPS = 3
FRONTENDS = {"conv2d": {}, "stacked_frames": {"frontend": "stacked_frames", "num_mel_bins": 8}}


def make_model(frontend="conv2d", **options):
    torch.manual_seed(0)
    settings = {
        **{"quantizer_method": "random_projection", "num_codevector_groups": GROUPS, "speech_mask": "features"},
        "quantizer_center_utterances": True,
    }
    return MSLAMForPreTraining(make_config(FRONTENDS[frontend], **{**settings, **options})).eval()


def make_inputs(model, kinds="sctpsa", seed=0):
    batch = collate(model.config, make_batch(model.config, kinds, seed=seed))
    batch["negative_frames"] = batch["negative_frames"][..., :0]
    return batch


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_codes_are_those_of_the_unmasked_features(frontend):
    """A plain computation: standardise an utterance, cut it into frames, project, and look for the nearest entry."""
    model = make_model(frontend)
    batch = make_inputs(model)
    ids = model(**batch).codevector_ids
    expected, has_sound = [], []
    factor = model.config.encoder_config.subsampling_factor
    for features, length, masked in zip(
        batch["input_features"], batch["attention_mask"].sum(1), batch["mask_time_indices"], strict=True
    ):
        own = features[:length].double()
        own = (own - own.mean(0)) / (own.var(0, unbiased=False) + 1e-5).sqrt()
        own = torch.cat([own, own.new_zeros(-len(own) % factor, own.shape[1])])
        for frame in masked.nonzero()[:, 0].tolist():
            stacked = own[factor * frame : factor * (frame + 1)].flatten().float()
            # An utterance of one feature frame is its own mean: nothing is left to choose an entry by.
            has_sound.append(float(stacked.norm()) > 1e-3)
            row = []
            for projection, codebook in zip(model.quantizer.projection, model.quantizer.codebook, strict=True):
                projected = torch.nn.functional.normalize(stacked @ projection, dim=-1)
                row.append(int(find_nearest_codes(projected[None], codebook)))
            expected.append(row)
    assert ids.shape == (len(expected), GROUPS) and sum(has_sound) > 5
    assert ids[has_sound].tolist() == [row for row, sounds in zip(expected, has_sound, strict=True) if sounds]


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_codes_do_not_depend_on_the_batch_or_on_masks(frontend):
    model = make_model(frontend)
    batch = make_inputs(model)
    everything = torch.ones_like(batch["mask_time_indices"])
    ids = model(**{**batch, "mask_time_indices": everything}).codevector_ids
    real = batch["attention_mask"].sum(1)
    frames = [-(-int(n) // model.config.encoder_config.subsampling_factor) for n in real]
    alone = []
    for row, (length, number) in enumerate(zip(real, frames, strict=True)):
        single = model.dummy_inputs
        features = batch["input_features"][row : row + 1, :length]
        single["input_features"] = features.repeat(2, 1, 1)
        single["attention_mask"] = torch.ones(2, int(length), dtype=torch.int64)
        single["mask_time_indices"] = torch.ones(2, number, dtype=torch.bool)
        single["negative_frames"] = torch.zeros(2, number, 0, dtype=torch.int64)
        alone.append(model(**single).codevector_ids[:number])
    assert torch.equal(ids, torch.cat(alone))
    noisy = batch["input_features"].clone()
    noisy[batch["attention_mask"] == 0] = float("nan")
    assert torch.equal(model(**{**batch, "input_features": noisy}).codevector_ids, model(**batch).codevector_ids)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_masked_features_are_not_seen(frontend):
    """What stands in masked frames changes their codes, and nothing that the encoder computes."""
    model = make_model(frontend)
    batch = make_inputs(model, "s")
    outputs = model(**batch)
    factor = model.config.encoder_config.subsampling_factor
    hidden = batch["mask_time_indices"].repeat_interleave(factor, 1)[:, : batch["input_features"].shape[1]]
    changed = batch["input_features"].clone()
    changed[hidden] = changed[hidden].flip(-1) * 3
    others = model(**{**batch, "input_features": changed})
    assert torch.equal(others.speech_hidden_state, outputs.speech_hidden_state)
    assert not torch.equal(others.codevector_ids, outputs.codevector_ids)
    reseeded = model(**{**batch, "noise_seed": batch["noise_seed"] + 1})
    assert not torch.equal(reseeded.speech_hidden_state, outputs.speech_hidden_state)
    assert torch.equal(reseeded.codevector_ids, outputs.codevector_ids)


def test_a_new_model_pays_the_logarithm_of_the_number_of_entries():
    model = make_model(initializer_range=0.01)
    losses = model(**make_inputs(model)).named_losses()
    assert losses.keys() == set(MSLAM_LOSSES) - {"contrastive", "diversity"}
    for name in ("speech_mlm", "tlm_speech"):
        assert math.isclose(losses[name], math.log(NUM_CODES), rel_tol=0.02)


def test_everything_but_the_quantiser_is_trained():
    model = make_model().train()
    model(**make_inputs(model)).loss.backward()
    assert all(parameter.grad is None for parameter in model.quantizer.parameters())
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all(model.get_parameter(name).grad is not None for name in trained)
    assert not any(name.startswith(("quantizer", "project_")) for name in trained)


def test_the_quantiser_is_that_of_its_seed_and_stays_float32(tmp_path):
    model, other = make_model(), make_model(quantizer_seed=1)
    torch.manual_seed(5)
    same = make_model()
    assert torch.equal(model.quantizer.codebook, same.quantizer.codebook)
    assert not torch.equal(model.quantizer.codebook, other.quantizer.codebook)
    model.save_pretrained(tmp_path)
    loaded = MSLAMForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert loaded.speech_heads[0].weight.dtype == torch.bfloat16
    assert loaded.quantizer.projection.dtype == torch.float32
    assert torch.equal(loaded.quantizer.projection, model.quantizer.projection)


def test_settings_that_exclude_each_other():
    waveform = {"frontend": "waveform", "conv_dim": [4, 6], "conv_kernel": [10, 3], "conv_stride": [5, 2]}
    with pytest.raises(Exception, match="the front end 'waveform' has none"):
        make_config(waveform, quantizer_method="random_projection")
    with pytest.raises(Exception, match="speech_mask 'features' requires quantizer_method 'random_projection'"):
        make_config(speech_mask="features")
    # The width is that of an entry here, so it need not be a multiple of the number of codebooks.
    assert make_config(
        quantizer_method="random_projection", num_codevector_groups=3, codevector_dim=8
    ).has_random_codes


def test_standardised_features_have_mean_0_and_variance_1():
    torch.manual_seed(0)
    features, mask = torch.randn(2, 7, 3) * 5 + 2, torch.tensor([[1] * 7, [1] * 4 + [0] * 3]).bool()
    features[1, 4:] = float("nan")
    done = standardize_utterances(features, mask)
    for row, length in ((0, 7), (1, 4)):
        torch.testing.assert_close(done[row, :length].mean(0), torch.zeros(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(done[row, :length].var(0, unbiased=False), torch.ones(3), atol=1e-4, rtol=0)
    assert (done[1, 4:] == 0).all()
