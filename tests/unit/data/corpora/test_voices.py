# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""voices: splits by speaker, lines of poems, recordings without transcripts."""

import pytest

from mu2slam_hf.data.corpora.registry import load_corpus

HEADER = ["id", "audio", "lang", "split", "speaker", "duration_s", "text", "source", "licence", "note"]
ROWS = [
    ["fr_poem", "audio/poem.opus", "fr", "train", "Anne", "107", "L'ALBATROS / Souvent, pour s'amuser,", "l", "p", ""],
    ["en_one", "audio/one.opus", "en", "train", "ls_1", "14.1", "", "l", "CC-BY-4.0", "1-1"],
    ["fr_last", "audio/last.opus", "fr", "dev", "Linda", "81", "LA MORT / C'est", "l", "p", ""],
]


@pytest.fixture
def root(tmp_path):
    content = "\n".join("\t".join(row) for row in [HEADER, *ROWS]) + "\n"
    (tmp_path / "manifest.tsv").write_text(content, encoding="utf-8")
    return tmp_path


def test_texts_have_no_marks_of_lines_and_recordings_may_have_no_text(root):
    poem, sentence = load_corpus("voices", root)
    assert (poem.text, poem.speaker) == ("l'albatros souvent pour s'amuser", "Anne")
    assert sentence.text is None and sentence.audio == str(root / "audio/one.opus")
    assert [record.text for record in load_corpus("voices", root, "dev", text_style="written")] == ["LA MORT C'est"]


def test_recordings_are_selected_by_transcript_and_duration(root):
    assert [record.id for record in load_corpus("voices", root, transcribed=True)] == ["fr_poem"]
    assert [record.id for record in load_corpus("voices", root, max_duration_seconds=20)] == ["en_one"]


def test_unknown_styles_and_splits_are_named(root):
    with pytest.raises(ValueError, match="`text_style` must be one of norm, written; got 'upper'"):
        load_corpus("voices", root, text_style="upper")
    with pytest.raises(FileNotFoundError, match="no split 'test'; voices has train and dev"):
        load_corpus("voices", root, "test")


def test_no_speaker_of_the_real_corpus_is_in_two_splits(data_root):
    root = data_root / "voices"
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    train, dev = load_corpus("voices", root), load_corpus("voices", root, "dev")
    assert {r.speaker for r in train} & {r.speaker for r in dev} <= {"msu_ru_nsh"}
    assert {r.lang for r in dev} == {"en", "fr", "ru"}
    assert all(r.text and " / " not in r.text for r in dev if r.lang == "fr")
