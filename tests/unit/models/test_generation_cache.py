# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import torch
from tiny_models import speech_batch, tiny_model
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from mu2slam_hf.models.generation_cache import RaggedCache, SharedSourceCache


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


def test_beams_share_their_source_and_write_what_separate_ones_write():
    model = tiny_model()
    options = {"num_beams": 3, "max_new_tokens": 12, "return_dict_in_generate": True}
    options |= {"num_return_sequences": 3, "output_scores": True}
    batch = speech_batch([40, 90, 64])
    shared = model.generate(**batch, **options)
    assert isinstance(shared.past_key_values, SharedSourceCache)
    config = model.config.decoder_config
    cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
    separate = model.generate(**batch, past_key_values=cache, **options)
    assert separate.past_key_values is cache
    assert torch.equal(shared.sequences, separate.sequences)
    torch.testing.assert_close(shared.sequences_scores, separate.sequences_scores)


def test_other_searches_keep_their_own_cache():
    model, batch = tiny_model(), speech_batch([40])
    options = {"max_new_tokens": 4, "return_dict_in_generate": True}
    assert not isinstance(model.generate(**batch, **options).past_key_values, SharedSourceCache)
    assert model.generate(**batch, num_beams=2, use_cache=False, **options).past_key_values is None
    static = model.generate(**batch, num_beams=2, cache_implementation="static", **options)
    assert not isinstance(static.past_key_values, SharedSourceCache)
