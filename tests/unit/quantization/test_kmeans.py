# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Streaming k-means: against loops, on planted clusters, and what it promises about memory, seeds and resuming."""

import io

import pytest
import torch

from mu2slam_hf.quantization.kmeans import StreamingKMeans, StreamStatistics, choose_initial_centres

FAR = 20.0


def planted(num_clusters: int = 8, size: int = 60, dim: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Clusters far apart, of deviation 1, in random order; their true centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.cat([torch.eye(dim), -torch.eye(dim)])[:num_clusters] * FAR
    vectors = centres.repeat(size, 1) + torch.randn(num_clusters * size, dim, generator=generator)
    return vectors[torch.randperm(len(vectors), generator=generator)], centres


def fit(vectors, num_centres, *, passes=4, batch=37, keep=None, seed=0):
    kmeans = StreamingKMeans(vectors[:200], num_centres, seed=seed)
    for _ in range(passes):
        for chunk in vectors.split(batch):
            kmeans.accumulate(chunk)
            if keep is not None:
                kmeans.update(keep)
        if keep is None:
            kmeans.update()
    return kmeans


@pytest.mark.parametrize("keep", [None, 0.9, 1.0])
def test_planted_clusters_are_found(keep):
    vectors, centres = planted()
    found = fit(vectors, 8, keep=keep).centres
    distances = torch.cdist(centres, found)
    assert sorted(distances.argmin(dim=1).tolist()) == list(range(8))
    assert float(distances.min(dim=1).values.max()) < 1.0


def test_one_step_equals_a_loop():
    vectors, _ = planted()
    kmeans = StreamingKMeans(vectors[:100], 6, seed=3)
    before = kmeans.centres.clone()
    for chunk in vectors.split(50):
        kmeans.accumulate(chunk)
    owners = [int(torch.stack([(v - c).norm() for c in before]).argmin()) for v in vectors]
    inertia = sum(float((v - before[o]).square().sum()) for v, o in zip(vectors, owners, strict=True)) / len(vectors)
    assert kmeans.num_pending == len(vectors) and kmeans.inertia == pytest.approx(inertia, rel=1e-6)
    assert kmeans.update() == 0
    for centre in range(6):
        members = vectors[[number for number, owner in enumerate(owners) if owner == centre]]
        torch.testing.assert_close(kmeans.centres[centre], members.mean(dim=0))


def test_the_past_is_discounted():
    """Centre 0 saw one vector at 0 and now one at 3: at keep = 0.5 its mean is (0.5 * 0 + 3) / 1.5."""
    kmeans = StreamingKMeans(torch.tensor([[0.0], [100.0]]), 2)
    kmeans.accumulate(torch.tensor([[0.0], [100.0]]))
    kmeans.update()
    kmeans.accumulate(torch.tensor([[3.0], [100.0]]))
    kmeans.update(keep=0.5)
    assert sorted(kmeans.centres.flatten().tolist()) == pytest.approx([2.0, 100.0])


def test_whole_passes_never_raise_the_inertia():
    vectors = torch.randn(600, 4, generator=torch.Generator().manual_seed(1))
    kmeans = StreamingKMeans(vectors[:100], 20)
    figures = []
    for _ in range(8):
        for chunk in vectors.split(64):
            kmeans.accumulate(chunk)
        figures.append(kmeans.inertia)
        kmeans.update()
    assert all(later <= earlier + 1e-6 for earlier, later in zip(figures, figures[1:], strict=False))
    assert figures[-1] < 0.9 * figures[0]


def test_mini_batches_lower_the_inertia_too():
    vectors = torch.randn(3000, 4, generator=torch.Generator().manual_seed(1))
    first, last = fit(vectors, 20, passes=0), fit(vectors, 20, passes=3, batch=200, keep=0.9)
    for kmeans in (first, last):
        kmeans.accumulate(vectors)
    assert last.inertia < 0.9 * first.inertia


def test_batches_do_not_matter_to_a_whole_pass():
    vectors, _ = planted()
    one, many = fit(vectors, 12, batch=len(vectors)), fit(vectors, 12, batch=7)
    torch.testing.assert_close(one.centres, many.centres)


def test_the_seed_decides():
    vectors = torch.randn(400, 3, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    first = fit(vectors, 10, keep=0.9).centres
    torch.manual_seed(1)
    assert torch.equal(fit(vectors, 10, keep=0.9).centres, first)
    assert not torch.equal(fit(vectors, 10, keep=0.9, seed=1).centres, first)


def test_resuming_gives_the_same_bits():
    vectors, _ = planted(num_clusters=4)
    whole, cut = StreamingKMeans(vectors[:64], 16), StreamingKMeans(vectors[:64], 16)
    batches = vectors.split(20)
    for number, chunk in enumerate(batches):
        if number == len(batches) // 2:
            cut.accumulate(chunk[:11])  # in the middle of a window
            file = io.BytesIO()
            torch.save(cut.state_dict(), file)
            file.seek(0)
            cut = StreamingKMeans.from_state(torch.load(file, weights_only=True))
            cut.accumulate(chunk[11:])
        else:
            cut.accumulate(chunk)
        whole.accumulate(chunk[:11])
        whole.accumulate(chunk[11:])
        for kmeans in (whole, cut):
            kmeans.update(0.8, dead_below=0.9)
    assert whole.num_reseeded == cut.num_reseeded > 0
    torch.testing.assert_close(whole.centres, cut.centres, atol=0, rtol=0)


def test_dead_centres_move_to_where_vectors_are_far_from_any():
    sample = torch.tensor([[0.0], [0.1], [50.0], [100.0]])
    kmeans = StreamingKMeans(sample, 3)
    kmeans.centres = torch.tensor([[0.0], [-1000.0], [100.0]])
    kmeans.accumulate(sample[[0, 1, 3]])
    assert kmeans.update() == 1 and kmeans.num_reseeded == 1
    assert kmeans.centres.flatten().tolist() == pytest.approx([0.05, 50.0, 100.0])
    kmeans.centres[1] = -1000.0
    kmeans.accumulate(sample[[0, 1, 3]])
    assert kmeans.update(reseed=False) == 1
    assert kmeans.centres[1] == -1000.0


def test_the_first_centres_prefer_what_is_far():
    """Nine vectors in one place and one far away: both places have a centre, whatever the seed."""
    sample = torch.cat([torch.zeros(9, 2), torch.full((1, 2), 7.0)])
    for seed in range(20):
        centres = choose_initial_centres(sample, 2, torch.Generator().manual_seed(seed))
        assert sorted(centres[:, 0].tolist()) == [0.0, 7.0]


@pytest.mark.parametrize(
    ("sample", "message"), [(torch.randn(2, 2), "too few for 3"), (torch.ones(9, 2), "fewer distinct")]
)
def test_too_little_to_start_from(sample, message):
    with pytest.raises(ValueError, match=message):
        StreamingKMeans(sample, 3)


def test_statistics_equal_those_of_all_vectors():
    generator = torch.Generator().manual_seed(0)
    vectors = 1000.0 + torch.randn(500, 3, generator=generator) * torch.tensor([1.0, 5.0, 0.001])
    statistics = StreamStatistics(3, 50)
    for chunk in vectors.split(33):
        statistics.add(chunk)
    mean, std = statistics.standardization()
    torch.testing.assert_close(mean, vectors.double().mean(0).float())
    torch.testing.assert_close(std, vectors.double().std(0, correction=0).float(), rtol=1e-4, atol=1e-6)
    _, floored = statistics.standardization(floor_ratio=0.5)
    assert float(floored[2]) == pytest.approx(0.5 * float(std.median()))


def test_the_sample_is_bounded_uniform_and_independent_of_the_batches():
    vectors = torch.arange(2000.0)[:, None]
    samples = []
    for batch in (100, 7):
        statistics = StreamStatistics(1, 200, seed=1)
        for chunk in vectors.split(batch):
            statistics.add(chunk)
            assert len(statistics.sample) <= 200
        samples.append(statistics.sample)
    assert torch.equal(*samples)
    assert len(samples[0].unique()) == 200
    # Mean of a uniform sample of 0..1999: 999.5 with a deviation of 577 / sqrt(200) = 41.
    assert abs(float(samples[0].mean()) - 999.5) < 4 * 41


def test_statistics_refuse_what_is_not_a_number_and_nothing_at_all():
    with pytest.raises(ValueError, match="NaN or infinite"):
        StreamStatistics(2, 5).add(torch.tensor([[float("nan"), 0.0]]))
    with pytest.raises(ValueError, match="no features"):
        StreamStatistics(2, 5).standardization()
