# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The language of a recording from those of its windows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from torch import Tensor

from mu2slam_hf.models.language_codes import UNDETERMINED


class LanguageAverage:
    """Mean of the language probabilities of windows, weighted by their seconds.

    Attributes:
        seconds: seconds of speech so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, probabilities: Mapping[str, float], seconds: float) -> None:
        """Count a window.

        Args:
            probabilities: by language.
            seconds: length of the window.
        """
        for code, probability in probabilities.items():
            self._sums[code] += seconds * probability
        self.seconds += seconds

    def probabilities(self) -> dict[str, float]:
        """Mean by language, in descending order; empty without windows."""
        ordered = sorted(self._sums, key=lambda code: -self._sums[code])
        return {code: self._sums[code] / self.seconds for code in ordered}

    def best(self) -> tuple[str, float]:
        """The most probable language, and its probability."""
        code = max(self._sums, key=lambda code: self._sums[code])
        return code, self._sums[code] / self.seconds


def language_probabilities(logits: Tensor, labels: Sequence[str]) -> list[dict[str, float]]:
    """Probabilities by language, without `und`, which is never predicted.

    Args:
        logits: `(B, G)`.
        labels: codes of the G languages.
    """
    indices = [index for index, code in enumerate(labels) if code != UNDETERMINED]
    if not indices:
        return [{UNDETERMINED: 1.0}] * len(logits)
    probabilities = logits[:, indices].float().softmax(dim=-1).cpu().tolist()
    return [dict(zip([labels[index] for index in indices], row, strict=True)) for row in probabilities]
