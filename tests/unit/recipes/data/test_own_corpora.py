# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A person's own data by a recipe alone: manifests, WebDataset archives and data sets, as tables and as streams."""

import gzip
import json
from pathlib import Path

import datasets
import pytest
from helpers import REPOSITORY_ROOT
from public_schema import write_tar
from resuming import check_resume

from mu2slam_hf.cli import main
from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.recipes.data.mixture import build_mixture
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.data.streams import build_sources
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.runs.run import build_arguments

RECIPE = REPOSITORY_ROOT / "configuration" / "recipes" / "mu2slam" / "pretrain_tiny_test.yaml"
NUM_SENTENCES, LANGUAGES = 6, ("en", "fr")


def write_manifests(root, rows, records):
    """Two packed shards, with the audio beside them."""
    for number in range(2):
        lines = "".join(json.dumps(row) + "\n" for row in rows[number::2])
        (root / f"train-{number}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return {"manifest": str(root)}


def write_archives(root, rows, records):
    """Two archives; the text is a file of its own."""
    for number in range(2):
        files = {}
        for row, record in list(zip(rows, records, strict=True))[number::2]:
            key = f"clips/{row['lang']}_{row['id']}"
            files[f"{key}.wav"] = Path(record.audio).read_bytes()
            files[f"{key}.txt"] = row["text"].encode()
            facts = {name: row[name] for name in ("lang", "translations", "duration_s")}
            files[f"{key}.json"] = json.dumps(facts).encode()
            files[f"{key}.cls"] = b"1"
        write_tar(root / "shards" / f"part-{number}.tar", files)
    return {"webdataset": str(root / "shards" / "*.tar")}


def as_dataset(rows, records):
    packed = [
        row | {"audio": record.audio, "translations": json.dumps(row["translations"])}
        for row, record in zip(rows, records, strict=True)
    ]
    return datasets.Dataset.from_list(packed).cast_column("audio", datasets.Audio())


def write_saved_dataset(root, rows, records):
    datasets.DatasetDict({"train": as_dataset(rows, records)}).save_to_disk(root / "saved")
    return {"dataset": str(root / "saved")}


def write_parquet_folder(root, rows, records):
    as_dataset(rows, records).to_parquet(root / "hub" / "data" / "train-00000-of-00001.parquet")
    return {"dataset": str(root / "hub"), "options": {"cache_dir": str(root / "cache")}}


WRITERS = {
    "manifest": write_manifests,
    "webdataset": write_archives,
    "saved": write_saved_dataset,
    "parquet": write_parquet_folder,
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Kind -> section of a recipe, all of them with the same records."""
    sections = {}
    for kind, write in WRITERS.items():
        root = tmp_path_factory.mktemp(kind)
        manifest = write_tone_corpus(root, num_sentences=NUM_SENTENCES, languages=LANGUAGES, max_words=2)
        records = read_manifest(manifest)
        manifest.unlink()
        rows = [
            {
                **{"id": record.id, "lang": record.lang, "text": record.text, "translations": record.translations},
                **{"audio": str(Path(record.audio).relative_to(root)), "duration_s": record.duration_seconds},
            }
            for record in records
        ]
        sections[kind] = write(root, rows, records)
    return sections


@pytest.fixture
def load(tmp_path):
    def load(section, *overrides):
        corpora = f"data.corpora.train={json.dumps(section)}"
        short = ("data.block_size=4", f"output.dir={tmp_path / 'run'}", "evaluation.corpora={}")
        return load_recipe(RECIPE, [corpora, *short, *overrides])

    return load


@pytest.mark.parametrize("streaming", ["false", "true"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_data_gives_batches(own, load, kind, streaming):
    recipe = load(own[kind], f"data.streaming={streaming}")
    run = build_run(recipe)
    data = run.load_data()
    processor = run.build_processor(data)
    assert processor.languages == ["und", "en", "fr"]
    dataset, sampler = build_mixture(recipe, processor, data, build_arguments(recipe))
    keys = next(iter(sampler))
    items = [dataset[key] for key in keys]
    assert {item.drawn.task for item in items} == {"speech", "text", "asr", "ast", "mt"}
    assert all(item.error is None for item in items)
    batch = run.build_collator(processor, run.build_model(processor, data))(items)
    assert len(batch["record_ids"]) > 0
    if streaming == "true":
        hours = {source.lang: source.size for source in sampler.sources if source.task == "asr"}
        expected = {record.lang: 0.0 for record in read_all(own["manifest"])}
        for record in read_all(own["manifest"]):
            expected[record.lang] += record.duration_seconds / 3600
        assert hours == pytest.approx(expected)
        assert {source.size for source in sampler.sources if source.task == "mt"} == {NUM_SENTENCES}


@pytest.mark.parametrize("kind", ["manifest", "webdataset"])
def test_a_streamed_run_measures_every_file_once(own, load, kind, monkeypatch):
    measured, measure = [], ManifestShardReader.measure
    monkeypatch.setattr(
        ManifestShardReader, "measure", lambda self, shard: measured.append(shard) or measure(self, shard)
    )
    run = build_run(load(own[kind], "data.streaming=true"))
    data = run.load_data()
    processor = run.build_processor(data)
    run.build_trainer(processor, run.build_model(processor, data), data)
    assert measured and len(measured) == len(set(measured))


def read_all(section, **more):
    from mu2slam_hf.recipes.schema.data import CorpusSource

    return load_records({"x": CorpusSource(**section, **more)}, "data.corpora")["x"]


def test_all_kinds_hold_the_same_records(own):
    found = {kind: read_all(section) for kind, section in own.items()}
    expected = sorted((r.lang, r.text, dict(r.translations), r.duration_seconds) for r in found["manifest"])
    assert len(expected) == NUM_SENTENCES * len(LANGUAGES)
    for records in found.values():
        assert sorted((r.lang, r.text, dict(r.translations), r.duration_seconds) for r in records) == expected


def test_a_streamed_corpus_trains_from_the_command_line(own, tmp_path):
    section = json.dumps(own["webdataset"] | {"max_duration_seconds": 0.9})
    settings = ["data.streaming=true", f"data.corpora.train={section}", "evaluation.corpora={}", "data.block_size=4"]
    settings += ["training.max_steps=2", "training.eval_steps=0", f"output.dir={tmp_path}"]
    assert main(["train", "--recipe", str(RECIPE), *(item for text in settings for item in ("--set", text))]) == 0
    assert (tmp_path / "final" / "model.safetensors").is_file()


@pytest.mark.parametrize("kind", WRITERS)
def test_sizes_are_given_or_those_of_files(own, load, kind):
    def sizes(section, task, *overrides):
        sources = build_sources(load(section, *overrides), [task], rank=0, num_ranks=1, failures=None)
        return {source.lang: source.size for source in sources}

    given = sizes(own[kind] | {"total_size": 30}, "asr")
    assert sum(given.values()) == pytest.approx(30) and set(given) == {"en", "fr"}
    assert sizes(own[kind] | {"total_size": 30, "lang": "en"}, "speech") == {"en": 30}
    # Without lengths: the bytes of the files, divided like the rows.
    in_bytes = sizes(own[kind] | {"columns": {"duration_seconds": "lang"}}, "asr")
    assert in_bytes["en"] == in_bytes["fr"] > 100


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"manifest": "gone/*.tsv"}, r"data\.corpora\.train\.manifest: no such .*pattern: 'gone/\*\.tsv'"),
        ({"webdataset": "."}, r"data\.corpora\.train\.webdataset: .*no files of the split 'train' that end in .tar"),
        ({"dataset": "empty"}, r"data\.corpora\.train\.dataset: .*cannot be read as a data set; expected a folder"),
        ({"dataset": "."}, r"data\.corpora\.train: .*(no row has a language|no column for the language)"),
        ({"manifest": "x.tsv", "columns": {"words": "text"}}, r"data\.corpora\.train\.columns: .*'words'"),
        ({}, r"data\.corpora\.train: give exactly one of name .*; got none"),
        ({"manifest": "x.tsv", "name": "mc4"}, r"data\.corpora\.train: give exactly one of name .*got name"),
        ({"name": "mc4"}, r"data\.corpora\.train\.root: the folder of corpus 'mc4' is required"),
        ({"manifest": "x.tsv"}, r"no row has a language|no column for the language"),
    ],
)
@pytest.mark.parametrize("streaming", ["false", "true"])
def test_errors_name_the_key_and_what_is_expected(load, tmp_path, monkeypatch, section, message, streaming):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.tsv").write_text("id\ttext\na\tone\n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        recipe = load(section, f"data.streaming={streaming}")
        run = build_run(recipe)
        run.build_processor(run.load_data())


def test_rows_that_are_too_long_are_not_streamed(own, load):
    for kind, section in own.items():
        recipe = load(section | {"max_duration_seconds": 0.5}, "data.streaming=true")
        sources = build_sources(recipe, ["speech"], rank=0, num_ranks=1, failures=None)
        read = [source.stream.read()[1] for source in sources for _ in range(8)]
        assert {record.duration_seconds for record in read} == {0.4}, kind


@pytest.mark.parametrize("kind", WRITERS)
def test_streams_go_on_where_a_state_was_taken(own, load, kind):
    def streams(rank=0, num_ranks=1):
        recipe = load(own[kind], "data.streaming=true")
        sources = build_sources(recipe, ["asr"], rank=rank, num_ranks=num_ranks, failures=None)
        return [source.stream for source in sources]

    def read(stream, count):
        return [(epoch, record.key) for epoch, record in (stream.read() for _ in range(count))]

    for number in range(len(LANGUAGES)):
        check_resume(lambda place=number: streams()[place], [5], 9, read)
    epochs = [[stream.read()[1].text for stream in streams(rank, 2) for _ in range(3)] for rank in range(2)]
    assert sorted(epochs[0] + epochs[1]) == sorted(record.text for record in read_all(own[kind]))
