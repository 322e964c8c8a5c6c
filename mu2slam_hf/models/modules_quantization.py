# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Quantisers of speech frames, the exact search in a codebook, and the health of a codebook.

Shapes: B utterances, T log-mel frames (10 ms), N ids (40 ms), M frames of any number of utterances, F features of a
stacked frame, G codebooks, K entries of a codebook, D width of an entry.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import initialization

# Entries of the distance matrix computed at a time: 16 MB, whatever the length of the audio and the codebook.
SEARCH_CHUNK_ENTRIES = 4 * 1024 * 1024


def find_nearest_codes(vectors: torch.Tensor, codebook: torch.Tensor, chunk_rows: int | None = None) -> torch.Tensor:
    """Index of the entry with the least euclidean distance to each vector, by exhaustive search in float32.

    `|v - c|^2 = |v|^2 - 2 (v c - |c|^2 / 2)`, so one matrix product per chunk ranks all entries.

    Paper: Mu2SLAM Eq. 1, `z_i = argmin_j |G_j - s_i|`.

    Args:
        vectors: `(M, D)` floating point.
        codebook: `(K, D)` floating point.
        chunk_rows: vectors compared at a time; bounds the memory, does not change the result. None: as many as fill
            `SEARCH_CHUNK_ENTRIES`.

    Returns:
        `(M,)` int64 in `[0, K)`.
    """
    with torch.autocast(device_type=vectors.device.type, enabled=False):
        codebook = codebook.float()
        return find_best_products(vectors, codebook, -0.5 * codebook.square().sum(dim=-1), chunk_rows)


def find_best_products(
    vectors: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor, chunk_rows: int | None = None
) -> torch.Tensor:
    """Index of the largest of K linear functions at each vector, in float32.

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
    # Autocast would turn the product into bfloat16, and a GPU may be allowed to use TF32: 8 and 11 bits of mantissa
    # pick another entry for many frames.
    with torch.autocast(device_type=vectors.device.type, enabled=False), full_float32(vectors.device):
        weights, bias = weights.float(), bias.float()
        # The bias is in the product from the start: no second pass over the matrix.
        chunks = [torch.addmm(bias, chunk.float(), weights.T).argmax(dim=-1) for chunk in vectors.split(chunk_rows)]
    return torch.cat(chunks) if chunks else vectors.new_zeros(0, dtype=torch.int64)


@contextmanager
def full_float32(device: torch.device):
    """Products and convolutions of float32 without TF32 inside; no effect outside of GPUs.

    Choice: by the setting of each operation. The older `get_float32_matmul_precision` raises where somebody has used
    the newer settings, as transformers' `tf32=True` does.
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
    """Concatenate neighbouring frames; the last group is filled with zeros.

    Args:
        features: `(B, T, D)`; padding must already be zero.
        num_stacked_frames: frames per group, S.

    Returns:
        `(B, ceil(T / S), S * D)`, earlier frames first.
    """
    missing = -features.shape[1] % num_stacked_frames
    features = functional.pad(features, (0, 0, 0, missing))
    # (B, N * S, D) -> (B, N, S * D)
    return features.reshape(features.shape[0], -1, num_stacked_frames * features.shape[2])


def stack_context(frames: torch.Tensor, num_context_frames: int) -> torch.Tensor:
    """Concatenate every frame with its neighbours; beyond the ends stand zeros.

    Args:
        frames: `(B, N, D)`; padding must already be zero.
        num_context_frames: neighbours on either side, C.

    Returns:
        `(B, N, (2 C + 1) * D)`, earlier frames first.
    """
    if num_context_frames == 0:
        return frames
    padded = functional.pad(frames, (0, 0, num_context_frames, num_context_frames))
    # (B, N, D, 2 C + 1) -> (B, N, 2 C + 1, D) -> (B, N, (2 C + 1) * D)
    return padded.unfold(1, 2 * num_context_frames + 1, 1).transpose(2, 3).flatten(2)


