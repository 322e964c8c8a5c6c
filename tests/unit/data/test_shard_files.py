# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest

from mu2slam_hf.data.shard_files import ARCHIVE_ENDINGS, find_shards
from mu2slam_hf.data.table_files import ManifestError

LAYOUTS = {
    "plain": (["train.tsv", "dev.tsv", "other.tsv"], ["train.tsv"]),
    "packed": (["train.jsonl.gz", "dev.jsonl.gz"], ["train.jsonl.gz"]),
    "audiofolder": (["train/metadata.csv", "dev/metadata.jsonl"], ["train/metadata.csv"]),
    "hub": (
        ["data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "data/dev-00000-of-00001.parquet"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
    ),
    "numbered": (["train_1.jsonl", "train_2.jsonl", "dev_1.jsonl"], ["train_1.jsonl", "train_2.jsonl"]),
    "inside": (["train/b.tsv", "train/a.tsv.gz", "dev/a.tsv"], ["train/a.tsv.gz", "train/b.tsv"]),
    "single": (["metadata.jsonl"], ["metadata.jsonl"]),
    "shards": (["part-0.csv", "part-1.csv", "test.csv", "README.md"], ["part-0.csv", "part-1.csv"]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_folders_are_read_in_every_usual_layout(tmp_path, name):
    files, expected = LAYOUTS[name]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_shards(tmp_path)] == expected
    if name not in ("single", "shards"):
        assert len(find_shards(tmp_path, "dev")) == 1
    else:
        with pytest.raises(ManifestError, match=r"no files of the split 'dev' .*such as dev.tsv.*; there is "):
            find_shards(tmp_path, "dev")


def test_files_and_patterns(tmp_path):
    for name in ("a/train-1.tar", "b/train-2.tar", "b/train-2.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_shards(tmp_path / "b" / "train-2.txt") == [tmp_path / "b" / "train-2.txt"]
    assert find_shards(tmp_path / "*" / "*.tar") == [tmp_path / "a" / "train-1.tar", tmp_path / "b" / "train-2.tar"]
    assert find_shards(tmp_path / "b", endings=ARCHIVE_ENDINGS) == [tmp_path / "b" / "train-2.tar"]
    with pytest.raises(ManifestError, match=r"no file matches; expected files that end in .tar, .tar.gz, .tgz"):
        find_shards(tmp_path / "c" / "*.tar", endings=ARCHIVE_ENDINGS)
    with pytest.raises(ManifestError, match="no such file or folder"):
        find_shards(tmp_path / "c")
