# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""k-means over a stream of batches, with constant memory.

Shapes: M vectors of a batch, F their dimensions, K centres, R vectors of the sample.
"""

from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.models.modules_quantization import find_nearest_codes

# Vectors of the sample per centre: enough for k-means++ to distinguish dense regions from outliers.
SAMPLE_PER_CENTRE = 16


class StreamStatistics:
    """Mean, standard deviation and a uniform sample of the vectors of a stream.

    Args:
        feature_size: F.
        sample_size: number of vectors in the sample, R.
        seed: seed of the sample.

    Attributes:
        sample: `(R, F)` float32, or fewer rows if the stream is shorter.
    """

    def __init__(self, feature_size: int, sample_size: int, seed: int = 0) -> None:
        self.sample_size = sample_size
        self.count = 0
        self.sums = torch.zeros(feature_size, dtype=torch.float64)
        self.squares = torch.zeros(feature_size, dtype=torch.float64)
        self._shift: Tensor | None = None
        self._generator = torch.Generator().manual_seed(seed)
        self.sample = torch.zeros(0, feature_size)
        self._keys = torch.zeros(0, dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """Add a batch `(M, F)` of finite floats.

        Choice: every vector draws a key, and the vectors with the smallest keys form the sample: exactly uniform,
        independent of batch boundaries.
        """
        vectors = vectors.detach().cpu().float()
        if not vectors.isfinite().all():
            raise ValueError("k-means: features contain NaN or infinite values.")
        if len(vectors) == 0:
            return
        if self._shift is None:  # sums of squares around a typical vector avoid cancellation
            self._shift = vectors[0].double()
        shifted = vectors.double() - self._shift
        self.count += len(vectors)
        self.sums += shifted.sum(dim=0)
        self.squares += shifted.square().sum(dim=0)
        keys = torch.cat([self._keys, torch.rand(len(vectors), dtype=torch.float64, generator=self._generator)])
        kept = torch.topk(keys, min(self.sample_size, len(keys)), largest=False, sorted=True).indices
        self.sample, self._keys = torch.cat([self.sample, vectors])[kept], keys[kept]

    def standardization(self, floor_ratio: float = 0.0) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `(F,)` float32 of each dimension.

        Args:
            floor_ratio: lower bound of deviations relative to their median over the dimensions. Bins without signal
                (above 4 kHz in telephone speech) would otherwise be amplified.

        Raises:
            ValueError: no vectors were added.
        """
        if self.count == 0 or self._shift is None:
            raise ValueError("k-means: no features; is the corpus empty?")
        mean = self.sums / self.count
        std = (self.squares / self.count - mean.square()).clamp(min=0.0).sqrt()
        std = std.clamp(min=max(floor_ratio * float(std.median()), 1e-5))
        return (mean + self._shift).float(), std.float()


