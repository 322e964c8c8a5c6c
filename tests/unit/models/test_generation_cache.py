# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import torch
from tiny_models import tiny_model

from mu2slam_hf.models.generation_cache import RaggedCache


def test_rows_are_written_where_they_are_placed():
    cache = RaggedCache(tiny_model().config.decoder_config)
    first, second = torch.randn(2, 4, 3, 16), torch.randn(2, 4, 2, 16)
    assert cache.place([0, 0], 3, first.device) is None
    assert torch.equal(cache.self_attention_cache.update(first, -first, 0)[0], first)
    # The first row is rewound by two positions.
    assert cache.place([1, 3], 2, first.device).tolist() == [[1, 2], [3, 4]]
    keys, values = cache.self_attention_cache.update(second, -second, 0)
    assert keys.shape[2] == 5
    assert torch.equal(keys[0, :, :3], torch.cat([first[0, :, :1], second[0]], dim=1))
    assert torch.equal(values[1], -torch.cat([first[1], second[1]], dim=1))


def test_memory_grows():
    cache = RaggedCache(tiny_model().config.decoder_config)
    states = torch.randn(1, 4, 300, 16)
    for start in range(0, 300, 50):
        cache.place([start], 50, states.device)
        part = states[:, :, start : start + 50]
        keys, _ = cache.self_attention_cache.update(part, part, 1)
    assert torch.equal(keys, states)
