# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of Maestro: eight losses on mixed batches of speech, text and pairs, and when each of them starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState

from mu2slam_hf.models.modeling_maestro_pretraining import MAESTRO_LOSSES, MaestroForPreTraining
from mu2slam_hf.models.modules_losses import count_alignable
from mu2slam_hf.quantization.quantizer_callbacks import QuantizerConfig
from mu2slam_hf.training.loss_report import LossTable
from mu2slam_hf.training.objectives.mslam import MSLAMObjective

STARTING_LATER = ("matching", "duration", "aligned_mlm")
"""Losses that can start after some updates; the others are what alignments are learned from."""


@dataclass(kw_only=True)
class MaestroObjectiveConfig:
    """Coefficients of the eight losses; each loss is a mean over its own targets in the whole update.

    Choice: Maestro's paper gives no coefficients; CTC beside the transducer, as in this package elsewhere.

    Attributes:
        contrastive: identification of the code of a masked frame among others, at the end of the speech layers.
        diversity: uniform use of all codes.
        speech_mlm: prediction of the codes of masked frames, at the last layer.
        rnnt: the transcript from the speech, by the transducer.
        ctc: the same by CTC.
        matching: distance of refined text from the speech of its pair, per frame.
        duration: squared error of the logarithms of durations of tokens.
        aligned_mlm: a text without speech from its masked frames, by the transducer.
        start_steps: the number of updates after which `matching`, `duration` or `aligned_mlm` starts; before, the
            loss is 0 and not computed. Paper: speech alone first, then pairs, text 15k updates later.
    """

    contrastive: float = 1.0
    diversity: float = 0.1
    speech_mlm: float = 1.0
    rnnt: float = 1.0
    ctc: float = 0.3
    matching: float = 1.0
    duration: float = 0.1
    aligned_mlm: float = 0.3
    start_steps: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, step in self.start_steps.items():
            if name not in STARTING_LATER:
                raise ValueError(f"start_steps.{name}: only {', '.join(STARTING_LATER)} can start later")
            if step < 0:
                raise ValueError(f"start_steps.{name}: must not be negative, got {step}")


class MaestroObjective(MSLAMObjective):
    """Losses of `MaestroForPreTraining` on batches of `MaestroCollator`; the model sums them itself.

    A loss that has not started, or has weight 0, is not computed in training. Evaluation computes all of them.

    Args:
        model: model to train.
        config: weights of the losses, and their starts.
        quantizer: as in [`MSLAMObjective`].
    """

    names = MAESTRO_LOSSES
    tasks = MappingProxyType(
        {
            "contrastive": "speech",
            "diversity": "speech",
            "speech_mlm": "speech",
            "rnnt": "asr",
            "ctc": "asr",
            "matching": "asr",
            "duration": "asr",
            "aligned_mlm": "text",
        }
    )
    table = LossTable(columns=MAESTRO_LOSSES, rows={"": MAESTRO_LOSSES})

    def __init__(
        self,
        model: nn.Module,
        config: MaestroObjectiveConfig | None = None,
        *,
        quantizer: QuantizerConfig | None = None,
    ) -> None:
        config = config or MaestroObjectiveConfig()
        super().__init__(model, config, quantizer=quantizer)  # type: ignore[arg-type]  # weights of its own losses
        self.start_steps = {name: 0 if self.weights[name] else float("inf") for name in STARTING_LATER}
        self.start_steps |= {name: step for name, step in config.start_steps.items() if self.weights[name]}

    def forward(self, model: nn.Module, batch: Mapping[str, Any], step: int) -> Any:
        """Run the model; `step` decides which losses are computed in training."""
        skipped = tuple(name for name, start in self.start_steps.items() if model.training and step < start)
        return model(**self.inputs_of(batch), skipped_losses=skipped)

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The counts of `MaestroForPreTraining`, before it has run, also of losses that have not started."""
        frames, tokens = batch["mask_time_indices"].sum(), batch["text_attention_mask"].sum(dim=1)
        tokens_in_pairs = tokens[batch["pair_text_rows"]]
        num_frames = self.count_frames(batch)
        return {
            "contrastive": (batch["negative_frames"] >= 0).any(dim=-1).sum(),
            "diversity": frames * self._learns_codes,
            "speech_mlm": frames,
            "rnnt": tokens_in_pairs.sum(),
            "ctc": count_alignable(batch["ctc_labels"], num_frames),
            "matching": num_frames[batch["pair_speech_rows"]][tokens_in_pairs > 0].sum(),
            "duration": tokens_in_pairs.sum(),
            "aligned_mlm": tokens.sum() - tokens_in_pairs.sum(),
        }

    def callbacks(self) -> list[TrainerCallback]:
        """The callbacks of the quantizer, and that of the average that aligns."""
        return [*super().callbacks(), AlignmentAverageUpdate()]


class AlignmentAverageUpdate(TrainerCallback):
    """Lets the average that aligns pairs (`alignment_ema_decay`) follow the weights after each update."""

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Start from the weights of the model; a resumed run has its average in the checkpoint."""
        if state.global_step == 0:
            _find_model(model).start_average()

    def on_step_end(self, args: Any, state: TrainerState, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Follow the weights."""
        _find_model(model).update_average()


def _find_model(model: nn.Module) -> MaestroForPreTraining:
    """The model itself, which may be wrapped."""
    return next(module for module in model.modules() if isinstance(module, MaestroForPreTraining))
