# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Labels by a judge: what is kept, where long recordings are cut, and that an interrupted run goes on."""

import json

import numpy as np
import pytest
import soundfile

from lab.judge import Judgement
from lab.labels import LabelSettings, cut_at_pauses, decide, write_labels
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.inference.alignment import AlignedWord


class _Judge:
    """Understands the text that belongs to the number of samples."""

    def __init__(self, texts, stop_after=None):
        self.texts, self.stop_after, self.calls = texts, stop_after, 0

    def transcribe(self, samples, lang):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        text, confidence = self.texts[len(samples)]
        return Judgement(text=text, confidence=confidence, has_digits=False)


@pytest.fixture
def records(tmp_path):
    found = []
    for number, (lang, text) in enumerate((("en", None), ("fr", "la mer"), ("fr", "le ciel bleu"), ("ru", None))):
        path, seconds = tmp_path / f"{number}.wav", 1 + number
        soundfile.write(path, np.zeros(16000 * seconds, np.float32), 16000)
        found.append(
            SpeechTextRecord(id=str(number), audio=str(path), lang=lang, text=text, duration_seconds=float(seconds))
        )
    return found


TEXTS = {16000: ("a house", 0.9), 32000: ("la mère", 0.5), 48000: ("bonjour monsieur", 0.9), 64000: ("дом", 0.2)}


def test_kept_recordings_have_their_own_text_or_that_of_the_judge(records, tmp_path):
    out = tmp_path / "labels.jsonl"
    summary = write_labels(records, out, judge=_Judge(TEXTS), settings=LabelSettings())
    assert [(r.lang, r.text) for r in read_manifest(out)] == [("en", "a house"), ("fr", "la mer")]
    assert dict(summary.num_kept) == {"en": 1, "fr": 1} and summary.seconds["fr"] == 2
    assert dict(summary.left_out) == {"the judge read another text": 1, "the judge was not sure": 1}
    assert not (tmp_path / "labels.jsonl.judged").exists()


def test_an_interrupted_run_does_not_judge_again(records, tmp_path):
    out, whole = tmp_path / "labels.jsonl", tmp_path / "whole.jsonl"
    write_labels(records, whole, judge=_Judge(TEXTS), settings=LabelSettings())
    with pytest.raises(KeyboardInterrupt):
        write_labels(records, out, judge=_Judge(TEXTS, stop_after=3), settings=LabelSettings())
    assert not out.exists()
    with (tmp_path / "labels.jsonl.judged").open("a") as journal:
        journal.write('["ru/3", {"te')  # killed while a line was written
    second = _Judge(TEXTS)
    write_labels(records, out, judge=second, settings=LabelSettings())
    assert second.calls == 1 and out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a large iced mocha with soy milk please", ""),
        ("a large ice mocha with soy milk", ""),
        ("a large latte with soy milk", "the text contradicts the slots of the intent"),
    ],
)
def test_slots_must_be_in_the_text(text, reason):
    note = json.dumps({"intent": "orderDrink", "slots": {"coffeeDrink": "iced mocha", "milkAmount": " soy milk"}})
    record = SpeechTextRecord(id="1", audio="a.wav", lang="en", extra={"note": note})
    assert decide(record, {"text": text, "confidence": 0.9, "has_digits": False}, LabelSettings())[0] == reason


def test_texts_in_digits_are_no_labels():
    record = SpeechTextRecord(id="1", audio="a.wav", lang="en")
    judged = {"text": "in nineteen", "confidence": 0.9, "has_digits": True}
    assert decide(record, judged, LabelSettings())[0] == "the text has digits"


def _words(*spans):
    return [
        AlignedWord(text=str(number), start_seconds=start, end_seconds=end, score=-1.0)
        for number, (start, end) in enumerate(spans)
    ]


def test_pieces_end_at_pauses_and_are_not_longer_than_asked():
    # Two phrases of 2 s, one of 5 s, which is too long, and one of 1 s.
    words = _words((0, 1), (1, 2), (2.5, 4.5), (5, 7), (7.1, 10), (11, 12))
    pieces = cut_at_pauses(words, LabelSettings(max_seconds=4.6, min_pause_seconds=0.2))
    assert [[word.text for word in piece] for piece in pieces] == [["0", "1", "2"], ["5"]]
    single = cut_at_pauses(words, LabelSettings(max_seconds=20, min_pause_seconds=0.2))
    assert [len(piece) for piece in single] == [6]


def test_a_long_recording_needs_a_model(records, tmp_path):
    settings = LabelSettings(max_seconds=1.5)
    with pytest.raises(ValueError, match="a model is needed to cut it"):
        write_labels(records, tmp_path / "labels.jsonl", judge=_Judge(TEXTS), settings=settings)
