# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech ids of recordings on disk: each recording is tokenized once, for all epochs and runs.

A folder has a sub-folder for each speech tokenizer, by its fingerprint, with Parquet files of one group of recordings
each: the hash of the content of a recording, and its ids.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, hash_audio, load_audio
from mu2slam_hf.data.examples.failures import FailureCount
from mu2slam_hf.data.records import SpeechTextRecord

logger = logging.getLogger(__name__)

GROUP_SIZE = 256
"""Recordings of a file: what a run that is killed computes again at most."""


class SpeechIdTable:
    """Ids of the recordings of a run, by their keys.

    Args:
        folder: folder of the tables of all tokenizers; created if it does not exist.
        processor: a processor with `tokenize_speech`.
        max_failed_share: largest share of unreadable recordings.
    """

    def __init__(self, folder: str | Path, processor: Any, max_failed_share: float = 0.01) -> None:
        self.processor = processor
        self.folder = Path(folder) / fingerprint_speech_tokenizer(processor)
        self.failures = FailureCount(max_failed_share)
        self.num_tokenized = 0
        self._by_hash: dict[str, NDArray[np.int32]] = {}
        self._hashes: dict[str, str] = {}
        for file in sorted(self.folder.glob("*.parquet")):
            table = pq.read_table(file)
            ids = table["ids"].to_pylist()
            self._by_hash |= {
                audio: np.asarray(row, np.int32) for audio, row in zip(table["audio"].to_pylist(), ids, strict=True)
            }

    def __len__(self) -> int:
        return len(self._hashes)

    def fill(self, records: Iterable[SpeechTextRecord]) -> "SpeechIdTable":
        """Tokenize the recordings that the folder does not have yet, and write each group of them at once.

        Raises:
            TooManyBadRecordsError: the share of recordings that cannot be read is too large.
        """
        group: dict[str, NDArray[np.int32]] = {}
        for record in records:
            if record.audio is None or record.key in self._hashes:
                continue
            try:
                digest = hash_audio(record.audio)
                if digest not in self._by_hash:
                    self._by_hash[digest] = group[digest] = self._tokenize(record.audio)
                self._hashes[record.key] = digest
            except AudioError as error:
                self.failures.add(f"{record.key}: {error}")
                continue
            self.failures.add(None)
            if len(group) == GROUP_SIZE:
                self._write(group)
                group = {}
        if group:
            self._write(group)
        return self

    def find(self, record: SpeechTextRecord) -> Sequence[int] | None:
        """Entries of the codebook of a recording that `fill` has seen; None for one that cannot be read."""
        digest = self._hashes.get(record.key)
        return None if digest is None else self._by_hash[digest]  # type: ignore[return-value]

    def _tokenize(self, audio: Any) -> NDArray[np.int32]:
        self.num_tokenized += 1
        (ids,) = self.processor.tokenize_speech([load_audio(audio)], SAMPLING_RATE)
        return np.asarray(ids, np.int32)

    def _write(self, group: dict[str, NDArray[np.int32]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Named by its content: two runs that fill one folder at a time do not replace each other's files.
        name = blake2b("".join(group).encode(), digest_size=8).hexdigest()
        columns = {"audio": list(group), "ids": pa.array(list(group.values()), pa.list_(pa.int32()))}
        with atomic_path(self.folder / f"{name}.parquet") as temporary:
            pq.write_table(pa.table(columns), temporary)


def fingerprint_speech_tokenizer(processor: Any) -> str:
    """Hash of everything that the ids of a recording depend on: weights and settings, and those of the features.

    Raises:
        ValueError: the processor has no speech tokenizer.
    """
    tokenizer = processor.speech_tokenizer
    if tokenizer is None:
        raise ValueError("the processor has no speech tokenizer, so that speech has no ids")
    extractor = processor.feature_extractor
    settings = [tokenizer.config.to_dict(), {} if extractor is None else extractor.to_dict()]
    for values in settings:
        for name in ("transformers_version", "_name_or_path", "dtype", "architectures"):
            values.pop(name, None)
    digest = blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=8)
    for name, value in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode() + value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
