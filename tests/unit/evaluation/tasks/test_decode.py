# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Requests, batches, and a decoding that resumes; transcription and translation only note what they are asked for."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.tasks import decode
from mu2slam_hf.evaluation.tasks.decode import build_requests, decode_requests, make_batches
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.models.modules_capabilities import Capabilities


class EchoModel(torch.nn.Module):
    """Each text is `<task>:<source>><target>`; the calls are counted."""

    capabilities = Capabilities(tasks=("asr", "ast", "mt"))

    def __init__(self, fail_at_call=None):
        super().__init__()
        self.calls, self.fail_at_call = [], fail_at_call

    def note(self, **call):
        if len(self.calls) == self.fail_at_call:
            raise RuntimeError("killed")
        self.calls.append({"training": self.training, **call})


def echo_transcripts(model, processor, recordings, options):
    model.note(task="asr", count=len(recordings), **options.generate_kwargs)
    for request in recordings:
        source = request.source_lang or "?"
        segment = TranscriptSegment(
            start_seconds=0.0,
            end_seconds=0.1,
            text=f"asr:{source}>{request.source_lang or '?'}",
            language=source,
            translations={target: f"ast:{source}>{target}" for target in request.target_langs},
        )
        yield Transcript(segments=(segment,), duration_seconds=0.1, language=source)


def echo_translations(model, processor, texts, *, source_lang, target_lang, task, batch_size, **generate_kwargs):
    model.note(task=task, count=len(texts), **generate_kwargs)
    sources = source_lang or ["?"] * len(texts)
    return [f"mt:{source}>{target}" for source, target in zip(sources, target_lang, strict=True)]


@pytest.fixture(autouse=True)
def echo(monkeypatch):
    monkeypatch.setattr(decode, "transcribe_recordings", echo_transcripts)
    monkeypatch.setattr(decode, "translate", echo_translations)


PROCESSOR = SimpleNamespace(languages=["und", "en", "it"])


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


def test_batches_have_one_modality_and_one_condition_and_all_requests_for_their_recordings(records):
    recordings = []
    for batch in make_batches(both_conditions(records), batch_size=1):
        assert len({(request.task == "mt", request.source_lang_given) for request in batch}) == 1
        recordings += [(batch[0].record.key, batch[0].source_lang_given, len(batch))] * (batch[0].task != "mt")
    assert sorted(recordings) == sorted(
        (key, given, count) for key, count in (("/en/1", 3), ("/it/2", 1)) for given in (True, False)
    )


def test_conditions_do_not_mix_when_both_are_decoded_together(records):
    requests = both_conditions(records)
    for hypothesis in decode_requests(requests, EchoModel(), PROCESSOR, progress=False):
        assert hypothesis.hypothesis.startswith(f"{hypothesis.task}:?>") is not hypothesis.source_lang_given


def test_hypotheses_come_in_the_order_of_the_requests(records):
    requests = build_requests(records)
    model = EchoModel().train()
    hypotheses = decode_requests(requests, model, PROCESSOR, batch_size=1, progress=False, num_beams=3)
    assert [h.key for h in hypotheses] == [r.key for r in requests]
    for hypothesis in hypotheses:
        expected = f"{hypothesis.task}:{hypothesis.source_lang}>{hypothesis.target_lang}"
        assert hypothesis.hypothesis == expected
    assert all(call["num_beams"] == 3 and not call["training"] for call in model.calls)
    assert model.training  # as it was found


def test_without_the_source_language_the_target_of_asr_is_not_given_either(records):
    requests = build_requests(records, source_lang_given=False)
    texts = {h.hypothesis for h in decode_requests(requests, EchoModel(), PROCESSOR, progress=False)}
    assert texts == {"asr:?>?", "ast:?>es", "ast:?>fr", "mt:?>es", "mt:?>fr", "mt:?>en"}


def test_an_interrupted_decoding_goes_on_where_it_stopped(records, tmp_path):
    path = tmp_path / "hypotheses.jsonl"
    requests = build_requests(records)
    whole = decode_requests(requests, EchoModel(), PROCESSOR, batch_size=1, progress=False)
    with pytest.raises(RuntimeError, match="killed"):
        decode_requests(requests, EchoModel(fail_at_call=3), PROCESSOR, output_path=path, batch_size=1, progress=False)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "cut in the middle of a l')
    model = EchoModel()
    resumed = decode_requests(requests, model, PROCESSOR, output_path=path, batch_size=1, progress=False)
    assert resumed == whole
    assert sum(call["count"] for call in model.calls) < sum(1 for _ in make_batches(requests, batch_size=1))
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert "settings" in lines[0]
    assert sorted(line["key"] for line in lines[1:]) == sorted(r.key for r in requests)


def test_hypotheses_of_other_settings_are_not_mixed_in(records, tmp_path):
    path = tmp_path / "hypotheses.jsonl"
    requests = build_requests(records)
    decode_requests(requests, EchoModel(), PROCESSOR, output_path=path, settings={"model": "a"}, progress=False)
    with pytest.raises(ValueError, match="created with other settings"):
        decode_requests(requests, EchoModel(), PROCESSOR, output_path=path, settings={"model": "b"}, progress=False)
    with pytest.raises(ValueError, match="created with other settings"):
        decode_requests(
            requests,
            EchoModel(),
            PROCESSOR,
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
        (hypothesis,) = decode_requests(requests, EchoModel(), PROCESSOR, output_path=path, progress=False)
        assert hypothesis.reference == "b\u2028c"