def choose_initial_centres(sample: Tensor, num_centres: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii 2007): probabilities are proportional to squared distances.

    Args:
        sample: `(R, F)` float32.
        num_centres: K.
        generator: generator on the CPU.

    Returns:
        `(K, F)` float32, rows of the sample.

    Raises:
        ValueError: there are fewer different vectors than centres.
    """
    if len(sample) < num_centres:
        raise ValueError(f"k-means: {len(sample)} frames are too few for {num_centres} centres; use more audio.")
    norms = sample.square().sum(dim=-1)
    # Differences of large numbers: values below rounding errors mean equal vectors.
    tiny = 1e-5 * norms

    def distances_to(index: int) -> Tensor:
        # As a matrix product, in one pass over the sample, since it is called K times.
        distances = norms + norms[index] - 2.0 * torch.mv(sample, sample[index])
        return torch.where(distances > tiny, distances, 0.0)

    chosen = [int(torch.randint(len(sample), (1,), generator=generator))]
    distances = distances_to(chosen[0])
    for _ in range(num_centres - 1):
        chosen.append(_draw_by_weight(distances, generator))
        distances = torch.minimum(distances, distances_to(chosen[-1]))
    return sample[torch.tensor(chosen, device=sample.device)].clone()


def _draw_by_weight(weights: Tensor, generator: torch.Generator) -> int:
    cumulative = weights.double().cpu().cumsum(dim=0)
    if float(cumulative[-1]) <= 0:
        raise ValueError("k-means: there are fewer distinct frames than centres; use more audio or fewer centres.")
    threshold = torch.rand(1, dtype=torch.float64, generator=generator) * cumulative[-1]
    # Never one with weight 0, which rounding at the upper end could select.
    results = int(torch.searchsorted(cumulative, threshold, right=True).clamp(max=len(cumulative) - 1))
    return results if float(weights[results]) > 0 else int(weights.argmax())


class StreamingKMeans:
    """Mini-batch k-means, which equals Lloyd's algorithm if one update uses all data.

    `accumulate` assigns vectors to the current centres; `update` moves the centres to the means of their vectors. Both
    after each batch, with `keep` above 0, is mini-batch k-means (Sculley 2010); one `update(keep=0)` after a complete
    pass is a step of Lloyd's algorithm, which never increases the inertia.

    Attributes:
        centres: `(K, F)` float32.
        counts: `(K,)` float64, discounted number of vectors of each centre.
        new_counts: `(K,)` float64, number of vectors assigned to each centre since the last `update`.
        inertia: mean squared distance to the nearest centre since the last `update`, float.
        num_reseeded: number of dead centres replaced.
    """

    def __init__(self, sample: Tensor, num_centres: int, *, seed: int = 0) -> None:
        """Choose the initial centres.

        Args:
            sample: `(R, F)` float, standardised; also used to replace dead centres.
            num_centres: K.
            seed: seed of all random choices.
        """
        self._generator = torch.Generator().manual_seed(seed)
        self._sample = sample.float()
        self.centres = choose_initial_centres(self._sample, num_centres, self._generator)
        self.counts = torch.zeros(num_centres, dtype=torch.float64, device=sample.device)
        self._sums = torch.zeros(self.centres.shape, dtype=torch.float64, device=sample.device)
        self.num_reseeded = 0
        self._start_window()

    def _start_window(self) -> None:
        self.new_counts = torch.zeros_like(self.counts)
        self._new_sums = torch.zeros_like(self._sums)
        self._squared_distance = 0.0

    @property
    def num_pending(self) -> int:
        """Number of vectors since the last `update`."""
        return int(self.new_counts.sum())

    @property
    def inertia(self) -> float:
        """Mean squared distance of the vectors since the last `update` to their centres."""
        return self._squared_distance / max(1, self.num_pending)

    @torch.no_grad()
    def accumulate(self, vectors: Tensor) -> Tensor:
        """Assign vectors `(M, F)` to the centres, without moving these; returns their ids `(M,)` int64."""
        vectors = vectors.to(self.centres.device).float()
        ids = find_nearest_codes(vectors, self.centres)
        self.new_counts += torch.bincount(ids, minlength=len(self.centres))
        self._new_sums.index_add_(0, ids, vectors.double())
        self._squared_distance += float((vectors - self.centres[ids]).square().sum(dtype=torch.float64))
        return ids

    @torch.no_grad()
    def update(self, keep: float = 0.0, *, dead_below: float = 0.5, reseed: bool = True) -> int:
        """Move every centre to the mean of its vectors.

        Args:
            keep: weight of earlier vectors, from 0 (Lloyd) to 1 (Sculley).
            dead_below: centres with a lower discounted number of vectors are dead.
            reseed: whether dead centres are moved to vectors of the sample, with the rule of k-means++.

        Returns:
            number of dead centres.
        """
        self.counts = keep * self.counts + self.new_counts
        self._sums = keep * self._sums + self._new_sums
        dead = self.counts < dead_below
        means = (self._sums / self.counts.clamp(min=1e-12)[:, None]).float()
        self.centres = torch.where(dead[:, None], self.centres, means)
        self._start_window()
        num_dead = int(dead.sum())
        if reseed and num_dead:
            self._reseed(dead)
        return num_dead

    def _reseed(self, dead: Tensor) -> None:
        distances = torch.ones(len(self._sample), device=self._sample.device)
        if not dead.all():
            living = self.centres[~dead]
            nearest = living[find_nearest_codes(self._sample, living)]
            distances = (self._sample - nearest).square().sum(dim=-1)
        for centre in dead.nonzero().flatten().tolist():
            if float(distances.max()) <= 0:  # every vector of the sample is a centre
                return
            vector = self._sample[_draw_by_weight(distances, self._generator)]
            self.centres[centre] = vector
            # A count of one vector, so that it moves with the next vectors.
            self.counts[centre], self._sums[centre] = 1.0, vector.double()
            distances = torch.minimum(distances, (self._sample - vector).square().sum(dim=-1))
            self.num_reseeded += 1

    def state_dict(self) -> dict[str, Any]:
        """The complete state."""
        state = {name: value.clone() if isinstance(value, Tensor) else value for name, value in vars(self).items()}
        return {**state, "_generator": self._generator.get_state()}

    @classmethod
    def from_state(cls, state: dict[str, Any], device: str | torch.device = "cpu") -> "StreamingKMeans":
        """Restore a state of `state_dict`."""
        kmeans = cls.__new__(cls)
        vars(kmeans).update(
            {k: value.to(device) if isinstance(value, Tensor) else value for k, value in state.items()}
        )
        kmeans._generator = torch.Generator()
        kmeans._generator.set_state(state["_generator"].cpu())
        return kmeans
