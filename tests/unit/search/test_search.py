# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Search in recordings: the files of an index, what changes them, exact and approximate neighbours, and Qdrant."""

import json
import multiprocessing
import os
import shutil
import signal
import time

import numpy as np
import pytest
import soundfile
from helpers import make_tiny_pair

pytest.importorskip("faiss")

from mu2slam_hf import SpeechIndex
from mu2slam_hf.cli import main
from mu2slam_hf.locks import locked_folder
from mu2slam_hf.search import faiss_index, speech_index
from mu2slam_hf.search.clips import ClipEncoder, cut_recording
from mu2slam_hf.search.faiss_index import NearestVectors, build_index, choose_index_type
from mu2slam_hf.search.qdrant_index import QdrantClips

RATE = 16_000


class SpectrumEncoder:
    """Stands for a model: the vector of a clip is a part of its spectrum, and a text names a seed of `make_wave`."""

    is_centered = False

    def __init__(self, delay=0.0, name="spectrum"):
        self.delay, self.name, self.num_encoded = delay, name, 0

    def describe(self):
        return {"model": self.name, "weights": "0", "similarity": "dot product"}

    def encode_clips(self, waveforms, languages):
        self.num_encoded += len(waveforms)
        time.sleep(self.delay * len(waveforms))
        return np.stack([self._vector(waveform) for waveform in waveforms])

    def encode_query(self, center, *, text=None, audio=None, language=None):
        return self._vector(make_wave(int(text)))

    def _vector(self, waveform):
        spectrum = np.abs(np.fft.rfft(np.asarray(waveform, np.float64), n=8192))[:512].reshape(32, 16).mean(axis=1)
        return (spectrum / np.linalg.norm(spectrum)).astype(np.float32)


def make_wave(seed, seconds=0.3):
    generator = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * f * times) for f in generator.uniform(50, 900, 3)).astype(np.float32) / 10


def write(folder, seeds):
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        soundfile.write(folder / f"{seed}.wav", make_wave(seed), RATE, subtype="FLOAT")
    return folder


def build(folder, encoder=None):
    folder.mkdir(exist_ok=True)
    return SpeechIndex(folder, encoder or SpectrumEncoder(), 10.0)


def rows_of(index):
    """Everything that is in an index, in an order that does not depend on how it came there."""
    clips, vectors, _ = index.vectors()
    rows = [
        (os.path.basename(c.path), c.start_seconds, c.end_seconds, v.tobytes())
        for c, v in zip(clips, vectors, strict=True)
    ]
    return sorted(rows)


def test_clips_are_found_and_the_order_is_that_of_all_products(tmp_path):
    index = build(tmp_path / "index")
    changes = index.add([write(tmp_path / "audio", range(20))])
    assert (changes.added, changes.errors) == (20, {})
    clips, vectors, _ = index.vectors()
    for seed in (3, 17):
        hits = index.search(str(seed), top=20)
        assert os.path.basename(hits[0].path) == f"{seed}.wav" and hits[0].score == pytest.approx(1, abs=1e-3)
        assert (hits[0].start_seconds, hits[0].end_seconds) == (0.0, 0.3)
        products = vectors @ index.encoder.encode_query(None, text=str(seed))
        assert [hit.path for hit in hits] == [clips[row].path for row in np.argsort(-products, kind="stable")]


def test_added_in_parts_is_added_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(speech_index, "GROUP_CLIPS", 3)
    audio = write(tmp_path / "audio", range(10))
    whole, parts = build(tmp_path / "whole"), build(tmp_path / "parts")
    whole.add([audio])
    for seed in range(10):
        parts.add([audio / f"{seed}.wav"])
    assert rows_of(whole) == rows_of(parts)
    assert len(whole.segments.files) == 4 and len(parts.segments.files) == 10


def test_changed_moved_and_removed_files(tmp_path):
    audio, encoder = write(tmp_path / "audio", range(6)), SpectrumEncoder()
    index = build(tmp_path / "index", encoder)
    index.add([audio])
    assert encoder.num_encoded == 6
    (audio / "1.wav").rename(audio / "moved.wav")
    (audio / "2.wav").unlink()
    soundfile.write(audio / "3.wav", make_wave(33), RATE, subtype="FLOAT")
    os.utime(audio / "4.wav", ns=(1, 1))  # touched, the same content
    changes = index.add([audio])
    assert (changes.added, changes.moved, changes.removed) == (0, 1, 1) and encoder.num_encoded == 7
    fresh = build(tmp_path / "fresh")
    fresh.add([audio])
    assert rows_of(index) == rows_of(fresh)
    assert index.search("1")[0].path.endswith("moved.wav") and index.search("33")[0].path.endswith("3.wav")
    assert not any(hit.path.endswith("2.wav") for hit in index.search("2", top=9))
    # Of other folders nothing is removed.
    index.add([write(tmp_path / "more", [7])])
    assert len(index.vectors()[0]) == 6
    assert len(list((tmp_path / "index").glob("built-*"))) == 1


