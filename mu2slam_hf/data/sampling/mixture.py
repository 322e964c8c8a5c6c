# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Number of occurrences of each example in an epoch: corpora with weights, languages with a temperature."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import floor
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey, counter_generator

Group = tuple[str, str, str]
"""(source modality, language, corpus)"""

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def temperature_shares(sizes: Mapping[str, float], temperature: float) -> dict[str, float]:
    """`p_l ~ n_l ** (1 / T)`, summing to 1.

    Paper: section 3.1 samples languages with T = 3 (text) and T = 2 (translation pairs).
    """
    raised = {name: size ** (1.0 / temperature) if size > 0 else 0.0 for name, size in sizes.items()}
    total = sum(raised.values())
    if total == 0:
        raise ValueError(f"all of {sorted(sizes)} are empty or have weight 0")
    return {name: value / total for name, value in raised.items()}


def source_shares(sizes: Mapping[str, tuple[str, float]], temperature: float) -> dict[str, float]:
    """Source -> share of the draws of its task, summing to 1; sources of size 0 are left out.

    Args:
        sizes: source -> language (for the temperature) and weighted size.
        temperature: T over the languages; the sources of one language keep their natural shares.
    """
    by_lang: dict[str, float] = defaultdict(float)
    for lang, size in sizes.values():
        by_lang[lang] += size
    shares = temperature_shares(by_lang, temperature)
    return {name: shares[lang] * size / by_lang[lang] for name, (lang, size) in sizes.items() if size > 0}


class Mixture:
    """The examples of an epoch.

    Each group (modality, language, corpus) has a real-valued quota per epoch; epoch e takes the next items of the
    group's fixed shuffled circle, from `floor(e * quota)` to `floor((e + 1) * quota)`. So an epoch holds every example
    of a group either `floor(q / n)` or `ceil(q / n)` times, over epochs no example is ever more than one draw behind
    another, shares are exact in the long run, and any epoch can be computed without the ones before.

    Choice: the temperature acts on languages over all corpora together; within a language the corpora keep their
    weighted natural shares. The size of the epoch is the weighted number of examples, whatever the temperature.

    Args:
        examples: all examples; keys refer to them by position.
        corpus_weights: number of passes over a corpus per epoch, default 1.
        temperature: T of `p ~ n ** (1 / T)` over the languages of a source modality; 1 keeps the natural shares.
        seed: seed of the run.
        language_of: language of an example for sampling, for example a pair of languages in translation.

    Raises:
        ValueError: a temperature of 0 or less, a negative weight, or a weight of a corpus that has no example.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        corpus_weights: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        language_of: Callable[[Example], str] = attrgetter("source_lang"),
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"`temperature` must be above 0, got {temperature}")
        self.corpus_weights, self.temperature, self.seed = dict(corpus_weights or {}), float(temperature), seed
        self.scales: dict[str, float] = {}
        self.groups: dict[Group, list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            self.groups[(example.source_modality, language_of(example), example.corpus)].append(index)
        known = {corpus for _, _, corpus in self.groups}
        for corpus, weight in self.corpus_weights.items():
            if corpus not in known or not weight >= 0:
                raise ValueError(
                    f"`corpus_weights` expects weights of at least 0 for corpora with examples ({sorted(known)}); got "
                    f"{corpus!r}: {weight}"
                )
        self._circles = {
            group: np.asarray(members)[counter_generator(seed, "circle", *group).permutation(len(members))]
            for group, members in sorted(self.groups.items())
        }

    @property
    def modalities(self) -> list[str]:
        """Source modalities that occur, in a fixed order."""
        return sorted({modality for modality, _, _ in self.groups})

    def quotas(self) -> dict[Group, float]:
        """Examples per epoch of each group, a real number."""
        quotas: dict[Group, float] = {}
        for modality in self.modalities:
            sizes = {
                group: len(members) * float(self.corpus_weights.get(group[2], 1.0))
                for group, members in self.groups.items()
                if group[0] == modality
            }
            by_lang: dict[str, float] = defaultdict(float)
            for (_, lang, _), size in sizes.items():
                by_lang[lang] += size
            if not any(sizes.values()):
                continue
            shares = temperature_shares(by_lang, self.temperature)
            total = sum(by_lang.values()) * self.scales.get(modality, 1.0)
            for group, size in sizes.items():
                if size > 0:
                    quotas[group] = total * shares[group[1]] * size / by_lang[group[1]]
        if not quotas:
            raise ValueError("all corpora have weight 0; at least one must be above 0")
        return quotas

    def num_draws_before(self, epoch: int, modality: str) -> int:
        """Draws of one modality in all epochs before this one."""
        quotas = self.quotas().items()
        return sum(_draws_before(epoch, quota) for group, quota in quotas if group[0] == modality)

    def epoch_draws(self, epoch: int) -> dict[str, tuple[IntArray, IntArray]]:
        """Modality -> positions of the examples drawn in the epoch, and how often each came before in it.

        Returns:
            Per modality two `(n,)` int64 arrays, group by group.
        """
        draws: dict[str, list[tuple[IntArray, IntArray]]] = {modality: [] for modality in self.modalities}
        for group, quota in sorted(self.quotas().items()):
            circle = self._circles[group]
            first = _draws_before(epoch, quota)
            positions = np.arange(_draws_before(epoch + 1, quota) - first)
            draws[group[0]].append((circle[(first + positions) % len(circle)], positions // len(circle)))
        none = np.zeros(0, dtype=np.int64)
        return {
            modality: (
                np.concatenate([none, *(indices for indices, _ in parts)]),
                np.concatenate([none, *(copies for _, copies in parts)]),
            )
            for modality, parts in draws.items()
        }

    def epoch_keys(self, epoch: int) -> dict[str, list[DrawKey]]:
        """Modality -> draws of the epoch, in no particular order."""
        return {
            modality: [
                DrawKey(index, epoch, copy) for index, copy in zip(indices.tolist(), copies.tolist(), strict=True)
            ]
            for modality, (indices, copies) in self.epoch_draws(epoch).items()
        }


def _draws_before(epoch: int, quota: float) -> int:
    """Items that a group with this quota has given before an epoch; the margin is for quotas such as 1/3."""
    return floor(epoch * quota + 1e-6)
