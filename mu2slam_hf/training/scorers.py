# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Figures of an evaluation besides the losses: error rates of greedy CTC transcripts, accuracy of classes.

The comparison of texts is injected, because training does not import evaluation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from mu2slam_hf.models.generation_tokens import find_best_tokens
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.training.objectives.objective import Objective


class Scorer(Protocol):
    """Collects results of the batches of a process, and computes figures from the results of all processes."""

    def collect(self, objective: Objective, outputs: Any, batch: Mapping[str, Any]) -> list[Any]:
        """Results of a batch and its `outputs`, as objects that can be sent to other processes."""

    def score(self, rows: Sequence[Any]) -> dict[str, float]:
        """Figures by name from at least one row."""


@dataclass(frozen=True, kw_only=True)
class TranscriptScorer:
    """Error rates of greedy CTC output, without tokens that were added for other languages.

    Attributes:
        decode: `(list of id lists without blanks and repeats) -> list of texts`.
        compare: `(references, hypotheses) -> {"cer": ..., "wer": ...}`.
        config: configuration of the model, whose `restricted_tokens` are masked.
        languages: names of the rows of `source_language_labels`, for figures per language; None for the mean only.
        logits: name of the CTC logits `(B, N, V)` among the model's outputs.
        labels: key of the transcripts `(B, L)` in a batch.
    """

    decode: Callable[[list[list[int]]], list[str]]
    compare: Callable[[list[str], list[str]], dict[str, float]]
    config: Any
    languages: Sequence[str] | None = None
    logits: str = "ctc_logits"
    labels: str = "ctc_labels"

    def collect(self, objective: Objective, outputs: Any, batch: Mapping[str, Any]) -> list[tuple[int, str, str]]:
        """`(language row or -1, reference, hypothesis)` of every utterance that has CTC labels."""
        labels = batch.get(self.labels)
        if labels is None:
            return []
        languages = batch.get("source_language_labels")
        language_rows = [-1] * len(labels) if languages is None else languages.tolist()
        best_ids = find_best_tokens(getattr(outputs, self.logits), self.config, language_rows)
        hypotheses = self.decode(collapse_ctc(best_ids, objective.count_frames(batch)))
        references = self.decode([[token for token in row if token != IGNORE_INDEX] for row in labels.tolist()])
        asked = (labels != IGNORE_INDEX).any(dim=1).tolist()
        rows = zip(language_rows, references, hypotheses, strict=True)
        return [row for row, keep in zip(rows, asked, strict=True) if keep]

    def score(self, rows: Sequence[tuple[int, str, str]]) -> dict[str, float]:
        """`ctc_cer` and `ctc_wer` over all rows and, with `languages`, for each language."""
        figures = self._compare(rows)
        for index in sorted({row[0] for row in rows if row[0] >= 0} if self.languages else ()):
            assert self.languages is not None
            figures |= self._compare([row for row in rows if row[0] == index], f"_{self.languages[index]}")
        return figures

    def _compare(self, rows: Sequence[tuple[int, str, str]], suffix: str = "") -> dict[str, float]:
        figures = self.compare([reference for _, reference, _ in rows], [hypothesis for *_, hypothesis in rows])
        return {f"ctc_{name}{suffix}": value for name, value in figures.items()}


class ClassScorer:
    """`accuracy`: percentage of correct classes."""

    def collect(self, objective: Objective, outputs: Any, batch: Mapping[str, Any]) -> list[bool]:
        """Whether the predicted class of each item is correct."""
        right: list[bool] = (outputs.logits.argmax(dim=-1) == batch["labels"]).tolist()
        return right

    def score(self, rows: Sequence[bool]) -> dict[str, float]:
        """The percentage of correct classes."""
        return {"accuracy": 100.0 * (sum(rows) / len(rows))}


class SpanScorer:
    """`accuracy`: percentage of windows of passages with the correct first and last token of the answer."""

    def collect(self, objective: Objective, outputs: Any, batch: Mapping[str, Any]) -> list[bool]:
        """Whether both tokens of each window are correct."""
        starts = outputs.start_logits.argmax(dim=-1) == batch["start_positions"]
        right: list[bool] = (starts & (outputs.end_logits.argmax(dim=-1) == batch["end_positions"])).tolist()
        return right

    def score(self, rows: Sequence[bool]) -> dict[str, float]:
        """The percentage of correct windows."""
        return {"accuracy": 100.0 * (sum(rows) / len(rows))}


def collapse_ctc(best_ids: Tensor, frame_lengths: Tensor, blank: int = 0) -> list[list[int]]:
    """Greedy CTC paths without repeats and blanks.

    Args:
        best_ids: `(B, N)` int64, the most likely id of each frame.
        frame_lengths: `(B,)` int64.
        blank: id of the blank.
    """
    paths = []
    for row, length in zip(best_ids.tolist(), frame_lengths.tolist(), strict=True):
        row = row[:length]
        paths.append([token for i, token in enumerate(row) if token != blank and (i == 0 or row[i - 1] != token)])
    return paths
