# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The stock speech recognition call on our models, and on models of others."""

import copy
import io
import json

import numpy as np
import pytest
import soundfile
import soxr
import torch
from helpers import TINY_LANGUAGES, make_tiny_config, make_tiny_processor
from transformers import AutomaticSpeechRecognitionPipeline, pipeline
from transformers.pipelines import SUPPORTED_TASKS

from mu2slam_hf import Mu2SLAMCTCTokenizer, Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC, Mu2SLAMProcessor
from mu2slam_hf.inference.pipelines.base import register_for_task
from mu2slam_hf.inference.pipelines.speech_recognition import Mu2SLAMSpeechRecognitionPipeline
from mu2slam_hf.models.generation_tokens import find_loop

TASK = "automatic-speech-recognition"
MAX_NEW_TOKENS = {"max_new_tokens": 12}


@pytest.fixture(scope="module")
def processor():
    return make_tiny_processor()


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    config = make_tiny_config(len(processor.tokenizer), languages=TINY_LANGUAGES, initializer_range=0.5)
    config.initializer_range = config.decoder_config.initializer_range = 0.5
    model = Mu2SLAMForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.lm_head.bias[config.eos_token_id] = -8.0  # a random model would often end before it began
    return model


@pytest.fixture(scope="module")
def folder(model, processor, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def ctc_folder(model, processor, tmp_path_factory):
    path = tmp_path_factory.mktemp("ctc")
    Mu2SLAMForCTC.from_conditional_generation(model).save_pretrained(path)
    tokenizer = Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer)
    Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def recognizer(folder):
    return pipeline(TASK, model=folder, device="cpu")


def tone(seconds: float, seed: int = 0, rate: int = 16000) -> np.ndarray:
    """A noisy sweep: another one gives another text."""
    times = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=len(times))
    return (0.3 * np.sin(2 * np.pi * (200 + 150 * seed + 400 * times) * times) + 0.02 * noise).astype(np.float32)


def encode(samples: np.ndarray, rate: int, **kwargs) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", **kwargs)
    return buffer.getvalue()


def test_the_stock_call_on_a_folder_and_on_an_instance(folder, model, processor, recognizer):
    assert type(recognizer) is Mu2SLAMSpeechRecognitionPipeline
    assert isinstance(recognizer.model, Mu2SLAMForConditionalGeneration) and recognizer.type == "seq2seq"
    from_instance = pipeline(
        TASK,
        model=model,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
        device="cpu",
    )
    assert type(from_instance) is Mu2SLAMSpeechRecognitionPipeline and from_instance.type == "seq2seq"
    audio = tone(1.3)
    inputs = processor(audio=audio, sampling_rate=16000)
    ids = model.generate(**inputs, **MAX_NEW_TOKENS)
    expected = {"text": processor.batch_decode(ids, skip_special_tokens=True)[0]}
    assert expected["text"]
    assert recognizer(audio, generate_kwargs=MAX_NEW_TOKENS) == expected
    assert from_instance(audio, generate_kwargs=MAX_NEW_TOKENS) == expected


def test_all_kinds_of_input_give_the_same_text(recognizer, tmp_path):
    audio = tone(1.0)
    path = tmp_path / "clip.wav"
    soundfile.write(path, audio, 16000, subtype="FLOAT")
    data = path.read_bytes()
    expected = recognizer(audio, **MAX_NEW_TOKENS)
    stereo = np.stack([audio, audio])
    for source in (
        str(path),
        data,
        torch.from_numpy(audio),
        audio.astype(np.float64),
        stereo,
        stereo.T,
        {"raw": audio, "sampling_rate": 16000},
        {"array": stereo, "sampling_rate": 16000},
        {"array": audio, "sampling_rate": 16000, "path": "elsewhere.wav"},
        {"bytes": data, "path": "elsewhere.wav"},
        {"bytes": None, "path": str(path)},
        {"path": path},
    ):
        assert recognizer(copy.deepcopy(source), **MAX_NEW_TOKENS) == expected, type(source)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_any_sampling_rate(recognizer, rate):
    audio = tone(1.0, rate=rate)
    expected = recognizer(soxr.resample(audio.astype(np.float64), rate, 16000), **MAX_NEW_TOKENS)
    assert recognizer({"raw": audio, "sampling_rate": rate}, **MAX_NEW_TOKENS) == expected
    assert recognizer(encode(audio, rate, subtype="FLOAT"), **MAX_NEW_TOKENS) == expected


