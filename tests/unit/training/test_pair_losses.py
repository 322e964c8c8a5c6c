# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Losses of pairs: closed forms, loop-written references, sentence-transformers, and several processes."""

import math

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import distributed

from mu2slam_hf.training.pair_losses import gather_rows, in_batch_softmax_sums, spread_out_loss


def make_pairs(rows=6, width=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    make = lambda: torch.randn(rows, width, generator=generator, dtype=dtype, requires_grad=True)  # noqa: E731
    return make(), make()


def test_zero_embeddings_choose_at_random():
    zeros = torch.zeros(7, 4)
    assert in_batch_softmax_sums(zeros, zeros).tolist() == pytest.approx([math.log(7)] * 7)


@pytest.mark.parametrize(("scale", "margin"), [(1.0, 0.0), (20.0, 0.3)])
def test_identical_unit_embeddings(scale, margin):
    ones = torch.eye(4)[:1].expand(7, 4)
    expected = math.log(1 + 6 * math.exp(scale * margin))
    assert in_batch_softmax_sums(ones, ones, scale=scale, margin=margin).tolist() == pytest.approx([expected] * 7)
    assert float(spread_out_loss(ones)) == pytest.approx(1 + (1 - 1 / 4))


def test_orthonormal_pairs():
    eye = torch.eye(5)
    losses = in_batch_softmax_sums(eye, eye, scale=3.0)
    assert losses.tolist() == pytest.approx([math.log(math.exp(3) + 4) - 3] * 5)
    assert float(spread_out_loss(eye)) == 0.0


def test_a_single_pair_has_no_loss_and_a_finite_gradient():
    query = torch.randn(1, 3, requires_grad=True)
    loss = in_batch_softmax_sums(query, query.detach()).sum() + spread_out_loss(query)
    loss.backward()
    assert float(loss.detach()) == 0.0 and torch.equal(query.grad, torch.zeros(1, 3))


def test_equal_texts_are_no_negatives():
    queries, candidates = make_pairs()
    keys = torch.tensor([1, 2, 1, 3, 4, 5])
    equal = keys[:, None] == keys[None]
    masked = in_batch_softmax_sums(queries, candidates, equal=equal)
    without = in_batch_softmax_sums(queries[1:], candidates[[1, 2, 3, 4, 5]])
    alone = in_batch_softmax_sums(queries[:1], candidates[[0, 1, 3, 4, 5]])
    assert float(masked[0].detach()) == pytest.approx(float(alone[0].detach()))
    assert float(masked[2].detach()) == pytest.approx(
        float(in_batch_softmax_sums(queries[2:3], candidates[[2, 1, 3, 4, 5]])[0].detach())
    )
    assert float(masked[1].detach()) > float(without[0].detach()), "all six are candidates of another text"
    everything = torch.ones(6, 6, dtype=torch.bool)
    assert float(spread_out_loss(queries, everything)) == 0.0


def naive_softmax(queries, candidates, scale, margin, keys):
    total = 0.0
    for i in range(len(queries)):
        logits = []
        for j in range(len(candidates)):
            if i == j or keys[i] != keys[j]:
                product = sum(queries[i, k] * candidates[j, k] for k in range(queries.shape[1]))
                logits.append(scale * (product - (margin if i == j else 0.0)))
                if i == j:
                    own = logits[-1]
        total = total + torch.log(sum(torch.exp(value) for value in logits)) - own
    return total


def naive_spread(rows, keys):
    cosines = [
        (rows[i] * rows[j]).sum() / rows[i].norm() / rows[j].norm()
        for i in range(len(rows))
        for j in range(len(rows))
        if i != j and keys[i] != keys[j]
    ]
    mean, square = sum(cosines) / len(cosines), sum(value**2 for value in cosines) / len(cosines)
    return mean**2 + torch.clamp(square - 1 / rows.shape[1], min=0)


def test_values_and_gradients_are_those_of_loops():
    keys = torch.tensor([1, 2, 1, 3, 4, 5])
    equal = keys[:, None] == keys[None]
    results = []
    for naive in (True, False):
        queries, candidates = make_pairs()
        if naive:
            loss = naive_softmax(queries, candidates, 2.0, 0.3, keys) + naive_spread(queries, keys)
        else:
            loss = in_batch_softmax_sums(queries, candidates, scale=2.0, margin=0.3, equal=equal).sum()
            loss = loss + spread_out_loss(queries, equal)
        loss.backward()
        results.append((loss.detach(), queries.grad, candidates.grad))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


class Passed(torch.nn.Module):
    """Stands for the model of sentence-transformers: its embeddings are given."""

    def forward(self, features):
        return {"sentence_embedding": features["embedding"]}


def test_sentence_transformers_has_the_same_losses():
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    from sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer(modules=[Passed()], device="cpu")
    queries, candidates = make_pairs(rows=8, dtype=torch.float32)
    features = [{"embedding": queries}, {"embedding": candidates}]
    settings = {"scale": 1.0, "similarity_fct": util.dot_score}
    settings |= {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    ours = in_batch_softmax_sums(queries, candidates).mean() + in_batch_softmax_sums(candidates, queries).mean()
    for name, more in (
        ("MultipleNegativesRankingLoss", {}),
        ("CachedMultipleNegativesRankingLoss", {"mini_batch_size": 3}),
    ):
        oracle = getattr(losses, name)(model, **settings, **more)
        assert float(oracle(features, None).detach()) == pytest.approx(float(ours.detach()) / 2, rel=1e-5), name
    oracle = losses.GlobalOrthogonalRegularizationLoss(model, aggregation="sum")
    values = oracle(features, None)
    total = sum(values.values()) if isinstance(values, dict) else values
    spread = spread_out_loss(queries) + spread_out_loss(candidates)
    assert float(total.detach()) == pytest.approx(float(spread.detach()), rel=1e-4)


def total_loss(queries, candidates, keys):
    (every_query, first), (every_candidate, _) = gather_rows(queries), gather_rows(candidates)
    every_key = gather_rows(keys)[0]
    equal = keys[:, None] == every_key[None]
    both = in_batch_softmax_sums(queries, every_candidate, first, equal=equal).sum()
    both = both + in_batch_softmax_sums(candidates, every_query, first, equal=equal).sum()
    same = every_key[:, None] == every_key[None]
    spread = spread_out_loss(every_query, same) + spread_out_loss(every_candidate, same)
    return both + spread * len(queries)


def make_all(dtype):
    queries, candidates = make_pairs(rows=8, dtype=dtype)
    return queries, candidates, torch.tensor([1, 2, 3, 1, 4, 5, 6, 7])


def work(rank, counts, file, results):
    distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=2)
    queries, candidates, keys = make_all(torch.float32)
    first = sum(counts[:rank])
    part = slice(first, first + counts[rank])
    weight = torch.tensor(1.5, requires_grad=True)  # a parameter that DDP would average
    loss = total_loss(queries[part] * weight, candidates[part] * weight, keys[part])
    loss.backward()
    results[rank] = (float(loss.detach()), queries.grad[part], candidates.grad[part], weight.grad)
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.parametrize("counts", [(3, 5), (0, 8)])
def test_two_processes_have_the_loss_and_gradients_of_one(counts, tmp_path):
    queries, candidates, keys = make_all(torch.float32)
    weight = torch.tensor(1.5, requires_grad=True)
    loss = total_loss(queries * weight, candidates * weight, keys)
    loss.backward()
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(work, (counts, tmp_path / "store", results), nprocs=2)
        first, second = results[0], results[1]
    assert first[0] + second[0] == pytest.approx(float(loss.detach()), rel=1e-6)
    for place, expected in ((1, queries.grad), (2, candidates.grad)):
        torch.testing.assert_close(torch.cat([first[place], second[place]]), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first[3] + second[3], weight.grad, rtol=1e-6, atol=1e-6)
