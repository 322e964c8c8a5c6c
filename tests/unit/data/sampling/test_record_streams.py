# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import gzip
import json
import random
import tarfile
from collections import Counter

import datasets
import pytest
from public_schema import write_tar
from resuming import check_resume

from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.corpora.webdataset import WebDatasetReader
from mu2slam_hf.data.examples.failures import FailureCount, TooManyBadRecordsError
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.dataset_streams import DatasetStream
from mu2slam_hf.data.sampling.record_streams import divide_states
from mu2slam_hf.data.sampling.sharded_streams import ShardedStream
from mu2slam_hf.data.table_files import ManifestError


class Shards:
    """Shards "0", "1", ... of so many records each; counts the records that were read."""

    def __init__(self, sizes):
        self.sizes, self.num_read = sizes, 0

    def __call__(self, shard):
        for number in range(self.sizes[int(shard)]):
            self.num_read += 1
            yield SpeechTextRecord(id=f"{shard}-{number}", text="x", lang="en")


SIZES = (7, 1, 12, 0, 5, 9)


def sharded(sizes=SIZES, reader=None, **kwargs):
    given = {"name": "s", "seed": 2, "block_size": 4} | kwargs
    return ShardedStream([str(n) for n in range(len(sizes))], reader or Shards(sizes), **given)


def data_set(num_shards, size=30, with_ids=True):
    def rows(shards):
        for shard in shards:
            for number in range(shard, size, num_shards):
                yield {"text": f"text {number}", "lang": "en"} | ({"id": f"{number}"} if with_ids else {})

    return datasets.IterableDataset.from_generator(rows, gen_kwargs={"shards": list(range(num_shards))})


def first_epochs(streams, num_epochs):
    """Per epoch the ids that all ranks read of it."""
    epochs = [[] for _ in range(num_epochs)]
    for stream in streams:
        epoch, record = stream.read()
        while epoch < num_epochs:
            epochs[epoch].append(record.id)
            epoch, record = stream.read()
    return epochs


def read(stream, count):
    return [(epoch, record.id) for epoch, record in (stream.read() for _ in range(count))]


STREAMS = {
    "shards, divided": (lambda **kwargs: sharded(**kwargs), sum(SIZES)),
    "shards, not divided": (lambda **kwargs: sharded(SIZES[:5], **kwargs), sum(SIZES[:5])),
    "one shard": (lambda **kwargs: sharded((23,), **kwargs), 23),
    "in order": (lambda **kwargs: sharded(shuffle=False, **kwargs), sum(SIZES)),
    "data set, divided": (
        lambda **kwargs: DatasetStream(data_set(6), corpus="c", name="d", block_size=4, **kwargs),
        30,
    ),
    "data set, not divided": (
        lambda **kwargs: DatasetStream(data_set(5), corpus="c", name="d", block_size=4, **kwargs),
        30,
    ),
}


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
@pytest.mark.parametrize("kind", STREAMS)
def test_every_record_once_per_epoch_over_all_ranks(kind, num_ranks):
    build, size = STREAMS[kind]
    epochs = first_epochs([build(rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)], 3)
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == size
    assert set(epochs[0]) == set(epochs[1])
    assert (epochs[0] == epochs[1]) == (kind == "in order")


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
@pytest.mark.parametrize("kind", STREAMS)
def test_resume_is_exact_at_any_place(kind, num_ranks):
    build, _ = STREAMS[kind]
    chance = random.Random(0)
    for rank in range(num_ranks):
        place = {"rank": rank, "num_ranks": num_ranks}
        assert build(**place).fingerprint_parts() == build(**place).fingerprint_parts()
        check_resume(lambda given=place: build(**given), [0, *(chance.randrange(60) for _ in range(6))], 20, read)


def test_ranks_read_only_their_shards_where_they_divide():
    reader = Shards((10,) * 6)
    streams = [sharded((10,) * 6, reader, rank=rank, num_ranks=3) for rank in range(3)]
    assert not streams[0].reads_all_shards
    first_epochs(streams, 1)
    # at most one block of the next epoch each
    assert reader.num_read <= 60 + 3 * 4
    shards = [sorted(stream.own_shards()) for stream in streams]
    assert sorted(sum(shards, [])) == list(range(6))
    assert sharded(rank=0, num_ranks=4).reads_all_shards


