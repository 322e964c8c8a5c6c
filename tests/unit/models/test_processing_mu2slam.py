# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The processor: what goes where, languages and tasks by name, the speech tokenizer beside it, clear errors."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer

RATE = 16000
LANGUAGES = ["und", "en", "es", "pt"]


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(num_samples)


@pytest.fixture(scope="module")
def tokenizer() -> Mu2SLAMTokenizer:
    return Mu2SLAMTokenizer.train_from_iterator(["hello world, uno dos tres"])


@pytest.fixture(scope="module")
def codec() -> SpeechTokenizerModel:
    return SpeechTokenizerModel(SpeechTokenizerConfig(codevector_dim=8))


@pytest.fixture(scope="module")
def processor(tokenizer) -> Mu2SLAMProcessor:
    return Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, languages=LANGUAGES)


def test_audio_alone(processor):
    wave = noise(8000)
    outputs = processor(wave, sampling_rate=RATE)
    assert set(outputs) == {"input_features", "attention_mask"}
    expected = processor.feature_extractor(wave, sampling_rate=RATE)
    torch.testing.assert_close(outputs["input_features"], expected["input_features"])


def test_text_alone_is_a_source(processor):
    outputs = processor(text=["hello", "uno dos"])
    assert set(outputs) == {"input_ids", "attention_mask"} and outputs["input_ids"].shape == (2, 8)
    assert outputs["input_ids"][0, 5] == 2 and outputs["attention_mask"].sum(dim=1).tolist() == [6, 8]


def test_text_beside_audio_is_the_target(processor):
    waves, texts = [noise(8000), noise(3000)], ["hello", "uno dos"]
    outputs = processor(waves, text=texts, sampling_rate=RATE)
    same = processor(waves, text_target=texts, sampling_rate=RATE)
    assert set(outputs) == set(same) == {"input_features", "attention_mask", "labels"}
    assert outputs["labels"].tolist() == same["labels"].tolist()
    assert outputs["labels"][0].tolist() == processor.tokenizer(["hello"])["input_ids"][0] + [-100, -100]
    assert outputs["attention_mask"].shape == outputs["input_features"].shape[:2]


def test_text_to_text(processor):
    outputs = processor(text="hello", text_target="uno", source_lang="en", target_lang="es", task="mt")
    assert outputs["labels"].tolist() == processor.tokenizer(["uno"])["input_ids"]
    assert outputs["language_ids"].tolist() == [1] and outputs["decoder_language_ids"].tolist() == [2]
    assert set(processor(text_target=["uno"], target_lang="es")) == {"labels", "decoder_language_ids"}


def test_ctc_targets_have_no_end(tokenizer):
    processor = Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), Mu2SLAMCTCTokenizer.from_tokenizer(tokenizer))
    outputs = processor(noise(8000), text="hello", sampling_rate=RATE)
    assert outputs["labels"].tolist() == tokenizer.encode_ctc_labels(["hello"])


def test_languages_per_item(processor):
    waves = [noise(800), noise(900), noise(700)]
    outputs = processor(waves, sampling_rate=RATE, source_lang=["en", None, "pt_BR"], target_lang="ES")
    assert outputs["language_ids"].tolist() == [1, 0, 3] and outputs["language_ids"].dtype == torch.int64
    assert outputs["decoder_language_ids"].tolist() == [2, 2, 2]
    asr = processor(waves, text=["a", "b", "c"], sampling_rate=RATE, source_lang="es", task="asr")
    assert asr["decoder_language_ids"].tolist() == [2, 2, 2]
    assert "decoder_language_ids" not in processor(waves, sampling_rate=RATE, source_lang="es")


def test_other_tensors(processor):
    numpy = processor([noise(800)] * 2, text=["hello", "a"], sampling_rate=RATE, source_lang="en", return_tensors="np")
    assert all(isinstance(value, np.ndarray) for value in numpy.values())
    assert numpy["labels"].dtype == numpy["language_ids"].dtype == np.int64 and numpy["labels"][1, -1] == -100
    lists = processor(text=["hello"], text_target=["a"], return_tensors=None)
    assert isinstance(lists["input_ids"], list) and lists["labels"] == processor.tokenizer(["a"])["input_ids"]


def test_options_for_one_side(processor):
    outputs = processor(
        noise(1600),
        text="hello",
        sampling_rate=RATE,
        audio_kwargs={"pad_to_multiple_of": 8},
        text_kwargs={"padding": "max_length", "max_length": 9},
    )
    assert outputs["input_features"].shape[1] == 16 and outputs["labels"].shape == (1, 9)


