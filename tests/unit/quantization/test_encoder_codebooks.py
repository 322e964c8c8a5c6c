# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tokenizers on the layer of a saved encoder: its weights come along, and only those that are needed."""

import pytest
import torch
from helpers import save_tiny_checkpoint
from mslam_batches import make_model as make_mslam
from transformers import AutoModel, SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor as WaveExtractor

from mu2slam_hf import Mu2SLAMForConditionalGeneration, SpeechTokenizerModel
from mu2slam_hf.quantization.encoder_codebooks import build_encoder_tokenizer, guess_frames_per_second

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def save_foreign(folder, kind: str):
    torch.manual_seed(0)
    if kind == "wav2vec2":
        positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
        AutoModel.from_config(Wav2Vec2Config(**SIZES, **positions, conv_dim=(8,) * 7)).save_pretrained(folder)
        WaveExtractor().save_pretrained(folder)
    else:
        config = Wav2Vec2BertConfig(**SIZES, feature_projection_input_dim=160)
        AutoModel.from_config(config).save_pretrained(folder)
        SeamlessM4TFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_a_foreign_encoder_comes_with_its_weights(kind, tmp_path):
    folder = save_foreign(tmp_path / "encoder", kind)
    tokenizer = build_encoder_tokenizer(folder, 1, num_codevectors=12)
    assert tokenizer.config.encoder_frames_per_second == 50.0
    assert not any(parameter.requires_grad for parameter in tokenizer.parameters())
    weights = AutoModel.from_pretrained(folder).state_dict()
    for name, tensor in tokenizer.encoder.model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    wave = 0.1 * torch.randn(12000)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    loaded = SpeechTokenizerModel.from_pretrained(tmp_path / "tokenizer")
    assert torch.equal(loaded.tokenize_waveforms([wave]), tokenizer.tokenize_waveforms([wave]))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_our_encoder_comes_with_the_layers_that_are_needed(layer, tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "model")
    tokenizer = build_encoder_tokenizer(folder, layer, num_codevectors=12)
    assert len(tokenizer.encoder.conformer.layers) == layer
    model = Mu2SLAMForConditionalGeneration.from_pretrained(folder).eval()
    x = torch.randn(1, 40, 80)
    with torch.no_grad():
        states = model.model.encoder(input_features=x, output_hidden_states=True).hidden_states
    torch.testing.assert_close(tokenizer.compute_features(x), states[layer][0], atol=1e-5, rtol=1e-5)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    assert torch.equal(SpeechTokenizerModel.from_pretrained(tmp_path / "tokenizer")(x), tokenizer(x))


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
@pytest.mark.parametrize(("layer", "projects"), [(0, True), (1, True), (2, True), (2, False), (3, False)])
def test_an_encoder_of_mslam_too(layer, projects, positions, tmp_path):
    """Up to the end of the speech layers; where nothing stands between them and the others, all of them."""
    encoder = {"position_embeddings_type": positions, "num_hidden_layers": 3}
    model = make_mslam(encoder=encoder, num_speech_layers=2, add_speech_projection=projects)
    model.save_pretrained(tmp_path / "model")
    tokenizer = build_encoder_tokenizer(tmp_path / "model", layer, num_codevectors=12)
    x = torch.randn(1, 40, model.config.num_mel_bins)
    with torch.no_grad():
        outputs = model.model(x, output_hidden_states=True)
    # The model counts the end of the speech layers as it enters the shared ones.
    states = outputs.speech_hidden_state if layer == 2 else outputs.hidden_states[layer]
    torch.testing.assert_close(tokenizer.compute_features(x), states[0], atol=1e-5, rtol=1e-5)
    assert len(tokenizer.encoder.conformer.layers) == layer
    if projects:
        with pytest.raises(ValueError, match="layer must be between 0 and 2 .*, got 3"):
            build_encoder_tokenizer(tmp_path / "model", 3)


def test_a_layer_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="layer must be between 0 and 2"):
        build_encoder_tokenizer(save_tiny_checkpoint(tmp_path), 3)


def test_an_unknown_frame_rate_is_asked_for():
    class Config:
        model_type = "unheard"

    with pytest.raises(ValueError, match="pass frames_per_second"):
        guess_frames_per_second(Config(), object())
