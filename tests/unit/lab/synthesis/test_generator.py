# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
from pathlib import Path

import pytest

from lab.synthesis.content import content
from lab.synthesis.generator import SyntheticSpeech, write_synthetic_folder
from lab.synthesis.rendering import render
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import read_manifest

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


KINDS = ("time", "territory", "quantity")
ARGUMENTS = {"seed": 3, "languages": ["en", "ru", "it"], "num_meanings": 34, "form": "spoken", "kinds": KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_synthetic_folder(tmp_path_factory.mktemp("synthetic") / "out", **ARGUMENTS)


def test_clips_are_parallel_and_every_meaning_is_spoken_in_every_language():
    speech = SyntheticSpeech(**ARGUMENTS)
    clips = list(speech.clips())
    assert len(clips) == len(speech) == 102 == len({(clip.lang, clip.id) for clip in clips})
    for index, clip in enumerate(clips):
        meaning = content(3, index // 3, split="train", kinds=KINDS)
        texts = {lang: render(meaning, lang, "spoken") for lang in speech.languages}
        assert clip.lang == speech.languages[index % 3] and clip.kind == meaning.kind
        assert clip.plan.request.text == texts.pop(clip.lang) and clip.translations == texts


def test_the_folder_holds_the_clips_and_is_the_same_every_time(tmp_path, folder):
    records = read_manifest(folder.manifest)
    by_key = {(clip.lang, clip.id): clip for clip in SyntheticSpeech(**ARGUMENTS).clips()}
    assert len(records) + len(folder.left_out) == 102 and len(records) > 95
    for record in records:
        clip = by_key[record.lang, record.id]
        assert (record.text, record.translations, record.kind) == (
            clip.plan.request.text,
            dict(clip.translations),
            clip.kind,
        )
        assert len(load_audio(record.audio)) / 16000 == pytest.approx(record.duration_seconds, abs=1e-3)
    facts = json.loads((folder.manifest.parent / "synthesis.json").read_text(encoding="utf-8"))
    assert facts["versions"]["espeak-ng"] and facts["versions"]["Babel"] and facts["description"]["split"] == "train"
    again = write_synthetic_folder(tmp_path / "again", **ARGUMENTS)
    for one, other in zip(records, read_manifest(again.manifest), strict=True):
        assert Path(one.audio).read_bytes() == Path(other.audio).read_bytes()


def test_splits_are_disjoint_and_the_same_in_every_language():
    meanings = {}
    for split in ("train", "dev"):
        for languages in (["en"], ["ru", "it"]):
            speech = SyntheticSpeech(seed=1, languages=languages, split=split, num_meanings=60, kinds=["quantity"])
            meanings[split, languages[0]] = [speech.express(number)[0] for number in range(60)]
    assert meanings["train", "en"] == meanings["train", "ru"] and meanings["dev", "en"] == meanings["dev", "ru"]
    assert not set(meanings["train", "en"]) & set(meanings["dev", "en"])


def test_a_language_that_lacks_a_kind_is_replaced_not_faked():
    speech = SyntheticSpeech(seed=0, languages=["en", "hi"], num_meanings=30, kinds=["cardinal", "date"])
    clips = list(speech.clips())
    assert len({(clip.lang, clip.id) for clip in clips}) == 60
    assert {clip.lang for clip in clips if clip.kind == "cardinal"} == {"en"}
    assert all(not clip.translations for clip in clips if clip.kind == "cardinal")
    assert {clip.lang for clip in clips if clip.kind == "date"} == {"en", "hi"}


def test_bad_arguments_and_unusable_languages():
    with pytest.raises(ValueError, match="split must be one of train, dev, test; got 'valid'"):
        SyntheticSpeech(split="valid")
    with pytest.raises(ValueError, match="form must be one of"):
        SyntheticSpeech(form="sung")
    with pytest.raises(ValueError, match="at least 1"):
        SyntheticSpeech(num_meanings=0)
    with pytest.raises(ValueError, match="none of the languages is supported.*only"):
        SyntheticSpeech(languages=["ja"])
    assert list(SyntheticSpeech(languages=["ja", "en"], kinds=["month", "date"]).left_out) == ["ja"]
