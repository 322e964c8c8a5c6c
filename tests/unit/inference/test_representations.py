# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Vectors of real recordings and of texts: the same alone and in a batch, in the order that was asked for."""

import numpy as np
import pytest
import torch
from helpers import REPOSITORY_ROOT, TINY_TEXTS, make_tiny_config, make_tiny_pair

from mu2slam_hf import MSLAMConfig, MSLAMForAudioClassification, MSLAMModel, Mu2SLAMForCTC
from mu2slam_hf.data.audio import AudioError, load_audio
from mu2slam_hf.inference.language_identification import predict_languages
from mu2slam_hf.inference.representations import SpeechTextEncoder, encode_pieces
from mu2slam_hf.inference.similarity import unit_vectors
from mu2slam_hf.inference.windows import cut_speech, open_recording
from mu2slam_hf.models.modules_lengths import group_by_size

FILES = sorted((REPOSITORY_ROOT / "examples").glob("*/*.opus"))


@pytest.fixture(scope="module")
def pair():
    return make_tiny_pair()


@pytest.fixture(scope="module")
def encoder(pair):
    return SpeechTextEncoder(*pair)


def test_vectors_do_not_depend_on_the_batch_and_keep_the_order(encoder, pair):
    together = encoder.encode_speech(FILES)
    assert together.shape == (len(FILES), 16) and together.dtype == torch.float32
    alone = torch.cat([encoder.encode_speech([file]) for file in FILES])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    small = SpeechTextEncoder(*pair, batch_seconds=4.0, batch_size=2).encode_speech(FILES[::-1])
    torch.testing.assert_close(small.flip(0), together, atol=1e-5, rtol=1e-5)
    texts = encoder.encode_text(TINY_TEXTS)
    torch.testing.assert_close(texts, torch.cat([encoder.encode_text([t]) for t in TINY_TEXTS]), atol=1e-5, rtol=1e-5)


def test_vectors_are_means_of_the_encoder_states(encoder, pair):
    model, processor = pair
    inputs = processor(audio=load_audio(FILES[0]), sampling_rate=16000)
    states = model.get_encoder()(input_features=inputs["input_features"]).last_hidden_state
    torch.testing.assert_close(encoder.encode_speech(FILES[:1])[0], states[0].mean(dim=0), atol=1e-5, rtol=1e-5)


def make_long(pause_seconds: float = 1.0) -> np.ndarray:
    pause = np.zeros(round(pause_seconds * 16000), dtype=np.float32)
    return np.concatenate([part for file in FILES for part in (load_audio(file), pause)])


@pytest.mark.parametrize("layer", [None, 1, "all"])
def test_a_long_recording_has_the_states_of_its_windows(pair, layer):
    waveform = make_long()
    assert len(waveform) > 15 * 16000
    windows = [window.waveform for window in cut_speech(iter([waveform[:, None]]), 15.0)]
    assert len(windows) > 3
    states = []
    for window in windows:
        (batch,) = encode_pieces(*pair, audio=[window], layer=layer)
        states.append(batch.states[0])
    expected = torch.cat(states)
    batches = list(encode_pieces(*pair, audio=[FILES[0], waveform, FILES[1]], layer=layer, batch_seconds=5.0))
    assert sorted({index for batch in batches for index in batch.indices}) == [0, 1, 2]
    assert all(batch.indices == [1] for batch in batches if 1 in batch.indices)
    actual = torch.cat([batch.states[0] for batch in batches if batch.indices == [1]])
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    pieces = [batch for batch in encode_pieces(*pair, audio=[waveform], layer=layer) if batch.indices == [0]]
    assert [piece.is_complete for piece in pieces] == [False] * (len(windows) - 1) + [True]
    vectors = SpeechTextEncoder(*pair, layer=layer).encode_speech([FILES[0], waveform, FILES[1]])
    torch.testing.assert_close(vectors[1], expected.mean(dim=0), atol=1e-5, rtol=1e-5)
    short = SpeechTextEncoder(*pair, layer=layer).encode_speech([FILES[0], FILES[1]])
    torch.testing.assert_close(vectors[[0, 2]], short, atol=1e-6, rtol=1e-5)


def test_states_that_two_windows_share_are_counted_once(pair):
    # Without a pause, windows overlap by a second on both sides.
    waveform = np.tile(load_audio(FILES[0])[4000:20000], 35)
    windows = list(cut_speech(iter([waveform[:, None]]), 15.0))
    assert len(windows) > 2 and all(window.joins_previous for window in windows[1:])
    num_states = sum(batch.states.shape[1] for batch in encode_pieces(*pair, audio=[waveform]))
    assert num_states == pytest.approx(len(waveform) / 640, abs=2 * len(windows))


def test_a_long_recording_without_sound_is_its_first_window(encoder):
    silence = np.zeros(16000 * 40, dtype=np.float32)
    torch.testing.assert_close(encoder.encode_speech([silence]), encoder.encode_speech([silence[: 16000 * 15]]))


def test_recordings_are_whole_or_blocks():
    waveform = make_long()
    whole = open_recording(waveform, len(waveform) / 16000)
    np.testing.assert_array_equal(whole, waveform)
    blocks = list(open_recording(waveform, 3.0))
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0], waveform)


def test_layers_from_the_embeddings_to_the_output(pair):
    last = SpeechTextEncoder(*pair).encode_speech(FILES[:2])
    torch.testing.assert_close(SpeechTextEncoder(*pair, layer=-1).encode_speech(FILES[:2]), last)
    torch.testing.assert_close(SpeechTextEncoder(*pair, layer=2).encode_speech(FILES[:2]), last)
    first = SpeechTextEncoder(*pair, layer=0).encode_speech(FILES[:2])
    assert not torch.allclose(first, last)
    with pytest.raises(ValueError, match="layer 3 is out of range: this input passes through the layers 1 to 2"):
        SpeechTextEncoder(*pair, layer=3).encode_speech(FILES[:1])


