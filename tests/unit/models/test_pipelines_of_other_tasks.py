# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipelines `audio-classification`, `feature-extraction` and `translation`: any input, alone and in batches."""

import copy
import io
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile
import torch
from helpers import TINY_LANGUAGES, make_tiny_config, make_tiny_pair, make_tiny_processor, save_tiny_checkpoint
from transformers import AutoModelForSeq2SeqLM, BertConfig, BertModel, T5Config, T5ForConditionalGeneration, pipeline
from transformers.pipelines import PIPELINE_REGISTRY, SUPPORTED_TASKS

import mu2slam_hf
from mu2slam_hf import MSLAMConfig, MSLAMForAudioClassification, MSLAMModel, Mu2SLAMForCTC, translate
from mu2slam_hf.inference.pipelines.audio_classification import Mu2SLAMAudioClassificationPipeline
from mu2slam_hf.inference.pipelines.feature_extraction import Mu2SLAMFeatureExtractionPipeline
from mu2slam_hf.inference.pipelines.translation import Mu2SLAMTranslationPipeline
from mu2slam_hf.inference.registration import register_model_types

RATE = 16000
OURS = {
    "audio-classification": Mu2SLAMAudioClassificationPipeline,
    "feature-extraction": Mu2SLAMFeatureExtractionPipeline,
    "translation": Mu2SLAMTranslationPipeline,
}


@pytest.fixture(scope="module")
def pair():
    model, processor = make_tiny_pair()
    with torch.no_grad():  # other probabilities for other recordings
        model.language_head.weight *= 50
    return model, processor


@pytest.fixture(scope="module")
def folder(pair, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    for part in pair:
        part.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.uniform(-0.5, 0.5, length).astype(np.float32) for length in (9000, 4000, 12345)]


@pytest.fixture(scope="module")
def mslam_folder(tmp_path_factory):
    path, processor = tmp_path_factory.mktemp("mslam"), make_tiny_processor()
    config = make_tiny_config(vocab_size=len(processor.tokenizer))
    names = ("vocab_size", "num_speech_tokens", "text_token_offset", "languages")
    options = {name: getattr(config, name) for name in names}
    config = MSLAMConfig(encoder_config=config.encoder_config, num_speech_layers=1, **options)
    config.id2label = dict(enumerate(["calm", "angry", "sad"]))
    MSLAMForAudioClassification(config).save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


def forms_of(wave: np.ndarray, folder: Path) -> dict[str, object]:
    """One recording in all forms that a pipeline accepts."""
    file = folder / "wave.wav"
    soundfile.write(file, wave, RATE, subtype="FLOAT")
    data = file.read_bytes()
    return {
        "array": wave,
        "tensor": torch.from_numpy(wave),
        "raw": {"raw": wave, "sampling_rate": RATE},
        "row": {"array": wave, "sampling_rate": RATE, "path": "elsewhere.wav"},
        "bytes": data,
        "row of bytes": {"bytes": data, "path": None},
        "row of a path": {"bytes": None, "path": str(file)},
        "path": str(file),
        "Path": file,
    }


def test_spoken_languages_are_those_of_the_language_head(pair, folder, waves):
    model, processor = pair
    classifier = pipeline("audio-classification", model=folder, device="cpu", top_k=None)
    assert type(classifier) is Mu2SLAMAudioClassificationPipeline
    for wave in waves:
        with torch.no_grad():
            states = model.get_encoder()(**processor(audio=wave, sampling_rate=RATE))
            logits = model.compute_language_logits(states.last_hidden_state, states.attention_mask)[0, 1:]
        expected = dict(zip(TINY_LANGUAGES[1:], logits.softmax(-1).tolist(), strict=True))
        results = classifier(wave)
        assert [one["score"] for one in results] == sorted(expected.values(), reverse=True)
        assert {one["label"]: one["score"] for one in results} == expected


