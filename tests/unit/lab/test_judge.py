# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The judge: numbers in words, and scores like those of our own evaluation."""

import numpy as np
import pytest
import soundfile

from lab.judge import Judge, Judgement, spell_numbers
from lab.peer_scores import score_judge
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.hypotheses import read_hypotheses

pytest.importorskip("num2words", reason="the extra lab is not installed")


@pytest.mark.parametrize(
    ("text", "lang", "words"),
    [
        ("20 cats", "en", "twenty cats"),
        ("1,000 cats", "en-GB", "one thousand cats"),
        ("j'ai 21 ans", "fr", "j'ai vingt et un ans"),
        ("1 000 euros", "fr", "mille euros"),
        ("1.000 euros", "es", "mil euros"),
        ("дом 7", "ru", "дом семь"),
        ("no number", "en", "no number"),
        ("12 in a language without words", "xx", "12 in a language without words"),
    ],
)
def test_numbers_are_spelled_out(text, lang, words):
    assert " ".join(spell_numbers(text, lang).split()) == words


def test_a_folder_without_a_model_is_named(tmp_path):
    pytest.importorskip("faster_whisper", reason="the extra voices is not installed")
    with pytest.raises(ValueError, match=r"has no model\.bin"):
        Judge(tmp_path)


def test_scores_and_hypotheses_of_a_judge(tmp_path):
    class Stub:
        calls, num_beams = 0, 5

        def transcribe(self, samples, lang):
            self.calls += 1
            return Judgement(text="la mer", confidence=1.0, has_digits=False)

    path, hypotheses = tmp_path / "a.wav", tmp_path / "hypotheses.jsonl"
    soundfile.write(path, np.zeros(1600, np.float32), 16000)
    records = [
        SpeechTextRecord(id="1", audio=str(path), lang="fr", text="la mer", duration_seconds=0.1),
        SpeechTextRecord(id="2", audio=str(path), lang="fr", text="la terre", duration_seconds=0.1),
    ]
    judge = Stub()
    options = {"judge_name": "stub", "data": {"corpus": "two"}, "hypotheses_path": hypotheses}
    results = score_judge(judge, records, **options)
    (wer,) = results.find(metric="wer", source_lang="fr")
    assert wer.value == pytest.approx(25.0)
    assert [h.hypothesis for h in read_hypotheses(hypotheses)] == ["la mer", "la mer"]
    score_judge(judge, records, **options)
    assert judge.calls == 2