def test_an_unreadable_recording_is_reported_and_the_others_are_indexed(tmp_path):
    audio = write(tmp_path / "audio", range(2))
    (audio / "broken.wav").write_bytes(b"RIFF")
    index = build(tmp_path / "index")
    assert list(index.add([audio]).errors) == [str(audio / "broken.wav")]
    assert len(rows_of(index)) == 2
    with pytest.raises(ValueError, match="no such file"):
        index.add([tmp_path / "none"])


def test_what_becomes_unreadable_is_no_longer_found(tmp_path):
    audio = write(tmp_path / "audio", range(3))
    index = build(tmp_path / "index")
    index.add([audio])
    (audio / "1.wav").write_bytes(b"RIFF")
    assert list(index.add([audio]).errors) == [str(audio / "1.wav")]
    assert [os.path.basename(row[0]) for row in rows_of(index)] == ["0.wav", "2.wav"]


def test_another_language_is_computed_again(tmp_path):
    audio, encoder = write(tmp_path / "audio", range(2)), SpectrumEncoder()
    index = build(tmp_path / "index", encoder)
    index.add([audio], "en")
    index.add([audio])
    assert encoder.num_encoded == 2
    index.add([audio], "fr")
    assert encoder.num_encoded == 4 and {clip.language for clip in index.vectors()[0]} == {"fr"}
    assert len(rows_of(index)) == 2


def test_only_one_process_adds_at_a_time(tmp_path):
    index = build(tmp_path / "index")
    audio = write(tmp_path / "audio", range(2))
    with locked_folder(tmp_path / "index"), pytest.raises(ValueError, match="is in use by another command"):
        index.add([audio])
    assert index.add([audio]).added == 2


def test_a_damaged_file_is_named(tmp_path):
    index = build(tmp_path / "index")
    index.add([write(tmp_path / "audio", range(2))])
    index.segments.files[0].write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"00000000\.parquet: cannot be read"):
        index.segments.read()


def test_what_is_derived_is_built_again(tmp_path):
    index = build(tmp_path / "index")
    index.add([write(tmp_path / "audio", range(4))])
    before = index.search("2")
    for folder in (tmp_path / "index").glob("built-*"):
        shutil.rmtree(folder)
    assert build(tmp_path / "index").search("2") == before


def add_and_wait(folder, audio):
    speech_index.GROUP_CLIPS = 2
    build(folder, SpectrumEncoder(delay=0.004)).add([audio])


def test_killed_twenty_times_while_indexing(tmp_path):
    audio = write(tmp_path / "audio", range(40))
    generator = np.random.default_rng(0)
    context = multiprocessing.get_context("fork")
    for _ in range(20):
        process = context.Process(target=add_and_wait, args=(tmp_path / "index", audio))
        process.start()
        time.sleep(generator.uniform(0.01, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    index, fresh = build(tmp_path / "index"), build(tmp_path / "fresh")
    known = len(index.segments.read())
    assert index.add([audio]).added == 40 - known
    fresh.add([audio])
    assert rows_of(index) == rows_of(fresh)


def make_vectors(n=3000, d=24, seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(60, d))
    vectors = centres[generator.integers(60, size=n)] + 0.3 * generator.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("index_type", ["Flat", "IVF32,SQ8", "HNSW16"])
def test_types_of_indices(tmp_path, index_type):
    vectors = make_vectors()
    settings = build_index(tmp_path, vectors, index_type)
    nearest = NearestVectors.open(tmp_path)
    queries = vectors[::60] + 0.05 * np.random.default_rng(1).normal(size=vectors[::60].shape).astype(np.float32)
    products, rows = nearest.search(queries, 10)
    expected = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows.tolist(), expected.tolist(), strict=True)])
    if index_type == "Flat":
        assert settings == {"index_type": "Flat"} and recall == 1.0
    else:
        assert settings["recall"] >= 0.95 and recall > 0.9
    # The best are compared exactly, by vectors in float16.
    own = np.take_along_axis(queries @ vectors.T, rows, 1)
    np.testing.assert_allclose(products, own, atol=2e-3)
    assert (np.diff(products, axis=1) <= 1e-6).all()


def test_a_higher_recall_needs_more_probes(tmp_path):
    vectors = make_vectors()
    probes = []
    for recall in (0.1, 0.999):
        (tmp_path / str(recall)).mkdir()
        probes.append(build_index(tmp_path / str(recall), vectors, "IVF32,SQ8", recall)["nprobe"])
    assert probes[0] < probes[1]
    with pytest.raises(ValueError, match="is no index of FAISS"):
        build_index(tmp_path, vectors, "Fast")


