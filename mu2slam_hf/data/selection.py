# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Selection of a part of a list."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread_evenly(items: Sequence[T], number: int | None) -> list[T]:
    """At most `number` items at equal distances, in order; all of them if it is None."""
    number = len(items) if number is None else min(number, len(items))
    return [items[len(items) * place // number] for place in range(number)]
