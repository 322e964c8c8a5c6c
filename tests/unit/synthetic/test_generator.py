# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import hashlib
import json
import pickle
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.synthetic.content import content
from mu2slam_hf.synthetic.generator import SyntheticSpeech, write_synthetic_folder
from mu2slam_hf.synthetic.rendering import render
from mu2slam_hf.synthetic.stream import SyntheticSpeechStream

EXTRA = ("babel", "espeakng_loader", "num2words")
pytestmark = pytest.mark.skipif(
    any(map(lambda name: find_spec(name) is None, EXTRA)), reason="needs the extra synthetic"
)


KINDS = ("time", "territory", "quantity")
ARGUMENTS = {"seed": 3, "languages": ["en", "ru", "it"], "num_meanings": 34, "form": "spoken", "kinds": KINDS}
CODE = """
import hashlib, json, sys
from mu2slam_hf.synthetic.generator import SyntheticSpeech
speech = SyntheticSpeech(**json.loads(sys.argv[1]))
print(hashlib.sha256(b"".join(speech[i].audio["array"].tobytes() for i in (100, 3, 50))).hexdigest())
"""


@pytest.fixture(scope="module")
def speech():
    return SyntheticSpeech(**ARGUMENTS)


@pytest.fixture(scope="module")
def items(speech):
    return list(speech)


def _same(records, others):
    assert [record.key for record in records] == [other.key for other in others]
    for record, other in zip(records, others, strict=True):
        assert (record.text, record.translations, record.speaker) == (other.text, other.translations, other.speaker)
        assert np.array_equal(record.audio["array"], other.audio["array"])


def test_items_are_valid_parallel_records(speech, items):
    assert len(items) == len(speech) == 102
    assert len({record.key for record in items}) == 102
    for index, record in enumerate(items):
        record.validate()
        meaning = content(3, index // 3, split="train", kinds=KINDS)
        texts = {lang: render(meaning, lang, "spoken") for lang in speech.languages}
        assert record.text == texts.pop(record.lang) and record.translations == texts and record.kind == meaning.kind
        audio = load_audio(record.audio)
        assert audio.dtype == np.float32 and len(audio) == round(record.duration_seconds * 16000) > 0


def test_streaming_equals_random_access_in_any_order(items):
    other = SyntheticSpeech(**ARGUMENTS)
    for index in (101, 0, 48, 47, -1):
        _same([items[index]], [other[index]])
    with pytest.raises(IndexError, match="outside the 102 items"):
        other[102]


def test_resume_continues_with_the_same_items(speech, items):
    iterator = iter(speech)
    seen = [next(iterator) for _ in range(53)]
    state = json.loads(json.dumps(speech.state_dict()))
    other = SyntheticSpeech(**ARGUMENTS)
    other.load_state_dict(state)
    _same(seen + list(other), items)
    speech.load_state_dict({**state, "next_index": 0})


def test_same_samples_in_another_process(items):
    command = [sys.executable, "-c", CODE, json.dumps(ARGUMENTS)]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256(b"".join(items[i].audio["array"].tobytes() for i in (100, 3, 50))).hexdigest()


def test_a_pickled_set_gives_the_same_items(speech, items):
    _same([pickle.loads(pickle.dumps(speech))[60]], [items[60]])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_stream_over_ranks_and_workers_loses_and_doubles_nothing(speech, items, num_workers):
    from torch.utils.data import DataLoader

    seen = []
    for shard in range(2):
        stream = SyntheticSpeechStream(speech, num_shards=2, shard=shard)
        seen += list(DataLoader(stream, batch_size=None, num_workers=num_workers))
    order = {record.key: place for place, record in enumerate(items)}
    _same(sorted(seen, key=lambda record: order[record.key]), items)


def test_stream_resumes_inside_a_block(speech):
    stream = SyntheticSpeechStream(speech, num_shards=2, shard=1)
    whole = list(stream)
    iterator = iter(stream)
    seen = [next(iterator) for _ in range(20)]
    state = json.loads(json.dumps(stream.state_dict()))
    other = SyntheticSpeechStream(speech, num_shards=2, shard=1)
    other.load_state_dict(state)
    _same(seen + list(other), whole)
    with pytest.raises(ValueError, match="resume with the same number of ranks"):
        SyntheticSpeechStream(speech, num_shards=3, shard=1).load_state_dict(state)
    with pytest.raises(ValueError, match="shard must lie in 0 to 1, got 2"):
        SyntheticSpeechStream(speech, num_shards=2, shard=2)


def test_state_of_another_stream_is_refused_and_other_versions_warned_of(speech, caplog):
    state = speech.state_dict()
    with pytest.raises(ValueError, match="another stream: seed 9 there, 3 here"):
        speech.load_state_dict({**state, "identity": {**state["identity"], "seed": 9}})
    speech.load_state_dict({**state, "versions": {"Babel": "1.0"}})
    assert "versions were {'Babel': '1.0'}" in caplog.text


def test_splits_are_disjoint_and_the_same_in_every_language():
    meanings = {}
    for split in ("train", "dev"):
        for languages in (["en"], ["ru", "it"]):
            speech = SyntheticSpeech(seed=1, languages=languages, split=split, num_meanings=60, kinds=["quantity"])
            meanings[split, languages[0]] = [speech._texts(number)[0] for number in range(60)]
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
    with pytest.raises(ValueError, match="none of the languages can be spoken.*only"):
        SyntheticSpeech(languages=["ja"])
    assert list(SyntheticSpeech(languages=["ja", "en"], kinds=["month", "date"]).left_out) == ["ja"]


def test_folder_holds_the_items_of_the_stream(tmp_path, items):
    summary = write_synthetic_folder(tmp_path / "out", **ARGUMENTS)
    records = read_manifest(summary.manifest)
    by_key = {(record.lang, record.id): record for record in items}
    assert len(records) + len(summary.left_out) == 102 and len(records) > 95
    for record in records[::7]:
        item = by_key[record.lang, record.id]
        assert (record.text, record.translations, record.kind) == (item.text, item.translations, item.kind)
        assert np.abs(load_audio(record.audio) - item.audio["array"]).max() < 1e-4
    facts = json.loads((tmp_path / "out" / "synthesis.json").read_text(encoding="utf-8"))
    assert facts["versions"]["espeak-ng"] and facts["versions"]["Babel"] and facts["description"]["split"] == "train"