def test_all_recordings_are_classified_alike(folder, waves, tmp_path):
    classifier = pipeline("audio-classification", model=folder, device="cpu")
    expected = classifier(waves[0])
    assert len(expected) == 5 and expected[0]["score"] > 0.3
    for name, form in forms_of(waves[0], tmp_path).items():
        assert classifier(form) == expected, name
    stereo = {"array": np.stack([waves[0], waves[0]]), "sampling_rate": RATE}
    assert classifier(stereo)[0]["score"] == pytest.approx(expected[0]["score"], abs=1e-4)
    slow = {"array": waves[0][::2].copy(), "sampling_rate": RATE // 2}
    assert [one["label"] for one in classifier(slow)]
    with pytest.raises(ValueError, match=r"nothing\.wav: no such file"):
        classifier("nothing.wav")
    with pytest.raises(ValueError, match="this is text, not audio"):
        classifier(b"no audio at all")


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_classification_of_lists_and_generators(folder, waves, batch_size):
    classifier = pipeline("audio-classification", model=folder, device="cpu", top_k=2)
    single = [classifier(wave) for wave in waves]
    for several in (classifier(waves, batch_size=batch_size), classifier((w for w in waves), batch_size=batch_size)):
        for result, expected in zip(several, single, strict=True):
            assert [one["label"] for one in result] == [one["label"] for one in expected]
            assert [one["score"] for one in result] == pytest.approx([one["score"] for one in expected], abs=1e-4)


def test_classification_by_a_model_in_memory_copies_no_weights(pair, folder, waves):
    model, processor = pair
    classifier = pipeline(
        "audio-classification", model=model, feature_extractor=processor.feature_extractor, device="cpu"
    )
    assert classifier.model.encoder is model.model.encoder
    assert not any(parameter.is_meta for parameter in classifier.model.parameters())
    assert classifier(waves[0]) == pipeline("audio-classification", model=folder, device="cpu")(waves[0])


def test_classification_by_mslam(mslam_folder, waves, tmp_path):
    classifier = pipeline("audio-classification", model=mslam_folder, device="cpu")
    assert type(classifier) is Mu2SLAMAudioClassificationPipeline
    expected = classifier(waves[0])
    assert {one["label"] for one in expected} == {"calm", "angry", "sad"}
    for name, form in forms_of(waves[0], tmp_path).items():
        assert classifier(form) == expected, name


def test_states_of_texts_and_recordings(pair, folder, waves, tmp_path):
    model, processor = pair
    extractor = pipeline("feature-extraction", model=folder, device="cpu")
    assert type(extractor) is Mu2SLAMFeatureExtractionPipeline
    inputs = {"text": processor(text="press one"), "speech": processor(audio=waves[0], sampling_rate=RATE)}
    with torch.no_grad():
        expected = {name: model.get_encoder()(**one).last_hidden_state for name, one in inputs.items()}
        spanish = model.get_encoder()(**inputs["speech"], language_ids=torch.tensor([2])).last_hidden_state
    assert torch.equal(extractor("press one", return_tensors=True), expected["text"])
    assert extractor({"text": "press one"}) == expected["text"].tolist()
    for name, form in forms_of(waves[0], tmp_path).items():
        assert torch.equal(extractor(form, return_tensors=True), expected["speech"]), name
    for option in ({"language": "Spanish"}, {"source_lang": "es"}):
        assert torch.equal(extractor(waves[0], return_tensors=True, **option), spanish)
    with pytest.raises(ValueError, match="does not support language 'de'"):
        extractor(waves[0], language="de")


@pytest.mark.parametrize("items", ["waves", "texts"])
def test_states_do_not_depend_on_the_batch(folder, waves, items):
    extractor = pipeline("feature-extraction", model=folder, device="cpu")
    inputs = waves if items == "waves" else ["press", "press one to leave a message", "o"]
    alone = [extractor(one, return_tensors=True) for one in inputs]
    assert len({states.shape for states in alone}) == 3
    for states, expected in zip(extractor(inputs, batch_size=3, return_tensors=True), alone, strict=True):
        torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-4)


