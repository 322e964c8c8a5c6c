# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import gzip
import io
import json
import tarfile

import pytest
from public_schema import sound, write_gzip, write_parquet, write_tar

from mu2slam_hf.data import table_files
from mu2slam_hf.data.corpora.splits import find_parquet
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.table_files import (
    ManifestError,
    UnreadableFileError,
    csv_rows,
    json_rows,
    parquet_rows,
    table_rows,
    tar_files,
    tsv_rows,
)


def parts_of(read, count):
    return [[row for _, row in read(Part(index, count))] for index in range(count)]


def test_tables_keep_quotes_and_name_the_line_of_a_faulty_row(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('\ufeffpath\ttext\r\na\t"said\r\n\nb\tone\ttoo many\nc\tx\u2028y\n', encoding="utf-8")
    rows = list(tsv_rows(path, required=("text",)))
    assert rows[0] == (f"{path}:2", {"path": "a", "text": '"said'})
    assert rows[1][0] == f"{path}:4" and "expected 2 cells, got 3 (starts with 'b')" in str(rows[1][1])
    assert rows[2] == (f"{path}:5", {"path": "c", "text": "x\u2028y"})
    with pytest.raises(UnreadableFileError, match=r"no column 'sentence'; the columns are path, text"):
        list(tsv_rows(path, required=("sentence",)))
    path.write_text('a\\"b\\\\\tc\n', encoding="utf-8")
    assert list(tsv_rows(path, names="xy", backslash_escapes=True)) == [(f"{path}:1", {"x": 'a"b\\', "y": "c"})]


@pytest.mark.parametrize("end", ["", "\r"])
def test_lines_of_a_file_without_line_feeds_end_at_carriage_returns(tmp_path, end):
    path = tmp_path / "a.tsv"
    path.write_bytes(f"audio\ttext\ra.wav\tone\r\rb.wav\ttwo{end}".encode())
    rows = [{"audio": "a.wav", "text": "one"}, {"audio": "b.wav", "text": "two"}]
    assert list(tsv_rows(path)) == [(f"{path}:2", rows[0]), (f"{path}:4", rows[1])]
    # Within lines that end at line feeds, a carriage return is a part of the text.
    path.write_bytes(b"audio\ttext\na.wav\tone\rmore\n")
    assert [row for _, row in tsv_rows(path)] == [{"audio": "a.wav", "text": "one\rmore"}]
    path.write_bytes(b"")
    assert list(tsv_rows(path)) == []


def test_parts_of_every_format_share_the_rows_out(tmp_path):
    numbers = [{"n": number, "unused": "x"} for number in range(11)]
    write_parquet(tmp_path / "a.parquet", numbers, row_group_size=2)
    write_gzip(tmp_path / "a.tsv.gz", "n\n" + "\n".join(str(row["n"]) for row in numbers) + "\n")
    (tmp_path / "a.jsonl").write_text("".join(f'{{"n": {row["n"]}}}\n' for row in numbers), encoding="utf-8")
    (tmp_path / "a.csv").write_text("n\r\n" + "".join(f'"{row["n"]}"\r\n' for row in numbers), encoding="utf-8")
    write_tar(tmp_path / "a.tar", {str(row["n"]): b"x" for row in numbers})
    readers = {
        "parquet": lambda part: parquet_rows(tmp_path / "a.parquet", part, required=("n",)),
        "tsv": lambda part: tsv_rows(tmp_path / "a.tsv.gz", part, required=("n",)),
        "csv": lambda part: csv_rows(tmp_path / "a.csv", part),
        "jsonl": lambda part: json_rows(tmp_path / "a.jsonl", part),
        "tar": lambda part: ((name, {"n": name}) for name, _ in tar_files(tmp_path / "a.tar", part)),
    }
    for read in readers.values():
        for count in (1, 3, 8, 20):
            found = sorted(int(row["n"]) for rows in parts_of(read, count) for row in rows)
            assert found == list(range(11))
    assert next(parquet_rows(tmp_path / "a.parquet", required=("n",)))[1] == {"n": 0}
    assert next(table_rows(tmp_path / "a.parquet", columns=("n",)))[1] == {"n": 0}
    for name in ("a.parquet", "a.tsv.gz", "a.jsonl", "a.csv"):
        assert [int(row["n"]) for _, row in table_rows(tmp_path / name)] == list(range(11))
    with pytest.raises(ManifestError, match=r"a.tar: unknown format; expected a name that ends in .tsv"):
        table_rows(tmp_path / "a.tar")


def test_reading_goes_on_at_any_row_of_every_format(tmp_path):
    table = [{"n": str(number), "text": f"é{number}\u2028" * number} for number in range(9)]
    cells = [f"{row['n']}\t{row['text']}" for row in table]
    write_parquet(tmp_path / "a.parquet", table, row_group_size=2)
    write_gzip(tmp_path / "a.tsv.gz", "\ufeffn\ttext\r\n" + "\r\n\r\n".join(cells) + "\n")
    lines = [json.dumps(row, ensure_ascii=False) for row in table]
    (tmp_path / "a.jsonl").write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    quoted = "".join(f'{row["n"]},"{row["text"]}\nx\r"\r\n' for row in table)
    (tmp_path / "a.csv").write_bytes(f"n,text\r\n{quoted}".encode())
    (tmp_path / "b.csv").write_bytes(b"n,text\r" + b"".join(f"{row['n']},x\r".encode() for row in table))
    write_tar(tmp_path / "a.tar", {"x" * 120 + row["n"]: row["text"].encode() for row in table})
    write_tar(tmp_path / "a.tar.gz", {row["n"]: row["text"].encode() for row in table})
    for name in ("a.parquet", "a.tsv.gz", "a.jsonl", "a.csv", "b.csv", "a.tar", "a.tar.gz"):
        path = tmp_path / name
        read = tar_files if ".tar" in name else lambda path, part: table_rows(path, part=part)
        whole = list(read(path, Part()))
        assert len(whole) == 9, name
        for index, count in ((0, 1), (1, 2), (2, 7)):
            part = Part(index, count)
            rows, positions = [], [part.position]
            for row in read(path, part):
                rows.append(row)
                positions.append(part.position)
            assert name in ("a.parquet", "a.jsonl") or rows == whole[index::count]
            for number, position in enumerate(positions):
                assert list(read(path, Part(index, count, position))) == rows[number:], (name, position)


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("a,b", 'x;y,"1,5"', {"a": "x;y", "b": "1,5"}),
        ("a;b", 'x,y;"1;5"', {"a": "x,y", "b": "1;5"}),
        ('"a;b;c",d', "x;y,z", {"a;b;c": "x;y", "d": "z"}),
        ('"a,b,c";d', "x,y;z", {"a,b,c": "x,y", "d": "z"}),
        ("a\tb", "x,y\tz", {"a": "x,y", "b": "z"}),
        ("a", "x;y", {"a": "x;y"}),
    ],
)
def test_the_names_of_columns_tell_what_separates_the_cells(tmp_path, header, row, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(f"\r\n{header}\r\n{row}\r\n{row}\r\n".encode("utf-8-sig"))
    part = Part()
    assert [found for _, found in csv_rows(path)] == [expected, expected]
    next(csv_rows(path, part))
    assert [found for _, found in csv_rows(path, Part(start=part.position))] == [expected]
    write_gzip(tmp_path / "a.csv.gz", f"{header}\n{row}\n")
    assert [found for _, found in table_rows(tmp_path / "a.csv.gz")] == [expected]


def test_faulty_files_are_named_with_the_reason(tmp_path):
    path = tmp_path / "c4-en.json.gz"
    packed = gzip.compress(b'{"text": "a"}\n{"text"\n[1]\n\n' + b'{"text": "b"}\n' * 3000)
    path.write_bytes(packed)
    rows = [row for _, row in json_rows(path)]
    assert (
        rows[0] == {"text": "a"}
        and "not valid JSON" in str(rows[1])
        and "expected an object with columns, got list" in str(rows[2])
    )
    path.write_bytes(packed[:-20])
    with pytest.raises(UnreadableFileError, match=r"c4-en.json.gz: cannot be read, or is truncated"):
        list(json_rows(path))
    path.write_bytes(b"not packed at all")
    with pytest.raises(UnreadableFileError, match=r"c4-en.json.gz"):
        list(json_rows(path))
    (tmp_path / "open.csv").write_text('a,b\n"x,y\n', encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"open.csv:2: unexpected end of data"):
        list(table_rows(tmp_path / "open.csv"))
    (tmp_path / "latin.tsv").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(UnreadableFileError, match="not valid UTF-8"):
        list(tsv_rows(tmp_path / "latin.tsv"))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UnreadableFileError, match="not valid Parquet"):
        list(parquet_rows(tmp_path / "a.parquet"))
    write_parquet(tmp_path / "b.parquet", [{"text": "a"}])
    with pytest.raises(UnreadableFileError, match="no column 'audio'; the columns are text"):
        list(parquet_rows(tmp_path / "b.parquet", required=("audio",)))
    write_tar(tmp_path / "a.tar", {"1.wav": sound(), "2.wav": sound()})
    cut = (tmp_path / "a.tar").read_bytes()[:20_000]
    (tmp_path / "a.tar").write_bytes(cut)
    with pytest.raises(UnreadableFileError, match="a.tar: cannot be read, or is truncated"):
        list(tar_files(tmp_path / "a.tar"))
    with pytest.raises(ManifestError, match="gone.tsv"):
        list(tsv_rows(tmp_path / "gone.tsv"))