def test_the_source_language_is_heard_where_it_is_given(encoder):
    unknown = encoder.encode_speech(FILES[:2])
    told = encoder.encode_speech(FILES[:2], ["en", None])
    assert not torch.allclose(told[0], unknown[0])
    torch.testing.assert_close(told[1], unknown[1], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="1 languages for 2 items"):
        encoder.encode_text(["press", "one"], ["en"])


def test_every_model_with_the_encoder_gives_the_same_vectors(encoder, pair):
    model, processor = pair
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    for other in (model.model, model.get_encoder(), ctc):
        torch.testing.assert_close(
            SpeechTextEncoder(other, processor).encode_speech(FILES[:2]), encoder.encode_speech(FILES[:2])
        )
        torch.testing.assert_close(
            SpeechTextEncoder(other, processor).encode_text(["press one"]), encoder.encode_text(["press one"])
        )


def make_mslam(model_class, processor, **options):
    """A tiny mSLAM of two layers, the second of them shared."""
    tiny = make_tiny_config(vocab_size=len(processor.tokenizer))
    torch.manual_seed(0)
    return model_class(
        MSLAMConfig(
            encoder_config=tiny.encoder_config.to_dict(),
            num_speech_layers=1,
            vocab_size=tiny.vocab_size,
            num_speech_tokens=tiny.num_speech_tokens,
            text_token_offset=tiny.text_token_offset,
            codevector_dim=16,
            proj_codevector_dim=8,
            **options,
        )
    ).eval()


def test_mslam_encodes_both_and_counts_its_layers_from_the_speech(pair):
    processor = pair[1]
    model = make_mslam(MSLAMModel, processor)
    encoder = SpeechTextEncoder(model, processor)
    speech, text = encoder.encode_speech(FILES[:3]), encoder.encode_text(TINY_TEXTS)
    assert encoder.similarity(speech, text).shape == (3, 5)
    alone = torch.cat([encoder.encode_speech([file]) for file in FILES[:3]])
    torch.testing.assert_close(speech, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(text, torch.cat([encoder.encode_text([t]) for t in TINY_TEXTS]), atol=1e-5, rtol=1e-5)
    for layer in (2, -1):
        other = SpeechTextEncoder(model, processor, layer=layer)
        torch.testing.assert_close(other.encode_speech(FILES[:3]), speech)
        torch.testing.assert_close(other.encode_text(TINY_TEXTS), text)
    assert SpeechTextEncoder(model, processor, layer=0).encode_speech(FILES[:1]).shape == (1, 16)
    assert SpeechTextEncoder(model, processor, layer=1).encode_text(TINY_TEXTS).shape == (5, 16)
    with pytest.raises(ValueError, match="layer 0 is out of range: this input passes through the layers 2 to 2"):
        SpeechTextEncoder(model, processor, layer=0).encode_text(TINY_TEXTS)


def test_a_classifier_with_languages_as_classes_tells_them(pair):
    processor = pair[1]
    model = make_mslam(MSLAMForAudioClassification, processor, id2label={0: "en", 1: "rus", 2: "und"})
    (guess,) = predict_languages(model, processor, audio=FILES[:1])
    assert set(guess.probabilities) == {"en", "ru"} and sum(guess.probabilities.values()) == pytest.approx(1.0)
    other = make_mslam(MSLAMForAudioClassification, processor, id2label={0: "happy!", 1: "sad!"})
    with pytest.raises(ValueError, match="are not languages: happy!, sad!"):
        predict_languages(other, processor, audio=FILES[:1])


def test_similarity_takes_the_centres_off_and_agrees_with_normalized_vectors(pair):
    encoder = SpeechTextEncoder(*pair)
    speech, text = encoder.encode_speech(FILES[:4]), encoder.encode_text(TINY_TEXTS)
    plain = encoder.similarity(speech, text)
    assert plain.shape == (4, 5) and plain.abs().max() <= 1.0
    assert encoder.fit_centers(speech=speech, text=text) is encoder
    centred = encoder.similarity(speech, text)
    assert not torch.allclose(plain, centred)
    vectors = encoder.encode_speech(FILES[:4], normalize=True), encoder.encode_text(TINY_TEXTS, normalize=True)
    torch.testing.assert_close(vectors[0].norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(vectors[0] @ vectors[1].T, centred, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vectors[0], unit_vectors(speech, encoder.centers["speech"]), atol=1e-5, rtol=1e-4)


def test_what_cannot_be_encoded_is_named(encoder, pair, tmp_path):
    with pytest.raises(AudioError, match="missing.wav"):
        encoder.encode_speech([tmp_path / "missing.wav"])
    with pytest.raises(ValueError, match="the list is empty"):
        encoder.encode_speech([])
    with pytest.raises(ValueError, match="got one str"):
        encoder.encode_text("press one")
    with pytest.raises(ValueError, match=r"text\[1\] is empty"):
        encoder.encode_text(["press one", "  "])
    with pytest.raises(ValueError, match="exactly one of"):
        next(encode_pieces(*pair))


def test_groups_stay_within_their_budget():
    sizes = [3, 9, 1, 4, 4, 2]
    groups = list(group_by_size(sizes, 9, 3))
    assert sorted(sum(groups, [])) == list(range(6))
    assert [sizes[i] for i in sum(groups, [])] == sorted(sizes, reverse=True)
    assert all(len(g) == 1 or sizes[g[0]] * len(g) <= 9 for g in groups)
    assert max(map(len, groups)) <= 3
    with pytest.raises(ValueError, match="must be positive"):
        next(group_by_size(sizes, 0, 1))