def test_states_of_other_models_of_the_package(pair, mslam_folder, waves, tmp_path):
    model, processor = pair
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    options = {"tokenizer": processor.tokenizer, "feature_extractor": processor.feature_extractor, "device": "cpu"}
    extractor = pipeline("feature-extraction", model=ctc, **options)
    expected = pipeline("feature-extraction", model=model, **options)(waves[0], return_tensors=True)
    assert torch.equal(extractor(waves[0], return_tensors=True), expected)
    mslam = pipeline("feature-extraction", model=mslam_folder, device="cpu")
    assert isinstance(mslam.model, MSLAMModel)
    assert mslam("press one", return_tensors=True).shape == (1, 10, 16)
    with torch.no_grad():
        states = mslam.model(**processor(audio=waves[0], sampling_rate=RATE)).last_hidden_state
    assert torch.equal(mslam(waves[0], return_tensors=True), states)
    without = pipeline("feature-extraction", model=model, tokenizer=processor.tokenizer, device="cpu")
    without.feature_extractor = None
    with pytest.raises(ValueError, match="pass feature_extractor="):
        without(waves[0])


TEXTS = ["press one", "press one to leave a message", "o"]
SETTINGS = {"num_beams": 1, "max_new_tokens": 8}


def test_translations_are_those_of_generate(pair, folder):
    model, processor = pair
    translator = pipeline("translation", model=folder, device="cpu")
    assert type(translator) is Mu2SLAMTranslationPipeline
    for source, target in (("en", "fr"), (None, "ru")):
        ids = model.generate(**processor(text=TEXTS), source_lang=source, target_lang=target, **SETTINGS)
        expected = [
            {"translation_text": text.strip()} for text in processor.batch_decode(ids, skip_special_tokens=True)
        ]
        for options in ({"src_lang": source, "tgt_lang": target}, {"source_lang": source, "target_lang": target}):
            options |= SETTINGS
            assert [translator(text, **options)[0] for text in TEXTS] == expected
            assert translator(TEXTS, **options, batch_size=2) == expected
            assert [one[0] for one in translator((text for text in TEXTS), **options)] == expected
            assert translator([{"text": text} for text in TEXTS], **options) == expected
            assert [one["translation_text"] for one in expected] == translate(
                model, processor, TEXTS, source_lang=source, target_lang=target, batch_size=2, **SETTINGS
            )


def test_translation_of_the_columns_of_a_data_set(folder):
    translator = pipeline("translation", model=folder, device="cpu", tgt_lang="es", **SETTINGS)
    column = datasets.Dataset.from_dict({"text": TEXTS})
    expected = translator(TEXTS)
    for inputs in (column["text"], column):
        assert [one[0] for one in translator(inputs)] == expected
    assert translator([]) == []


def test_languages_in_the_name_of_the_task(folder):
    plain = pipeline("translation", model=folder, device="cpu", **SETTINGS)
    named = pipeline("translation_en_to_fr", model=folder, device="cpu", **SETTINGS)
    assert named("press one") == plain("press one", src_lang="English", tgt_lang="fr")
    assert named("press one", tgt_lang="it") == plain("press one", src_lang="en", tgt_lang="it")
    with pytest.raises(ValueError, match="does not support language 'de'"):
        pipeline("translation_de_to_fr", model=folder, device="cpu")
    with pytest.raises(KeyError, match="Unknown task translator"):
        PIPELINE_REGISTRY.check_task("translator")


