# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""k-means ids on an encoder's layer: ours, and any of transformers, held with its weights and loaded without them."""

import math

import numpy as np
import pytest
import torch
from helpers import make_tiny_config, make_tiny_processor
from speech_tokenizer_checks import assert_ids_survive_saving, assert_one_id_per_frame, draw_features
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2Config, Wav2Vec2FeatureExtractor

from mu2slam_hf import Mu2SLAMModel, Mu2SLAMProcessor, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.models.modeling_speech_encoders import pool_frames

WAVE2VEC_EXTRACTOR = Wav2Vec2FeatureExtractor(return_attention_mask=False).to_dict()
BERT_EXTRACTOR = SeamlessM4TFeatureExtractor(padding_value=1.0).to_dict()
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
POSITIONS = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}


def kmeans_config(**kwargs) -> SpeechTokenizerConfig:
    return SpeechTokenizerConfig(kind="kmeans", features="encoder", num_codevectors_per_group=24, **kwargs)


def build_foreign(kind: str) -> SpeechTokenizerModel:
    """A tokenizer on random weights, with dropout that must not matter."""
    torch.manual_seed(0)
    if kind == "wav2vec2":  # the published small one: group norm in its front end, whose answer depends on padding
        config = Wav2Vec2Config(**SIZES, **POSITIONS, conv_dim=(8,) * 7, feat_extract_norm="group", layerdrop=0.5)
        extractor = WAVE2VEC_EXTRACTOR
    else:
        config = Wav2Vec2BertConfig(**SIZES, feature_projection_input_dim=160, position_embeddings_type="relative_key")
        extractor = BERT_EXTRACTOR
    return SpeechTokenizerModel(
        kmeans_config(
            encoder_config=config.to_dict(),
            encoder_layer=1,
            encoder_feature_extractor=extractor,
            encoder_frames_per_second=50,
        )
    )


def waveforms(lengths) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def test_pooling_two_frames_to_one():
    frames = torch.arange(8.0)[:, None]
    assert pool_frames(frames, 4, 2.0).tolist() == [[0.5], [2.5], [4.5], [6.5]]
    # The last window did not fit; or there is more than is asked for.
    assert pool_frames(frames[:7], 4, 2.0).tolist() == [[0.5], [2.5], [4.5], [6.0]]
    assert pool_frames(frames[:5], 4, 2.0).tolist() == [[0.5], [2.5], [4.0], [4.0]]
    assert pool_frames(frames, 2, 2.0).tolist() == [[0.5], [2.5]]


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 2.5, 4.0, 1.7])
def test_pooling_equals_a_loop(ratio):
    frames = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    pooled = pool_frames(frames, 6, ratio)
    for number in range(6):
        own = [j for j in range(11) if number <= (j + 0.5) / ratio < number + 1]
        expected = frames[own].mean(0) if own else frames[min(10, int((number + 0.5) * ratio))]
        torch.testing.assert_close(pooled[number], expected)


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_foreign_encoders_give_one_id_per_frame_alone_and_in_a_batch(kind, tmp_path):
    tokenizer = build_foreign(kind).train()
    waves = waveforms([1, 100, 640, 641, 5000, 16000])
    ids = tokenizer.tokenize_waveforms(waves)
    assert ids.shape == (6, 25) and ids.dtype == torch.int64
    for row, wave in zip(ids, waves, strict=True):
        frames = max(1, -(-len(wave) // 160))
        assert (row >= 0).sum() == math.ceil(frames / 4)
        alone = tokenizer.tokenize_waveforms([wave])[0]
        assert torch.equal(row[: len(alone)], alone) and (row[len(alone) :] == -100).all()
    tokenizer.save_pretrained(tmp_path)
    loaded, info = SpeechTokenizerModel.from_pretrained(tmp_path, output_loading_info=True, dtype=torch.bfloat16)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.tokenize_waveforms(waves), ids)
    with pytest.raises(ValueError, match="expects waveforms for its encoder of type .*, not log-mel"):
        loaded(torch.zeros(1, 8, 80))


def test_features_of_a_foreign_encoder_are_those_of_its_layer():
    tokenizer = build_foreign("wav2vec2")
    wave = waveforms([8000])[0]
    inputs = tokenizer.encoder.extractor(wave.numpy(), sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        states = tokenizer.encoder.model(**inputs, output_hidden_states=True).hidden_states[1][0]
    features = tokenizer.compute_features(waveforms=[wave, wave])
    assert features.shape == (26, 16) and len(states) == 24
    torch.testing.assert_close(features[:12], states.unflatten(0, (12, 2)).mean(1))
    torch.testing.assert_close(features[12], states[-1])
    assert torch.equal(features[13:], features[:13])


def build_own(layer: int = 2, **options) -> SpeechTokenizerModel:
    torch.manual_seed(0)
    config = make_tiny_config(**options).encoder_config
    return SpeechTokenizerModel(
        kmeans_config(encoder_config={**config.to_dict(), "num_mel_bins": 80}, encoder_layer=layer)
    )


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_our_encoder_gives_one_id_per_frame_alone_and_in_a_batch(layer, positions):
    assert_one_id_per_frame(build_own(layer, position_embeddings_type=positions))


def test_our_encoder_is_saved_with_its_weights(tmp_path):
    assert_ids_survive_saving(build_own(), draw_features(2, 40), tmp_path)


def test_our_encoder_equals_the_model_it_was_taken_from():
    """Of a Mu2SLAM encoder that is told nothing about the language."""
    torch.manual_seed(1)
    model = Mu2SLAMModel(make_tiny_config()).eval()
    tokenizer = SpeechTokenizerModel(kmeans_config(encoder_config=model.config.encoder_config, encoder_layer=1))
    tokenizer.encoder.subsampling.load_state_dict(model.encoder.subsampling.state_dict())
    tokenizer.encoder.conformer.load_state_dict(model.encoder.conformer.state_dict())
    tokenizer.encoder.speech_embedding.data = (
        model.encoder.embed_languages.weight[0] + model.encoder.embed_modalities.weight[0]
    ).detach()
    x = torch.randn(1, 40, 80)
    with torch.no_grad():
        states = model.encoder(input_features=x, output_hidden_states=True).hidden_states
    torch.testing.assert_close(tokenizer.compute_features(x), states[1][0], atol=1e-5, rtol=1e-5)


def test_as_the_codec_of_a_processor(tmp_path):
    processor = make_tiny_processor(num_speech_tokens=24)
    processor.speech_tokenizer = build_foreign("wav2vec2")
    processor.save_pretrained(tmp_path)
    audio = [wave.numpy() for wave in waveforms([5000, 3000])]
    ids = processor.encode_speech(audio, sampling_rate=16000)
    assert [len(row) for row in ids] == [8, 5]
    assert Mu2SLAMProcessor.from_pretrained(tmp_path).encode_speech(audio, sampling_rate=16000) == ids
    own = make_tiny_processor(num_speech_tokens=24)
    own.speech_tokenizer = build_own()
    assert len(own.encode_speech(np.zeros(16000, dtype=np.float32), sampling_rate=16000)[0]) == 25
