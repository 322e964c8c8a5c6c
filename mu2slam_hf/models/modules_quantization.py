# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Quantisers of speech frames, exact search in a codebook, and usage statistics of a codebook.

Shapes: B utterances, T log-mel frames (10 ms), N ids (40 ms), M frames of any number of utterances, F features of a
stacked frame, G codebooks, K entries of a codebook, D width of an entry.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import initialization

# Number of entries of the distance matrix computed at a time (16 MB).
SEARCH_CHUNK_ENTRIES = 4 * 1024 * 1024


def find_nearest_codes(vectors: torch.Tensor, codebook: torch.Tensor, chunk_rows: int | None = None) -> torch.Tensor:
    """Index of the entry with the smallest Euclidean distance to each vector, by exhaustive search in float32.

    `|v - c|^2 = |v|^2 - 2 (v c - |c|^2 / 2)`, so one matrix product per chunk ranks all entries.

    Paper: Mu2SLAM Eq. 1, `z_i = argmin_j |G_j - s_i|`.

    Args:
        vectors: `(M, D)` floating point.
        codebook: `(K, D)` floating point.
        chunk_rows: number of vectors compared at a time; bounds the memory without changing the result. Default:
            derived from `SEARCH_CHUNK_ENTRIES`.

    Returns:
        `(M,)` int64 in `[0, K)`.
    """
    with torch.autocast(device_type=vectors.device.type, enabled=False):
        codebook = codebook.float()
        return find_best_products(vectors, codebook, -0.5 * codebook.square().sum(dim=-1), chunk_rows)


