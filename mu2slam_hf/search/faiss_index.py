# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Nearest neighbours on one machine: exact, or a FAISS index whose best are compared again exactly.

Shapes: n vectors, D their width, Q queries, k neighbours.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import faiss
except ImportError as error:
    raise ImportError("searching recordings requires FAISS: pip install 'mu2slam-hf[search]'") from error

EXACT_BELOW = 100_000
"""Number of vectors up to which an index is exact."""
NUM_QUERIES = 256
"""Vectors of an index by which its recall is measured."""
MORE_CANDIDATES = 10
"""Candidates that are compared again exactly, for each neighbour."""

Vectors = NDArray[Any]


def choose_index_type(num_vectors: int) -> str:
    """FAISS's name of an index: exact for few vectors, else inverted lists of scalar-quantised ones."""
    return "Flat" if num_vectors < EXACT_BELOW else f"IVF{round(4 * math.sqrt(num_vectors))},SQ8"


def build_index(folder: Path, vectors: Vectors, index_type: str | None = None, recall: float = 0.95) -> dict[str, Any]:
    """Write the index of vectors, compared by their dot product, into a folder.

    Args:
        folder: existing folder; gets `vectors.npy`, `vectors.faiss` and `search.json`.
        vectors: `(n, D)` of any float type.
        index_type: FAISS's name; None for `choose_index_type`.
        recall: least share of the ten nearest that an approximate index must find of `NUM_QUERIES` of its vectors;
            `nprobe` is the smallest power of 2 that reaches it.

    Returns:
        `index_type`, and for an approximate one `nprobe` and the measured `recall`.

    Raises:
        ValueError: an unknown index type.
    """
    index_type = index_type or choose_index_type(len(vectors))
    try:
        index = faiss.index_factory(vectors.shape[1], index_type, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ValueError(f"{index_type!r} is no index of FAISS, such as Flat, IVF4096,SQ8 or HNSW32") from error
    whole = np.ascontiguousarray(vectors, dtype=np.float32)
    if not index.is_trained:
        index.train(whole)
    index.add(whole)
    settings: dict[str, Any] = {"index_type": index_type}
    np.save(folder / "vectors.npy", np.asarray(vectors, np.float16))
    faiss.write_index(index, str(folder / "vectors.faiss"))
    if index_type != "Flat":
        settings |= _tune(NearestVectors(index, np.asarray(vectors, np.float16), settings), whole, recall)
    (folder / "search.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")
    return settings


def _tune(nearest: "NearestVectors", vectors: NDArray[np.float32], recall: float) -> dict[str, Any]:
    """`nprobe`, if the index has it, and the recall that it reaches."""
    rows = np.random.default_rng(0).choice(len(vectors), min(NUM_QUERIES, len(vectors)), replace=False)
    queries, k = vectors[rows], min(10, len(vectors))
    exact = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[1].tolist()

    def measure() -> float:
        pairs = zip(nearest.search(queries, k)[1].tolist(), exact, strict=True)
        return float(np.mean([len(set(rows) & set(nearest_rows)) / k for rows, nearest_rows in pairs]))

    lists = faiss.try_extract_index_ivf(nearest.index)
    if lists is None:
        return {"recall": measure()}
    lists.nprobe = 1
    while (reached := measure()) < recall and lists.nprobe < lists.nlist:
        lists.nprobe = min(2 * lists.nprobe, lists.nlist)
    return {"nprobe": lists.nprobe, "recall": reached}


class NearestVectors:
    """Searches an index that `build_index` has written.

    Args:
        index: the index of FAISS.
        vectors: `(n, D)` float16, for the exact comparison of the best.
        settings: what `build_index` returned.
    """

    def __init__(self, index: Any, vectors: Vectors, settings: dict[str, Any]) -> None:
        self.index, self.vectors, self.settings = index, vectors, settings
        if "nprobe" in settings:
            faiss.extract_index_ivf(index).nprobe = settings["nprobe"]

    @classmethod
    def open(cls, folder: Path) -> "NearestVectors":
        """Open the files of a folder; they stay on disk, and are for searching only."""
        settings = json.loads((folder / "search.json").read_text(encoding="utf-8"))
        # Mapped, not read: adding to such an index would end the process, which therefore never happens here.
        index = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
        return cls(index, np.load(folder / "vectors.npy", mmap_mode="r"), settings)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Dot products and rows `(Q, k)` of the nearest vectors, best first."""
        k = min(k, len(self.vectors))
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if self.settings["index_type"] == "Flat":
            products, rows = self.index.search(queries, k)
            return products, rows
        _, candidates = self.index.search(queries, min(MORE_CANDIDATES * k, len(self.vectors)))
        products = np.full(candidates.shape, -np.inf, np.float32)
        for number, row in enumerate(candidates):
            known = row >= 0
            products[number, known] = np.asarray(self.vectors[row[known]], np.float32) @ queries[number]
        order = np.argsort(-products, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(products, order, 1), np.take_along_axis(candidates, order, 1)
