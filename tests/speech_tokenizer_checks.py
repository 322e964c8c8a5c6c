# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What every kind of speech tokenizer keeps to, whatever codebook and features it has."""

import math

import torch


def draw_features(batch: int, frames: int, num_mel_bins: int = 80, seed: int = 0) -> torch.Tensor:
    """Random features `(batch, frames, num_mel_bins)`."""
    return torch.randn(batch, frames, num_mel_bins, generator=torch.Generator().manual_seed(seed))


def assert_one_id_per_frame(tokenizer, garbage: float = float("nan")) -> None:
    """One id per encoder frame, in range, the same alone and in a batch, whatever the padding holds."""
    config, lengths = tokenizer.config, [1, 2, 3, 4, 5, 8, 17, 30]
    clips = [draw_features(1, length, config.num_mel_bins, seed=length) for length in lengths]
    batch = torch.full((len(lengths), 37, config.num_mel_bins), garbage)
    mask = torch.zeros(len(lengths), 37, dtype=torch.int64)
    for row, clip in enumerate(clips):
        batch[row, : clip.shape[1]], mask[row, : clip.shape[1]] = clip[0], 1
    ids = tokenizer(batch, mask)
    groups = config.num_codevector_groups
    assert ids.shape == ((8, 10) if groups == 1 else (8, 10, groups)) and ids.dtype == torch.int64
    for row, clip in zip(ids, clips, strict=True):
        alone = tokenizer(clip)[0]
        assert len(alone) == math.ceil(math.ceil(clip.shape[1] / 2) / 2)
        assert alone.min() >= 0 and alone.max() < config.num_codevectors_per_group
        assert torch.equal(row[: len(alone)], alone) and (row[len(alone) :] == -100).all()


def assert_ids_survive_saving(tokenizer, features: torch.Tensor, folder) -> None:
    """The same ids after loading, in whatever precision is asked for, and still frozen and in evaluation mode."""
    ids = tokenizer(features)
    tokenizer.save_pretrained(folder)
    load = type(tokenizer).from_pretrained
    loaded, info = load(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    half = torch.nn.ModuleList([load(folder)]).half()[0]
    for other in (tokenizer, loaded, load(folder, dtype=torch.bfloat16), half):
        assert torch.equal(other(features), ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(other(features), ids)
        assert list(other.parameters()) and not any(parameter.requires_grad for parameter in other.parameters())
        assert other.train().training is False