def find_best_products(
    vectors: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor, chunk_rows: int | None = None
) -> torch.Tensor:
    """Index of the largest of K linear functions of each vector, in float32.

    Args:
        vectors: `(M, D)` floating point.
        weights: `(K, D)` floating point.
        bias: `(K,)` floating point.
        chunk_rows: as in `find_nearest_codes`.

    Returns:
        `(M,)` int64 in `[0, K)`.
    """
    if chunk_rows is None:
        chunk_rows = max(1, SEARCH_CHUNK_ENTRIES // max(1, weights.shape[0]))
    # Under autocast the product would be bfloat16, and a GPU may use TF32: with 8 and 11 bits of mantissa many frames
    # would get another entry.
    with torch.autocast(device_type=vectors.device.type, enabled=False), full_float32(vectors.device):
        weights, bias = weights.float(), bias.float()
        # The bias is added in the same operation, without a second pass over the matrix.
        chunks = [torch.addmm(bias, chunk.float(), weights.T).argmax(dim=-1) for chunk in vectors.split(chunk_rows)]
    return torch.cat(chunks) if chunks else vectors.new_zeros(0, dtype=torch.int64)


@contextmanager
def full_float32(device: torch.device):
    """Context manager: float32 products and convolutions without TF32; no effect except on GPUs.

    Choice: uses the setting of each operation. The older `get_float32_matmul_precision` raises an error after use of
    the newer settings, as by `tf32=True` of transformers.
    """
    if device.type != "cuda":
        yield
        return
    operations = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [operation.fp32_precision for operation in operations]
    try:
        for operation in operations:
            operation.fp32_precision = "ieee"
        yield
    finally:
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision


def stack_frames(features: torch.Tensor, num_stacked_frames: int) -> torch.Tensor:
    """Concatenate adjacent frames; the last group is padded with zeros.

    Args:
        features: `(B, T, D)`; padding must already be zero.
        num_stacked_frames: number of frames per group, S.

    Returns:
        `(B, ceil(T / S), S * D)`, earlier frames first.
    """
    missing = -features.shape[1] % num_stacked_frames
    features = functional.pad(features, (0, 0, 0, missing))
    # (B, N * S, D) -> (B, N, S * D)
    return features.reshape(features.shape[0], -1, num_stacked_frames * features.shape[2])


def stack_context(frames: torch.Tensor, num_context_frames: int) -> torch.Tensor:
    """Concatenate every frame with its neighbours, with zeros at both ends.

    Args:
        frames: `(B, N, D)`; padding must already be zero.
        num_context_frames: number of neighbours on either side, C.

    Returns:
        `(B, N, (2 C + 1) * D)`, earlier frames first.
    """
    if num_context_frames == 0:
        return frames
    padded = functional.pad(frames, (0, 0, num_context_frames, num_context_frames))
    # (B, N, D, 2 C + 1) -> (B, N, 2 C + 1, D) -> (B, N, (2 C + 1) * D)
    return padded.unfold(1, 2 * num_context_frames + 1, 1).transpose(2, 3).flatten(2)


def center_utterances(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Subtract the mean of its utterance from every frame, which reduces effects of level, microphone and voice.

    Args:
        features: `(B, N, D)` floating point; the values of padding have no effect.
        mask: `(B, N)` bool, True on real frames.

    Returns:
        `(B, N, D)` of the same dtype, zeros on padding; a row depends on its own real frames only.
    """
    real = mask.unsqueeze(-1)
    features = torch.where(real, features, 0.0)
    return torch.where(real, features - _mean_of_frames(features, mask), 0.0)


def standardize_utterances(features: torch.Tensor, mask: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """Mean 0 and variance 1 of each feature over the real frames of an utterance.

    Args:
        features: `(B, N, D)` floating point; the values of padding have no effect.
        mask: `(B, N)` bool, True on real frames.
        eps: added to variances.

    Returns:
        `(B, N, D)` of the same dtype, zeros on padding; a row depends on its own real frames only.
    """
    centred = center_utterances(features, mask)
    return centred * (_mean_of_frames(centred.square(), mask) + eps).rsqrt()


def _mean_of_frames(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean `(B, 1, D)` over real frames of `features` `(B, N, D)`, which are 0 elsewhere."""
    # Summed in float64: in float32 the sum, and therefore ids, would depend on the amount of padding.
    count = mask.sum(dim=1)[:, None, None].clamp(min=1)
    return (features.sum(dim=1, keepdim=True, dtype=torch.float64) / count).to(features.dtype)


class StaysFloat32:
    """Mixin for modules whose floating point parameters and buffers keep their dtype.

    In half precision they would give other ids. Moves between devices are applied, changes of the floating point dtype
    (`.half()`, `.to(torch.bfloat16)` of a parent) are reverted.
    """

    def _apply(self, fn, recurse: bool = True):
        before = {name: tensor.data for name, tensor in self._floats()}
        super()._apply(fn, recurse)
        for name, tensor in self._floats():
            if tensor.dtype != before[name].dtype:
                tensor.data = before[name].to(tensor.device)
        return self

    def _floats(self):
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            if tensor.is_floating_point():
                yield name, tensor


class RandomProjectionQuantizer(StaysFloat32, nn.Module):
    """Nearest entry of a fixed random codebook to a fixed random projection of a frame, on the unit sphere.

    Paper: BEST-RQ, `argmin_j | norm(C_j) - norm(A x) |`, A with Xavier initialisation, C standard normal.
    Choice: both are drawn on the CPU from a seed, not from the global generator: ids must depend on the configuration
    only, not on earlier initialisations or the device.

    Args:
        input_size: number of features of a stacked frame, F.
        num_codevectors: K.
        codevector_dim: D.
        num_groups: number of codebooks G, each with its own projection.
        seed: seed of both.
    """

    def __init__(self, input_size: int, num_codevectors: int, codevector_dim: int, num_groups: int, seed: int):
        super().__init__()
        self.seed, self.num_groups, self.num_codevectors = seed, num_groups, num_codevectors
        # Parameters, because a model with buffers only cannot be saved.
        self.projection = nn.Parameter(torch.empty(num_groups, input_size, codevector_dim), requires_grad=False)
        self.codebook = nn.Parameter(torch.empty(num_groups, num_codevectors, codevector_dim), requires_grad=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw projection and codebook from the seed."""
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        num_groups, input_size, dim = self.projection.shape
        bound = (6.0 / (input_size + dim)) ** 0.5  # Xavier, uniform
        projection = (torch.rand(num_groups, input_size, dim, generator=generator, device="cpu") * 2 - 1) * bound
        codebook = torch.randn(self.codebook.shape, generator=generator, device="cpu")
        initialization.copy_(self.projection, projection)
        initialization.copy_(self.codebook, functional.normalize(codebook, dim=-1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Quantise stacked frames.

        Args:
            features: `(M, F)` float, normalised to about zero mean and unit variance.

        Returns:
            `(M, G)` int64 in `[0, K)`.
        """
        with torch.autocast(device_type=features.device.type, enabled=False), full_float32(features.device):
            projected = torch.einsum("mf,gfd->gmd", features.float(), self.projection.float())
            projected = functional.normalize(projected, dim=-1)
            codebook = functional.normalize(self.codebook.float(), dim=-1)
        return torch.stack([find_nearest_codes(*pair) for pair in zip(projected, codebook, strict=True)], dim=-1)


class KMeansQuantizer(StaysFloat32, nn.Module):
    """Nearest centre to features whose dimensions are standardised.

    Choice: standardised as in AudioLM: a few dimensions of an encoder vary tens of times more than the others and
    would dominate the distance.

    Args:
        feature_size: F.
        num_codevectors: K.
        seed: seed of the standard normal codebook before training.
    """

    def __init__(self, feature_size: int, num_codevectors: int, seed: int = 0):
        super().__init__()
        self.seed = seed
        self.mean = nn.Parameter(torch.empty(feature_size, dtype=torch.float32), requires_grad=False)
        self.std = nn.Parameter(torch.empty(feature_size, dtype=torch.float32), requires_grad=False)
        self.codebook = nn.Parameter(
            torch.empty(num_codevectors, feature_size, dtype=torch.float32), requires_grad=False
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Reset to the untrained state: a standard normal codebook and no standardisation."""
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        initialization.zeros_(self.mean)
        initialization.ones_(self.std)
        initialization.copy_(self.codebook, torch.randn(self.codebook.shape, generator=generator, device="cpu"))

    def standardize(self, features: torch.Tensor) -> torch.Tensor:
        """Standardise each dimension: `(..., F)` float to `(..., F)` float32."""
        return (features.float() - self.mean) / self.std

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Quantise features.

        Args:
            features: `(M, F)` float.

        Returns:
            `(M, 1)` int64 in `[0, K)`.
        """
        return find_nearest_codes(self.standardize(features), self.codebook).unsqueeze(-1)


@dataclass(frozen=True, kw_only=True)
class CodebookHealth:
    """Usage statistics of a codebook on a data set.

    Attributes:
        num_ids: number of ids counted.
        num_codevectors: number of entries of the codebook, K.
        num_dead: number of entries that no frame was assigned to.
        usage: share of entries used at least once, 0 to 1.
        perplexity: exponential of the entropy of the ids in nats, 1 (one entry for all) to K (all equally often).
    """

    num_ids: int
    num_codevectors: int
    num_dead: int
    usage: float
    perplexity: float


def count_codes(ids: torch.Tensor, num_codevectors: int) -> torch.Tensor:
    """Count the use of each entry; counts of several batches may be added.

    Args:
        ids: int64 of any shape; negative ids (padding) are not counted.
        num_codevectors: K.

    Returns:
        `(K,)` int64.
    """
    ids = ids[ids >= 0]
    if ids.numel() and int(ids.max()) >= num_codevectors:
        raise ValueError(f"Speech id {int(ids.max())} is out of range for a codebook of {num_codevectors} entries.")
    return torch.bincount(ids, minlength=num_codevectors)


def compute_codebook_health(counts: torch.Tensor) -> CodebookHealth:
    """Usage statistics of a codebook from the counts of `count_codes`.

    Args:
        counts: `(K,)` number of uses of each entry.

    Returns:
        The statistics; perplexity and usage are 0 if nothing was counted.
    """
    total = int(counts.sum())
    num_codevectors = counts.numel()
    num_dead = int((counts == 0).sum())
    probabilities = counts.double() / max(total, 1)
    entropy = -torch.special.xlogy(probabilities, probabilities).sum()
    return CodebookHealth(
        num_ids=total,
        num_codevectors=num_codevectors,
        num_dead=num_dead,
        usage=(num_codevectors - num_dead) / num_codevectors,
        perplexity=float(entropy.exp()) if total else 0.0,
    )
