# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Clips in a collection of Qdrant, whose servers divide and replicate it: for more clips than one machine holds.

Shapes: n clips, D width of a vector.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from mu2slam_hf.search.clips import Clip, ClipEncoder, SearchHit, Vectors

try:
    from qdrant_client import QdrantClient, models
except ImportError as error:
    raise ImportError("collections of Qdrant require its client: pip install 'mu2slam-hf[qdrant]'") from error

_BATCH = 1000


class QdrantClips:
    """The clips of an index in a collection.

    Args:
        client: client of the servers.
        collection: name of the collection.
    """

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self.client, self.collection = client, collection

    @classmethod
    def connect(cls, address: str) -> "QdrantClips":
        """The collection of an address `http://host:6333/collection`.

        Raises:
            ValueError: the address does not name a collection.
        """
        parts = urlsplit(address)
        collection = parts.path.strip("/")
        if not parts.netloc or not collection or "/" in collection:
            raise ValueError(f"{address}: expected the address of a collection, such as http://localhost:6333/clips")
        return cls(QdrantClient(url=f"{parts.scheme}://{parts.netloc}"), collection)

    def replace(self, clips: Sequence[Clip], vectors: Vectors, center: Vectors | None, encoder: ClipEncoder) -> None:
        """Make the collection hold exactly these clips; searches see old or new clips in the meantime.

        Args:
            clips: n clips.
            vectors: `(n, D)`, as they are compared.
            center: `(D,)`, what was subtracted from them; None for nothing.
            encoder: encoder of the vectors.

        Raises:
            ValueError: the collection was made with another model.
        """
        description = {**encoder.describe(), "center": None if center is None else np.asarray(center).tolist()}
        if self.client.collection_exists(self.collection):
            self._check(encoder)
            self.client.update_collection(self.collection, metadata=description)
        else:
            shape = models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)
            self.client.create_collection(self.collection, vectors_config=shape, metadata=description)
        kept = set()
        for first in range(0, len(clips), _BATCH):
            points = [
                models.PointStruct(id=_identify(clip), vector=vector.tolist(), payload=vars(clip))
                for clip, vector in zip(clips[first : first + _BATCH], vectors[first : first + _BATCH], strict=True)
            ]
            kept |= {point.id for point in points}
            self.client.upsert(self.collection, points, wait=True)
        if gone := [identity for identity in self._identities() if identity not in kept]:
            self.client.delete(self.collection, models.PointIdsList(points=gone), wait=True)

    def search(
        self,
        encoder: ClipEncoder,
        text: str | None = None,
        *,
        audio: Any = None,
        language: str | None = None,
        top: int,
    ) -> list[SearchHit]:
        """The clips that are nearest to a query; see `SpeechIndex.search`.

        Raises:
            ValueError: the collection was made with another model, or is no collection of clips.
        """
        center = self._check(encoder)
        center = None if center is None else np.asarray(center, np.float32)
        query = encoder.encode_query(center, text=text, audio=audio, language=language)
        points = self.client.query_points(self.collection, query=query.tolist(), limit=top).points
        return [SearchHit(**(point.payload or {}), score=point.score) for point in points]

    def _check(self, encoder: ClipEncoder) -> Any:
        """The centre that is stored with the collection.

        Raises:
            ValueError: another model, or no collection of clips.
        """
        if not self.client.collection_exists(self.collection):
            raise ValueError(
                f"there is no collection {self.collection!r}; make it with `mu2slam index ... --collection`"
            )
        known = self.client.get_collection(self.collection).config.metadata or {}
        differing = [name for name, value in encoder.describe().items() if known.get(name) != value]
        if differing:
            raise ValueError(
                f"the collection {self.collection!r} was made with another model ({known.get('model')}; differs in "
                f"{', '.join(differing)})"
            )
        return known.get("center")

    def _identities(self) -> list[Any]:
        identities: list[Any] = []
        offset = None
        while True:
            points, offset = self.client.scroll(
                self.collection, limit=_BATCH, offset=offset, with_payload=False, with_vectors=False
            )
            identities += [point.id for point in points]
            if offset is None:
                return identities


def _identify(clip: Clip) -> str:
    return str(uuid5(NAMESPACE_URL, f"{clip.path}#{clip.start_seconds:.3f}-{clip.end_seconds:.3f}"))
