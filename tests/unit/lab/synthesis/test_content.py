# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import subprocess
import sys

import pytest
from helpers import REPOSITORY_ROOT

from lab.synthesis.content import CONTENT_KINDS, SPLITS, content


def test_content_is_a_function_of_seed_and_index_in_any_process():
    code = "from lab.synthesis.content import content; print([content(3, i) for i in (5, 0, 2)])"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == str([content(3, i) for i in (5, 0, 2)])
    assert [content(3, i) for i in range(50)] != [content(4, i) for i in range(50)]


def test_splits_hold_disjoint_meanings_for_every_seed():
    meanings = {split: {content(seed, i, split=split) for seed in (0, 1) for i in range(200)} for split in SPLITS}
    assert not meanings["train"] & meanings["dev"]
    assert not meanings["train"] & meanings["test"]
    assert not meanings["dev"] & meanings["test"]
    assert all(meaning.split == split for split in SPLITS for meaning in meanings[split])


def test_shares_of_the_splits():
    splits = [content(0, i).split for i in range(4000)]
    assert 0.03 < splits.count("dev") / 4000 < 0.07
    assert 0.03 < splits.count("test") / 4000 < 0.07


def test_every_kind_is_drawn_and_kinds_restrict():
    assert {content(0, i).kind for i in range(3000)} == set(CONTENT_KINDS)
    assert {content(0, i, kinds=["time"]).kind for i in range(20)} == {"time"}


def test_amounts_avoid_the_numerals_that_nouns_inflect():
    for index in range(300):
        amount, _ = content(0, index, kinds=["quantity"]).values
        number = amount if amount < 1000 else amount // 1000
        assert number % 100 in (11, 12) or number % 10 not in (1, 2)
        assert amount < 200 or amount % 1000 == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "unknown split 'valid'; expected one of train, dev, test"),
        ({"kinds": ["poem"]}, r"unknown kinds of content \['poem'\]"),
        ({"kinds": []}, "expected some of cardinal"),
    ],
)
def test_unknown_names_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        content(0, 0, **arguments)


def test_a_split_without_meanings_is_an_error():
    empty = next(
        split for split in ("dev", "test") if split not in {content(0, i, kinds=["weekday"]).split for i in range(200)}
    )
    with pytest.raises(ValueError, match="add other kinds"):
        content(0, 0, split=empty, kinds=["weekday"])
