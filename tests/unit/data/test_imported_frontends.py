# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Data for the front ends of imported encoders: features, lengths, masks, and what goes to the speech codec."""

import numpy as np
import pytest
import torch
from helpers import make_tiny_processor
from pretraining_batches import make_item
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

from mu2slam_hf import ConformerEncoderConfig, Mu2SLAMProcessor, SpeechTokenizerModel
from mu2slam_hf.data.augmentation import SpecAugment, SpecAugmentConfig
from mu2slam_hf.data.collation.mu2slam import Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_speech_inputs import extract_speech, frontend_of

EXTRACTORS = {"stacked_frames": SeamlessM4TFeatureExtractor, "waveform": Wav2Vec2FeatureExtractor}
NAMES = {"stacked_frames": "input_features", "waveform": "input_values"}


def make_processor(frontend: str, codec=None) -> Mu2SLAMProcessor:
    tiny = make_tiny_processor()
    return Mu2SLAMProcessor(EXTRACTORS[frontend](), tiny.tokenizer, speech_tokenizer=codec, languages=tiny.languages)


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


@pytest.mark.parametrize("frontend", EXTRACTORS)
def test_alone_and_in_a_batch_at_any_rate_and_however_short(frontend):
    extractor, name = EXTRACTORS[frontend](), NAMES[frontend]
    assert frontend_of(extractor) == frontend
    config = ConformerEncoderConfig(frontend=frontend)
    clips = [noise(16000), noise(7001, 1), noise(3, 2)]
    batch = extract_speech(extractor, clips, 16000)
    assert batch["attention_mask"].dtype == torch.int64
    lengths = batch["attention_mask"].sum(dim=1)
    assert (encoder_length(lengths, config) >= 1).all()
    for row, clip in enumerate(clips):
        alone = extract_speech(extractor, [clip], 16000)
        number = int(alone["attention_mask"].sum())
        assert number == lengths[row]
        torch.testing.assert_close(batch[name][row, :number], alone[name][0, :number], atol=1e-5, rtol=0)
    stereo = np.stack([clips[0], clips[0]], axis=1)
    resampled = extract_speech(extractor, [{"array": stereo[::2], "sampling_rate": 8000}])
    assert abs(int(resampled["attention_mask"].sum()) - int(lengths[0])) <= lengths[0] // 50
    with pytest.raises(ValueError, match=r"audio\[0\] is not usable: sample 1 of 2 is NaN"):
        extract_speech(extractor, [np.array([0.0, np.nan])], 16000)


@pytest.mark.parametrize("frontend", EXTRACTORS)
def test_transcripts_are_held_against_fifty_frames_a_second(frontend):
    """Forty labels in one second: too many for 25 frames, not for 49."""
    processor, config = make_processor(frontend), ConformerEncoderConfig(frontend=frontend)
    generator = np.random.default_rng(0)
    item = make_item("asr", 0, generator, samples=16000, target_text="marque" * 6 + "marq")
    batch = SupervisedCollator(processor, encoder_config=config)([item])
    assert (batch["ctc_labels"] >= 0).sum() == 40
    assert batch[NAMES[frontend]].dtype == torch.float32 and "attention_mask" in batch
    ours = SupervisedCollator(make_tiny_processor())
    assert (ours([item])["ctc_labels"] < 0).all() and ours.num_ctc_too_long == 1
    empty = SupervisedCollator(processor, encoder_config=config, pad_frames_to_multiple_of=7)
    padded = empty([make_item("asr", 0, generator, samples=5000)])
    assert padded["attention_mask"].shape[1] % 7 == 0
    assert padded["attention_mask"].shape == padded[NAMES[frontend]].shape[:2]


def test_a_front_end_that_does_not_read_what_is_made_is_refused():
    for options in ({}, {"encoder_config": ConformerEncoderConfig(frontend="waveform")}):
        with pytest.raises(ValueError, match="do not fit one another: the model has the front end"):
            SupervisedCollator(make_processor("stacked_frames"), **options)
    narrow = ConformerEncoderConfig(frontend="stacked_frames", num_mel_bins=40)
    with pytest.raises(ValueError, match="numbers in a stacked frame: 80 in the model, 160 by Seamless"):
        Mu2SLAMPreTrainingCollator(make_processor("stacked_frames"), seed=0, encoder_config=narrow)


@pytest.mark.parametrize("frontend", EXTRACTORS)
def test_views_of_pretraining_have_fifty_frames_a_second_and_the_codec_its_waveforms(frontend):
    codec = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16, codevector_dim=4))
    processor, config = make_processor(frontend, codec), ConformerEncoderConfig(frontend=frontend)
    collator = Mu2SLAMPreTrainingCollator(processor, seed=0, encoder_config=config)
    generator = np.random.default_rng(0)
    items = [make_item("speech", 0, generator, samples=16000), make_item("text", 1, generator)]
    batch = collator(items)
    assert batch["input_features"].shape[:2] == batch["attention_mask"].shape
    frames = encoder_length(batch["attention_mask"].sum(dim=1), config)
    assert int(frames[0]) == 49
    lengths = [int((batch["sequence_ids"][batch["modality_ids"] == 0] > 0).sum())]
    assert lengths == [49], "speech positions of the encoder"
    assert [len(wave) for wave in batch["speech_tokenizer_waveforms"]] == [16000]
    assert batch["speech_tokenizer_keys"] == [f"test/{items[0].drawn.example.source_lang}/0/16000"]
    silent = collator(items[1:])
    assert silent["speech_tokenizer_keys"] == ["silence"] and not silent["input_features"].any()
    assert "speech_tokenizer_keys" not in Mu2SLAMPreTrainingCollator(
        make_processor(frontend), seed=0, encoder_config=config
    )(items)


CONFIG = SpecAugmentConfig(max_time_mask_frames=20, max_frequency_mask_bins=20, max_time_mask_share=0.5)


def test_stacked_frames_are_masked_as_if_they_stood_side_by_side():
    masks, keys = SpecAugment(CONFIG), [DrawKey(0), DrawKey(1)]
    frames = torch.ones(2, 60, 80)
    expected = masks(frames, [60, 40], keys, ["a", "b"])
    stacked = masks(frames.reshape(2, 30, 160), [30, 20], keys, ["a", "b"], num_stacked_frames=2)
    assert torch.equal(stacked.reshape(2, 60, 80), expected)
    assert (expected == 0).any()


def test_waveforms_are_masked_in_time_alone():
    masks, keys = SpecAugment(CONFIG), [DrawKey(number) for number in range(40)]
    waves = torch.ones(40, 16080)
    masked = masks(waves, [16010] * 40, keys, [str(number) for number in range(40)])
    silent = (masked == 0).float().mean(dim=1)
    assert 0 < silent.max() <= 2 * 20 * 160 / 16080 and silent.mean() > 0.02
    assert (masked[:, 16010:] == 1).all() and (waves == 1).all()
    edges = masked[0].diff().nonzero().flatten() + 1
    assert all(int(edge) % 160 == 0 or int(edge) == 16010 for edge in edges)
