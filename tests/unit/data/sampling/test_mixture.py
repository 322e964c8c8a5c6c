# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from collections import Counter
from math import ceil, floor

import pytest

from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.sampling.mixture import Mixture, temperature_shares


def examples_of(sizes):
    """One example per count of {(modality, lang, corpus): count}."""
    target = (Target(task="asr", lang="en", text="x", num_tokens=2),)
    return [
        Example(id=f"{group}{number}", source_modality=group[0], source_lang=group[1], corpus=group[2], targets=target)
        for group, size in sizes.items()
        for number in range(size)
    ]


def test_temperature_shares_closed_form():
    sizes = {"a": 1000.0, "b": 10.0, "c": 0.0}
    natural, flat = temperature_shares(sizes, 1.0), temperature_shares(sizes, 3.0)
    assert natural == pytest.approx({"a": 1000 / 1010, "b": 10 / 1010, "c": 0.0})
    assert flat["a"] / flat["b"] == pytest.approx(100 ** (1 / 3))
    assert sum(flat.values()) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="empty"):
        temperature_shares({"a": 0.0}, 1.0)


def test_natural_mixture_has_every_example_once_per_epoch():
    examples = examples_of({("speech", "en", "x"): 13, ("speech", "fr", "x"): 7, ("text", "en", "y"): 5})
    mixture = Mixture(examples)
    for epoch in range(5):
        keys = mixture.epoch_keys(epoch)
        drawn = sorted(key.example for pool in keys.values() for key in pool)
        assert drawn == list(range(25))
        assert all(key.copy == 0 and key.epoch == epoch for pool in keys.values() for key in pool)
        assert {modality: len(pool) for modality, pool in keys.items()} == {"speech": 20, "text": 5}


def test_temperature_and_weights_give_the_shares_in_the_long_run():
    sizes = {("speech", "en", "x"): 60, ("speech", "en", "y"): 20, ("speech", "fr", "x"): 5}
    mixture = Mixture(examples_of(sizes), corpus_weights={"y": 3.0}, temperature=2.0, seed=1)
    total = 60 + 60 + 5
    shares = temperature_shares({"en": 120.0, "fr": 5.0}, 2.0)
    wanted = {
        ("speech", "en", "x"): total * shares["en"] / 2,
        ("speech", "en", "y"): total * shares["en"] / 2,
        ("speech", "fr", "x"): total * shares["fr"],
    }
    assert mixture.quotas() == pytest.approx(wanted)
    counts = Counter()
    for epoch in range(40):
        keys = mixture.epoch_keys(epoch)["speech"]
        per_example = Counter(key.example for key in keys)
        assert len(set(keys)) == len(keys), "a repeated example must have another copy number"
        for group, members in mixture.groups.items():
            in_group = sum(per_example[index] for index in members)
            assert floor(wanted[group]) <= in_group <= ceil(wanted[group])
            times = {per_example[index] for index in members}
            assert times <= {floor(in_group / len(members)), ceil(in_group / len(members))}
        counts.update(per_example)
    for group, members in mixture.groups.items():
        times = [counts[index] for index in members]
        assert max(times) - min(times) <= 1, "no example may fall behind"
        assert sum(times) == pytest.approx(40 * wanted[group], abs=1)


def test_fractional_quotas_are_not_lost():
    sizes = {("speech", "en", "x"): 1000, ("speech", "ml", "x"): 1}
    mixture = Mixture(examples_of(sizes), corpus_weights={"x": 0.25})
    drawn = [key.example for epoch in range(8) for key in mixture.epoch_keys(epoch)["speech"]]
    assert drawn.count(1000) == 2 and len(drawn) == 2002


def test_weight_zero_and_faults():
    sizes = {("speech", "en", "x"): 4, ("text", "en", "y"): 4}
    mixture = Mixture(examples_of(sizes), corpus_weights={"y": 0})
    assert {modality: len(keys) for modality, keys in mixture.epoch_keys(0).items()} == {"speech": 4, "text": 0}
    with pytest.raises(ValueError, match="weight 0"):
        Mixture(examples_of(sizes), corpus_weights={"x": 0, "y": 0}).epoch_keys(0)
    for fields, message in (
        ({"temperature": 0}, "temperature"),
        ({"corpus_weights": {"x": -1.0}}, "'x': -1.0"),
        ({"corpus_weights": {"z": 2}}, r"\['x', 'y'\]\); got 'z': 2"),
    ):
        with pytest.raises(ValueError, match=message):
            Mixture(examples_of(sizes), **fields)


def test_seed_changes_the_circle_and_nothing_else():
    sizes = {("speech", "en", "x"): 50}
    one, two = (
        Mixture(examples_of(sizes), corpus_weights={"x": 0.5}, seed=seed).epoch_keys(0)["speech"] for seed in (0, 1)
    )
    assert len(one) == len(two) == 25
    assert {key.example for key in one} != {key.example for key in two}
