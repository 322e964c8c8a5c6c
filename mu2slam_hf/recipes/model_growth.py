# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`model.grow_from`: a new model with more layers or another vocabulary that starts from a trained one."""

import re
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.growth.rows import start_row
from mu2slam_hf.models.modules_vocabulary import LANGUAGE_TABLES, TOKEN_TABLES, has_rows_of

# The last projection of each residual branch: with zeros, a new layer does not change its input (apart from the
# normalisation at the end of a Conformer layer).
_BRANCH_ENDS = re.compile(r"\.(feed_forward[12]\.down_proj|down_proj|o_proj|pointwise_conv2)\.(weight|bias)$")
_LAYER = re.compile(r"^(.*\.layers)\.(\d+)\.")


@torch.no_grad()
def grow_model(model: Any, processor: Any, source: Any, source_processor: Any) -> None:
    """Start a new model from a trained one of the same width, so that it computes nearly the same at first.

    - Layers of the source are copied; additional layers have no effect yet, because their branches end in zeros.
    - Wider feed-forward modules have the units of the source, and further units without effect.
    - Tokens and languages that the source has, by name, have its rows; a piece of several characters starts as the
      mean of its characters.

    Args:
        model: new model; changed in place.
        processor: its processor.
        source: trained model of the same class.
        source_processor: its processor.

    Raises:
        ValueError: another width, fewer layers, or other sizes that cannot be copied.
    """
    own, trained = model.state_dict(), source.state_dict()
    last = {stem: number for stem, number in _layer_numbers(trained)}
    lost = sorted(set(trained) - set(own))
    if lost:
        raise ValueError(f"the new model lacks {lost[0]}; it must not have fewer layers")
    for name, values in own.items():
        layer = _LAYER.match(name)
        if layer and int(layer[2]) > last.get(layer[1], -1):
            if _BRANCH_ENDS.search(name):
                values.zero_()
        elif name not in trained:
            continue
        elif has_rows_of(name, TOKEN_TABLES):
            _copy_tokens(values, trained[name], processor.tokenizer, source_processor.tokenizer)
        elif has_rows_of(name, LANGUAGE_TABLES):
            _copy_languages(values, trained[name], processor.languages, source_processor.languages)
        else:
            _copy_corner(name, values, trained[name])


def _layer_numbers(names: Any) -> list[tuple[str, int]]:
    """Stem of the names of layers and number of the last one, in increasing order."""
    return sorted((match[1], int(match[2])) for match in map(_LAYER.match, names) if match)


def _copy_corner(name: str, values: Tensor, trained: Tensor) -> None:
    """Copy into the first rows and columns; further inputs of a projection have no effect, others stay as they are."""
    if values.dim() != trained.dim() or any(new < old for new, old in zip(values.shape, trained.shape, strict=True)):
        shapes = f"{tuple(trained.shape)} to {tuple(values.shape)}"
        raise ValueError(f"{name} cannot change from {shapes}")
    if values.shape != trained.shape and ".up_proj." not in name and ".down_proj." not in name:
        raise ValueError(
            f"{name} has {tuple(trained.shape)} in the source and {tuple(values.shape)} in the new "
            "model; only layers, feed-forward modules and vocabularies can grow"
        )
    if name.endswith("down_proj.weight"):
        values[:, trained.shape[1] :] = 0.0
    values[tuple(slice(size) for size in trained.shape)] = trained


def _copy_tokens(values: Tensor, trained: Tensor, tokenizer: Any, source_tokenizer: Any) -> None:
    known = source_tokenizer.get_vocab()
    boundary, space = "\u2581", " "
    for token, row in tokenizer.get_vocab().items():
        spelled = token if token in known else token.replace(boundary, space)
        if spelled in known:
            start_row(values, row, trained, [known[spelled]])
        elif rows := [known[character] for character in spelled if character in known]:
            start_row(values, row, trained, rows)


def _copy_languages(values: Tensor, trained: Tensor, languages: Any, source_languages: Any) -> None:
    rows = {language: row for row, language in enumerate(source_languages)}
    for row, language in enumerate(languages):
        if language in rows:
            start_row(values, row, trained, [rows[language]])
