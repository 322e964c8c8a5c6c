# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech tokenizer that mSLAM learns: front end and quantiser alone, one id per encoder frame, ids that stay."""

import pytest
import torch
from helpers import make_tiny_pair
from mslam_batches import make_model
from speech_tokenizer_checks import assert_ids_survive_saving, assert_one_id_per_frame, draw_features
from torch.nn import functional

from mu2slam_hf import (
    MSLAMForPreTraining,
    Mu2SLAMProcessor,
    SpeechTokenizerConfig,
    SpeechTokenizerModel,
)

CASES = [(method, groups) for method in ("gumbel", "nearest") for groups in (1, 3)]


def build_tokenizer(method: str = "gumbel", groups: int = 1, seed: int = 0, **kwargs) -> SpeechTokenizerModel:
    """A contrastive tokenizer with random weights, biases included."""
    config = SpeechTokenizerConfig(
        kind="contrastive",
        num_codevectors_per_group=64,
        num_codevector_groups=groups,
        codevector_dim=12,
        quantizer_method=method,
        num_mel_bins=16,
        encoder_config={
            **{"model_type": "mu2slam_conformer", "hidden_size": 24, "num_hidden_layers": 0, "num_mel_bins": 16},
            "subsampling_conv_channels": [6, 4],
        },
        **kwargs,
    )
    torch.manual_seed(seed)
    tokenizer = SpeechTokenizerModel(config)
    for parameter in tokenizer.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    with torch.no_grad():
        seen = tokenizer.encoder(draw_features(4, 100, 16, seed=9), torch.ones(4, 100))
    tokenizer.quantizer.norm.update(seen.flatten(0, 1))
    return tokenizer


@pytest.mark.parametrize(("method", "groups"), CASES)
@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
def test_one_id_per_frame_whatever_stands_around_it(method, groups, garbage):
    assert_one_id_per_frame(build_tokenizer(method, groups), garbage)


@pytest.mark.parametrize("method", ["gumbel", "nearest"])
def test_ids_equal_equation_one_by_hand(method):
    tokenizer, x = build_tokenizer(method), draw_features(1, 41, 16)
    front, quantizer = tokenizer.encoder.subsampling, tokenizer.quantizer
    states = functional.relu(functional.conv2d(x[:, None], front.conv1.weight, front.conv1.bias, 2, 1))
    states = functional.relu(functional.conv2d(states, front.conv2.weight, front.conv2.bias, 2, 1))
    frames = front.linear(states[0].transpose(0, 1).flatten(1))
    mapped = quantizer.linear(quantizer.norm(frames))
    if method == "nearest":
        unit, entries = (functional.normalize(vectors, dim=-1) for vectors in (mapped, quantizer.codebook[0]))
        expected = torch.stack([(entries - vector).norm(dim=-1).argmin() for vector in unit])
    else:
        expected = mapped.argmax(-1)
    assert torch.equal(tokenizer(x)[0], expected)
    assert len(expected.unique()) > 3
    assert float(quantizer.norm.count) == 100


