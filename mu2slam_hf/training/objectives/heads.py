# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Objectives of fine-tuning one head: classes of speech or text, transcripts, or answers to questions."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mu2slam_hf.models.modules_lengths import length_mask
from mu2slam_hf.models.modules_losses import IGNORE_INDEX, count_alignable, cross_entropy_sum, ctc_sum
from mu2slam_hf.models.modules_transducer import find_writable
from mu2slam_hf.training.objectives.objective import Objective


class HeadObjective(Objective):
    """Runs a model with one head on batches of `HeadCollator`, without its labels.

    All batches of a run have one modality: parameters that only the other modality uses have no gradient, so weight
    decay does not shrink them.
    """

    left_out = (*Objective.left_out, "labels", "source_language_labels")
    unused_parameters = "no_gradient"


class ClassificationObjective(HeadObjective):
    """Cross entropy of a classifier (`...ForAudioClassification`, `...ForSequenceClassification`), mean over items."""

    names = ("classification",)

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Items with a class."""
        return {"classification": (batch["labels"] != IGNORE_INDEX).sum()}

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Cross entropy summed over all items."""
        return {"classification": cross_entropy_sum(outputs.logits, batch["labels"])[0]}


class SpanObjective(HeadObjective):
    """Cross entropy of `...ForQuestionAnswering`, of first and last token, a mean over all windows."""

    names = ("answer",)
    left_out = (*Objective.left_out, "start_positions", "end_positions")

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Windows with a target."""
        return {"answer": (batch["start_positions"] != IGNORE_INDEX).sum()}

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Mean of the cross entropies of first and last token, summed over all windows."""
        start = cross_entropy_sum(outputs.start_logits, batch["start_positions"])[0]
        end = cross_entropy_sum(outputs.end_logits, batch["end_positions"])[0]
        return {"answer": (start + end) / 2}


class AnswerGenerationObjective(HeadObjective):
    """Cross entropy of the answers that an encoder-decoder writes, a mean over their tokens."""

    names = ("answer",)
    left_out = Objective.left_out

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tokens of the answers, with `</s>`."""
        return {"answer": (batch["labels"] != IGNORE_INDEX).sum()}

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Cross entropy summed over all tokens."""
        return {"answer": cross_entropy_sum(outputs.logits, batch["labels"])[0]}


class TranscriptObjective(HeadObjective):
    """Base of the objectives of recognition: with the language of the recordings as an input."""

    def inputs_of(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of the model in a batch, with `language_ids`, 0 for an unknown language, if it has languages."""
        languages, inputs = batch.get("source_language_labels"), super().inputs_of(batch)
        return inputs if languages is None else {**inputs, "language_ids": languages.clamp(min=0)}


class CTCObjective(TranscriptObjective):
    """CTC of `MSLAMForCTC` or `Mu2SLAMForCTC`, a mean over the tokens of all transcripts that can be aligned."""

    names = ("ctc",)

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tokens of the transcripts that can be aligned."""
        return {"ctc": count_alignable(batch["labels"], self.count_frames(batch))}

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """CTC summed over all utterances."""
        frames = length_mask(self.count_frames(batch), outputs.logits.shape[1])
        return {"ctc": ctc_sum(outputs.logits, frames, batch["labels"], self.model_config.pad_token_id)[0]}


class TransducerObjective(TranscriptObjective):
    """Transducer loss and CTC of `MSLAMForRNNT` or `Mu2SLAMForRNNT`, means over the tokens of the transcripts.

    CTC has the weight `transducer_config.ctc_loss_weight` of the model, and leaves out transcripts that need more
    frames than there are.
    """

    names = ("rnnt", "ctc")
    left_out = tuple(name for name in HeadObjective.left_out if name != "labels")

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.weights["ctc"] = float(model.config.transducer_config.ctc_loss_weight)

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tokens of the transcripts that can be written, and of those that CTC can align."""
        labels, frames = batch["labels"], self.count_frames(batch)
        is_writable = find_writable(labels, frames, self.model_config.transducer_config.max_symbols_per_frame)
        return {"rnnt": (labels[is_writable] != IGNORE_INDEX).sum(), "ctc": count_alignable(labels, frames)}
