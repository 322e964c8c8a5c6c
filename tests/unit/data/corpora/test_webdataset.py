# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json

import pytest
from public_schema import Failures, sound, write_tar

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.corpora.webdataset import WebDatasetReader
from mu2slam_hf.data.manifests import ManifestColumns
from mu2slam_hf.data.table_files import UnreadableFileError


@pytest.mark.parametrize("name", ["train-0.tar", "train-0.tar.gz"])
def test_samples_are_files_that_follow_one_another(tmp_path, name):
    files = {
        "en/a.b.json": b"not part of a sample's name: ignored ending",
        "en/a.wav": sound(0.5),
        "en/a.json": json.dumps({"lang": "en", "text": "from the object", "speaker": "s"}).encode(),
        "en/a.txt": "\ufeffhello \n".encode(),
        "en/.hidden": b"",
        "fr/a.txt": b"salut",
        "fr/a.json": json.dumps({"lang": "fr", "id": "own-id", "text_en": "hello", "duration": 2}).encode(),
        "de/a.FLAC": sound(1.0, "FLAC"),
        "de/a.json": b'{"lang": "de"}',
    }
    write_tar(tmp_path / name, files)
    reader = WebDatasetReader(corpus="own")
    english, french, german = reader(tmp_path / name)
    assert (english.key, english.text, english.speaker) == ("own/en/en/a", "hello", "s")
    assert len(load_audio(english.audio)) == 8000 and english.audio["path"] == "en/a.wav"
    assert (french.key, french.audio, french.translations) == ("own/fr/own-id", None, {"en": "hello"})
    assert german.text is None and len(load_audio(german.audio)) == 16000
    sizes = reader.measure(tmp_path / name)
    assert {lang: (size.num_rows, size.hours) for lang, size in sizes.items()} == {
        "en": (1, None),
        "fr": (1, 2 / 3600),
        "de": (1, None),
    }
    assert [record.lang for record in WebDatasetReader(corpus="own", language="fr")(tmp_path / name)] == ["fr"]
    longer = WebDatasetReader(corpus="own", max_duration_seconds=0.7)
    assert [record.lang for record in longer(tmp_path / name)] == ["en", "fr"]


def test_faulty_samples_are_named_or_counted(tmp_path):
    good = {"c.txt": b"fine", "c.json": b'{"code": "en"}'}
    bad = {"a.json": b"{oops", "a.txt": b"x", "b.json": b"[1]", "d.txt": "\xe9".encode("latin-1"), "e.cls": b"1"}
    write_tar(tmp_path / "x.tar", bad | good)
    reader = WebDatasetReader(corpus="own", columns=ManifestColumns(lang="code"))
    with pytest.raises(ValueError, match=r"x.tar:a: a.json is not valid JSON"):
        list(reader(tmp_path / "x.tar"))
    failures = Failures()
    counting = WebDatasetReader(corpus="own", columns=ManifestColumns(lang="code"), failures=failures)
    assert [record.text for record in counting(tmp_path / "x.tar")] == ["fine"] and failures.good == 1
    expected = (
        "a.json is not valid JSON",
        "expected an object with columns, got list",
        "d.txt is not valid UTF-8",
        "no column",
    )
    assert all(part in reason for part, reason in zip(expected, failures.reasons, strict=True))
    (tmp_path / "x.tar").write_bytes(b"no archive at all")
    with pytest.raises(UnreadableFileError, match="x.tar: cannot be read, or is truncated"):
        list(counting(tmp_path / "x.tar"))
