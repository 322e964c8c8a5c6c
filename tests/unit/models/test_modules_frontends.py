# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf import ConformerEncoderConfig, MSLAMConfig, MSLAMModel, Mu2SLAMConfig
from mu2slam_hf.models.modules_frontends import (
    UtteranceNorm,
    build_frontend,
    check_speech_shape,
    dummy_speech,
    select_speech_input,
)
from mu2slam_hf.models.modules_lengths import downsample_attention_mask, encoder_length, receptive_field

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
PUBLIC = {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]}


def make_config(frontend: str, **options) -> ConformerEncoderConfig:
    convolutions = {"conv_dim": [4, 6, 8], "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2]}
    return ConformerEncoderConfig(
        **(SIZES | {"subsampling_conv_channels": [2, 2]} | convolutions | options), frontend=frontend
    )


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("samples", [1, 9, 24, 25, 44, 45, 300, 301])
def test_the_length_of_a_waveform_is_what_comes_out(norm, samples):
    config = make_config("waveform", feat_extract_norm=norm)
    frames = build_frontend(config)(torch.randn(1, samples)).shape[1]
    assert frames == encoder_length(samples, config) == encoder_length(torch.tensor([samples]), config).item()


def test_public_waveform_encoders_have_50_frames_a_second():
    config = make_config("waveform", conv_dim=[4] * 7, **PUBLIC)
    assert config.samples_per_frame == config.subsampling_factor == 320
    assert receptive_field(config.conv_kernel, config.conv_stride) == 400
    assert [encoder_length(n, config) for n in (0, 399, 400, 719, 720, 16000)] == [1, 1, 1, 1, 2, 49]


def test_frame_rates_and_sizes_follow_the_front_end():
    stacked, convolved = make_config("stacked_frames"), make_config("conv2d")
    assert (stacked.samples_per_frame, stacked.subsampling_factor, stacked.feature_size) == (320, 1, 160)
    assert (convolved.samples_per_frame, convolved.subsampling_factor, convolved.feature_size) == (640, 4, 80)
    assert encoder_length(7, stacked) == 7 and encoder_length(7, convolved) == encoder_length(7) == 2
    decoder = {name: SIZES[name] for name in SIZES}
    for config, ratio in ((stacked, 320), (convolved, 640), (make_config("waveform"), 20)):
        whole = Mu2SLAMConfig(encoder_config=config, decoder_config=decoder)
        assert whole.inputs_to_logits_ratio == ratio
        assert Mu2SLAMConfig.from_dict(whole.to_dict()).inputs_to_logits_ratio == ratio


def test_new_weights_keep_the_variance_of_features_or_have_initializer_range():
    """By He's rule white features leave both convolutions with mean square 1, and the linear map with 2."""
    mean_squares = {}
    for keeps in (True, False):
        options = {"hidden_size": 256, "num_attention_heads": 4, "subsampling_conv_channels": [64, 64]}
        encoder = make_config("conv2d", **options, num_hidden_layers=2, subsampling_keeps_variance=keeps)
        torch.manual_seed(0)
        model = MSLAMModel(MSLAMConfig(encoder_config=encoder, num_speech_layers=1, codevector_dim=8))
        with torch.no_grad():
            mean_squares[keeps] = model.subsampling(torch.randn(4, 200, 80)).square().mean().item()
    assert mean_squares[True] == pytest.approx(2.0, rel=0.25)
    # conv1, conv2, linear: variance 0.02 ** 2 per weight; ReLU keeps half of the mean square.
    expected = (9 * 0.02**2 / 2) * (9 * 64 * 0.02**2 / 2) * (64 * 20 * 0.02**2)
    assert mean_squares[False] == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("frontend", ["conv2d", "stacked_frames", "waveform"])
def test_masks_have_the_length_of_what_comes_out(frontend):
    config = make_config(frontend)
    speech = dummy_speech(config, torch.device("cpu"))
    assert build_frontend(config)(speech).shape == (1, 3, 16)
    mask = torch.ones(2, speech.shape[1] + 40, dtype=torch.int64)
    mask[0, speech.shape[1] :] = 0
    frames = downsample_attention_mask(mask, config)
    assert frames.sum(-1).tolist() == [3, encoder_length(mask.shape[1], config)]
    assert frames.shape[1] == encoder_length(mask.shape[1], config)


@pytest.mark.parametrize(
    "options", [{"feat_extract_norm": "group"}, {"feat_extract_norm": "layer", "conv_bias": True}]
)
def test_short_utterances_are_the_same_alone_and_in_a_batch(options):
    """Also those too short for one frame, and whatever the padding holds."""
    torch.manual_seed(0)
    frontend = build_frontend(make_config("waveform", **options))
    clips = [torch.randn(n) for n in (200, 57, 11, 1)]
    batch = torch.full((4, 230), torch.nan)
    for row, clip in enumerate(clips):
        batch[row, : len(clip)] = clip
    outputs = frontend(batch, torch.tensor([len(clip) for clip in clips]))
    assert torch.isfinite(outputs).all()
    for row, clip in enumerate(clips):
        alone = frontend(clip[None])
        torch.testing.assert_close(outputs[row : row + 1, : alone.shape[1]], alone, atol=1e-5, rtol=1e-5)


def test_utterance_norm_is_torch_on_whole_utterances():
    ours, theirs = UtteranceNorm(6, 1e-5), torch.nn.GroupNorm(6, 6)
    states = torch.randn(2, 6, 30) * 2 + 1
    torch.testing.assert_close(ours(states), theirs(states), atol=1e-5, rtol=1e-5)
    padded = torch.nn.functional.pad(states, (0, 9), value=1e3)
    torch.testing.assert_close(ours(padded, torch.tensor([30, 30]))[..., :30], theirs(states), atol=1e-5, rtol=1e-5)


def test_wrong_speech_is_named():
    stacked, waveform = make_config("stacked_frames"), make_config("waveform")
    features, values = torch.zeros(1, 5, 160), torch.zeros(1, 500)
    assert select_speech_input(stacked, features, None) is features
    assert select_speech_input(waveform, None, values) is values
    assert select_speech_input(stacked, None, None) is None
    with pytest.raises(
        ValueError, match=r"'stacked_frames', which expects input_features .batch, frames, 160.*input_values"
    ):
        select_speech_input(stacked, features, values)
    with pytest.raises(
        ValueError, match=r"'waveform', which expects input_values .*got input_features of shape .1, 5, 160"
    ):
        select_speech_input(waveform, features, None)
    for config, wrong in (
        (stacked, values),
        (waveform, features),
        (stacked, features[..., :80]),
        (make_config("conv2d"), features),
    ):
        with pytest.raises(ValueError, match="of this model expects"):
            check_speech_shape(config, wrong)
