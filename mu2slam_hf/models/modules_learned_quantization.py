# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Quantisers that are trained together with an encoder: Gumbel softmax and nearest entry.

Shapes: M real frames of any number of utterances, F features of a frame, G codebooks, K entries of each, D width of a
    quantised frame (G concatenated entries of D / G).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization

from .configuration_mslam import QUANTIZER_METHODS
from .modules_layers import at_least_float32
from .modules_quantization import find_best_products, find_nearest_codes, full_float32


class QuantizerOutput(NamedTuple):
    """Output of a learned quantiser, or the ids of one that is not learned.

    Attributes:
        vectors: `(M, D)` at least float32, differentiable with respect to the features; None if nothing is learned.
        ids: `(M,)` int64, or `(M, G)` with more than one codebook: as from `find_codes`, without noise.
        probabilities: `(M, G, K)` at least float32, for the diversity loss; None if nothing is learned.
        commitment: `(M,)` at least float32, the commitment loss of "nearest"; None for "gumbel".
    """

    vectors: Tensor | None
    ids: Tensor
    probabilities: Tensor | None
    commitment: Tensor | None


def has_other_processes() -> bool:
    """Whether training is distributed over several processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class RunningStandardization(nn.Module):
    """Standardise each feature with running statistics of the frames of training.

    The statistics have no gradient and are the same in training and evaluation (`update` is a separate step), so that
    the output for a frame does not depend on its batch.

    Args:
        feature_size: F.
        window: number of frames after which old frames lose weight, so that the statistics follow a front end that is
            being trained.
        eps: added to variances.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, feature_size: int, window: int = 10_000, eps: float = 1e-5):
        super().__init__()
        self.window, self.eps = window, eps
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("variance", torch.ones(feature_size))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Forget all frames."""
        initialization.zeros_(self.mean)
        initialization.ones_(self.variance)
        initialization.zeros_(self.count)

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Update the statistics with frames `(M, F)` of this process and those of all other processes.

        Every process must call this the same number of times.
        """
        frames = features.detach().to(torch.float64)
        parts = torch.cat([frames.new_full((1,), len(frames)), frames.sum(0), frames.square().sum(0)])
        if has_other_processes():
            torch.distributed.all_reduce(parts)
        number, sums, squares = parts[0].clamp(min=1.0), *parts[1:].chunk(2)
        mean = sums / number
        variance = (squares / number - mean.square()).clamp(min=0.0)
        # Without frames the weight is 0; for the first frames it is 1.
        weight = parts[0] / (self.count.double() + parts[0]).clamp(min=1.0)
        between = weight * (1.0 - weight) * (mean - self.mean).square()
        self.variance.copy_((1.0 - weight) * self.variance + weight * variance + between)
        self.mean.lerp_(mean.to(self.mean.dtype), weight.to(self.mean.dtype))
        self.count.copy_((self.count + parts[0]).clamp(max=self.window))

    def forward(self, features: Tensor) -> Tensor:
        """Standardise `(..., F)` float; the dtype is kept."""
        deviation = (self.variance.to(features.dtype) + self.eps).sqrt()
        return (features - self.mean.to(features.dtype)) / deviation