def test_options_of_translation(folder):
    translator = pipeline("translation", model=folder, device="cpu", tgt_lang="fr", max_new_tokens=4)
    several = translator("press one", num_beams=3, num_return_sequences=3)
    assert len({one["translation_text"] for one in several}) == 3
    assert [len(one) for one in translator(TEXTS, num_beams=2, num_return_sequences=2, batch_size=3)] == [2, 2, 2]
    ids = translator("press one", return_tensors=True)[0]["translation_token_ids"]
    text = translator("press one")[0]["translation_text"]
    assert translator.tokenizer.decode(ids, skip_special_tokens=True).strip() == text
    assert translator("PRESS: ONE!") == translator("press one")
    kept = translator.preprocess("PRESS: ONE!", normalize="never")["input_ids"]
    assert (kept == translator.tokenizer.unk_token_id).sum() == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "requires tgt_lang="),
        ({"tgt_lang": "de"}, "does not support language 'de'"),
        ({"tgt_lang": "fr", "target_lang": "es"}, "differ"),
        ({"src_lang": "fr", "tgt_lang": "fr"}, "both 'fr'"),
        ({"tgt_lang": "fr", "normalize": "maybe"}, "normalize must be one of auto, always, never"),
    ],
)
def test_translation_says_what_is_wrong(folder, options, message):
    with pytest.raises(ValueError, match=message):
        pipeline("translation", model=folder, device="cpu")("press one", **options)


def test_translate_a_text_or_several(pair):
    model, processor = pair
    options = {"source_lang": "English", "target_lang": "fr", **SETTINGS}
    assert translate(model, processor, "press one", **options) == translate(model, processor, ["press one"], **options)
    assert translate(model, processor, ["", "press one", " "], **options)[::2] == ["", ""]
    assert translate(model, processor, [], **options) == []
    with pytest.raises(ValueError, match=r"texts\[1\] must be a str, got int"):
        translate(model, processor, ["a", 3], **options)
    with pytest.raises(ValueError, match="both 'en'"):
        translate(model, processor, ["a"], source_lang="en", target_lang="en")


def test_other_models_get_the_other_pipelines():
    bert = BertModel(BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    tokenizer = make_tiny_processor().tokenizer
    extractor = pipeline("feature-extraction", model=bert, tokenizer=tokenizer, device="cpu")
    assert not isinstance(extractor, Mu2SLAMFeatureExtractionPipeline)
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=1))
    with pytest.raises(ValueError, match="for the models of mu2slam_hf, got T5ForConditionalGeneration"):
        pipeline("translation", model=t5, tokenizer=tokenizer, device="cpu")


def test_registering_again_changes_nothing():
    before = {task: dict(SUPPORTED_TASKS[task]) for task in OURS}
    register_model_types()
    assert {task: SUPPORTED_TASKS[task] for task in OURS} == before
    assert {task: entry["impl"] for task, entry in before.items()} == OURS
    assert before["translation"]["pt"] == (AutoModelForSeq2SeqLM,)
    assert "translation_en_to_fr" in PIPELINE_REGISTRY.task_aliases and "ner" in PIPELINE_REGISTRY.task_aliases


def test_the_shipped_checkpoint_recognises_languages_and_translates():
    folder = mu2slam_hf.default_checkpoint()
    examples = Path(__file__).resolve().parents[3] / "examples"
    classifier = pipeline("audio-classification", model=folder, device="cpu", top_k=1)
    for code in ("en", "es", "fr", "it", "ru"):
        assert classifier(str(examples / code / "vm-tooshort.opus"))[0]["label"] == code
    translator = pipeline("translation_en_to_es", model=folder, device="cpu")
    assert "por favor" in translator("Please leave a message.")[0]["translation_text"]


def test_pipelines_can_be_copied(folder, waves):
    classifier = pipeline("audio-classification", model=folder, device="cpu")
    assert copy.copy(classifier)(waves[0]) == classifier(waves[0])
    buffer = io.BytesIO()
    soundfile.write(buffer, waves[0], RATE, format="FLAC")
    assert classifier(buffer.getvalue())[0]["label"] == classifier(waves[0])[0]["label"]


def test_tiny_checkpoint_helper_is_a_checkpoint_of_all_tasks(tmp_path):
    path = save_tiny_checkpoint(tmp_path)
    for task, pipeline_class in OURS.items():
        assert type(pipeline(task, model=path, device="cpu")) is pipeline_class
