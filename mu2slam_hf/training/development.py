# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation during training: named losses on development examples and error rates of greedy CTC transcripts.

Scoring is injected: training does not import evaluation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.training.objectives import describe_losses

if TYPE_CHECKING:
    from mu2slam_hf.training.trainer import MultitaskTrainer


@dataclass(frozen=True, kw_only=True)
class TranscriptScorer:
    """How greedy CTC output becomes figures.

    Attributes:
        decode: `(list of id lists without blanks and repeats) -> list of texts`.
        score: `(references, hypotheses) -> {"cer": ..., "wer": ...}`.
        languages: names of the rows of `source_language_labels`, for figures per language; None for the mean only.
    """

    decode: Callable[[list[list[int]]], list[str]]
    score: Callable[[list[str], list[str]], dict[str, float]]
    languages: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class DevelopmentSet:
    """Examples that `evaluate` reads.

    Attributes:
        dataset: map-style.
        batches: lists of dataset keys, the whole set; every process takes its share.
        collator: list of items to a batch.
        scorer: None for losses only.
    """

    dataset: Any
    batches: Sequence[list[Any]]
    collator: Callable[[list[Any]], Any]
    scorer: TranscriptScorer | None = None


def collapse_ctc(best_ids: Tensor, frame_lengths: Tensor, blank: int = 0) -> list[list[int]]:
    """Greedy CTC paths without repeats and blanks.

    Args:
        best_ids: `(B, N)` int64, the best id of each frame.
        frame_lengths: `(B,)` int64.
        blank: id of the blank.
    """
    paths = []
    for row, length in zip(best_ids.tolist(), frame_lengths.tolist(), strict=True):
        row = row[:length]
        paths.append([token for i, token in enumerate(row) if token != blank and (i == 0 or row[i - 1] != token)])
    return paths


def evaluate_development(trainer: "MultitaskTrainer", development_set: DevelopmentSet) -> dict[str, float]:
    """Named losses, their weighted sum `loss`, and CTC error rates, over all processes.

    Returns:
        `loss`, `loss_<name>` for each loss with targets, `ctc_cer`, `ctc_wer` (and `ctc_cer_<language>`) in [0, ...).
    """
    args = trainer.args
    batches = list(development_set.batches)
    share = batches[args.process_index :: args.world_size]
    num_batches = len(share)
    if trainer.is_sharded and num_batches * args.world_size < len(batches):
        # Every process must run the model as often as the first one, which has most batches.
        share.append(batches[0])
    loader = trainer.build_loader(development_set.dataset, share, development_set.collator)
    model = trainer.model
    was_training = model.training
    model.eval()
    sums = torch.zeros(len(trainer.table.names), device=args.device)
    counts = torch.zeros_like(sums)
    rows: list[tuple[int, str, str]] = []
    with torch.no_grad():
        for number, batch in enumerate(loader):
            if number == num_batches:
                trainer.forward_batch(model, trainer._prepare_inputs(batch))
                break
            counts += trainer.count_batch(batch).to(args.device)
            batch = trainer._prepare_inputs(batch)
            outputs = trainer.forward_batch(model, batch)
            sums += trainer.compute_loss_sums(outputs, batch)[0]
            if development_set.scorer is not None and batch.get("ctc_labels") is not None:
                rows.extend(
                    transcribe_batch(outputs, batch, trainer.count_frames(batch), development_set.scorer.decode)
                )
            trainer.control = trainer.callback_handler.on_prediction_step(args, trainer.state, trainer.control)
    model.train(was_training)
    if args.world_size > 1:
        sums, counts = trainer.accelerator.reduce(torch.stack([sums, counts]), reduction="sum")
        rows = gather_object(rows)
    figures = describe_losses(trainer.table.names, sums, counts)
    weights = trainer.args.loss_weights or {}
    figures["loss"] = sum(
        float(weights.get(name, 1.0)) * figures[f"loss_{name}"]
        for name in trainer.table.names
        if f"loss_{name}" in figures
    )
    if development_set.scorer is not None and rows:
        figures.update(score_rows(rows, development_set.scorer))
    return figures


def transcribe_batch(
    outputs: Any, batch: dict[str, Any], lengths: Tensor, decode: Callable[[list[list[int]]], list[str]]
) -> list[tuple[int, str, str]]:
    """`(language row or -1, reference, hypothesis)` of every utterance of a batch that has CTC labels.

    Args:
        outputs: of the model, with `ctc_logits` `(B, N, V)`.
        batch: what it was given.
        lengths: `(B,)` int64 real encoder frames.
        decode: see `TranscriptScorer`.
    """
    hypotheses = decode(collapse_ctc(outputs.ctc_logits.argmax(dim=-1), lengths))
    labels = batch["ctc_labels"]
    references = decode([[t for t in row if t != IGNORE_INDEX] for row in labels.tolist()])
    languages = batch.get("source_language_labels")
    language_rows = [-1] * len(references) if languages is None else languages.tolist()
    asked = (labels != IGNORE_INDEX).any(dim=1).tolist()
    rows = zip(language_rows, references, hypotheses, strict=True)
    return [row for row, keep in zip(rows, asked, strict=True) if keep]


def score_rows(rows: Sequence[tuple[int, str, str]], scorer: TranscriptScorer) -> dict[str, float]:
    """Error rates over all rows and, where languages are named, for each language."""
    figures = {f"ctc_{key}": value for key, value in scorer.score([r[1] for r in rows], [r[2] for r in rows]).items()}
    if scorer.languages is None:
        return figures
    for index in sorted({row[0] for row in rows if row[0] >= 0}):
        part = [row for row in rows if row[0] == index]
        scores = scorer.score([row[1] for row in part], [row[2] for row in part])
        figures.update({f"ctc_{key}_{scorer.languages[index]}": value for key, value in scores.items()})
    return figures