@pytest.mark.parametrize("folder_fixture", ["folder", "ctc_folder"])
def test_batches_do_not_change_a_text(folder_fixture, request):
    recognizer = pipeline(TASK, model=request.getfixturevalue(folder_fixture), device="cpu")
    clips = [tone(0.01, 1), tone(2.3, 2), tone(0.5, 3), tone(1.1, 4), tone(3.0, 5)]
    alone = [recognizer(clip) for clip in clips]
    assert len({result["text"] for result in alone}) > 1
    for batch_size in (1, 2, 5):
        assert recognizer(list(clips), batch_size=batch_size) == alone
    assert list(recognizer((clip for clip in clips), batch_size=3)) == alone


def test_a_target_language_reaches_generate(recognizer, model, processor):
    audio = tone(1.2)
    inputs = processor(audio=audio, sampling_rate=16000)
    texts = {}
    for language in ("en", "fr", "ru"):
        ids = model.generate(**inputs, target_lang=language, **MAX_NEW_TOKENS)
        texts[language] = processor.batch_decode(ids, skip_special_tokens=True)[0]
        options = {"target_lang": language, **MAX_NEW_TOKENS}
        assert recognizer(audio, generate_kwargs=options) == {"text": texts[language]}
    assert len(set(texts.values())) > 1
    with pytest.raises(ValueError, match="fr"):
        recognizer(audio, generate_kwargs={"target_lang": "frx"})


def test_generation_defaults_are_those_of_the_model(recognizer, model, processor):
    audio = tone(0.7)
    ids = model.generate(**processor(audio=audio, sampling_rate=16000), max_repeats=4)[0]
    ids = [token for token in ids.tolist() if token not in processor.tokenizer.all_special_ids]
    # What a loop has written before it was found is cut off.
    text = processor.decode(ids[: find_loop(ids, 4)])
    assert text and recognizer(audio) == {"text": text}


@pytest.mark.parametrize("level", ["word", "char"])
def test_timestamps_of_what_an_encoder_decoder_writes(recognizer, level):
    """Words in order and inside, the same alone and in a batch of another length, the text as without them."""
    audio = [{"raw": tone(seconds, seed), "sampling_rate": 16000} for seed, seconds in enumerate((3.0, 1.5, 2.0))]
    options = {"generate_kwargs": {**MAX_NEW_TOKENS, "source_lang": "en"}}
    plain = recognizer([dict(one) for one in audio], **options)
    alone = [recognizer(dict(one), return_timestamps=level, **options) for one in audio]
    batch = recognizer([dict(one) for one in audio], return_timestamps=level, batch_size=2, **options)
    for seconds, one, other, without in zip((3.0, 1.5, 2.0), alone, batch, plain, strict=True):
        assert one == other and set(one) == {"text", "chunks"} and one["text"] == without["text"]
        words = [chunk["text"] for chunk in one["chunks"]]
        assert "".join(words) == "".join(one["text"].split())
        if level == "word":
            assert words == one["text"].split()
        times = [edge for chunk in one["chunks"] for edge in chunk["timestamp"]]
        assert times and times == sorted(times) and times[0] >= 0 and times[-1] <= seconds + 1e-9


def test_a_translation_has_times_of_segments_only(recognizer):
    audio = {"raw": tone(1.0), "sampling_rate": 16000}
    for options in ({"target_lang": "fr"}, {"target_lang": "fr", "source_lang": "en"}, {"task": "translate"}):
        with pytest.raises(ValueError, match="not supported for translations"):
            recognizer(audio, return_timestamps="word", generate_kwargs=options)
        found = recognizer(audio, return_timestamps=True, generate_kwargs={**options, **MAX_NEW_TOKENS})
        assert found["text"] == " ".join(chunk["text"] for chunk in found["chunks"])
        assert (
            found["chunks"] and 0.0 <= found["chunks"][0]["timestamp"][0] < found["chunks"][0]["timestamp"][1] <= 1.0
        )


def test_names_of_languages_and_tasks(recognizer, model, processor):
    audio = tone(1.2)
    inputs = processor(audio=audio, sampling_rate=16000)

    def expect(**options):
        ids = model.generate(**inputs, max_repeats=4, **options, **MAX_NEW_TOKENS)
        return {"text": processor.batch_decode(ids, skip_special_tokens=True)[0]}

    for given, wanted in (
        ({"language": "es"}, {"source_lang": "es"}),
        ({"source_lang": "es", "target_lang": "es"}, {"source_lang": "es"}),
        ({"language": "es", "task": "transcribe"}, {"source_lang": "es"}),
        ({"task": "asr", "target_lang": "ru"}, {"source_lang": "ru"}),
        ({"task": "translate"}, {"target_lang": "en"}),
        ({"task": "ast", "source_lang": "es", "target_lang": "fr"}, {"source_lang": "es", "target_lang": "fr"}),
        ({"target_lang": "und", "num_beams": 2}, {"num_beams": 2}),
    ):
        assert recognizer(audio, generate_kwargs={**given, **MAX_NEW_TOKENS}) == expect(**wanted), given
    for given, message in (
        ({"task": "mt"}, "expects text"),
        ({"task": "s2st"}, "generates speech"),
        ({"task": "sing"}, "unknown task"),
        ({"target_modality": "speech"}, "writes text"),
        ({"task": "translate", "language": "en"}, "both 'en'"),
        ({"task": "transcribe", "source_lang": "en", "target_lang": "fr"}, "does not change the language"),
    ):
        with pytest.raises(ValueError, match=message):
            recognizer(audio, generate_kwargs=given)


