# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech tokenizer: exactly one id per encoder frame, whatever stands around the utterance."""

import pytest
import torch
from speech_tokenizer_checks import assert_ids_survive_saving, assert_one_id_per_frame, draw_features

from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modules_quantization import compute_codebook_health, count_codes


def build_tokenizer(**kwargs) -> SpeechTokenizerModel:
    return SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=64, **kwargs)).eval()


@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("groups", [1, 3])
def test_one_id_per_encoder_frame_whatever_stands_around_it(garbage, groups):
    assert_one_id_per_frame(build_tokenizer(num_codevector_groups=groups), garbage)


def test_an_id_sees_its_own_four_frames_only():
    tokenizer, one = build_tokenizer(), draw_features(1, 12)
    other = one.clone()
    other[:, 4:8] *= -1.0
    before, after = tokenizer(one)[0], tokenizer(other)[0]
    assert before[0] == after[0] and before[2] == after[2] and before[1] != after[1]


def test_mean_and_deviation_are_applied_and_survive_loading(tmp_path):
    mean, std = [float(i) for i in range(80)], [2.0] * 80
    tokenizer = build_tokenizer(feature_mean=mean, feature_std=std)
    plain, x = build_tokenizer(), draw_features(2, 40)
    scaled = x * 2.0 + torch.tensor(mean)
    assert torch.equal(tokenizer(scaled), plain((scaled - torch.tensor(mean)) / 2.0))
    tokenizer.save_pretrained(tmp_path)
    assert torch.equal(SpeechTokenizerModel.from_pretrained(tmp_path)(scaled), tokenizer(scaled))


def test_the_configuration_alone_determines_the_ids():
    torch.manual_seed(1)
    first = build_tokenizer()
    torch.manual_seed(2)
    second = build_tokenizer()
    x = draw_features(2, 400)
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), build_tokenizer(projection_seed=1)(x))


def test_saved_loaded_and_whatever_precision_is_asked_for(tmp_path):
    assert_ids_survive_saving(build_tokenizer(), draw_features(2, 400), tmp_path)


def test_speech_like_noise_uses_the_codebook():
    health = compute_codebook_health(count_codes(build_tokenizer()(draw_features(8, 4000)), 64))
    assert health.num_ids == 8000 and health.num_dead == 0
    assert health.perplexity > 32


@pytest.mark.parametrize("shape", [(2, 80), (2, 10, 79), (2, 0, 80)])
def test_wrong_features_are_refused(shape):
    with pytest.raises(ValueError, match="input_features must have the shape"):
        build_tokenizer()(torch.zeros(shape))


def test_wrong_mask_is_refused():
    with pytest.raises(ValueError, match="attention_mask must have the shape"):
        build_tokenizer()(draw_features(2, 8), torch.ones(2, 9))


def build_kmeans(context: int = 0, **kwargs) -> SpeechTokenizerModel:
    """A k-means tokenizer with a random codebook, means and deviations."""
    config = SpeechTokenizerConfig(
        kind="kmeans", num_codevectors_per_group=64, num_context_frames=context, num_mel_bins=20, **kwargs
    )
    tokenizer, generator = SpeechTokenizerModel(config), torch.Generator().manual_seed(0)
    tokenizer.quantizer.mean.copy_(torch.randn(config.feature_size, generator=generator))
    tokenizer.quantizer.std.copy_(torch.rand(config.feature_size, generator=generator) + 0.5)
    tokenizer.quantizer.codebook.copy_(torch.randn(64, config.feature_size, generator=generator))
    return tokenizer


@pytest.mark.parametrize("context", [0, 1, 2])
def test_kmeans_equals_a_loop(context):
    tokenizer = build_kmeans(context, feature_mean=[0.5] * 20, feature_std=[2.0] * 20)
    x = draw_features(1, 22, 20)
    ids, quantizer = tokenizer(x)[0], tokenizer.quantizer
    frames = torch.cat([(x[0] - 0.5) / 2.0, torch.zeros(2, 20)]).reshape(6, 80)
    zero = torch.zeros(80)
    for number in range(6):
        neighbours = range(number - context, number + context + 1)
        stacked = torch.cat([frames[n] if 0 <= n < 6 else zero for n in neighbours])
        distances = (quantizer.codebook - (stacked - quantizer.mean) / quantizer.std).norm(dim=-1)
        assert ids[number] == distances.argmin()


@pytest.mark.parametrize("kind", ["kmeans", "random_projection"])
def test_ids_of_centred_utterances_hear_neither_level_nor_microphone(kind):
    """What is added to all frames of an utterance, in each mel bin, changes nothing; in others it does."""
    shared = {"num_mel_bins": 20, "kind": kind}
    centred, plain = (build_tokenizer(center_utterances=value, **shared) for value in (True, False))
    x, mask = torch.randn(2, 400, 20), torch.tensor([[1] * 400, [1] * 183 + [0] * 217])
    louder = x + 3.0 + torch.randn(2, 1, 20)
    assert (centred(x, mask) == centred(louder, mask)).float().mean() > 0.99
    assert (plain(x, mask) == plain(louder, mask)).float().mean() < 0.9
    mean = x[1, :183].mean(0)
    expected = plain(torch.cat([x[1, :183] - mean, torch.zeros(1, 20)])[None])
    assert torch.equal(centred(x, mask)[1, :46], expected[0, :46])


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("context", [0, 1, 2])
def test_kmeans_does_not_depend_on_batch_padding_and_precision(context, center, tmp_path):
    tokenizer = build_kmeans(context, center_utterances=center)
    assert_one_id_per_frame(tokenizer)
    assert_ids_survive_saving(tokenizer, draw_features(2, 37, 20), tmp_path)


def test_means_of_the_input_are_not_rounded_either(tmp_path):
    mean = [0.1 * i + 1e-4 for i in range(80)]
    build_tokenizer(feature_mean=mean).save_pretrained(tmp_path)
    loaded = SpeechTokenizerModel.from_pretrained(tmp_path, dtype=torch.bfloat16).to(torch.bfloat16)
    assert loaded.feature_mean.tolist() == torch.tensor(mean).tolist()