def test_parquet_files_are_found_in_both_layouts_of_the_hub(tmp_path):
    for name in ("de/train-00001-of-00002.parquet", "de/train-00000-of-00002.parquet", "data/fr/test/0000.parquet"):
        write_parquet(tmp_path / name, [{"a": 1}])
    write_parquet(tmp_path / "parquet-data" / "en_us" / "validation-00000-of-00001.parquet", [{"a": 1}])
    names = [path.name for path in find_parquet(tmp_path, "de", "train")]
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert find_parquet(tmp_path, "fr", "test") == [tmp_path / "data" / "fr" / "test" / "0000.parquet"]
    assert len(find_parquet(tmp_path, "en_us", "dev")) == len(find_parquet(tmp_path, "en_us", "validation")) == 1
    assert find_parquet(tmp_path, "de", "test") == []


def test_archives_whose_header_claims_a_huge_file(tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, size in (("a.wav", 10), ("b.wav", 2000)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    assert [len(content) for _, content in table_files.tar_files(path)] == [10, 2000]
    monkeypatch.setattr(table_files, "MAX_MEMBER_BYTES", 1000)
    with pytest.raises(ManifestError, match=r"a\.tar: cannot be read, or is truncated \(b\.wav is larger than"):
        list(table_files.tar_files(path))