def test_parameters_at_construction_and_in_a_call(folder):
    recognizer = pipeline(
        *(TASK, folder),
        device="cpu",
        return_timestamps="word",
        max_new_tokens=5,
        generate_kwargs={"source_lang": "es"},
        chunk_length_s=2,
        stride_length_s=(0.2, 0.1),
        batch_size=2,
        num_workers=2,
        ignore_warning=True,
    )
    plain = pipeline(TASK, folder, device="cpu")
    audio, options = tone(5.0), {"source_lang": "es", "max_new_tokens": 5}
    expected = plain(audio, chunk_length_s=2, generate_kwargs=options, return_timestamps="word")
    assert recognizer(audio) == expected and expected["chunks"]
    assert recognizer(audio, return_timestamps=False) == {"text": expected["text"]}
    longer = plain(audio, generate_kwargs=options | {"max_new_tokens": 9})
    assert (
        recognizer(audio, chunk_length_s=0, return_timestamps=False, generate_kwargs={"max_new_tokens": 9}) == longer
    )
    with pytest.raises(ValueError, match="must be True .segments., 'word', 'char' or False, got 'line'"):
        recognizer(audio, return_timestamps="line")


def test_ctc_models(ctc_folder, model):
    recognizer = pipeline(TASK, model=ctc_folder, device="cpu")
    assert isinstance(recognizer.model, Mu2SLAMForCTC) and recognizer.type == "ctc"
    long = recognizer(tone(5.0), return_timestamps="word", chunk_length_s=2.0)
    times = [edge for chunk in long["chunks"] for edge in chunk["timestamp"]]
    assert times and times == sorted(times) and times[0] >= 0.0 and times[-1] <= 5.0
    assert long["text"] == recognizer(tone(5.0), chunk_length_s=2.0)["text"]
    with pytest.raises(ValueError, match="does not support target_lang"):
        recognizer(tone(1.0), generate_kwargs={"target_lang": "fr"})
    with pytest.raises(ValueError, match="does not predict the language"):
        recognizer(tone(1.0), return_language=True)


def test_ctc_with_a_decoder_of_texts(ctc_folder):
    class Decoder:
        def decode_beams(self, log_probs, best="uno"):
            assert log_probs.ndim == 2 and np.allclose(np.exp(log_probs).sum(axis=1), 1.0, atol=1e-4)
            return [(best, None), ("other", None)]

    recognizer = pipeline(TASK, model=ctc_folder, device="cpu", decoder=Decoder())
    assert recognizer.type == "ctc_with_lm" and recognizer(tone(2.0)) == {"text": "uno"}
    found = recognizer(tone(2.0), decoder_kwargs={"best": "uno dos"}, return_timestamps="word")
    assert [chunk["text"] for chunk in found["chunks"]] == ["uno", "dos"]


def test_other_keys_of_a_mapping_are_in_the_result(recognizer):
    audio = {"raw": tone(1.0), "sampling_rate": 16000, "id": 7, "partial": [True]}
    before = dict(audio)
    found = recognizer([audio, tone(1.0)], **MAX_NEW_TOKENS)
    assert found[0] == {**found[1], "id": [7], "partial": [[True]]} and audio == before


@pytest.mark.parametrize("option", ["assistant_model", "prompt_lookup_num_tokens"])
def test_assisted_generation_reads_one_window_at_a_time(recognizer, monkeypatch, option):
    sizes, generate = [], recognizer.model.generate

    def record(**kwargs):
        assistant = kwargs.get("assistant_model")
        assert getattr(assistant, "model", None) is (recognizer.model if option == "assistant_model" else None)
        sizes.append(len(kwargs["encoder_outputs"].last_hidden_state))
        return generate(**kwargs)

    clips, options = [tone(1.0, 1), tone(1.5, 2)], {"source_lang": "es", **MAX_NEW_TOKENS}
    expected = recognizer(list(clips), generate_kwargs=options)
    monkeypatch.setattr(recognizer.model, "generate", record)
    value = recognizer.model if option == "assistant_model" else 3
    assert recognizer(list(clips), generate_kwargs=options | {option: value}, batch_size=8) == expected
    assert sizes == [1, 1]


