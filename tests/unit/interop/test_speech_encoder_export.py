# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Public encoders as mSLAM, mSLAM as a start of Mu2SLAM, and the way back into the source's format."""

import copy

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from imported_encoders import SHARED, make_source, make_speech
from transformers import AutoModel

from mu2slam_hf import MSLAMConfig, MSLAMForCTC, MSLAMForPreTraining, MSLAMModel, Mu2SLAMModel
from mu2slam_hf.interop.speech_encoder_export import export_speech_encoder
from mu2slam_hf.interop.speech_encoder_formats import convert_config, restore_config
from mu2slam_hf.interop.speech_encoders import (
    build_from_speech_encoder,
    build_mslam_from_speech_encoder,
    load_speech_encoder,
)

CASES = [("bert", "relative_key"), ("bert", "rotary"), ("conformer", "relative-group"), ("conformer", "rotary-layer")]
MSLAM = {**SHARED, "codevector_dim": 8, "num_codevectors_per_group": 12, "proj_codevector_dim": 6}


def train_a_little(model, speech):
    """One step that moves every weight that speech goes through."""
    outputs = model(**speech)
    outputs.last_hidden_state.square().sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(1e-3 * parameter.grad.sign())
    model.zero_grad()


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_imported_mslam_hears_what_the_source_hears_masked_or_not(kind, name):
    source, speech = make_source(kind, name), make_speech(kind, 30)
    model = build_mslam_from_speech_encoder(source, 2, **MSLAM)
    assert isinstance(model, MSLAMForPreTraining) and model.config.num_speech_layers == 2
    with torch.no_grad():
        expected = source(**speech).last_hidden_state
        torch.testing.assert_close(model.model(**speech).last_hidden_state, expected, atol=1e-5, rtol=0)
        mask = torch.arange(expected.shape[1])[None] % 3 == 1
        expected = source(**speech, mask_time_indices=mask).last_hidden_state
        torch.testing.assert_close(
            model.model(**speech, mask_time_indices=mask).last_hidden_state, expected, atol=1e-5, rtol=0
        )


def test_an_imported_mslam_takes_a_step_with_all_its_losses():
    model = build_mslam_from_speech_encoder(make_source("conformer", "rotary-group"), 1, **MSLAM).train()
    outputs = model(**model.dummy_inputs)
    outputs.loss.backward()
    assert {"contrastive", "speech_mlm", "text_mlm", "tlm_speech", "ctc"} <= outputs.named_losses().keys()
    assert all(p.grad is not None for p in model.model.conformer.parameters())
    with pytest.raises(StrictDataclassError, match="num_speech_layers must be between 1 and 2"):
        build_mslam_from_speech_encoder(make_source("bert", "rotary"), 3, **MSLAM)


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("family", ["mslam", "mu2slam"])
def test_a_trained_encoder_goes_back_into_the_format_of_its_source(kind, name, family, tmp_path):
    source, speech = make_source(kind, name), make_speech(kind, 30)
    if family == "mslam":
        model = build_mslam_from_speech_encoder(source, 1, MSLAMModel, **MSLAM)
    else:
        model = build_from_speech_encoder(source, Mu2SLAMModel, {"num_hidden_layers": 1}, **SHARED).encoder
    train_a_little(model, speech)
    assert family == "mslam" or model.embed_languages.weight[0].abs().max() > 0
    exported = export_speech_encoder(model, tmp_path)
    assert type(exported) is type(source)
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        ours = model(**speech).last_hidden_state
        torch.testing.assert_close(loaded.eval()(**speech).last_hidden_state, ours, atol=1e-5, rtol=0)
        assert (ours - source(**speech).last_hidden_state).abs().max() > 1e-3, "it was trained"
    again = load_speech_encoder(str(tmp_path))
    assert again.config.to_dict() == load_speech_encoder(source).config.to_dict()


def test_an_untrained_round_trip_changes_no_bit():
    source = make_source("bert", "relative")
    exported = export_speech_encoder(build_mslam_from_speech_encoder(source, 1, **MSLAM))
    for name, tensor in source.state_dict().items():
        if name == "masked_spec_embed":
            torch.testing.assert_close(exported.state_dict()[name], tensor)
        else:
            assert torch.equal(exported.state_dict()[name], tensor), name


def test_what_has_no_other_format_is_refused():
    config = make_mslam_config()
    with pytest.raises(ValueError, match="linear projection between its speech layers"):
        export_speech_encoder(MSLAMModel(config))
    config.add_speech_projection = False
    with pytest.raises(ValueError, match="the front end 'conv2d' cannot be exported"):
        export_speech_encoder(MSLAMModel(config))
    with pytest.raises(ValueError, match="has no front end"):
        export_speech_encoder(MSLAMModel(config).conformer)
    imported = load_speech_encoder(make_source("bert", "rotary")).config
    changed = copy.deepcopy(imported)
    changed.hidden_dropout, changed.conv_causal, changed.final_layer_norm = 0.7, False, True
    with pytest.raises(
        ValueError, match=r"differ: conv_causal \(False, there True\), final_layer_norm \(True, there F"
    ):
        restore_config(changed)
    imported.hidden_dropout = 0.7
    assert convert_config(restore_config(imported), "it").hidden_dropout == 0.7


def make_mslam_config(**options) -> MSLAMConfig:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return MSLAMConfig(encoder_config={**sizes, "subsampling_conv_channels": [4, 2]}, num_speech_layers=1, **MSLAM)


@pytest.mark.parametrize("model_class", [MSLAMForPreTraining, MSLAMForCTC])
@pytest.mark.parametrize("projection", [True, False])
def test_mslam_is_a_start_of_mu2slam(model_class, projection, tmp_path):
    """Speech comes out of it as from the source, if nothing stands between the source's layers."""
    torch.manual_seed(0)
    config = make_mslam_config()
    config.add_speech_projection = projection
    pretrained = MSLAMForPreTraining(config).eval()
    source = pretrained if model_class is MSLAMForPreTraining else MSLAMForCTC.from_pretraining(pretrained)
    source.save_pretrained(tmp_path)
    weights = load_speech_encoder(str(tmp_path))
    reasons = {name.split(".")[0] for name in weights.left_out}
    assert reasons == ({"text_norm", "speech_projection"} if projection else {"text_norm"})
    model = build_from_speech_encoder(weights, Mu2SLAMModel, {"num_hidden_layers": 1}, **SHARED)
    assert not torch.equal(model.encoder.embed_tokens.weight, pretrained.model.embed_tokens.weight)
    weights.load_tokens_into(model)
    assert torch.equal(model.encoder.embed_tokens.weight, pretrained.model.embed_tokens.weight)
    features = torch.randn(1, 50, 80)
    with torch.no_grad():
        ours = model.encoder(features).last_hidden_state
        theirs = pretrained.model(features).last_hidden_state
    assert torch.allclose(ours, theirs, atol=1e-5) is not projection
    wider = build_from_speech_encoder(weights, Mu2SLAMModel, {"num_hidden_layers": 1}, **{**SHARED, "vocab_size": 161})
    with pytest.raises(ValueError, match=r"token embeddings are \(160, 16\), expected \(161, 16\)"):
        weights.load_tokens_into(wider)
