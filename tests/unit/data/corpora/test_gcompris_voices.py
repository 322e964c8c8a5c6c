# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""gcompris_voices: styles of transcripts and English translations, and licences of recordings."""

import pytest

from mu2slam_hf.data.corpora.registry import load_corpus

HEADER = ["id", "lang", "audio", "duration_s", "speaker", "kind", "licence", "text", "text_norm", "text_en"]
ROWS = [
    ["place__albania", "fr", "audio/fr/albania.opus", "0.998", "f1", "place", "GPL", "Albanie", "albanie", "Albania"],
    ["word__nuts", "pt_BR", "audio/pt_BR/nuts.opus", "2.5", "p1", "word", "GPL V3+", "Nozes", "nozes", "Nuts!"],
    ["word__nuts", "en", "audio/en/nuts.opus", "1.1", "e1", "word", "CC-BY-SA", "Nuts", "nuts", "Nuts"],
    ["letter__q", "es", "audio/es/q.opus", "0.7", "s1", "letter", "public domain", "¿Q?", "q", "..."],
]


@pytest.fixture
def root(tmp_path):
    content = "\n".join("\t".join(row) for row in [HEADER, *ROWS]) + "\n"
    (tmp_path / "train.tsv").write_text(content, encoding="utf-8")
    return tmp_path


def test_texts_and_translations_have_one_style(root):
    records = load_corpus("gcompris_voices", root)
    assert [(record.lang, record.text, dict(record.translations)) for record in records] == [
        ("fr", "albanie", {"en": "albania"}),
        ("pt-BR", "nozes", {"en": "nuts"}),
        ("en", "nuts", {}),
        ("es", "q", {}),  # a translation of which nothing is left is none
    ]
    written = load_corpus("gcompris_voices", root, text_column="text")
    assert [(record.text, record.translations.get("en")) for record in written] == [
        *[("Albanie", "Albania"), ("Nozes", "Nuts!"), ("Nuts", None), ("¿Q?", "...")]
    ]
    first = records[0]
    assert first.audio == str(root / "audio/fr/albania.opus") and first.duration_seconds == 0.998
    assert (first.speaker, first.kind, first.key) == ("f1", "place", "gcompris_voices/fr/place__albania")


def test_licences_and_durations_of_the_recordings(root):
    assert [record.lang for record in load_corpus("gcompris_voices", root, free_licences=True)] == ["en", "es"]
    short = load_corpus("gcompris_voices", root, max_duration_seconds=1.0)
    assert [record.lang for record in short] == ["fr", "es"]


def test_columns_and_splits_that_do_not_exist_are_named(root):
    with pytest.raises(ValueError, match="`text_column` must be text or text_norm; got 'words'"):
        load_corpus("gcompris_voices", root, text_column="words")
    with pytest.raises(FileNotFoundError, match=r"dev.tsv: no such split; the folder has \['train'\]"):
        load_corpus("gcompris_voices", root, "dev")


def test_free_licences_of_the_real_corpus(data_root):
    root = data_root / "gcompris_voices"
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    free = load_corpus("gcompris_voices", root, free_licences=True)
    assert len(free) == 1868 and {record.lang for record in free} == {"en", "es", "gd"}
    assert {record.extra["licence"] for record in free} == {"CC-BY-SA", "public domain"}
    assert not load_corpus("gcompris_voices", root, "dev", free_licences=True)
