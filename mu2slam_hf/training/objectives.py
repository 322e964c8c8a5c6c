# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Named losses as sums with their own counts, so that any split of a batch adds up to the same number.

Legend: B rows of the encoder, N encoder frames, L decoder positions, V vocabulary rows, U CTC labels, K loss names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.task_types import PRETRAINING_VIEWS


@dataclass(frozen=True)
class LossTable:
    """Order of the named losses: row `k` of every sum or count vector belongs to `names[k]`.

    Attributes:
        names: all losses.
        tasks: decoder tasks of supervised training; `task_ids` of a batch index this tuple.
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...] = ()

    @classmethod
    def of_tasks(cls, tasks: Sequence[str]) -> "LossTable":
        """The losses of supervised training: `<task>_decoder` for each task, then `ctc` and `language`."""
        return cls((*(f"{task}_decoder" for task in tasks), "ctc", "language"), tuple(tasks))

    def weight_vector(self, weights: Mapping[str, float]) -> Tensor:
        """`(K,)` float32 coefficients; a name without an entry weighs 1.

        Raises:
            ValueError: if `weights` names a loss that does not exist.
        """
        unknown = sorted(set(weights) - set(self.names))
        if unknown:
            raise ValueError(f"Unknown loss names {', '.join(unknown)}; known: {', '.join(self.names)}.")
        return torch.tensor([float(weights.get(name, 1.0)) for name in self.names], dtype=torch.float32)


PRETRAINING_LOSS_TABLE = LossTable(PRETRAINING_LOSSES)
MSLAM_LOSS_TABLE = LossTable(MSLAM_LOSSES)


def compute_decoder_nll(
    logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0, smoothing_rows: Tensor | None = None
) -> Tensor:
    """Cross entropy at every target position, in float32.

    Args:
        logits: `(B, L, V)`, any float dtype.
        labels: `(B, L)` int64, -100 where there is no target.
        label_smoothing: share `e` of the mass that is spread evenly over `smoothing_rows`.
        smoothing_rows: `(V,)` bool, True on rows that take part in smoothing; all rows if None.

    Returns:
        `(B, L)` float32, exactly 0 where `labels` is -100.

    Choice: smoothing leaves out rows that text never contains (the speech codebook): spread over them, it would
    teach the decoder to emit speech ids in the middle of a sentence.
    """
    # (B, L, V) -> (B * L, V)
    flat_labels = labels.reshape(-1)
    log_probs = F.log_softmax(logits.reshape(-1, logits.shape[-1]).float(), dim=-1)
    nll = F.nll_loss(log_probs, flat_labels, ignore_index=IGNORE_INDEX, reduction="none")
    if label_smoothing > 0.0:
        if smoothing_rows is None:
            spread = log_probs.mean(dim=-1)
        else:
            rows = smoothing_rows.to(log_probs.dtype)
            spread = log_probs @ (rows / rows.sum())
        mixed = (1.0 - label_smoothing) * nll - label_smoothing * spread
        nll = torch.where(flat_labels != IGNORE_INDEX, mixed, torch.zeros_like(nll))
    # (B * L,) -> (B, L)
    return nll.view(labels.shape)


def expand_task_ids(task_ids: Tensor, labels: Tensor) -> Tensor:
    """`(B,)` or `(B, L)` task ids as `(B, L)`; positions without a label get 0, which no sum reads."""
    expanded = task_ids[:, None].expand_as(labels) if task_ids.ndim == 1 else task_ids
    return expanded.clamp_min(0)


def sum_by_task(values: Tensor, task_ids: Tensor, num_tasks: int) -> Tensor:
    """`(num_tasks,)` sums of `values (B, L)` over the positions of each task."""
    return values.new_zeros(num_tasks).index_add(0, task_ids.reshape(-1), values.reshape(-1))


def find_feasible_ctc(ctc_labels: Tensor, frame_lengths: Tensor) -> Tensor:
    """Which rows have enough frames for their labels: one per label and one more between equal neighbours.

    Args:
        ctc_labels: `(B, U)` int64, -100 on padding.
        frame_lengths: `(B,)` int64, encoder frames of each row.

    Returns:
        `(B,)` bool, False also for rows without labels.
    """
    valid = ctc_labels != IGNORE_INDEX
    lengths = valid.sum(dim=1)
    repeats = ((ctc_labels[:, 1:] == ctc_labels[:, :-1]) & valid[:, 1:]).sum(dim=1)
    return (lengths > 0) & (lengths + repeats <= frame_lengths)


def count_targets(batch: Mapping[str, Tensor], table: LossTable, frame_lengths: Tensor | None) -> Tensor:
    """`(K,)` float32 number of targets of each loss in one micro-batch, from its inputs alone.

    The counts are needed before the first backward pass of an update, when the model has not run yet.

    Args:
        batch: the collated batch (`labels`, `task_ids`, `ctc_labels`, `source_language_labels`; all optional).
        table: order of the losses.
        frame_lengths: `(B,)` encoder frames of each row; needed where `ctc_labels` are present.
    """
    counts = torch.zeros(len(table.names), dtype=torch.float32)
    labels = batch.get("labels")
    if labels is not None:
        task_ids = expand_task_ids(batch["task_ids"], labels)
        counts[: len(table.tasks)] = sum_by_task((labels != IGNORE_INDEX).float(), task_ids, len(table.tasks)).cpu()
    ctc_labels = batch.get("ctc_labels")
    if ctc_labels is not None and frame_lengths is not None:
        feasible = find_feasible_ctc(ctc_labels, frame_lengths)
        counts[-2] = (ctc_labels[feasible] != IGNORE_INDEX).sum().cpu()
    language_labels = batch.get("source_language_labels")
    if language_labels is not None:
        counts[-1] = (language_labels != IGNORE_INDEX).sum().cpu()
    return counts


def count_pretraining_targets(batch: Mapping[str, Tensor]) -> Tensor:
    """`(K,)` float32 numbers of targets in one batch of pre-training, in the order of `PRETRAINING_LOSSES`.

    As `Mu2SLAMForPreTraining` counts them; but these are known before the model has run.

    Args:
        batch: of `Mu2SLAMPreTrainingCollator`.
    """
    number = len(PRETRAINING_VIEWS)
    ctc_labels = batch["ctc_labels"]
    feasible = find_feasible_ctc(ctc_labels, (batch["ctc_positions"] >= 0).sum(dim=1))
    parts = (
        torch.bincount(batch["decoder_view_ids"], minlength=number),
        torch.bincount(batch["mlm_view_ids"], minlength=number),
        (ctc_labels[feasible] != IGNORE_INDEX).sum()[None],
        (batch["source_language_labels"] != IGNORE_INDEX).sum()[None],
    )
    return torch.cat([part.float().cpu() for part in parts])


def count_mslam_targets(batch: Mapping[str, Tensor], frame_lengths: Tensor) -> Tensor:
    """`(K,)` float32 numbers of targets in one batch of mSLAM, in the order of `MSLAM_LOSSES`.

    As `MSLAMForPreTraining` counts them; but these are known before the model has run.

    Args:
        batch: of `MSLAMCollator`.
        frame_lengths: `(U,)` int64, encoder frames of each utterance.
    """
    frames, tokens = batch["mask_time_indices"].sum(dim=1), (batch["text_labels"] != IGNORE_INDEX).sum(dim=1)
    speech_rows, text_rows = batch["pair_speech_rows"], batch["pair_text_rows"]
    in_pairs = (frames[speech_rows].sum(), tokens[text_rows].sum())
    alone = (frames.sum() - in_pairs[0], tokens.sum() - in_pairs[1])
    ctc_labels = batch["ctc_labels"]
    feasible = find_feasible_ctc(ctc_labels, frame_lengths)
    counts = {
        "contrastive": (batch["negative_frames"] >= 0).any(dim=-1).sum(),
        "diversity": alone[0],
        "speech_mlm": alone[0],
        "text_mlm": alone[1],
        "tlm_speech": in_pairs[0],
        "tlm_text": in_pairs[1],
        "ctc": (ctc_labels[feasible] != IGNORE_INDEX).sum(),
    }
    return torch.stack([counts[name] for name in MSLAM_LOSSES]).float().cpu()


def weigh_losses(sums: Tensor, counts: Tensor, weights: Tensor) -> Tensor:
    """`sum_k weights_k * sums_k / counts_k`; a loss without targets gives 0, not NaN."""
    return (weights * sums / counts.clamp_min(1.0)).sum()


def describe_losses(names: Sequence[str], sums: Tensor, counts: Tensor, prefix: str = "loss_") -> dict[str, float]:
    """Mean per target of each loss that had targets, by name."""
    return {
        f"{prefix}{name}": float(total) / float(count)
        for name, total, count in zip(names, sums.tolist(), counts.tolist(), strict=True)
        if count > 0
    }
