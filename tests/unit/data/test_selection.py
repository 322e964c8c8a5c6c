# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from hashlib import blake2b

import pytest

from mu2slam_hf.cli.options import PARTS as OFFERED
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import PARTS, part_of, spread_evenly, take_part


@pytest.mark.parametrize(
    ("number", "expected"), [(None, "abcdefg"), (9, "abcdefg"), (7, "abcdefg"), (3, "ace"), (2, "ad"), (1, "a")]
)
def test_items_are_spread_evenly(number, expected):
    assert "".join(spread_evenly("abcdefg", number)) == expected
    assert spread_evenly([], number) == []


def test_parts_are_a_third_and_the_rest_by_the_meaning_alone():
    records = [SpeechTextRecord(id=f"m{n}", text="x", lang=lang) for n in range(900) for lang in ("en", "fr")]
    choosing, reporting = (take_part(records, part) for part in PARTS)
    assert take_part(records, None) == records and OFFERED == PARTS
    # Every record is in one part, with all versions of its meaning.
    assert sorted(choosing + reporting, key=records.index) == records
    assert not {r.id for r in choosing} & {r.id for r in reporting}
    # 600 is expected; four standard deviations of 900 meanings with probability 1/3, two records each.
    assert abs(len(choosing) - 600) < 2 * 4 * (900 * 2 / 9) ** 0.5
    # Records that are left out move no other one, and the parts never change.
    assert take_part(records[100:], "choosing") == [r for r in choosing if r in records[100:]]
    digest = int.from_bytes(blake2b(b"m7", digest_size=8).digest(), "big")
    assert part_of("m7") == ("choosing" if digest % 3 == 0 else "reporting")
    with pytest.raises(ValueError, match="expected one of the parts choosing and reporting, got 'dev'"):
        take_part(records, "dev")