class LearnedQuantizer(nn.Module):
    """Quantises frames with learned codebooks.

    `gumbel`. Paper: wav2vec 2.0 section 2, also used by w2v-BERT: a linear map to `(G, K)` logits; in training one
    entry is sampled (hard Gumbel softmax, straight-through), in evaluation the largest logit is selected. `nearest`.
    Paper: Mu2SLAM Eq. 1, `argmin_j |G_j - s_i|`. Choice: vector and entries on the unit sphere, straight-through, and
    a commitment loss `beta |z - sg(q)|^2` (van den Oord et al. 2017). The entries are not parameters: in training they
    are running means of the frames assigned to them (appendix A.1 there). An entry with hardly any frames is replaced
    by a frame of the batch (SoundStream, section III-B), and all entries are initialised in this way: if an update has
    fewer frames than entries, the remaining entries are initialised in later updates. Entries trained by gradient
    collapsed to a few within 50 updates.
    Choice: the time constant of the running means grows during training (`memory`). With a constant of ten updates the
    id of the same frame keeps changing every few updates, which makes ids unpredictable.

    Choice: features are standardised first, with running statistics. The component common to all frames dominates the
    output of a front end and grows during training; without standardisation (or with a layer norm per frame) all
    frames would be assigned to one entry. Padding must be excluded: pass real frames only, `states[mask]`.
    Choice: `ids` are computed without noise in training too, as in the resulting tokenizer; targets that are sampled
    anew at each step cannot be predicted.

    Args:
        feature_size: F.
        num_codevectors: K.
        num_groups: G.
        codevector_dim: D, a multiple of G.
        method: `gumbel` or `nearest`.
        commitment_weight: for `nearest`: beta.
        sharpness: for `nearest`: factor of the cosines in the softmax that gives `probabilities`.
        decay: for `nearest`: decay of the running means of the entries per update.
        memory: for `nearest`: lower bound of the time constant of the entries, as a share of the number of updates; 0
            disables it.
        watch_decay: for `nearest`: decay per update of the counts that decide which entries are in use.
        min_use: for `nearest`: entries used less than this are replaced; 1 is the mean of all entries.
    """

    codebook: Tensor
    temperature: Tensor
    use: Tensor
    recent_use: Tensor
    updates: Tensor

    def __init__(
        self,
        feature_size: int,
        num_codevectors: int,
        num_groups: int,
        codevector_dim: int,
        method: str = "gumbel",
        commitment_weight: float = 0.25,
        sharpness: float = 10.0,
        decay: float = 0.9,
        memory: float = 0.3,
        watch_decay: float = 0.97,
        min_use: float = 0.1,
    ):
        super().__init__()
        if method not in QUANTIZER_METHODS:
            raise ValueError(f"method of a quantiser must be one of {', '.join(QUANTIZER_METHODS)}; got {method!r}.")
        if codevector_dim % num_groups:
            raise ValueError(
                f"codevector_dim ({codevector_dim}) must be a multiple of the number of codebooks ({num_groups})."
            )
        self.method, self.commitment_weight, self.sharpness = method, commitment_weight, sharpness
        # Set by the training loop: statistics and entries are not updated in training mode.
        self.is_frozen = False
        self.decay, self.memory, self.watch_decay, self.min_use = decay, memory, watch_decay, min_use
        self.num_codevectors, self.num_groups, self.codevector_dim = num_codevectors, num_groups, codevector_dim
        # Choice: the mean must follow the frames as fast as the entries do: the error of a lagging mean is a direction
        # common to all frames. Measured with 850 frames per update.
        self.norm = RunningStandardization(feature_size, window=10_000 if method == "gumbel" else 1_500)
        width = num_groups * num_codevectors if method == "gumbel" else codevector_dim
        # "nearest" compares directions from the mean; a bias would be the same for all frames.
        self.linear = nn.Linear(feature_size, width, bias=method == "gumbel")
        codebook = torch.empty(num_groups, num_codevectors, codevector_dim // num_groups)
        if method == "gumbel":
            self.codebook = nn.Parameter(codebook)
            # Saved, because resumed runs and later evaluations need the annealed value.
            self.register_buffer("temperature", torch.ones((), dtype=torch.float32))
        else:
            self.register_buffer("codebook", codebook)
            # Running relative frequencies, 1 at equal use; 0: not yet initialised from a frame. `use` is the weight of
            # the running mean of an entry, `recent_use` decides whether the entry is still in use.
            self.register_buffer("use", torch.zeros(num_groups, num_codevectors))
            self.register_buffer("recent_use", torch.zeros(num_groups, num_codevectors))
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise all parameters with the global generator; the temperature starts at 2."""
        self.norm.reset_parameters()
        # As in wav2vec 2.0: a large spread of the logits, so that frames differ in their entries from the first step.
        std = 1.0 if self.method == "gumbel" else self.linear.in_features**-0.5
        initialization.normal_(self.linear.weight, mean=0.0, std=std)
        initialization.normal_(self.codebook, mean=0.0, std=1.0)
        if self.method == "gumbel":
            initialization.zeros_(self.linear.bias)
            initialization.constant_(self.temperature, 2.0)
        else:
            initialization.zeros_(self.use)
            initialization.zeros_(self.recent_use)
            initialization.zeros_(self.updates)

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of the Gumbel softmax; `nearest` has none.

        Raises:
            ValueError: the temperature is not above 0, or the method is not `gumbel`.
        """
        if self.method != "gumbel":
            raise ValueError("Only a quantiser with method 'gumbel' has a temperature; this one has 'nearest'.")
        if not temperature > 0:
            raise ValueError(f"The temperature of a Gumbel softmax must be above 0; got {temperature}.")
        self.temperature.fill_(temperature)

    def forward(self, features: Tensor) -> QuantizerOutput:
        """Quantise frames with a straight-through gradient.

        Args:
            features: `(M, F)` float, real frames only, before masking. In training they update the statistics, unless
                the quantiser is frozen.
        """
        if self.training and not self.is_frozen:
            self.norm.update(features)
            if self.method == "nearest":
                self.update_codebook(features)
        ids = self.find_codes(features)
        by_group = ids.reshape(-1, self.num_groups)
        with torch.autocast(device_type=features.device.type, enabled=False):
            features = at_least_float32(features)
            if self.method == "gumbel":
                return self._draw(self._map(features).unflatten(-1, (self.num_groups, -1)), ids, by_group)
            return self._snap(self._unit_latents(features), ids, by_group)

    @torch.no_grad()
    def find_codes(self, features: Tensor) -> Tensor:
        """Ids of frames, without noise, in float32; the search is exhaustive and its memory bounded.

        Args:
            features: `(M, F)` float.

        Returns:
            `(M,)` int64 in `[0, K)`, or `(M, G)` with more than one codebook.
        """
        with torch.autocast(device_type=features.device.type, enabled=False), full_float32(features.device):
            if self.method == "gumbel":
                frames = self.norm(features.float())
                maps = zip(
                    self.linear.weight.chunk(self.num_groups), self.linear.bias.chunk(self.num_groups), strict=True
                )
                columns = [find_best_products(frames, weight, bias) for weight, bias in maps]
            else:
                vectors, entries = self._unit_latents(features.float()), normalize_vectors(self.codebook.float())
                columns = [find_nearest_codes(*pair) for pair in zip(vectors.unbind(1), entries, strict=True)]
        return columns[0] if self.num_groups == 1 else torch.stack(columns, dim=-1)

    @torch.no_grad()
    def update_codebook(self, features: Tensor) -> None:
        """Replace entries of "nearest" that are hardly used, then move all towards the frames assigned to them.

        Every process must call this the same number of times; the entries are the same in all processes.

        Args:
            features: `(M, F)` float.
        """
        self.updates += 1
        with torch.autocast(device_type=features.device.type, enabled=False):
            latents = self._unit_latents(features.float())
        for group, vectors in enumerate(latents.double().unbind(1)):
            self._replace_entries(group, vectors)
            self._move_entries(group, vectors)

    def _replace_entries(self, group: int, vectors: Tensor) -> None:
        """Replace entries that are hardly used by vectors `(M, D / G)` of the first process."""
        dead = (self.recent_use[group] < self.min_use).nonzero()[:, 0]
        if len(dead) == 0:
            return  # in all processes, since they have the same statistics
        # Seeded by the number of the update, so that a resumed run draws the same vectors.
        generator = torch.Generator().manual_seed(int(self.updates) * self.num_groups + group)
        chosen = torch.randperm(len(vectors), generator=generator)[: len(dead)].to(vectors.device)
        # NaN: no vector available for this entry.
        fresh = vectors.new_full((len(dead), vectors.shape[1]), torch.nan)
        fresh[: len(chosen)] = vectors[chosen]
        if has_other_processes():
            torch.distributed.broadcast(fresh, src=0)
        given = fresh.isfinite().all(dim=-1)
        self.codebook[group, dead[given]] = fresh[given].to(self.codebook.dtype)
        self.use[group, dead[given]] = 1.0
        self.recent_use[group, dead[given]] = 1.0

    def _move_entries(self, group: int, vectors: Tensor) -> None:
        """Update the entries: running means of the vectors `(M, D / G)` assigned to them."""
        ids = find_nearest_codes(vectors.float(), normalize_vectors(self.codebook[group].float()))
        # (K, D / G + 1): sums and counts
        new = vectors.new_zeros(self.num_codevectors, vectors.shape[1] + 1)
        new.index_add_(0, ids, functional.pad(vectors, (0, 1), value=1.0))
        if has_other_processes():
            torch.distributed.all_reduce(new)
        total = new[:, -1].sum()
        # Without frames, nothing changes.
        new *= self.num_codevectors / total.clamp(min=1.0)
        present = total > 0
        recent = self.recent_use[group].double()
        recent = recent + (1.0 - self.watch_decay) * present * (new[:, -1] - recent)
        self.recent_use[group] = recent.to(self.recent_use.dtype)
        weight = min(1.0 - self.decay, 1.0 / max(1.0, self.memory * float(self.updates))) * present
        new *= weight
        past = (1.0 - weight) * self.use[group].double()
        use = past + new[:, -1]
        moved = (past[:, None] * self.codebook[group].double() + new[:, :-1]) / use.clamp(min=1e-12)[:, None]
        chosen = new[:, -1:] > 0
        self.codebook[group] = torch.where(chosen, moved, self.codebook[group].double()).to(self.codebook.dtype)
        self.use[group] = use.to(self.use.dtype)

    def _map(self, features: Tensor) -> Tensor:
        """Standardise and project `(M, F)` to `(M, G * K)` for "gumbel", `(M, D)` for "nearest"."""
        weight, bias = self.linear.weight.to(features.dtype), self.linear.bias
        return functional.linear(self.norm(features), weight, None if bias is None else bias.to(features.dtype))

    def _unit_latents(self, features: Tensor) -> Tensor:
        """Latents of "nearest": `(M, F)` to `(M, G, D / G)` of length 1."""
        return normalize_vectors(self._map(features).unflatten(-1, (self.num_groups, -1)))

    def _draw(self, logits: Tensor, ids: Tensor, by_group: Tensor) -> QuantizerOutput:
        """Output of "gumbel" from logits `(M, G, K)`."""
        codebook = self.codebook.to(logits.dtype)
        if self.training:
            chosen = functional.gumbel_softmax(logits, tau=self.temperature.to(logits.dtype), hard=True, dim=-1)
            vectors = torch.einsum("mgk,gkd->mgd", chosen, codebook)
        else:
            vectors = codebook[torch.arange(self.num_groups, device=ids.device), by_group]
        return QuantizerOutput(vectors.flatten(1), ids, logits.softmax(dim=-1), None)

    def _snap(self, latents: Tensor, ids: Tensor, by_group: Tensor) -> QuantizerOutput:
        """Output of "nearest" from latents `(M, G, D / G)` of length 1."""
        codebook = normalize_vectors(self.codebook.to(latents.dtype))
        entries = codebook[torch.arange(self.num_groups, device=ids.device), by_group]
        # (M, G, D / G) -> (M, G) -> (M,)
        commitment = self.commitment_weight * (latents - entries).square().sum(dim=-1).mean(dim=-1)
        # Choice: Eq. 1 has no probabilities; a softmax of the cosines gives unused entries a diversity gradient.
        probabilities = (self.sharpness * torch.einsum("mgd,gkd->mgk", latents, codebook)).softmax(dim=-1)
        vectors = latents + (entries - latents).detach() if self.training else entries
        return QuantizerOutput(vectors.flatten(1), ids, probabilities, commitment)


def normalize_vectors(vectors: Tensor) -> Tensor:
    """Normalise `(..., D)` float to length 1."""
    return functional.normalize(vectors, dim=-1)


def anneal_temperature(step: int, start: float = 2.0, minimum: float = 0.1, factor: float = 0.999995) -> float:
    """Temperature of the Gumbel softmax after `step` updates: `max(minimum, start * factor^step)`.

    Paper: wav2vec 2.0 section 4.2; the defaults are those of fairseq2's w2v-BERT. Choice: a function of the step
    rather than a running product, so that it is the same after resuming.
    """
    return max(minimum, start * factor**step)