@pytest.mark.parametrize(("method", "groups"), CASES)
def test_saved_loaded_and_whatever_precision_is_asked_for(method, groups, tmp_path):
    tokenizer = build_tokenizer(method, groups)
    assert_ids_survive_saving(tokenizer, draw_features(2, 400, 16), tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    assert set(tokenizer.config.to_diff_dict()) & {"encoder_layer", "features"}


def test_scale_of_the_input_is_taken_back():
    mean, std = [0.5] * 16, [2.0] * 16
    plain, scaled, x = build_tokenizer(), build_tokenizer(feature_mean=mean, feature_std=std), draw_features(2, 38, 16)
    mask = torch.tensor([[1] * 38, [1] * 21 + [0] * 17])
    assert torch.equal(scaled(x * 2.0 + 0.5, mask), plain(x, mask))


def test_codec_of_a_processor_and_without_this_package(tmp_path):
    """Saved in the processor, loaded again, and in a bare process from an upload folder."""
    from mu2slam_hf.hub.bundle import build_bundle
    from mu2slam_hf.hub.bundle_check import compare_in_bare_process

    model, processor = make_tiny_pair()
    bins = processor.feature_extractor.feature_size
    torch.manual_seed(0)
    processor.speech_tokenizer = SpeechTokenizerModel(
        SpeechTokenizerConfig(
            kind="contrastive",
            num_codevectors_per_group=16,
            num_mel_bins=bins,
            encoder_config={
                **{"model_type": "mu2slam_conformer", "hidden_size": 24, "num_hidden_layers": 0},
                **{"num_mel_bins": bins, "subsampling_conv_channels": [6, 4]},
            },
        )
    )
    wave = torch.sin(torch.arange(9000) * 0.05).numpy()
    ids = processor.encode_speech(wave, sampling_rate=16000)
    processor.save_pretrained(tmp_path / "processor")
    loaded = Mu2SLAMProcessor.from_pretrained(tmp_path / "processor")
    assert loaded.speech_tokenizer.config.kind == "contrastive"
    assert loaded.encode_speech(wave, sampling_rate=16000) == ids and len(ids[0]) == 15
    card = "---\nlanguage: en\nlibrary_name: transformers\nlicense: mit\npipeline_tag: any-to-any\n---\n"
    folder = build_bundle(tmp_path / "upload", model, processor, card=card, run_check=False)
    assert compare_in_bare_process(folder, model, processor)[1] == "Mu2SLAMProcessor"


def build_mslam(method: str = "gumbel", groups: int = 1, **encoder) -> MSLAMForPreTraining:
    options = {"quantizer_method": method, "num_codevector_groups": groups, "codevector_dim": 12}
    return make_model(encoder={"num_mel_bins": 16, **encoder}, **options)


@pytest.mark.parametrize(("method", "groups"), CASES)
@pytest.mark.parametrize("final_layer_norm", [False, True])
@pytest.mark.parametrize("center", [False, True])
@torch.no_grad()
def test_a_tokenizer_from_mslam_gives_the_ids_of_its_quantizer(method, groups, center, final_layer_norm, tmp_path):
    model = build_mslam(method, groups, final_layer_norm=final_layer_norm)
    model.config.quantizer_center_utterances = center
    x, mask = draw_features(2, 41, 16), torch.tensor([[1] * 41, [1] * 18 + [0] * 23])
    x[1, 18:] = float("inf")
    frames = model.base_model.embed_speech(x, mask)
    if center:
        frames = torch.stack([frames[0] - frames[0].mean(0), frames[1] - frames[1, :5].mean(0)])
    expected = model.quantizer.find_codes(frames.flatten(0, 1)).reshape(2, 11, groups)
    tokenizer = SpeechTokenizerModel.from_mslam(model)
    tokenizer.save_pretrained(tmp_path)
    for other in (tokenizer, SpeechTokenizerModel.from_pretrained(tmp_path)):
        ids = other(x, mask).reshape(2, 11, groups)
        assert torch.equal(ids[0], expected[0]) and torch.equal(ids[1, :5], expected[1, :5])
        assert (ids[1, 5:] == -100).all()
    assert tokenizer.config.encoder_config.num_hidden_layers == 0
    before = [parameter.clone() for parameter in tokenizer.parameters()]
    for parameter in model.parameters():
        parameter.zero_()
    assert all(map(torch.equal, before, tokenizer.parameters())), "weights are copies"


@torch.no_grad()
def test_a_tokenizer_from_a_model_in_half_precision_computes_in_float32():
    model = build_mslam().to(torch.bfloat16)
    tokenizer, x = SpeechTokenizerModel.from_mslam(model), draw_features(1, 400, 16)
    assert all(parameter.dtype == torch.float32 for parameter in tokenizer.parameters())
    assert torch.equal(tokenizer(x), SpeechTokenizerModel.from_mslam(model.float())(x))


def test_a_front_end_of_another_rate_is_refused():
    model = build_mslam(frontend="stacked_frames", num_mel_bins=16)
    with pytest.raises(ValueError, match="requires the front end 'conv2d' .*, but this model has 'stacked_frames'"):
        SpeechTokenizerModel.from_mslam(model)
