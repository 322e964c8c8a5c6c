# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import hashlib
import json
import sys
from pathlib import Path

import pytest

from lab.synthesis import folder
from lab.synthesis.folder import FolderSettings
from lab.synthesis.speech import speak_plans
from lab.synthesis.texts import TextToSpeak, random_word_sequences, speak_manifest, synthesize_texts
from lab.synthesis.voice_mix import VoiceMix
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


RECORDS = [
    SpeechTextRecord(id="a", lang="en", text="press one", translations={"it": "premere uno"}, kind="prompt"),
    SpeechTextRecord(id="a", lang="it", text="premere uno", translations={"en": "press one"}, kind="prompt"),
    SpeechTextRecord(id="b", lang="en", text="goodbye and thank you for calling"),
    SpeechTextRecord(id="c", lang="en", text="word " * 60),
]


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".tsv")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_manifest_in_manifest_out(tmp_path):
    summary = speak_manifest(
        RECORDS, tmp_path / "out", voices_by_length=((20, 3), (40, 2)), random_sequences=2, seed=1
    )
    records = read_manifest(summary.manifest)
    assert summary.num_clips == {"en": 3 + 2 + 2, "it": 3 + 2} and len(records) == 12 and not summary.left_out
    assert summary.hours == pytest.approx(sum(record.duration_seconds for record in records) / 3600, abs=1e-5)
    prompts = [record for record in records if record.id.startswith("a.")]
    assert {record.id for record in prompts} == {"a.0", "a.1", "a.2"} and len(prompts) == 6
    assert all(record.kind == "prompt" and record.corpus == "out" for record in prompts)
    assert all(record.translations == ({"it": "premere uno"} if record.lang == "en" else {"en": "press one"})
               for record in prompts)  # fmt: skip
    assert len({record.speaker for record in prompts if record.lang == "en"}) == 3
    for record in records:
        assert len(load_audio(record.audio)) == pytest.approx(16000 * record.duration_seconds, abs=10)
    facts = json.loads((tmp_path / "out" / "synthesis.json").read_text(encoding="utf-8"))
    assert facts["description"]["seed"] == 1 and facts["versions"]["espeak-ng"]


def test_a_number_of_texts_of_each_language(tmp_path):
    records = [SpeechTextRecord(id=f"{n}", lang=lang, text=f"{n} one") for n in range(6) for lang in ("en", "fr")]
    summary = speak_manifest(records[:9], tmp_path / "out", voices_by_length=((230, 1),), max_texts=4, seed=2)
    assert summary.num_clips == {"en": 4, "fr": 4}
    assert len({record.text for record in read_manifest(summary.manifest) if record.lang == "en"}) == 4


def test_same_bytes_for_any_number_of_workers(tmp_path):
    texts = [(f"t{number}", ("en", "fr")[number % 2], f"numero {number}") for number in range(60)]
    for name, workers in (("one", 1), ("three", 3)):
        synthesize_texts(texts, tmp_path / name, seed=5, folder=FolderSettings(num_workers=workers, corpus="c"))
    assert _digest(tmp_path / "one") == _digest(tmp_path / "three")
    synthesize_texts(texts[:20], tmp_path / "other", seed=6, folder=FolderSettings(corpus="c"))
    assert _digest(tmp_path / "other") != _digest(tmp_path / "one")


def test_texts_are_cleaned_of_bidi_marks_and_soft_hyphens(tmp_path):
    text = TextToSpeak(
        id="a", lang="en", text="\u200epress\u00ad one\u200b\t now", translations={"ar": "\u061cواحد\u200f"}
    )
    summary = synthesize_texts([text], tmp_path / "out")
    (record,) = read_manifest(summary.manifest)
    assert record.text == "press one now" and record.translations == {"ar": "واحد"}


def test_silent_and_long_and_fast_clips_are_left_out_and_named(tmp_path):
    texts = [("silent", "en", "..."), ("long", "en", "one two three four five " * 4), ("good", "en", "hello there")]
    folder = FolderSettings(max_duration_seconds=4)
    summary = synthesize_texts(texts, tmp_path / "out", folder=folder)
    assert [record.id for record in read_manifest(summary.manifest)] == ["good.0"]
    reasons = dict(summary.left_out)
    assert reasons["en/silent.0"] == "espeak-ng is silent" and "longer than 4 s" in reasons["en/long.0"]
    assert len(list((tmp_path / "out" / "audio").rglob("*.flac"))) == 1
    with pytest.raises(ValueError, match="no clips were written.*characters per second"):
        synthesize_texts(texts[2:], tmp_path / "fast", folder=FolderSettings(max_characters_per_second=1))