def test_no_more_than_a_block_is_held():
    reader = Shards((1000,))
    stream = sharded((1000,), reader, block_size=10)
    for count in range(1, 100):
        stream.read()
        assert reader.num_read <= 10 * -(-count // 10)
    heavy = [
        SpeechTextRecord(id=str(n), audio={"bytes": b"x" * 1000}, lang="en", duration_seconds=1.0) for n in range(50)
    ]
    stream = ShardedStream(["0"], lambda shard: iter(heavy), name="h", block_bytes=5000)
    assert sorted(int(record.id) for _, record in (stream.read() for _ in range(5))) == [0, 1, 2, 3, 4]


def test_what_is_shuffled_together_comes_from_several_shards():
    stream = sharded((40,) * 9, block_size=8, num_mixed_shards=3)
    ids = [record.id for _, record in (stream.read() for _ in range(360))]
    assert len(set(ids)) == 360
    blocks = [Counter(id.split("-")[0] for id in ids[first : first + 8]) for first in range(0, 360, 8)]
    assert all(sorted(block.values()) == [2, 3, 3] for block in blocks[:10])
    assert len({shard for block in blocks[:13] for shard in block}) == 3, "the next shard waits for one to end"
    # Two shards that end in one block are both followed in it.
    assert max(map(len, blocks)) <= 5
    numbers = [int(id.split("-")[1]) for id in ids[:8]]
    assert numbers != sorted(numbers) and max(numbers) <= 2
    assert ids != [record.id for _, record in (stream.read() for _ in range(360))]
    in_order = sharded((10,) * 3, shuffle=False)
    assert [record.id for _, record in (in_order.read() for _ in range(30))] == [
        f"{shard}-{number}" for shard in range(3) for number in range(10)
    ]
    with pytest.raises(ValueError, match="num_mixed_shards"):
        sharded(num_mixed_shards=0)


def continued(streams, build, num_ranks):
    """Streams of another number of processes that go on where these are."""
    states = divide_states([json.loads(json.dumps(stream.state_dict())) for stream in streams], num_ranks)
    found = [build(rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    for stream, state in zip(found, states, strict=True):
        stream.load_state_dict(json.loads(json.dumps(state)))
    return found


@pytest.mark.parametrize("path", [(2, 1, 2), (3, 2, 4), (1, 4, 1), (2, 2, 3)])
@pytest.mark.parametrize("kind", STREAMS)
def test_another_number_of_processes_loses_and_repeats_nothing(kind, path):
    build, size = STREAMS[kind]
    for chance in map(random.Random, range(4)):
        streams = [build(rank=rank, num_ranks=path[0]) for rank in range(path[0])]
        seen = Counter()
        for number, num_ranks in enumerate(path):
            streams = continued(streams, build, num_ranks) if number else streams
            for stream in streams:
                seen.update((epoch, record) for epoch, record in read(stream, chance.randrange(2 * size)))
        # to the end of the last epoch that any of them has begun
        last = max(epoch for epoch, _ in seen) + 1
        for stream in streams:
            while True:
                epoch, record = stream.read()
                if epoch > last:
                    break
                seen[epoch, record.id] += 1
        assert set(seen.values()) == {1}
        assert Counter(epoch for epoch, _ in seen) == dict.fromkeys(range(last + 1), size)


def test_a_resumed_stream_seeks(tmp_path, monkeypatch):
    """Of 2,000 lines and 2,000 archived samples, those before the position are neither parsed nor visited."""
    lines = [json.dumps({"id": str(number), "text": f"text {number}", "lang": "en"}) for number in range(2000)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    write_tar(tmp_path / "x.tar", {f"{number}.json": line.encode() for number, line in enumerate(lines)})
    counts = Counter()
    loads, following = json.loads, tarfile.TarFile.next
    monkeypatch.setattr(json, "loads", lambda text: counts.update(["x.jsonl"]) or loads(text))
    monkeypatch.setattr(tarfile.TarFile, "next", lambda archive: counts.update(["x.tar"]) or following(archive))
    for name, reader in (("x.jsonl", ManifestShardReader(corpus="c")), ("x.tar", WebDatasetReader(corpus="c"))):

        def build(name=name, reader=reader):
            return ShardedStream([str(tmp_path / name)], reader, name="s", block_size=50)

        stream = build()
        read(stream, 1900)
        state = stream.state_dict()
        whole = read(stream, 30)
        resumed = build()
        resumed.load_state_dict(state)
        counts.clear()
        assert read(resumed, 30) == whole
        assert 50 <= counts[name] <= 110, "the block of the position and the next one"


def test_a_stream_without_a_record_for_a_rank_says_so():
    stream = sharded((2,), rank=2, num_ranks=3)
    with pytest.raises(ValueError, match="no record for process 3 of 3.*fewer records than"):
        stream.read()
    for kwargs, match in [({"rank": 1}, "rank"), ({"block_size": 0}, "block_size"), ({"sizes": ()}, "no shards")]:
        with pytest.raises(ValueError, match=match):
            sharded(**kwargs)
    with pytest.raises(ValueError, match="twice"):
        ShardedStream(["a", "a"], Shards((1,)), name="s")


ROWS = [{"id": f"r{n}", "text": f"text {n}", "lang": "en" if n % 2 else "fr", "duration_s": "1.5"} for n in range(25)]


def test_rows_of_jsonl_may_gain_columns(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "lang": "en"}\n{"text": "b", "lang": "en", "translations": {"fr": "bb"}}\n')
    records = list(ManifestShardReader(corpus="c")(str(path)))
    assert [dict(record.translations) for record in records] == [{}, {"fr": "bb"}]
    assert [record.id for record in records] == ["x.jsonl-1", "x.jsonl-2"]


def test_corrupt_rows_and_shards_are_counted_and_named(tmp_path, caplog):
    good = [json.dumps(row) for row in ROWS]
    (tmp_path / "bad.jsonl").write_text("\n".join([*good[:5], "{broken", '{"id": "e", "lang": "en"}', *good[5:]]))
    packed = gzip.compress("\n".join(json.dumps(row | {"id": "z" + row["id"]}) for row in ROWS * 200).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    shards = [str(path) for path in sorted(tmp_path.iterdir())]
    failures = FailureCount(0.5)
    stream = ShardedStream(
        shards, ManifestShardReader(corpus="c", failures=failures), name="m", failures=failures, shuffle=False
    )
    (epoch,) = first_epochs([stream], 1)
    assert epoch[:25] == [row["id"] for row in ROWS] and epoch[25].startswith("zr")
    assert failures.failures == 3 + 2  # the faulty rows of the first shard once more: the next epoch was begun
    for part in ("bad.jsonl:6", "bad.jsonl:7 (id e)", "cut.jsonl.gz", "truncated"):
        assert part in caplog.text
    with pytest.raises(ManifestError, match=r"bad.jsonl:6"):
        first_epochs([ShardedStream(shards[:1], ManifestShardReader(corpus="c"), name="m")], 1)
    with pytest.raises(ManifestError, match="truncated"):
        first_epochs([ShardedStream(shards[1:], ManifestShardReader(corpus="c"), name="m")], 1)


def test_too_many_corrupt_rows_stop_the_run(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(["{}"] * 9 + [json.dumps(row) for row in ROWS]))
    failures = FailureCount(0.3)
    reader = ManifestShardReader(corpus="c", lang="en", failures=failures)
    assert len(list(reader(str(path)))) == len(ROWS)
    with pytest.raises(ManifestError, match="x.jsonl:1: neither audio nor text"):
        list(ManifestShardReader(corpus="c", lang="en")(str(path)))
    failures = FailureCount(0.3)
    reader = ManifestShardReader(corpus="c", lang="en", failures=failures)
    path.write_text("\n".join([*(json.dumps(row) for row in ROWS[:1]), *["{}"] * 30]))
    stream = ShardedStream([str(path)], reader, name="m", failures=failures)
    with pytest.raises(TooManyBadRecordsError, match=r"exceeds the maximum share of 0.3.*x.jsonl:11"):
        first_epochs([stream], 1)


def test_one_data_set_for_two_streams_and_faulty_rows():
    rows = data_set(2)
    one, two = (DatasetStream(rows, corpus="c", name=name, block_size=4) for name in ("a", "b"))
    read(one, 11)
    assert len({record for _, record in read(two, 30)}) == 30
    assert len({record for _, record in read(one, 19)}) == 19
    assert (
        len({record for _, record in read(DatasetStream(data_set(2, with_ids=False), corpus="c", name="n"), 30)}) == 30
    )

    def faulty():
        for number in range(12):
            yield {"id": str(number), "text": "" if number == 7 else "t", "lang": "en"}

    failures = FailureCount(0.5)
    stream = DatasetStream(datasets.IterableDataset.from_generator(faulty), corpus="c", name="f", failures=failures)
    (epoch,) = first_epochs([stream], 1)
    assert len(epoch) == 11 and failures.failures >= 1
    with pytest.raises(ManifestError, match=r"f, row 7 of process 0 \(id 7\)"):
        read(DatasetStream(datasets.IterableDataset.from_generator(faulty), corpus="c", name="f"), 1)


def test_shuffle_buffers_are_refused():
    with pytest.raises(ValueError, match="has a shuffle buffer, whose content no checkpoint holds"):
        DatasetStream(data_set(3).shuffle(seed=0, buffer_size=10), corpus="c", name="d")
