# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest

from mu2slam_hf.data.selection import spread_evenly


@pytest.mark.parametrize(
    ("number", "expected"), [(None, "abcdefg"), (9, "abcdefg"), (7, "abcdefg"), (3, "ace"), (2, "ad"), (1, "a")]
)
def test_items_are_spread_evenly(number, expected):
    assert "".join(spread_evenly("abcdefg", number)) == expected
    assert spread_evenly([], number) == []
