# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech ids for every encoder frame: the rate of the encoder, the input of the tokenizer, each recording once."""

from types import SimpleNamespace

import pytest
import torch
from foreign_tokenizers import make_speech, make_telephone_tokenizer
from helpers import make_tiny_processor

from mu2slam_hf import ConformerEncoderConfig, SpeechTokenizerModel
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.quantization.speech_ids import SpeechIds, spread_ids

IDS = torch.tensor([7, 8, 9])


@pytest.mark.parametrize(
    ("num_frames", "frames_per_id", "expected"),
    [
        (3, 1.0, [7, 8, 9]),
        (6, 2.0, [7, 7, 8, 8, 9, 9]),
        (5, 2.0, [7, 7, 8, 8, 9]),
        (8, 2.0, [7, 7, 8, 8, 9, 9, 9, 9]),
        (1, 0.5, [8]),
        (4, 4 / 3, [7, 8, 8, 9]),
        (0, 2.0, []),
    ],
)
def test_a_frame_has_the_id_over_its_middle(num_frames, frames_per_id, expected):
    assert spread_ids(IDS, num_frames, frames_per_id).tolist() == expected


@pytest.fixture
def tokenizer():
    return SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16, codevector_dim=4))


def make_batch(keys, lengths, num_samples_of):
    generator = torch.Generator().manual_seed(0)
    waves = [0.1 * torch.randn(n, generator=generator) for n in lengths]
    places = [num_samples_of(n) for n in lengths]
    mask = (torch.arange(max(places) + 3)[None] < torch.tensor(places)[:, None]).long()
    return {"speech_tokenizer_waveforms": waves, "speech_tokenizer_keys": keys, "attention_mask": mask}


@pytest.mark.parametrize("frontend", ["stacked_frames", "waveform"])
def test_ids_at_fifty_frames_a_second(tokenizer, frontend):
    config = ConformerEncoderConfig(frontend=frontend)
    lengths = [16000, 9000]
    batch = make_batch(["a", "b"], lengths, lambda n: n if frontend == "waveform" else n // 320)
    ids = SpeechIds(tokenizer, config)(batch)
    frames = encoder_length(batch["attention_mask"].sum(dim=1), config)
    assert ids.shape == (2, encoder_length(batch["attention_mask"].shape[1], config))
    extractor = Mu2SLAMFeatureExtractor()
    for row, wave in enumerate(batch["speech_tokenizer_waveforms"]):
        inputs = extractor(wave.numpy(), sampling_rate=16000)
        alone = tokenizer(inputs["input_features"], inputs["attention_mask"])[0]
        number = int(frames[row])
        assert ids[row, :number].tolist() == [int(alone[min(n // 2, len(alone) - 1)]) for n in range(number)]
        assert (ids[row, number:] == -100).all()


def test_each_recording_is_tokenized_once_as_far_as_there_is_room(tokenizer):
    config = ConformerEncoderConfig(frontend="stacked_frames")
    maker = SpeechIds(tokenizer, config)
    batch = make_batch(["a", "b"], [8000, 6400], lambda n: n // 320)
    first = maker(batch)
    assert maker.num_tokenized == 2
    assert torch.equal(maker(batch), first) and maker.num_tokenized == 2
    turned = {
        "speech_tokenizer_waveforms": batch["speech_tokenizer_waveforms"][::-1],
        "speech_tokenizer_keys": ["b", "a"],
        "attention_mask": batch["attention_mask"].flip(0),
    }
    assert torch.equal(maker(turned), first.flip(0)) and maker.num_tokenized == 2
    narrow = SpeechIds(tokenizer, config, max_bytes=2 * 13)
    for _ in range(2):
        assert torch.equal(narrow(batch), first)
    assert narrow.num_tokenized == 3, "the second one does not fit beside the first"


def test_the_models_own_features_go_to_the_tokenizer_as_they_are(tokenizer):
    features, mask = torch.randn(2, 9, 80), torch.ones(2, 9, dtype=torch.int64)
    ids = SpeechIds(tokenizer)({"input_features": features, "attention_mask": mask})
    assert torch.equal(ids, tokenizer(features, mask))


def test_a_waveform_tokenizer_gets_one_waveform_at_a_time():
    calls = []

    def tokenize_waveforms(waves, sampling_rate):
        assert sampling_rate == 16000
        calls.append([len(wave) for wave in waves])
        return torch.arange(len(waves[0]) // 640)[None]

    config = SimpleNamespace(reads_waveforms=True, num_mel_bins=80, num_codevectors_per_group=40000)
    stand_in = SimpleNamespace(config=config, tokenize_waveforms=tokenize_waveforms)
    maker = SpeechIds(stand_in, ConformerEncoderConfig())
    batch = make_batch(["a", "b"], [6400, 3200], lambda n: n // 160)
    assert maker(batch).tolist() == [[*range(10), -100], [*range(5), *[-100] * 6]]
    assert calls == [[6400], [3200]]


def test_a_tokenizer_that_hears_another_rate_gets_the_ids_of_the_processor():
    processor, codec = make_tiny_processor(), make_telephone_tokenizer()
    processor.speech_tokenizer = codec
    wave = make_speech(16000)
    expected = processor.encode_speech([wave], sampling_rate=16000)[0]
    ids = SpeechIds(codec, ConformerEncoderConfig()).tokenize(torch.from_numpy(wave)).tolist()
    assert processor.tokenizer.convert_speech_ids(ids) == expected
    # One second; taken for 8 kHz it would be two.
    assert len(ids) == 25 and len(set(ids)) > 1
