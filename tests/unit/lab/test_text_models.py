# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small text models for speech in front of them: examples, damage, a training of both formats, and ears for them."""

import random

import pytest
from helpers import make_tiny_pair

pytest.importorskip("num2words", reason="needs the extra lab")

from lab.commands import main as lab_main
from lab.text_models import FORMATS, build_examples, damage_text, generate_texts, train_text_model
from mu2slam_hf import SpeechTextRecord, build_speech_llm
from mu2slam_hf.cli import main
from mu2slam_hf.data.tones import write_tone_corpus

RECORD = SpeechTextRecord(id="1", lang="fr", text="deux", translations={"en": "two", "it": "due"})


def test_every_text_is_repeated_and_translated_before_and_after_its_prompt():
    examples = [(item.task, item.target_lang, item.target) for item in build_examples([RECORD])]
    assert sorted(examples) == [
        ("asr", "fr", "deux"),
        *(("ast", "en", "two"), ("ast", "it", "due")),
        *(("mt", "en", "two"), ("mt", "it", "due")),
    ]
    assert not list(build_examples([SpeechTextRecord(id="2", audio="a.wav", lang="fr")]))


def test_damage():
    text = "abcdefghij" * 500
    assert damage_text(text, 0.0, random.Random(0)) == text
    damaged = damage_text(text, 0.08, random.Random(0))
    changes = sum(damaged.count(char * 2) for char in "abcdefghij")
    assert 120 < changes < 280 and abs(len(damaged) - len(text)) < 100


def test_generated_texts_are_parallel():
    records = list(generate_texts(["en", "fr"], 3, kinds=["language"], seed=1))
    assert len(records) == 6
    for record in records:
        other = next(item for item in records if item.id == record.id and item.lang != record.lang)
        assert record.translations == {other.lang: other.text}


@pytest.mark.parametrize("form", FORMATS)
def test_a_trained_text_model_gets_ears(form, tmp_path):
    tones = write_tone_corpus(tmp_path / "tones", num_sentences=4)
    sizes = [
        "--num-updates",
        "2",
        "--hidden-size",
        "16",
        "--num-layers",
        "1",
        "--vocab-size",
        "300",
        "--texts-per-update",
        "4",
    ]
    arguments = ["--manifest", str(tones), "--text-format", form, *sizes, "--output-dir", str(tmp_path / "text")]
    assert lab_main(["train-text-model", *arguments]) == 0
    speech, processor = make_tiny_pair()
    shared = {"languages": ["en", "fr"], "feature_extractor": processor.feature_extractor}
    model, processor = build_speech_llm(speech, str(tmp_path / "text"), **shared)
    assert model.config.is_encoder_decoder == (form == "t5")
    model.save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    evaluation = [
        "--manifest",
        str(tones),
        "--tasks",
        "mt",
        "--model",
        str(tmp_path / "base"),
        "--max-new-tokens",
        "3",
    ]
    assert main(["evaluate", *evaluation]) == 0


def test_records_without_texts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no record has a text"):
        train_text_model([], tmp_path)