def center_utterances(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Subtract from every frame the mean of its utterance: what level, microphone and voice add to all of them.

    Args:
        features: `(B, N, D)` floating point; padding may hold anything.
        mask: `(B, N)` bool, True on real frames.

    Returns:
        `(B, N, D)` of the same type, zeros on padding; a row depends on its own real frames only.
    """
    real = mask.unsqueeze(-1)
    features = torch.where(real, features, 0.0)
    # Summed in float64: in float32 the sum would depend on how much padding the batch has, and ids with it.
    count = mask.sum(dim=1)[:, None, None].clamp(min=1)
    mean = (features.sum(dim=1, keepdim=True, dtype=torch.float64) / count).to(features.dtype)
    return torch.where(real, features - mean, 0.0)


class StaysFloat32:
    """Mixin of modules whose floating point parameters and buffers keep their type.

    Rounded to half precision, they would give other ids. Moving between devices is applied, a change of floating point
    type is taken back, whoever asks for it (`.half()`, `.to(torch.bfloat16)` of a parent).
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
    """Nearest entry of a fixed random codebook to a fixed random projection, both on the unit sphere.

    Paper: BEST-RQ, `argmin_j | norm(C_j) - norm(A x) |`, A by Xavier initialisation, C standard normal.
    Choice: both are drawn on the CPU from their own seed, not from the global generator: the ids of a recording belong
    to the configuration, and must not depend on what was initialised before or on the device.

    Args:
        input_size: F, features of a stacked frame.
        num_codevectors: K.
        codevector_dim: D.
        num_groups: G, codebooks with a projection of their own.
        seed: seed of both.
    """

    def __init__(self, input_size: int, num_codevectors: int, codevector_dim: int, num_groups: int, seed: int):
        super().__init__()
        self.seed = seed
        # Parameters, because a model that holds buffers only cannot be saved.
        self.projection = nn.Parameter(torch.empty(num_groups, input_size, codevector_dim), requires_grad=False)
        self.codebook = nn.Parameter(torch.empty(num_groups, num_codevectors, codevector_dim), requires_grad=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw projection and codebook again from the seed."""
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
    """Nearest centre to features that are standardised dimension by dimension.

    Choice: standardised as in AudioLM: a few dimensions of an encoder are tens of times wider than the others, and the
    distance would be theirs alone.

    Args:
        feature_size: F.
        num_codevectors: K.
        seed: of the codebook before it is trained, standard normal.
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
        """The codebook before it is trained: standard normal, features as they are."""
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        initialization.zeros_(self.mean)
        initialization.ones_(self.std)
        initialization.copy_(self.codebook, torch.randn(self.codebook.shape, generator=generator, device="cpu"))

    def standardize(self, features: torch.Tensor) -> torch.Tensor:
        """Zero mean and unit deviation in each dimension: `(..., F)` float to `(..., F)` float32."""
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
    """How well a codebook is used by a body of speech.

    Attributes:
        num_ids: ids counted.
        num_codevectors: entries of the codebook, K.
        num_dead: entries that no frame chose.
        usage: share of entries chosen at least once, 0 to 1.
        perplexity: exponential of the entropy of the ids in nats, 1 (one entry for all) to K (all equally often).
    """

    num_ids: int
    num_codevectors: int
    num_dead: int
    usage: float
    perplexity: float


def count_codes(ids: torch.Tensor, num_codevectors: int) -> torch.Tensor:
    """How often each entry was chosen; counts of several batches may be added.

    Args:
        ids: int64 of any shape; negative ids (padding) are not counted.
        num_codevectors: K.

    Returns:
        `(K,)` int64.
    """
    ids = ids[ids >= 0]
    if ids.numel() and int(ids.max()) >= num_codevectors:
        raise ValueError(f"Speech id {int(ids.max())} is outside of a codebook of {num_codevectors} entries.")
    return torch.bincount(ids, minlength=num_codevectors)


def compute_codebook_health(counts: torch.Tensor) -> CodebookHealth:
    """Health figures of a codebook from the counts of `count_codes`.

    Args:
        counts: `(K,)` number of times each entry was chosen.

    Returns:
        The figures; perplexity 0 and usage 0 where nothing was counted.
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


__all__ = [
    "CodebookHealth",
    "KMeansQuantizer",
    "RandomProjectionQuantizer",
    "StaysFloat32",
    "compute_codebook_health",
    "count_codes",
    "find_best_products",
    "find_nearest_codes",
    "full_float32",
    "stack_context",
    "stack_frames",
]
