# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Requests, batches, and a decoding that resumes, with a stand-in for the model that writes down what it was asked."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BatchFeature

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.decode import build_requests, decode_requests, make_batches
from mu2slam_hf.inference.translation import generate_texts


class EchoModel(torch.nn.Module):
    """Answers each item with `<task>:<source>><target>`, and counts its calls."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, fail_at_call=None):
        super().__init__()
        self.calls, self.fail_at_call = [], fail_at_call

    def generate(self, *, input_features=None, input_ids=None, source_lang, target_lang, task, **kwargs):
        if len(self.calls) == self.fail_at_call:
            raise RuntimeError("killed")
        count = len(input_features if input_features is not None else input_ids)
        self.calls.append({"task": task, "count": count, "training": self.training, **kwargs})
        sources, targets = source_lang or ["?"] * count, target_lang or ["?"] * count
        return [f" {task}:{source}>{target} " for source, target in zip(sources, targets, strict=True)]


class EchoProcessor:
    feature_extractor = SimpleNamespace(sampling_rate=16_000)

    def __call__(self, audio=None, text=None, **kwargs):
        if audio is not None:
            return BatchFeature({"input_features": torch.zeros(len(audio), 4, 80)})
        return BatchFeature({"input_ids": torch.zeros(len(text), 4, dtype=torch.int64)})

    def batch_decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return ids


@pytest.fixture
def records():
    wave = np.zeros(1600, dtype=np.float32)
    return [
        SpeechTextRecord(
            id="1", audio=wave, duration_seconds=0.1, text="hi", lang="en", translations={"fr": "salut", "es": "hola"}
        ),
        SpeechTextRecord(id="2", audio=wave, duration_seconds=0.2, text="ciao", lang="it"),
        SpeechTextRecord(id="3", text="oui", lang="fr", translations={"en": "yes"}),
    ]


def test_requests_are_all_that_the_records_allow(records):
    requests = build_requests(records)
    found = [(r.record.id, r.task, r.target_lang, r.reference) for r in requests]
    assert sorted(found) == [
        ("1", "asr", "en", "hi"),
        ("1", "ast", "es", "hola"),
        ("1", "ast", "fr", "salut"),
        ("1", "mt", "es", "hola"),
        ("1", "mt", "fr", "salut"),
        ("2", "asr", "it", "ciao"),
        ("3", "mt", "en", "yes"),
    ]
    assert len({request.key for request in requests}) == len(requests)
    with pytest.raises(ValueError, match=r"unknown tasks \['tts'\]"):
        build_requests(records, ["asr", "tts"])


def make_speech(durations):
    return build_requests(
        [
            SpeechTextRecord(id=str(i), audio=b"", text="x", lang="en", duration_seconds=seconds)
            for i, seconds in enumerate(durations)
        ],
        ["asr"],
    )


def test_batches_hold_every_request_once_within_the_budget():
    durations = [3.0, 1.0, 7.0, 2.0, 2.0, 30.0, 0.5] * 5
    requests = make_speech(durations)
    batches = list(make_batches(requests, batch_seconds=10.0, batch_size=4))
    assert sorted(r.key for batch in batches for r in batch) == sorted(r.key for r in requests)
    for batch in batches:
        assert len(batch) <= 4
        assert len(batch) == 1 or max(r.size for r in batch) * len(batch) <= 10.0
    sizes = [batch[0].size for batch in batches]
    assert sizes == sorted(sizes, reverse=True)


def both_conditions(records):
    return [r for told in (True, False) for r in build_requests(records, source_lang_given=told)]


def test_batches_have_one_task_and_one_condition_each(records):
    for batch in make_batches(both_conditions(records)):
        assert len({(request.task, request.source_lang_given) for request in batch}) == 1


def test_conditions_do_not_mix_when_both_are_decoded_together(records):
    requests = both_conditions(records)
    for hypothesis in decode_requests(requests, EchoModel(), EchoProcessor(), progress=False):
        assert hypothesis.hypothesis.startswith(f"{hypothesis.task}:?>") is not hypothesis.source_lang_given


def test_hypotheses_come_in_the_order_of_the_requests(records):
    requests = build_requests(records)
    model = EchoModel().train()
    hypotheses = decode_requests(requests, model, EchoProcessor(), batch_size=1, progress=False, num_beams=3)
    assert [h.key for h in hypotheses] == [r.key for r in requests]
    for hypothesis in hypotheses:
        expected = f"{hypothesis.task}:{hypothesis.source_lang}>{hypothesis.target_lang}"
        assert hypothesis.hypothesis == expected
    assert all(call["num_beams"] == 3 and not call["training"] for call in model.calls)
    assert model.training  # as it was found


def test_who_is_not_told_the_source_is_not_told_the_target_of_asr_either(records):
    requests = build_requests(records, source_lang_given=False)
    texts = {h.hypothesis for h in decode_requests(requests, EchoModel(), EchoProcessor(), progress=False)}
    assert texts == {"asr:?>?", "ast:?>es", "ast:?>fr", "mt:?>es", "mt:?>fr", "mt:?>en"}


def test_an_interrupted_decoding_goes_on_where_it_stopped(records, tmp_path):
    path = tmp_path / "hypotheses.jsonl"
    requests = build_requests(records)
    whole = decode_requests(requests, EchoModel(), EchoProcessor(), batch_size=1, progress=False)
    with pytest.raises(RuntimeError, match="killed"):
        decode_requests(
            requests, EchoModel(fail_at_call=3), EchoProcessor(), output_path=path, batch_size=1, progress=False
        )
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "cut in the middle of a l')
    model = EchoModel()
    resumed = decode_requests(requests, model, EchoProcessor(), output_path=path, batch_size=1, progress=False)
    assert resumed == whole
    assert len(model.calls) == len(requests) - 3
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert "settings" in lines[0]
    assert sorted(line["key"] for line in lines[1:]) == sorted(r.key for r in requests)


def test_hypotheses_of_other_settings_are_not_mixed_in(records, tmp_path):
    path = tmp_path / "hypotheses.jsonl"
    requests = build_requests(records)
    decode_requests(requests, EchoModel(), EchoProcessor(), output_path=path, settings={"model": "a"}, progress=False)
    with pytest.raises(ValueError, match="created with other settings"):
        decode_requests(
            requests, EchoModel(), EchoProcessor(), output_path=path, settings={"model": "b"}, progress=False
        )
    with pytest.raises(ValueError, match="created with other settings"):
        decode_requests(
            requests,
            EchoModel(),
            EchoProcessor(),
            output_path=path,
            settings={"model": "a"},
            progress=False,
            num_beams=4,
        )


def test_a_line_separator_inside_a_text_does_not_break_the_file(tmp_path):
    record = SpeechTextRecord(id="1", text="a", lang="en", translations={"fr": "b\u2028c"})
    requests = build_requests([record], ["mt"])
    path = tmp_path / "hypotheses.jsonl"
    for _ in range(2):
        (hypothesis,) = decode_requests(requests, EchoModel(), EchoProcessor(), output_path=path, progress=False)
        assert hypothesis.reference == "b\u2028c"


def test_exactly_one_kind_of_source():
    with pytest.raises(ValueError, match="exactly one of `audio` and `text`"):
        generate_texts(EchoModel(), EchoProcessor())
    with pytest.raises(ValueError, match="exactly one of `audio` and `text`"):
        generate_texts(EchoModel(), EchoProcessor(), audio=[np.zeros(10)], text=["x"])