def test_few_vectors_are_compared_exactly():
    assert choose_index_type(faiss_index.EXACT_BELOW - 1) == "Flat"
    assert choose_index_type(1_000_000) == "IVF4000,SQ8"


def test_qdrant_gives_the_order_of_the_exact_index(tmp_path):
    qdrant_client = pytest.importorskip("qdrant_client")
    index = build(tmp_path / "index")
    audio = write(tmp_path / "audio", range(12))
    index.add([audio])
    collection = QdrantClips(qdrant_client.QdrantClient(":memory:"), "clips")
    collection.replace(*index.vectors(), index.encoder)
    here, there = index.search("5", top=12), collection.search(index.encoder, "5", top=12)
    assert [hit.path for hit in here] == [hit.path for hit in there]
    assert [hit.score for hit in here] == pytest.approx([hit.score for hit in there], abs=1e-5)
    (audio / "5.wav").unlink()
    index.add([audio])
    collection.replace(*index.vectors(), index.encoder)
    assert len(collection.search(index.encoder, "5", top=20)) == 11
    with pytest.raises(ValueError, match="made with another model"):
        collection.search(SpectrumEncoder(name="other"), "5", top=1)
    with pytest.raises(ValueError, match="no collection 'none'"):
        QdrantClips(collection.client, "none").search(index.encoder, "5", top=1)
    for address in ("http://host:6333", "http://host:6333/a/b"):
        with pytest.raises(ValueError, match="address of a collection"):
            QdrantClips.connect(address)


def test_long_recordings_are_cut_at_pauses_with_their_times():
    parts = [make_wave(1, 1.5), np.zeros(RATE, np.float32), make_wave(2, 1.2), np.zeros(RATE, np.float32)]
    whole = {"array": np.concatenate(parts), "sampling_rate": RATE}
    pieces = list(cut_recording(whole, 2.0))
    assert len(pieces) == 2
    for (start, end, waveform), (first, last) in zip(pieces, ((0.0, 1.5), (2.5, 3.7)), strict=True):
        assert start == pytest.approx(first, abs=0.2) and end == pytest.approx(last, abs=0.3)
        assert len(waveform) == pytest.approx((end - start) * RATE, abs=1)
    assert len(list(cut_recording(whole, 10.0))) == 1


def test_an_index_belongs_to_a_model(tmp_path):
    model, processor = make_tiny_pair()
    index = SpeechIndex.open(tmp_path / "index", model, processor, clip_seconds=4.0)
    index.add([write(tmp_path / "audio", range(3))])
    again = SpeechIndex.open(tmp_path / "index", model, processor)
    hits = again.search("a", top=2)
    assert again.clip_seconds == 4.0 and len(hits) == 2 and abs(hits[0].score) <= 1
    own = again.search(audio=str(tmp_path / "audio" / "1.wav"), top=1)[0]
    assert own.path.endswith("1.wav")
    with pytest.raises(ValueError, match="another model"):
        SpeechIndex.open(tmp_path / "index", *make_tiny_pair(seed=1))
    with pytest.raises(ValueError, match="at most 4 s"):
        SpeechIndex.open(tmp_path / "index", model, processor, clip_seconds=5.0)
    with pytest.raises(ValueError, match="is not an index"):
        SpeechIndex.open(tmp_path / "audio", model, processor)
    with pytest.raises(ValueError, match="exactly one"):
        again.search()
    empty = SpeechIndex.open(tmp_path / "empty", model, processor)
    with pytest.raises(ValueError, match="is empty"):
        empty.search("a")
    assert ClipEncoder(model, processor).describe() == index.encoder.describe()


def test_the_commands(tmp_path, capsys):
    folder = tmp_path / "model"
    model, processor = make_tiny_pair()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    audio = write(tmp_path / "audio", range(3))
    (audio / "broken.wav").write_bytes(b"RIFF")
    chosen = ["--model", str(folder)]
    assert main(["index", str(audio), "--output", str(tmp_path / "index"), "--json", *chosen]) == 1
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made["added"] == 3 and made["clips"] == 3 and list(made["errors"]) == [str(audio / "broken.wav")]
    assert main(["search", str(tmp_path / "index"), "a", "--top", "2", "--json", *chosen]) == 0
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(hits) == 2 and hits[0]["score"] >= hits[1]["score"]
    assert main(["search", str(tmp_path / "index"), "--audio", str(audio / "2.wav"), *chosen]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("2.wav")
    for arguments, message in (
        (["search", str(tmp_path / "index")], "pass a sentence"),
        (["search", str(tmp_path / "none"), "a"], "is not an index"),
    ):
        assert main([*arguments, *chosen]) == 1
        assert message in capsys.readouterr().err