def test_bad_audio_is_named(recognizer, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are words and no sounds")
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, tone(1.0), 16000)
    cut.write_bytes(cut.read_bytes()[:2000])
    for source, message in (
        (str(text), r"notes\.txt: this is text, not audio"),
        (str(empty), r"empty\.wav: the file is empty"),
        (str(cut), r"cut\.flac"),
        (str(tmp_path), "is a folder"),
        ("hello, please translate this", "hello, please translate this: no such file"),
        (b"\xff\x00", "audio bytes: cannot be decoded"),
        ({"raw": tone(1.0)}, "must contain `sampling_rate`"),
        ({"bytes": None, "path": None}, "must contain `sampling_rate`"),
        (np.zeros(0, dtype=np.float32), "empty"),
        (np.array([0.0, np.nan]), "NaN"),
        ({"path": "x.wav", "array": np.zeros((3, 4, 5)), "sampling_rate": 16000}, "x.wav"),
    ):
        with pytest.raises(ValueError, match=message):
            recognizer(source)


def test_copying_a_pipeline(recognizer):
    again = copy.copy(recognizer)
    assert type(again) is Mu2SLAMSpeechRecognitionPipeline
    assert again(tone(0.5), **MAX_NEW_TOKENS) == recognizer(tone(0.5), **MAX_NEW_TOKENS)


def wav2vec2_parts(folder):
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    vocabulary = {token: index for index, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefgh"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    config = Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[8, 8],
        conv_kernel=[10, 3],
        conv_stride=[10, 4],
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    return Wav2Vec2ForCTC(config), Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))


def whisper_parts(folder):
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    tokenizer = WhisperTokenizer(vocab={character: index for index, character in enumerate("abcdefgh")}, merges=[])
    tokenizer.add_tokens(["<|startoftranscript|>", "<|notimestamps|>"], special_tokens=True)
    tokenizer.pad_token = "<|startoftranscript|>"
    config = WhisperConfig(
        vocab_size=len(tokenizer) + 1,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_source_positions=50,
        max_target_positions=20,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        decoder_start_token_id=2,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 8
    return model, WhisperFeatureExtractor(chunk_length=1), tokenizer


@pytest.mark.parametrize(("build", "kind"), [(wav2vec2_parts, "ctc"), (whisper_parts, "seq2seq_whisper")])
def test_models_of_others_get_the_stock_pipeline(build, kind, tmp_path):
    model, feature_extractor, tokenizer = build(tmp_path)
    parts = {"feature_extractor": feature_extractor, "tokenizer": tokenizer}
    stock = AutomaticSpeechRecognitionPipeline(model=model.eval(), device=torch.device("cpu"), **parts)
    ours = pipeline(TASK, model=model, device="cpu", **parts)
    assert type(ours) is AutomaticSpeechRecognitionPipeline and ours.type == stock.type == kind
    clips = [tone(0.6, 1), tone(0.9, 2)]
    assert ours(list(clips)) == stock(list(clips))
    assert ours(clips[0].copy(), batch_size=2) == stock(clips[0].copy(), batch_size=2)
    assert ours._generation_defaults == stock._generation_defaults if model.can_generate() else True
    # What the stock pipeline refuses or cannot do it still refuses.
    with pytest.raises(FileNotFoundError):
        ours(str(tmp_path / "missing.wav"))
    model.save_pretrained(tmp_path)
    feature_extractor.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    from_folder = pipeline(TASK, model=str(tmp_path), device="cpu")
    assert type(from_folder) is AutomaticSpeechRecognitionPipeline and from_folder.type == kind


def test_registering_keeps_the_class_of_another_package(monkeypatch):
    class Foreign(AutomaticSpeechRecognitionPipeline):
        def __init__(self, model, *args, **kwargs):
            self.model = model

    monkeypatch.setitem(SUPPORTED_TASKS[TASK], "impl", Foreign)
    register_for_task(TASK, Mu2SLAMSpeechRecognitionPipeline)
    combined = SUPPORTED_TASKS[TASK]["impl"]
    register_for_task(TASK, Mu2SLAMSpeechRecognitionPipeline)
    assert SUPPORTED_TASKS[TASK]["impl"] is combined
    assert issubclass(combined, Mu2SLAMSpeechRecognitionPipeline)
    assert type(combined(object())) is Foreign