@pytest.mark.parametrize(
    ("whisper", "ours"),
    [
        ({"language": "spanish"}, {"source_lang": "es"}),
        ({"language": "<|es|>", "task": "transcribe"}, {"source_lang": "es", "task": "asr"}),
        ({"language": ["es-ES"], "task": "translate"}, {"source_lang": "es", "target_lang": "en", "task": "ast"}),
        (
            {"language": "es", "source_lang": "Spanish", "target_lang": "English"},
            {"source_lang": "es", "target_lang": "en"},
        ),
    ],
)
def test_arguments_of_whisper(processor, whisper, ours):
    actual, expected = (processor(noise(1600), sampling_rate=RATE, **given) for given in (whisper, ours))
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "Nothing to process"),
        ({"audio": "speech.wav"}, "but audio samples are expected"),
        ({"audio": noise(100), "text": "a", "text_target": "b"}, "second one"),
        ({"audio": [noise(100)] * 2, "text": ["a"]}, "one source and one target"),
        ({"audio": [noise(100), np.array([np.nan])]}, r"audio\[1\].*NaN"),
        ({"text": noise(100)}, "Pass audio as audio="),
        ({"text": []}, "empty list"),
        ({"text": ["a", None]}, r"text\[1\]"),
        ({"text_target": [3]}, r"text_target\[0\]"),
        ({"text": "a", "source_lang": "xx"}, "languages of the model: "),
        ({"text": "a", "source_lang": "de"}, "does not support language 'de'"),
        ({"text": ["a", "b"], "source_lang": ["en"]}, "1 codes for 2 items"),
        ({"text": "a", "target_lang": 3}, "target_lang must be a code"),
        ({"text": "a", "task": "asr"}, "pass audio"),
        ({"audio": noise(100), "task": "mt"}, "pass text"),
        ({"audio": noise(100), "task": "asr", "source_lang": "en", "target_lang": "es"}, "task='ast'"),
        ({"audio": noise(100), "task": "ast", "source_lang": "en"}, "target_lang="),
        ({"audio": noise(100), "task": "tts"}, "pass text"),
        ({"text": "a", "text_target": "b", "task": "tts"}, "generates speech"),
        ({"audio": noise(100), "task": "dictate"}, "known tasks: asr or transcribe .*Languages of this model: en"),
        ({"audio": noise(100), "language": "es", "source_lang": "en"}, "differ.*Tasks: asr or.*es .Spanish"),
        ({"text": "a", "task": "transcribe"}, "pass audio"),
    ],
)
def test_errors_say_what_to_do(processor, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        processor(sampling_rate=RATE, **arguments)


@pytest.mark.parametrize(
    "languages", [[], ["en"], ["und", "en", "en"], ["und", "pt_BR"], ["und", "iw"], ["und", "xx"]]
)
def test_bad_language_lists(tokenizer, languages):
    with pytest.raises(ValueError):
        Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, languages=languages)


def test_decode(processor):
    ids = processor(text=["hello", "uno"])["input_ids"]
    assert processor.batch_decode(ids, skip_special_tokens=True) == ["hello", "uno"]
    assert processor.decode(ids[0], skip_special_tokens=True) == "hello"


def test_speech_ids(tokenizer, codec, processor):
    speaking = Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, codec, LANGUAGES)
    waves = [noise(n, n) for n in (1, 639, 641, 16000)]
    ids = speaking.encode_speech(waves, RATE)
    assert [len(row) for row in ids] == [1, 1, 2, 25]
    assert all(64 <= one < 1088 for row in ids for one in row)
    assert ids[3] == speaking.encode_speech(waves[3], RATE)[0]
    with pytest.raises(ValueError, match="no speech tokenizer"):
        processor.encode_speech(waves, RATE)


def test_save_and_load_with_codec(tokenizer, codec, tmp_path):
    first = Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(mean=[-9.0] * 80), tokenizer, codec, LANGUAGES)
    first.save_pretrained(tmp_path / "a")
    stored = json.loads((tmp_path / "a" / "processor_config.json").read_text())
    assert stored["languages"] == LANGUAGES and "speech_tokenizer" not in stored
    assert first.speech_tokenizer is codec
    shutil.move(tmp_path / "a", tmp_path / "b")
    wave = noise(9000)
    expected = first.encode_speech(wave, RATE)
    loaded = Mu2SLAMProcessor.from_pretrained(tmp_path / "b")
    assert loaded.languages == LANGUAGES and loaded.encode_speech(wave, RATE) == expected
    assert not any(parameter.requires_grad for parameter in loaded.speech_tokenizer.parameters())
    torch.testing.assert_close(
        loaded(wave, sampling_rate=RATE)["input_features"], first(wave, sampling_rate=RATE)["input_features"]
    )
    nested = tmp_path / "outer"
    first.save_pretrained(nested / "inner")
    inner = Mu2SLAMProcessor.from_pretrained(nested, subfolder="inner")
    assert inner.encode_speech(wave, RATE) == expected


def test_a_stale_codec_folder_is_not_loaded(tokenizer, codec, tmp_path):
    Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, codec).save_pretrained(tmp_path)
    Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer).save_pretrained(tmp_path)
    assert Mu2SLAMProcessor.from_pretrained(tmp_path).speech_tokenizer is None


def test_a_given_codec_wins(tokenizer, codec, tmp_path):
    Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, codec).save_pretrained(tmp_path)
    other = SpeechTokenizerModel(SpeechTokenizerConfig(codevector_dim=4))
    assert Mu2SLAMProcessor.from_pretrained(tmp_path, speech_tokenizer=other).speech_tokenizer is other


def test_codec_must_be_a_model(tokenizer):
    with pytest.raises(ValueError, match="speech_tokenizer must be a model"):
        Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, "codec")


def config(**changes) -> SimpleNamespace:
    fields = {
        "languages": LANGUAGES,
        "speech_token_offset": 64,
        "num_speech_tokens": 1024,
        "text_token_offset": 1088,
        "vocab_size": 2000,
        "encoder_config": SimpleNamespace(num_mel_bins=80),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_check_config(processor):
    processor.check_config(config())
    processor.check_config(config(languages=tuple(LANGUAGES)))
    for changes, reason in (
        ({"languages": ["und", "en", "fr", "pt"]}, r"differ from row 2 on: \['fr', 'pt'\] and \['es', 'pt'\]"),
        ({"languages": LANGUAGES[:-1]}, "3 in the model, 4 here"),
        ({"num_speech_tokens": 500}, "num_speech_tokens is 500 in the model and 1024"),
        ({"text_token_offset": 2000}, "text_token_offset"),
        ({"vocab_size": 1090}, "ids and the model 1090 rows"),
        ({"encoder_config": SimpleNamespace(num_mel_bins=128)}, "expects 128 mel bins, got 80"),
    ):
        with pytest.raises(ValueError, match=reason):
            processor.check_config(config(**changes))
