# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import datasets
import pytest

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import ManifestColumns, read_manifest
from mu2slam_hf.data.saved_datasets import measure_dataset, open_dataset, read_dataset, select_rows
from mu2slam_hf.data.table_files import ManifestError
from mu2slam_hf.data.tones import write_tone_corpus

ROWS = {"text": ["a", "b", "c", "d"], "locale": ["en", "fr", "EN", "xx!"], "seconds": [1.0, 2.0, 3.0, 4.0]}
COLUMNS = ManifestColumns(lang="locale", duration_seconds="seconds")


@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face_data_set_without_decoding(tmp_path, streaming):
    records = read_manifest(write_tone_corpus(tmp_path, num_sentences=2))
    columns = {
        "id": [record.key for record in records],
        "audio": [record.audio for record in records],
        "sentence": [record.text for record in records],
        "locale": [record.lang for record in records],
    }
    dataset = datasets.Dataset.from_dict(columns).cast_column("audio", datasets.Audio(decode=False))
    source = dataset.to_iterable_dataset() if streaming else dataset.cast_column("audio", datasets.Audio())
    read = list(read_dataset(source, corpus="hub"))
    assert [record.text for record in read] == columns["sentence"]
    for old, new in zip(records, read, strict=True):
        assert (load_audio(old.audio) == load_audio(new.audio)).all()


def test_data_set_rows_with_faults_are_named():
    dataset = datasets.Dataset.from_dict({"id": ["a", "b"], "text": ["hi", "ho"], "lang": ["en", "zz9"]})
    with pytest.raises(ManifestError, match=r"hub, row 1 \(id b\)"):
        list(read_dataset(dataset, corpus="hub"))


def test_saved_data_sets_and_their_splits(tmp_path):
    datasets.Dataset.from_dict(ROWS).save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"dev": datasets.Dataset.from_dict(ROWS)}).save_to_disk(tmp_path / "splits")
    datasets.Dataset.from_dict(ROWS).to_csv(tmp_path / "files" / "train.csv")
    options = {"cache_dir": str(tmp_path / "cache")}
    for folder, split, more in (("one", "train", {}), ("splits", "dev", {}), ("files", "train", options)):
        for streaming in (False, True):
            dataset = open_dataset(tmp_path / folder, split, streaming=streaming, **more)
            assert [row["text"] for row in dataset] == ROWS["text"]
            assert isinstance(dataset, datasets.IterableDataset if streaming else datasets.Dataset)
    with pytest.raises(ManifestError, match=r"splits: cannot be read as a data set; .*no split 'train'; it has dev"):
        open_dataset(tmp_path / "splits")
    with pytest.raises(ManifestError, match=r"one: .*options are not supported for a saved data set, got name"):
        open_dataset(tmp_path / "one", name="x")
    with pytest.raises(ManifestError, match="gone: cannot be read as a data set"):
        open_dataset(tmp_path / "gone")


@pytest.mark.parametrize("streaming", [False, True])
def test_sizes_and_rows_of_a_language(streaming):
    dataset = datasets.Dataset.from_dict(ROWS)
    dataset = dataset.to_iterable_dataset() if streaming else dataset
    sizes = measure_dataset(dataset, COLUMNS)
    assert {lang: (size.num_rows, size.hours) for lang, size in sizes.items()} == {
        "en": (2, pytest.approx(4 / 3600)),
        "fr": (1, pytest.approx(2 / 3600)),
    }
    assert measure_dataset(dataset, lang="de")["de"].hours is None, "no column of lengths"
    # A row without a valid language stays with all: reading it says what is wrong with it.
    assert [row["text"] for row in select_rows(dataset, COLUMNS, language="en")] == ["a", "c", "d"]
    assert [row["text"] for row in select_rows(dataset, COLUMNS, max_duration_seconds=2.5)] == ["a", "b"]
    assert select_rows(dataset, COLUMNS) is dataset


def test_a_damaged_file_of_arrow_is_an_error(tmp_path):
    """Offsets beyond the texts would be read without a check, and end the process."""
    rows = {"text": ["one two three"] * 200, "lang": ["en"] * 200}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    content = bytearray(file.read_bytes())
    second_offset = content.index(b"\0\0\0\0\x0d\0\0\0\x1a\0\0\0") + 4
    content[second_offset : second_offset + 4] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)
    with pytest.raises(ManifestError, match="cannot be read as a data set"):
        open_dataset(tmp_path / "saved")
