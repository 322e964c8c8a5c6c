# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""parallel_text: domains, styles and languages of rows with up to five texts."""

import gzip
from collections import Counter

import pytest

from mu2slam_hf.data.corpora.registry import CORPORA, load_corpus
from mu2slam_hf.data.table_files import ManifestError

HEADER = ["id", "en", "es", "fr", "it", "ru", "source"]
TRAIN = {
    "train.tsv.gz": [
        ["tt1", "He paid.", "Él pagó.", "", "", "Он заплатил.", "tatoeba:es=a,ru=l"],
        ["sm1", "It's late, isn't it?", "", "", "", "Поздно?", "smartool-A1"],
    ],
    "ui.tsv.gz": [
        ["ui1", "Log in", "", "Se connecter", "Accedi", "", "ui-django"],
        ["ui2", "grinning face", "cara sonriente", "", "", "", "cldr-names"],
    ],
    "bible.tsv.gz": [["nt1", "Jesus wept.", "", "Jésus pleura.", "", "", "bible"]],
}
DEV = [
    ["d1", "She paid.", "Ella pagó.", "", "", "", "tatoeba:es=a"],
    ["d2", "Sign out", "", "", "Esci", "", "ui-homeassistant"],
    ["d3", "", "", "", "Rallegratevi!", "Радуйтесь!", "bible"],
]


def write_rows(path, rows, header=HEADER):
    content = "\n".join("\t".join(row) for row in [header, *rows]) + "\n"
    with gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w", encoding="utf-8") as file:
        file.write(content)


@pytest.fixture
def root(tmp_path):
    for name, rows in TRAIN.items():
        write_rows(tmp_path / name, rows)
    write_rows(tmp_path / "dev.tsv", DEV)
    return tmp_path


def ids(records):
    return sorted({record.id for record in records})


def test_every_text_of_a_row_is_a_record_with_the_others_as_translations(root):
    records = {record.key: record.validate() for record in load_corpus("parallel_text", root, domains="everyday")}
    assert sorted(records) == [f"parallel_text/{key}" for key in ("en/sm1", "en/tt1", "es/tt1", "ru/sm1", "ru/tt1")]
    english = records["parallel_text/en/tt1"]
    assert english.text == "he paid" and english.audio is None
    assert english.translations == {"es": "él pagó", "ru": "он заплатил"}
    assert records["parallel_text/es/tt1"].translations == {"en": "he paid", "ru": "он заплатил"}


def test_domains_of_both_splits(root):
    kinds = {record.id: record.kind for record in load_corpus("parallel_text", root)}
    assert kinds == {"tt1": "everyday", "sm1": "everyday", "ui1": "ui", "ui2": "ui", "nt1": "bible"}
    assert ids(load_corpus("parallel_text", root, domains=["bible", "ui"])) == ["nt1", "ui1", "ui2"]
    for domain, wanted in (("everyday", ["d1"]), ("ui", ["d2"]), ("bible", ["d3"])):
        assert ids(load_corpus("parallel_text", root, "dev", domains=[domain])) == wanted


def test_only_the_files_of_the_wanted_domains_are_read(root):
    (root / "bible.tsv.gz").unlink()
    assert ids(load_corpus("parallel_text", root, domains=["ui"])) == ["ui1", "ui2"]
    with pytest.raises(ManifestError, match="bible.tsv.gz: cannot be read"):
        load_corpus("parallel_text", root)


def test_style_languages_and_length(root):
    options = {"domains": "everyday", "languages": ["en", "ru"]}
    written = load_corpus("parallel_text", root, text_style="written", **options)
    assert [record.text for record in written] == ["He paid.", "Он заплатил.", "It's late, isn't it?", "Поздно?"]
    assert written[0].translations == {"ru": "Он заплатил."}
    short = load_corpus("parallel_text", root, max_characters=8, **options)
    assert [(record.text, dict(record.translations)) for record in short] == [("he paid", {}), ("поздно", {})]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"domains": ["everyday", "news"]},
            r"`domains` must be one or several of everyday, ui, bible, docs; got .*'news'",
        ),
        ({"domains": []}, r"`domains` .* got \[\]"),
        ({"languages": "de"}, r"`languages` must be one or several of en, es, fr, it, ru; got \['de'\]"),
        ({"text_style": "spoken"}, "`text_style` must be one of norm, written; got 'spoken'"),
    ],
)
def test_values_that_do_not_exist_are_named(root, options, message):
    with pytest.raises(ValueError, match=message):
        load_corpus("parallel_text", root, **options)


def test_splits_and_rows_that_do_not_exist_are_named(root):
    with pytest.raises(FileNotFoundError, match="no split 'test'; parallel_text has train and dev"):
        load_corpus("parallel_text", root, "test")
    write_rows(root / "dev.tsv", [DEV[0], DEV[1][:4]])
    with pytest.raises(ManifestError, match=r"dev.tsv:3: expected 7 cells, got 4"):
        load_corpus("parallel_text", root, "dev")
    write_rows(root / "dev.tsv", [["d1", "a", "x"]], header=["id", "en", "source"])
    with pytest.raises(ManifestError, match=r"dev.tsv: no column 'es'"):
        load_corpus("parallel_text", root, "dev")
    assert [record.text for record in load_corpus("parallel_text", root, "dev", languages="en", domains="ui")] == ["a"]


def test_the_development_part_as_it_is(data_root):
    root = data_root / "parallel_text"
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    records = [record.validate() for record in load_corpus("parallel_text", root, "dev")]
    assert len({record.key for record in records}) == len(records)
    assert {record.lang for record in records} == set(CORPORA["parallel_text"].languages)
    rows = Counter(kind for _, kind in {(record.id, record.kind) for record in records})
    assert rows == {"everyday": 1599, "ui": 199, "bible": 106}
    assert sum("fr" in record.translations for record in records if record.lang == "en") == 1358
    assert all(record.text == record.text.lower() for record in records)


def test_documentation_has_a_folder_of_its_own(tmp_path):
    rows = "id\ten\tes\tfr\tit\tru\tsource\n"
    rows += "lo0\tFind Bar\t\t\tBarra Trova\t\tlibreoffice-help-7.4\ndh1\tLock\tCerrar\t\t\t\tdebian-handbook\n"
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    records = load_corpus("parallel_text", tmp_path, domains="docs")
    assert [(r.lang, r.text, dict(r.translations), r.kind) for r in records] == [
        ("en", "find bar", {"it": "barra trova"}, "docs"),
        ("it", "barra trova", {"en": "find bar"}, "docs"),
        ("en", "lock", {"es": "cerrar"}, "docs"),
        ("es", "cerrar", {"en": "lock"}, "docs"),
    ]
    assert load_corpus("parallel_text", tmp_path, domains="everyday") == []
