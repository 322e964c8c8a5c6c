# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Selection of a part of a list."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Literal, TypeVar, get_args

from mu2slam_hf.data.records import SpeechTextRecord

T = TypeVar("T")

Part = Literal["choosing", "reporting"]
"""Parts of a development set: one by which settings are chosen, and one on which results are reported."""

PARTS: tuple[str, ...] = get_args(Part)


def spread_evenly(items: Sequence[T], number: int | None) -> list[T]:
    """At most `number` items at equal distances, in order; all of them if it is None."""
    number = len(items) if number is None else min(number, len(items))
    return [items[len(items) * index // number] for index in range(number)]


def part_of(record_id: str) -> str:
    """The part of a recording or sentence, by a hash of its id: a third is `choosing`, the rest `reporting`.

    Parallel versions of a sentence share their id, so all languages of it are in one part. The hash does not depend on
    the other records: records that are added or left out move no other one.
    """
    digest = blake2b(record_id.encode("utf-8"), digest_size=8).digest()
    return PARTS[int.from_bytes(digest, "big") % 3 > 0]


def take_part(records: Iterable[SpeechTextRecord], part: str | None) -> list[SpeechTextRecord]:
    """The records of one part, in order; all of them if it is None.

    Raises:
        ValueError: an unknown part.
    """
    if part is not None and part not in PARTS:
        raise ValueError(f"expected one of the parts {' and '.join(PARTS)}, got {part!r}")
    return [record for record in records if part is None or part_of(record.id) == part]
