# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
import torch

from mu2slam_hf.data.collation.packing import assemble_rows, compute_row_cost, pack_rows, padding_share
from mu2slam_hf.data.collation.views import Segment, UnitPool, View


def lengths_of_rows(rows, lengths):
    return [sum(lengths[item] for item in row) for row in rows]


def cost_of(rows, encoder, decoder, attention_length=2000.0):
    longest = np.array([max(lengths_of_rows(rows, lengths)) for lengths in (encoder, decoder)])
    return float(compute_row_cost(np.array(len(rows)), longest, attention_length))


@pytest.mark.parametrize("seed", range(30))
def test_every_item_is_in_one_row_and_no_row_is_too_long(seed):
    generator = np.random.default_rng(seed)
    num_items = int(generator.integers(1, 60))
    encoder = generator.integers(1, 200, num_items).tolist()
    # Nothing ties the two lengths together here, as bad as it gets.
    decoder = generator.integers(1, 200, num_items).tolist()
    bound = int(generator.integers(50, 600)) if seed % 2 else None
    rows = pack_rows(encoder, decoder, max_row_length=bound)
    assert sorted(item for row in rows for item in row) == list(range(num_items))
    assert all(row and row == sorted(row) for row in rows)
    if bound is not None:
        assert max(lengths_of_rows(rows, encoder)) <= max(bound, *encoder)
        assert max(lengths_of_rows(rows, decoder)) <= max(bound, *decoder)
    assert rows == pack_rows(list(encoder), list(decoder), max_row_length=bound), "no chance in it"
    # No dearer than the two simplest ways.
    singles = [[item] for item in range(num_items)]
    assert cost_of(rows, encoder, decoder) <= cost_of(singles, encoder, decoder)
    if bound is None:
        assert cost_of(rows, encoder, decoder) <= cost_of([list(range(num_items))], encoder, decoder)


def partitions(items):
    if not items:
        yield []
        return
    first, *others = items
    for rest in partitions(others):
        yield [[first], *rest]
        for place in range(len(rest)):
            yield [*rest[:place], [first, *rest[place]], *rest[place + 1 :]]


@pytest.mark.parametrize("seed", range(8))
def test_little_is_lost_to_the_best_packing_of_all(seed):
    generator = np.random.default_rng(seed)
    encoder = generator.integers(20, 300, 7).tolist()
    decoder = [length + int(generator.integers(-2, 3)) for length in encoder]
    best = min(cost_of(rows, encoder, decoder) for rows in partitions(list(range(7))))
    assert cost_of(pack_rows(encoder, decoder), encoder, decoder) <= 1.06 * best


def test_packings_known_by_hand():
    assert pack_rows([], []) == []
    assert pack_rows([5], [7]) == [[0]]
    # Attention at no cost: one row has no padding. Attention at any cost: each alone.
    assert pack_rows([3, 9, 4], [3, 9, 4], attention_length=1e12) == [[0, 1, 2]]
    assert sorted(pack_rows([8, 8, 8], [8, 8, 8], attention_length=1.0)) == [[0], [1], [2]]
    # 100 + 50 + 50 twice, the pieces of one row together
    rows = pack_rows([100, 50, 50, 50, 100, 50], [100, 50, 50, 50, 100, 50], max_row_length=200)
    assert sorted(lengths_of_rows(rows, [100, 50, 50, 50, 100, 50])) in ([200, 200], [100, 100, 100, 100])
    # An item beyond the bound is still there.
    assert sorted(pack_rows([500, 10, 10], [500, 10, 10], max_row_length=100, attention_length=1e12)) == [[0], [1, 2]]
    with pytest.raises(ValueError, match="got 2 for the encoder and 1"):
        pack_rows([1, 2], [1])


@pytest.mark.parametrize(("times", "num_batches"), [(1, 60), (8, 8)])
def test_padding_of_batches_of_the_usual_shares(times, num_batches):
    # 4 speech, 8 text, 1 AST, 1 ASR, 1 MT, with lengths as they are in corpora of short utterances
    generator = np.random.default_rng(times)

    def draw(mean, spread, number):
        return np.clip(np.exp(generator.normal(np.log(mean), spread, number)), 1, 600).astype(int).tolist()

    shares = []
    for _ in range(num_batches):
        encoder, decoder = [], []
        for frames in draw(75, 0.5, 4 * times):
            encoder, decoder = [*encoder, frames], [*decoder, frames]
        for tokens in draw(36, 0.7, 8 * times):
            encoder, decoder = [*encoder, tokens + 1], [*decoder, tokens]
        for first, second in zip(
            draw(75, 0.5, 2 * times) + draw(36, 0.7, times), draw(36, 0.7, 3 * times), strict=True
        ):
            encoder += [first + second + 1, first + second + 1]
            decoder += [first + second + 2, first + second]
        rows = pack_rows(encoder, decoder)
        for lengths in (encoder, decoder):
            shares.append(1 - sum(lengths) / (len(rows) * max(lengths_of_rows(rows, lengths))))
    assert np.mean(shares[::2]) <= 0.05 and np.mean(shares[1::2]) <= 0.05
    assert np.quantile(shares, 0.95) <= 0.08


