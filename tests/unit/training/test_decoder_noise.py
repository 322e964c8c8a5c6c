# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Noise on decoder inputs: how often, by what, and that a draw depends on seed, update and record alone."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mu2slam_hf.training.decoder_noise import (
    DecoderNoise,
    DecoderNoiseConfig,
    draw_noise,
    find_decoder_embeddings,
    find_neighbours,
)

SPEECH, TEXT, VOCABULARY = 5, 15, 60
CONFIG = SimpleNamespace(
    speech_token_offset=SPEECH, num_speech_tokens=TEXT - SPEECH, text_token_offset=TEXT, vocab_size=VOCABULARY
)


class Model(nn.Module):
    """Only what the noise looks for."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Module()
        self.decoder.embed_tokens = nn.Embedding(VOCABULARY, 6)


def make_noise(seed: int = 0, **settings) -> DecoderNoise:
    return DecoderNoise(CONFIG, DecoderNoiseConfig(**settings), seed=seed)


def make_ids(rows: int, length: int) -> torch.Tensor:
    ids = torch.randint(SPEECH, VOCABULARY, (rows, length))
    ids[:, 0] = 1
    ids[:, length // 2] = 1  # a second sequence of a packed row
    ids[:, -2:] = 0
    return ids


def apply(noise, model, ids, step=3, record_ids=None, **settings):
    names = [f"record {row}" for row in range(len(ids))] if record_ids is None else record_ids
    return noise(model, ids, step=step, record_ids=names, settings=settings or None)


def test_neighbours_equal_a_loop(monkeypatch):
    monkeypatch.setattr("mu2slam_hf.training.decoder_noise.SEARCH_CHUNK_ROWS", 7)
    embeddings = torch.randn(VOCABULARY, 6) * torch.rand(VOCABULARY, 1) * 5
    tokens = torch.arange(TEXT, VOCABULARY)
    found = find_neighbours(embeddings, tokens, (TEXT, VOCABULARY), 4)
    for token, row in zip(tokens.tolist(), found.tolist(), strict=True):
        cosines = {
            other: torch.nn.functional.cosine_similarity(embeddings[token], embeddings[other], dim=0).item()
            for other in range(TEXT, VOCABULARY)
            if other != token
        }
        assert row == sorted(cosines, key=cosines.get, reverse=True)[:4]


def test_no_more_neighbours_than_there_are():
    found = find_neighbours(torch.randn(9, 3), torch.tensor([6, 8]), (6, 9), 50)
    assert [set(row) for row in found.tolist()] == [{7, 8}, {6, 7}]


@pytest.mark.parametrize("ratio", [0.06, 0.5])
def test_observed_ratio(ratio):
    ids = make_ids(60, 200)
    noisy = apply(make_noise(ratio=ratio), Model(), ids)
    eligible = ids >= SPEECH
    share = (noisy != ids)[eligible].float().mean().item()
    assert share == pytest.approx(ratio, abs=4 * (ratio * (1 - ratio) / eligible.sum().item()) ** 0.5)


def test_all_neighbours_are_drawn_about_equally_often():
    model, ids = Model(), torch.full((40, 500), 20)
    noisy = apply(make_noise(ratio=1.0, k=4), model, ids)
    neighbours = find_neighbours(model.decoder.embed_tokens.weight, torch.tensor([20]), (TEXT, VOCABULARY), 4)[0]
    counts = torch.stack([(noisy == neighbour).sum() for neighbour in neighbours])
    assert counts.sum() == ids.numel()
    assert (counts.float() / ids.numel() - 0.25).abs().max() < 0.02


def test_specials_stay_and_kinds_do_not_mix():
    ids = make_ids(8, 40)
    before = ids.clone()
    noisy = apply(make_noise(ratio=1.0, k=100), Model(), ids)
    assert torch.equal(ids, before), "the inputs of the caller, from which labels may be made, are untouched"
    special, speech, text = ids < SPEECH, (ids >= SPEECH) & (ids < TEXT), ids >= TEXT
    assert torch.equal(noisy[special], ids[special])
    assert ((noisy[speech] >= SPEECH) & (noisy[speech] < TEXT)).all()
    assert (noisy[text] >= TEXT).all()
    assert (noisy != ids)[~special].all(), "a token is never its own neighbour"


def test_a_draw_depends_on_seed_update_record_and_position_alone():
    model, ids = Model(), make_ids(4, 30)
    names = ["a", "b", "c", "d"]
    noise = make_noise(ratio=0.5)
    whole = apply(noise, model, ids, record_ids=names)
    assert torch.equal(apply(make_noise(ratio=0.5), model, ids, record_ids=names), whole)
    torch.manual_seed(9)
    parts = [apply(noise, model, ids[rows], record_ids=names[rows]) for rows in (slice(0, 1), slice(1, 4))]
    assert torch.equal(torch.cat(parts), whole)
    padded = apply(noise, model, nn.functional.pad(ids, (0, 11)), record_ids=names)
    assert torch.equal(padded[:, :30], whole)
    assert not torch.equal(apply(noise, model, ids, step=4, record_ids=names), whole)
    assert not torch.equal(apply(make_noise(seed=1, ratio=0.5), model, ids, record_ids=names), whole)
    assert not torch.equal(apply(noise, model, ids, record_ids=names[::-1]), whole)


def test_rows_without_record_are_drawn_too():
    whether, which = draw_noise(0, 0, [], (2, 5))
    assert whether.shape == which.shape == (2, 5) and not torch.equal(whether, which)


def test_a_batch_may_bring_its_own_settings():
    model, ids = Model(), make_ids(3, 30)
    assert apply(make_noise(ratio=0.9), model, ids, ratio=0.0, k=1) is ids
    off = DecoderNoise(CONFIG)
    assert apply(off, model, ids) is ids
    assert not torch.equal(apply(off, model, ids, ratio=0.5, k=2), ids)


def test_the_table_is_found_under_any_wrapper():
    model = Model()
    assert find_decoder_embeddings(nn.Sequential(model)) is model.decoder.embed_tokens.weight
    with pytest.raises(ValueError, match="no decoder.embed_tokens"):
        find_decoder_embeddings(nn.Linear(1, 1))


@pytest.mark.parametrize("bad", [{"ratio": -0.1}, {"ratio": 2}, {"k": 0}, {"k": 1.5}])
def test_settings_that_make_no_sense(bad):
    with pytest.raises(Exception, match="ratio|k"):
        DecoderNoiseConfig(**bad)
