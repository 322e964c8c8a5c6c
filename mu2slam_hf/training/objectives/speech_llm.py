# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Objective of a text model with speech: cross entropy of the next token, for each task.

Legend: B rows, L positions of prompts with targets, S target positions, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from mu2slam_hf.models.modules_losses import IGNORE_INDEX, cross_entropy_by_position
from mu2slam_hf.models.modules_pooling import LayerAverage
from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.objectives.supervised import DECODER_LOSSES, sum_by_task


@dataclass(kw_only=True)
class SpeechLLMObjectiveConfig:
    """Weights of the losses; each is a mean over its own target tokens.

    Attributes:
        asr_decoder, ast_decoder, mt_decoder: cross entropy of the targets of each task. Choice: 1.
    """

    asr_decoder: float = 1.0
    ast_decoder: float = 1.0
    mt_decoder: float = 1.0


class LayerWeightLog(TrainerCallback):
    """Adds the weights of the encoder's layers in the audio adapter to the logs, as `layer_weight_1`, ...

    The layers have states of different norms, and with free weights the scale of their average is learned too: a
    weight that runs away shows here first.
    """

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **kwargs: Any) -> None:
        """Add them to logs of training, not to those of evaluation."""
        averages = [module for module in model.modules() if isinstance(module, LayerAverage)]
        if logs is not None and "loss" in logs and averages:
            # Of peft's copies the last one is trained.
            weights = averages[-1].weight.tolist()
            logs.update({f"layer_weight_{layer}": weight for layer, weight in enumerate(weights, 1)})


class SpeechLLMObjective(Objective):
    """Losses of `SpeechLLMForConditionalGeneration` on batches of `PromptCollator`.

    `loss_task = -1/n_task sum_{rows of the task} sum_s log p(y_s | y_<s, prompt, audio)`, `n_task` the number of
    target tokens of the task. All rows are in one pass of the text model, which computes logits of targets only.

    Args:
        model: model to train, or a peft wrapper of it.
        config: weights.
    """

    names = DECODER_LOSSES
    left_out = (*Objective.left_out, "labels", "task_ids")
    text_masks = ("attention_mask",)
    # A batch of texts uses neither encoder nor adapter.
    unused_parameters = "zero_gradient"

    def __init__(self, model: nn.Module, config: SpeechLLMObjectiveConfig | None = None) -> None:
        super().__init__(model, config or SpeechLLMObjectiveConfig())
        self.is_causal = not self.model_config.is_encoder_decoder
        self.samples_per_embedding = int(self.model_config.inputs_to_logits_ratio)
        wrapped: Any = model
        base = wrapped.get_base_model() if hasattr(model, "get_base_model") else wrapped
        self._language_model: Any = base.language_model
        self.num_text_parameters, self.num_encoder_parameters = (
            sum(parameter.numel() for parameter in part.parameters()) for part in (base.language_model, base.encoder)
        )

    def forward(self, model: nn.Module, batch: Mapping[str, Any], step: int) -> Any:
        """Run the model on prompts and targets."""
        inputs, labels = self.inputs_of(batch), batch["labels"]
        if self.is_causal:
            # Rows are padded on the left, so that targets are at the end; a position predicts the next one.
            inputs["logits_to_keep"] = self._num_kept(labels)
        else:
            inputs["decoder_input_ids"] = self._language_model.prepare_decoder_input_ids_from_labels(labels=labels)
        return model(**inputs, use_cache=False)

    @staticmethod
    def _num_kept(labels: Tensor) -> int:
        """Number of last positions whose logits are needed."""
        labelled = (labels != IGNORE_INDEX).any(dim=0).nonzero()
        first = int(labelled[0]) if len(labelled) else labels.shape[1] - 1
        return min(labels.shape[1] - first + 1, labels.shape[1])

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Numbers of target tokens of each task."""
        return sum_by_task((batch["labels"] != IGNORE_INDEX).long(), batch["task_ids"])

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Cross entropy of each task, summed over its target tokens."""
        logits, labels = outputs.logits, batch["labels"]
        if self.is_causal:
            labels = labels[:, -logits.shape[1] :][:, 1:]
            logits = logits[:, :-1]
        return sum_by_task(cross_entropy_by_position(logits, labels), batch["task_ids"])

    def count_speech_seconds(self, batch: Mapping[str, Any]) -> float:
        """Seconds of speech, by the number of audio embeddings: the attention mask is that of prompts here."""
        num_embeddings = int((batch["input_ids"] == self.model_config.audio_token_id).sum())
        return num_embeddings * self.samples_per_embedding / 16000

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """Roughly 2 per parameter and frame of the encoder, and 4 per parameter and position of the text model.

        Both are frozen: the encoder has no backward pass, and gradients only pass through the text model.
        """
        positions = batch["input_ids"].numel() + (0 if self.is_causal else batch["labels"].numel())
        frames = int(self.count_frames(batch).sum()) * self.model_config.adapter_stride
        return int(4 * self.num_text_parameters * positions + 2 * self.num_encoder_parameters * frames)

    def callbacks(self) -> list[TrainerCallback]:
        """See `LayerWeightLog`."""
        return [LayerWeightLog()]

    def count_frames(self, batch: Mapping[str, Any]) -> Tensor:
        """`(B,)` int64 audio embeddings of each prompt."""
        return torch.as_tensor((batch["input_ids"] == self.model_config.audio_token_id).sum(dim=1))