def array(*values):
    return np.array(values, dtype=np.int64)


def view(name, segments, sequences, **kwargs):
    """Segments and sequences as (units, label positions, labels, modality, language)."""

    def build(parts):
        return tuple(Segment(*(array(*values) for values in part[:3]), *part[3:]) for part in parts)

    return View(name=name, segments=build(segments), sequences=build(sequences), **kwargs)


@pytest.fixture
def views():
    alignment = view(
        "asr_alignment",
        [((1, 0, 3), (1,), (2,), 0, 0), ((0, 10, 8), (0,), (9,), 1, 2)],
        [((7, 0, 2), (1,), (2,), 0, 1), ((7, 9), (0,), (9,), 1, 2)],
    )
    forward = view(
        "asr",
        [((1, 2), (), (), 0, 0)],
        [((7, 9, 10), (0, 1, 2), (9, 10, 8), 1, 2)],
        language_label=1,
        ctc_labels=array(70, 71),
    )
    text = view("text", [((0, 8), (0,), (11,), 1, 3)], [((7,), (0,), (11,), 1, 3)])
    return alignment, forward, text


def test_tensors_of_rows_by_hand(views):
    alignment, forward, text = views
    batch = assemble_rows([[alignment, forward], [text]], UnitPool(1, 5, [0, 1, 2]))
    assert all(values.dtype == torch.int64 for values in batch.values())
    wanted = {
        "encoder_units": [[1, 0, 3, 0, 10, 8, 1, 2], [0, 8, 6, 6, 6, 6, 6, 6]],
        "sequence_ids": [[1, 1, 1, 1, 1, 1, 2, 2], [1, 1, 0, 0, 0, 0, 0, 0]],
        "position_ids": [[0, 1, 2, 0, 1, 2, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0]],
        "language_ids": [[0, 0, 0, 2, 2, 2, 0, 0], [3, 3, 0, 0, 0, 0, 0, 0]],
        "modality_ids": [[0, 0, 0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]],
        "mlm_positions": [1, 3, 8],
        "mlm_labels": [2, 9, 11],
        "mlm_view_ids": [4, 4, 1],
        "decoder_units": [[7, 0, 2, 7, 9, 7, 9, 10], [7, 6, 6, 6, 6, 6, 6, 6]],
        "decoder_sequence_ids": [[1, 1, 1, 2, 2, 3, 3, 3], [1, 0, 0, 0, 0, 0, 0, 0]],
        "decoder_source_ids": [[1, 1, 1, 1, 1, 2, 2, 2], [1] * 8],
        "decoder_position_ids": [[0, 1, 2, 0, 1, 0, 1, 2], [0] * 8],
        "decoder_language_ids": [[1, 1, 1, 2, 2, 2, 2, 2], [3, 0, 0, 0, 0, 0, 0, 0]],
        "decoder_modality_ids": [[0, 0, 0, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0]],
        "decoder_label_positions": [1, 3, 5, 6, 7, 8],
        "decoder_labels": [2, 9, 9, 10, 8, 11],
        "decoder_view_ids": [4, 4, 2, 2, 2, 1],
        "source_language_labels": [[-100, -100, 1], [-100, -100, -100]],
        "ctc_positions": [[6, 7]],
        "ctc_labels": [[70, 71]],
    }
    assert {name: values.tolist() for name, values in batch.items()} == wanted


def test_padding(views):
    alignment, forward, text = views
    pool = UnitPool(1, 5, [0, 1, 2])
    batch = assemble_rows([[text], [alignment, forward]], pool, pad_to_multiple_of=5)
    assert batch["encoder_units"].shape == batch["decoder_units"].shape == (2, 10)
    assert batch["ctc_positions"].tolist() == [[16, 17]]
    assert padding_share(batch) == (10 / 20, 11 / 20)
    assert padding_share([batch, assemble_rows([[text]], pool)]) == (10 / 22, 11 / 21)
    other = assemble_rows([[forward, view("asr", [((4,), (), (), 0, 0)], [((7,), (), (), 1, 2)])]], pool)
    assert other["ctc_positions"].tolist() == [[0, 1]], "a view without labels for CTC takes no part in it"


def test_an_empty_row(views):
    batch = assemble_rows([[]], UnitPool(1, 1, [0, 1, 2]))
    assert padding_share(batch) == (1.0, 1.0)
    assert batch["encoder_units"].tolist() == batch["decoder_units"].tolist() == [[2]]
    assert batch["sequence_ids"].tolist() == batch["decoder_source_ids"].tolist() == [[0]]
    assert batch["mlm_positions"].shape == batch["decoder_labels"].shape == (0,)
    assert batch["ctc_positions"].tolist() == [[0]] and batch["ctc_labels"].tolist() == [[-100]]
    assert batch["source_language_labels"].tolist() == [[-100]]
