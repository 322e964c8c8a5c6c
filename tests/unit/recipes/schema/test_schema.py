# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The tree of a recipe: documented, keyword-only, with defaults everywhere."""

import dataclasses
import typing

import pytest

from mu2slam_hf.recipes.runs import finetuning, mslam_pretraining, pretraining
from mu2slam_hf.recipes.schema import data, head, mixture, sections

SECTIONS = [
    item
    for module in (
        sections,
        data,
        finetuning,
        mixture,
        pretraining,
        mslam_pretraining,
        head,
    )
    for item in vars(module).values()
    if dataclasses.is_dataclass(item) and item.__module__ == module.__name__
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_value_has_a_default_and_is_explained(section):
    section()
    explained = " ".join(base.__doc__ or "" for base in section.__mro__[:-1])
    for item in dataclasses.fields(section):
        assert item.kw_only
        if not section.__name__.endswith("Recipe"):
            assert item.name in explained, f"{section.__name__}.{item.name} is not explained"


def test_annotations_are_types_not_strings():
    """`from __future__ import annotations` would switch the checks of `@strict` sections off."""
    assert all(not isinstance(item.type, str) for section in SECTIONS for item in dataclasses.fields(section))


def test_parts_of_a_recipe():
    """Those of fine-tuning; pre-training has no adapters, no noise in the decoder and no stages."""
    shared = "kind model processor data objective optim training evaluation output"
    hints = set(typing.get_type_hints(finetuning.FinetuningRecipe))
    assert hints == {*shared.split(), "decoder_noise", "lora", "stages"}
    assert hints - {*typing.get_type_hints(pretraining.PretrainingRecipe)} == {"decoder_noise", "lora", "stages"}
