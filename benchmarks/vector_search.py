# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Search among many vectors: building an index, opening it, and a query, beside exact comparison with all of them.

The vectors are those of a model for real texts, each with noised copies, because the recall of an index depends on how
vectors are spread: on unclustered random ones, the same settings find far fewer of the nearest. Queries are other
noised copies. Recall is the share of the ten nearest.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf import SpeechTextEncoder, load_default
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.search.clips import prepare_vectors
from mu2slam_hf.search.faiss_index import NearestVectors, build_index

NUM_QUERIES = 200
NUM_NEIGHBOURS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Sizes, data and type of the index."""
    parser.add_argument("--num", type=int, default=1_000_000, help="number of vectors (1000000)")
    parser.add_argument("--texts", type=int, default=4000, help="number of different texts (4000)")
    parser.add_argument("--root", help="folder of parallel_text; default: random clusters in place of texts")
    parser.add_argument("--width", type=int, default=192, help="width of random clusters (192)")
    parser.add_argument("--noise", type=float, default=0.7, help="length of the noise on a unit vector (0.7)")
    parser.add_argument("--index-type", help="FAISS's name; default: that of the number of vectors")


def make_vectors(options: argparse.Namespace) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors `(n, D)` and queries `(Q, D)`, of length 1."""
    generator = np.random.default_rng(0)
    if options.root is None:
        sources = generator.normal(size=(options.texts, options.width)).astype(np.float32)
    else:
        records = load_corpus("parallel_text", options.root, "dev")
        texts = list(dict.fromkeys(record.text for record in records if record.text))[: options.texts]
        encoded = SpeechTextEncoder(*load_default()).encode_text(texts).numpy()
        sources = encoded - encoded.mean(axis=0)
    sources = prepare_vectors(sources, None)

    def noised(number: int) -> NDArray[np.float32]:
        rows = sources[generator.integers(len(sources), size=number)]
        noise = generator.standard_normal(rows.shape, dtype=np.float32)
        return prepare_vectors(rows + options.noise * prepare_vectors(noise, None), None)

    return np.concatenate([noised(part) for part in np.diff(np.linspace(0, options.num, 11, dtype=int))]), noised(
        NUM_QUERIES
    )


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row: seconds to build and to open, milliseconds of a query, and recall."""
    vectors, queries = make_vectors(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        settings = build_index(folder, vectors, options.index_type)
        build_seconds = time.perf_counter() - started
        started = time.perf_counter()
        nearest = NearestVectors.open(folder)
        nearest.search(queries[:1], NUM_NEIGHBOURS)
        open_seconds = time.perf_counter() - started
        rows = nearest.search(queries, NUM_NEIGHBOURS)[1]
        everything = torch.from_numpy(vectors)
        expected = (torch.from_numpy(queries) @ everything.T).topk(NUM_NEIGHBOURS, dim=1).indices.numpy()
        shared = [len(set(a) & set(b)) for a, b in zip(rows.tolist(), expected.tolist(), strict=True)]
        turn = iter(range(10**9))

        def search() -> None:
            nearest.search(queries[next(turn) % NUM_QUERIES][None], NUM_NEIGHBOURS)

        def compare() -> None:
            (everything @ torch.from_numpy(queries[0])).topk(NUM_NEIGHBOURS)

        times = measure_interleaved({"search": search, "compare": compare}, options.repeats)
        size = sum(file.stat().st_size for file in folder.glob("vectors.faiss"))
    return [
        {
            "vectors x width": f"{len(vectors)} x {vectors.shape[1]}",
            "index": settings["index_type"],
            "nprobe": settings.get("nprobe", "-"),
            "recall at 10": float(np.mean(shared)) / NUM_NEIGHBOURS,
            "a query, ms": 1000 * times["search"]["wall_seconds"],
            "all of them, ms": 1000 * times["compare"]["wall_seconds"],
            "build, s": build_seconds,
            "open and first query, s": open_seconds,
            "index, MB": size / 1e6,
        }
    ]