def test_a_folder_in_use_is_not_touched_and_nothing_half_written_stays(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        synthesize_texts([("a", "en", "hello")], tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"

    def texts():
        yield from [(f"t{number}", "en", "one") for number in range(60)]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize_texts(texts(), tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
    synthesize_texts([("a", "en", "hello")], tmp_path / "broken")
    assert len(read_manifest(tmp_path / "broken" / "manifest.tsv")) == 1


def test_random_sequences_use_the_words_of_the_language():
    sequences = random_word_sequences(RECORDS, 30, seed=2)
    assert sequences == random_word_sequences(RECORDS[::-1], 30, seed=2)
    assert len(sequences) == 60 and len({(text.lang, text.id) for text in sequences}) == 60
    for text in sequences:
        words = text.text.split()
        assert 2 <= len(words) <= 8
        assert set(words) <= {word for record in RECORDS if record.lang == text.lang for word in record.text.split()}


def test_messages(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no texts in the languages \['fr'\]; the manifest has en, it"):
        speak_manifest(RECORDS, tmp_path / "out", languages=["fr"])
    with pytest.raises(ValueError, match="audio_format must be one of flac, wav; got 'mp3'"):
        FolderSettings(audio_format="mp3")
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match=r"mu2slam-hf\[lab\]"):
        speak_manifest(RECORDS, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_folder_goes_on_where_it_was(tmp_path, tone_engines, monkeypatch):
    texts = [(f"t{number}", "en", "a" * (5 + number % 7) + "#" * (number == 50)) for number in range(150)]

    def speak(name, **options):
        return synthesize_texts(texts, tmp_path / name, seed=1, voices=VoiceMix(["tone"]), **options)

    whole = speak("whole")
    spoken = SpeechEngineStop(after=2)
    monkeypatch.setattr(folder, "speak_plans", spoken)
    with pytest.raises(KeyboardInterrupt):
        speak("out")
    assert not (tmp_path / "out").exists()
    partial = tmp_path / ".out.partial"
    # Killed while a block was written: rows without their line in the journal, and half a line.
    with (partial / "manifest.tsv").open("a") as manifest, (partial / "blocks.jsonl").open("a") as journal:
        manifest.write("t90.0\ten\t")
        journal.write('{"end": 12')
    monkeypatch.setattr(folder, "speak_plans", SpeechEngineStop(after=None))
    with pytest.raises(ValueError, match="was begun with other settings or versions; remove it"):
        speak("out", voices_per_text=2)
    again = speak("out")
    assert folder.speak_plans.blocks == 2
    assert _digest(tmp_path / "out") == _digest(tmp_path / "whole") and not partial.exists()
    assert (again.num_clips, again.left_out) == (whole.num_clips, whole.left_out) and len(whole.left_out) == 1
    assert again.seconds == pytest.approx(whole.seconds)


class SpeechEngineStop:
    """Speaks blocks, and is interrupted after some."""

    def __init__(self, after):
        self.after, self.blocks = after, 0

    def __call__(self, *arguments):
        if self.blocks == self.after:
            raise KeyboardInterrupt
        self.blocks += 1
        return speak_plans(*arguments)


def test_transcripts_may_be_normalised_while_voices_read_the_texts_as_written(tmp_path, tone_engines):
    records = [SpeechTextRecord(id="a", lang="en", text="Well, go!", translations={"it": "Vai, su!"})]
    options = {"voices": VoiceMix(["tone"]), "voices_by_length": ((230, 1),)}
    for normalize in (False, True):
        summary = speak_manifest(records, tmp_path / str(normalize), normalize_transcripts=normalize, **options)
        (record,) = read_manifest(summary.manifest)
        assert (record.text, record.translations["it"]) == (
            ("well go", "vai su") if normalize else ("Well, go!", "Vai, su!")
        )
        assert record.duration_seconds == pytest.approx(0.1 * len("Well, go!"), rel=0.4)
