# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of Mu2SLAM: 24 losses over all views of a mixed batch, with a frozen speech tokenizer beside the model.

Legend: U utterances, T feature frames (or samples), N encoder frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from mu2slam_hf.data.collation.mu2slam import NON_MODEL_KEYS
from mu2slam_hf.data.collation.views import CTCInput
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modules_losses import IGNORE_INDEX, count_alignable
from mu2slam_hf.models.task_types import PRETRAINING_VIEWS
from mu2slam_hf.quantization.speech_ids import SpeechIds
from mu2slam_hf.training.loss_report import LossTable
from mu2slam_hf.training.objectives.objective import Objective


@dataclass(kw_only=True)
class Mu2SLAMObjectiveConfig:
    """Coefficients of the 24 losses; each loss is a mean over its own targets in the whole update.

    Paper: section 3.1: 1 for speech-only and text-only, 0.1 for text-to-speech and alignment, 0.3 for the decoder loss
    of speech to text.
    Choice, not in the paper: 1 for the decoder loss of MT in both directions, 0.1 for masked prediction on pairs,
    0.3 for CTC, 0.1 for the language head.

    Attributes:
        speech_decoder, text_decoder: denoising of unlabeled data on the decoder (Eq. 2).
        asr_decoder, ast_decoder, mt_decoder: forward, `P(y | x)` (Eq. 4).
        asr_backward_decoder, ast_backward_decoder, mt_backward_decoder: backward, `P(x | y)`.
        asr_alignment_decoder, ast_alignment_decoder, mt_alignment_decoder: denoising of both sides (Eq. 5).
        speech_mlm, text_mlm, asr_mlm, asr_backward_mlm, asr_alignment_mlm, ast_mlm, ast_backward_mlm,
            ast_alignment_mlm, mt_mlm, mt_backward_mlm, mt_alignment_mlm: masked prediction on the encoder of each.
        ctc: CTC on the forward ASR view.
        language: the head that predicts the source language if it is not given.
        ctc_input: `masked` or `clean`, see `CTCInput`.
    """

    speech_decoder: float = 1.0
    text_decoder: float = 1.0
    asr_decoder: float = 0.3
    asr_backward_decoder: float = 0.1
    asr_alignment_decoder: float = 0.1
    ast_decoder: float = 0.3
    ast_backward_decoder: float = 0.1
    ast_alignment_decoder: float = 0.1
    mt_decoder: float = 1.0
    mt_backward_decoder: float = 1.0
    mt_alignment_decoder: float = 0.1
    speech_mlm: float = 1.0
    text_mlm: float = 1.0
    asr_mlm: float = 0.1
    asr_backward_mlm: float = 0.1
    asr_alignment_mlm: float = 0.1
    ast_mlm: float = 0.1
    ast_backward_mlm: float = 0.1
    ast_alignment_mlm: float = 0.1
    mt_mlm: float = 0.1
    mt_backward_mlm: float = 0.1
    mt_alignment_mlm: float = 0.1
    ctc: float = 0.3
    language: float = 0.1
    ctc_input: CTCInput = "masked"


class Mu2SLAMObjective(Objective):
    """Losses of `Mu2SLAMForPreTraining` on batches of `Mu2SLAMPreTrainingCollator`; the model sums them itself.

    Args:
        model: model to train; configured so that every parameter takes part in every batch.
        config: weights of the losses.
        speech_tokenizer: computes the speech ids of every batch (`SpeechIds`), without gradient and in float32. It is
            on the device of the model, but not part of the weights of checkpoints; the processor saves it as its
            `speech_tokenizer`.
    """

    names = PRETRAINING_LOSSES
    left_out = (*Objective.left_out, *NON_MODEL_KEYS)
    padded = MappingProxyType({"encoder": "sequence_ids", "decoder": "decoder_sequence_ids"})
    text_masks = ("text_ids",)
    tasks = MappingProxyType({"ctc": "asr"} | {name: name.split("_")[0] for name in PRETRAINING_LOSSES if "_" in name})
    # In the headings `<` is backward, `=` alignment.
    table = LossTable(
        columns=(
            *(view.replace("_backward", "<").replace("_alignment", "=") for view in PRETRAINING_VIEWS),
            "ctc",
            "language",
        ),
        rows={
            "decoder": (*(f"{view}_decoder" for view in PRETRAINING_VIEWS), "ctc", "language"),
            "mlm": (*(f"{view}_mlm" for view in PRETRAINING_VIEWS), "", ""),
        },
    )
    logs_counts = True

    def __init__(
        self,
        model: nn.Module,
        config: Mu2SLAMObjectiveConfig | None = None,
        *,
        speech_tokenizer: SpeechTokenizerModel,
    ) -> None:
        super().__init__(model, config or Mu2SLAMObjectiveConfig())
        inner: Any = model.model
        stacks: tuple[nn.Module, ...] = (inner.encoder.conformer, inner.decoder.layers)
        self.stack_sizes = [sum(parameter.numel() for parameter in stack.parameters()) for stack in stacks]
        self.speech_tokenizer = speech_tokenizer.eval()
        self.speech_ids = SpeechIds(speech_tokenizer, self.encoder_config)

    def forward(self, model: nn.Module, batch: Mapping[str, Any], step: int) -> Any:
        """Add the speech ids `(U, N)` and run the model."""
        return model(**self.inputs_of(batch), speech_token_ids=self.speech_ids(batch))

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The counts of `Mu2SLAMForPreTraining`, before it has run."""
        number = len(PRETRAINING_VIEWS)
        counts = [
            *torch.bincount(batch["decoder_view_ids"], minlength=number),
            *torch.bincount(batch["mlm_view_ids"], minlength=number),
            count_alignable(batch["ctc_labels"], (batch["ctc_positions"] >= 0).sum(dim=1)),
            (batch["source_language_labels"] != IGNORE_INDEX).sum(),
        ]
        return dict(zip(self.names, counts, strict=True))

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """Roughly 6 per parameter of the encoder or decoder and position of its rows."""
        encoder, decoder = self.stack_sizes
        return 6 * (encoder * batch["encoder_units"].numel() + decoder * batch["decoder_units"].numel())

    def to(self, device: torch.device) -> None:
        """Move the speech tokenizer to a device."""
        self.speech_tokenizer.to(device)
