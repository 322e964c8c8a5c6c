# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech that switches between languages: texts, times, and scores by hand."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
from helpers import REPOSITORY_ROOT

from mu2slam_hf import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord

pytest.importorskip("scipy", reason="needs the extra lab")
pytest.importorskip("uroman", reason="needs the extra transliterate")

from lab.code_switching import format_switches, read_parts, score_switches
from lab.commands import main
from lab.synthesis.code_switching import KINDS, switch_texts, write_switched_folder

TRANSLATIONS = {"en": "one two three four", "ru": "раз два три"}
TEXTS = [
    SpeechTextRecord(
        id=str(number),
        lang="es",
        text="uno dos tres cuatro",
        translations=TRANSLATIONS,
    )
    for number in range(12)
]
needs_espeak = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="needs the extra lab")


def test_a_word_or_the_tail_is_foreign():
    texts = list(switch_texts(TEXTS, [("es", "en"), ("es", "ru"), ("en", "es")], seed=3))
    assert len(texts) == 12 * 2 * len(KINDS)  # no record is English
    own, foreign = "uno dos tres cuatro".split(), {"en": "one two three four".split(), "ru": "раз два три".split()}
    for text in texts:
        languages = [lang for lang, _ in text.parts]
        words = [(lang, word) for lang, part in text.parts for word in part.split()]
        assert languages[0] == "es" and len(set(languages)) == 2
        other = languages[1]
        switched = [word for lang, word in words if lang == other]
        if text.kind == "tail":
            assert languages == ["es", other] and switched == foreign[other][-len(switched) :]
        else:
            assert len(switched) == 1 and len(words) == len(own) and switched[0] in foreign[other]
        kept = [word for lang, word in words if lang == "es"]
        assert kept[0] == "uno" and kept == [word for word in own if word in kept]
    assert len({text.id for text in texts}) == len(texts)
    assert len({tuple(text.parts) for text in texts}) > 8  # the positions are drawn for each record
    assert texts == list(switch_texts(TEXTS, [("es", "en"), ("es", "ru"), ("en", "es")], seed=3))
    short = [SpeechTextRecord(id="s", lang="es", text="dos palabras", translations={"en": "two words"})]
    assert list(switch_texts(short, [("es", "en")])) == []


@needs_espeak
def test_parts_are_spoken_where_the_manifest_says(tmp_path):
    texts = list(switch_texts(TEXTS[:2], [("es", "en")], seed=0))
    manifest = write_switched_folder(texts, tmp_path / "switched", seed=0)
    records = read_manifest(manifest)
    assert [record.text for record in records] == [" ".join(part for _, part in text.parts) for text in texts]
    for record, text in zip(records, texts, strict=True):
        wave, rate = soundfile.read(record.audio)
        parts = json.loads(record.extra["parts"])
        assert read_parts(record) == list(text.parts)
        assert parts[0]["start"] == 0.0 and parts[-1]["end"] == pytest.approx(len(wave) / rate, abs=1e-3)
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            assert following is None or following["start"] == part["end"]
            piece = wave[round(part["start"] * rate) : round(part["end"] * rate)]
            # Each part is sound from its beginning to its end, without the silence that espeak-ng adds.
            edges, peak = (piece[: rate // 30], piece[-rate // 30 :]), np.abs(piece).max()
            assert min(np.abs(edge).max() for edge in edges) > 0.009 * peak > 0
    again = write_switched_folder(texts, tmp_path / "again", seed=0)
    assert (tmp_path / "again" / "audio" / "00001.flac").read_bytes() == (
        tmp_path / "switched" / "audio" / "00001.flac"
    ).read_bytes()
    assert again.read_text() == manifest.read_text()
    with pytest.raises(ValueError, match="no sentence of the records has both languages"):
        write_switched_folder([], tmp_path / "empty")


def _record(*parts, number=0):
    packed = [{"lang": lang, "text": text, "start": 0, "end": 1} for lang, text in parts]
    whole = " ".join(text for _, text in parts)
    return SpeechTextRecord(id=str(number), lang=parts[0][0], text=whole, extra={"parts": json.dumps(packed)})


def test_words_are_counted_by_language_and_switch():
    records = [
        _record(("es", "uno dos"), ("en", "three four")),
        _record(("en", "press the"), ("ru", "дом"), ("en", "now please")),
    ]
    english, russian = score_switches(records, ["uno doz three", "press the dom now please"])[::-1]
    # dos and four are missed: one of two Spanish and one of two English words; dos is beside the switch.
    assert english.pair == ("es", "en") and english.wer == 50.0 and english.wer_transliterated == 50.0
    assert (english.missed_own, english.missed_foreign) == (50.0, 50.0)
    assert (english.missed_beside, english.missed_elsewhere) == (50.0, 50.0)
    assert english.right_script == 100.0
    # The Russian word is written in Latin letters: an error, but for the transliterated score.
    assert russian.pair == ("en", "ru") and russian.wer == 20.0 and russian.wer_transliterated == 0.0
    assert (russian.missed_own, russian.missed_foreign, russian.missed_beside) == (0.0, 0.0, 0.0)
    assert russian.right_script == 80.0
    lines = format_switches([english, russian]).splitlines()
    assert lines[0].split()[:3] == ["languages", "sentences", "wer"] and lines[2].startswith("en-ru")
    with pytest.raises(ValueError, match="no column `parts`"):
        score_switches([SpeechTextRecord(id="x", lang="es", text="uno")], ["uno"])


@needs_espeak
def test_the_commands(tmp_path, capsys):
    manifest = REPOSITORY_ROOT / "examples" / "manifest.tsv"
    options = ["--manifest", str(manifest), "--pairs", "es-en", "--limit", "2", "-o", str(tmp_path / "out")]
    assert main(["switch-languages", *options]) == 0
    assert "4 sentences" in capsys.readouterr().out
    result = tmp_path / "scores.json"
    assert main(["score-switches", str(tmp_path / "out" / "manifest.tsv"), "--results", str(result)]) == 0
    assert "es-en" in capsys.readouterr().out
    (scores,) = json.loads(result.read_text())["scores"]
    assert scores["num_sentences"] == 4 and 0 <= scores["missed_foreign"] <= 100
    assert main(["score-switches", str(manifest)]) == 1
    assert "no column `parts`" in capsys.readouterr().err
