# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer of pre-training: mixed batches of all five tasks, 24 named losses, a frozen speech tokenizer beside.

Legend: U utterances, T feature frames (or samples), N encoder frames, R rows, L encoder and D decoder positions of a
row, K losses.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from mu2slam_hf.data.collation.mu2slam import NON_MODEL_KEYS
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.quantization.speech_ids import SpeechIds
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.model_loss_trainer import ModelLossTrainer
from mu2slam_hf.training.objectives import PRETRAINING_LOSS_TABLE, count_pretraining_targets


class PretrainingTrainer(ModelLossTrainer):
    """Trains `Mu2SLAMForPreTraining` on batches of `Mu2SLAMPreTrainingCollator`.

    Args:
        model: `Mu2SLAMForPreTraining`.
        args: `loss_weights` may name any of the 24 losses.
        speech_tokenizer: makes the speech ids of every batch (`SpeechIds`), without gradient and in float32. It is
            kept on the device beside the model: neither its weights nor its name are in the checkpoints' weights, but
            the processor (`processing_class`) saves it where it holds it as its `speech_tokenizer`.
        kwargs: as in `MultitaskTrainer`, without `table`.
    """

    loss_table = PRETRAINING_LOSS_TABLE
    padded = MappingProxyType({"encoder": "sequence_ids", "decoder": "decoder_sequence_ids"})

    def __init__(
        self,
        model: nn.Module,
        args: MultitaskTrainingArguments,
        *,
        speech_tokenizer: SpeechTokenizerModel,
        **kwargs: Any,
    ) -> None:
        inner: Any = model.model
        stacks: tuple[nn.Module, ...] = (inner.encoder.conformer, inner.decoder.layers)
        self._stack_sizes = [sum(parameter.numel() for parameter in stack.parameters()) for stack in stacks]
        super().__init__(model, args, **kwargs)
        self.speech_tokenizer = speech_tokenizer.eval().to(args.device)
        self.speech_ids = SpeechIds(self.speech_tokenizer, self.encoder_config)

    def forward_batch(self, model: nn.Module, batch: Mapping[str, Any]) -> Any:
        """Add the speech ids and run the model, which computes all losses itself."""
        inputs = {key: value for key, value in batch.items() if key not in NON_MODEL_KEYS}
        # (U, T, M) -> (U, N)
        inputs["speech_token_ids"] = self.speech_ids(batch)
        return model(**inputs)

    def count_batch(self, batch: Mapping[str, Any]) -> Tensor:
        """`(K,)` float32 numbers of targets of one micro-batch, on the CPU."""
        return count_pretraining_targets(batch)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Rough count: 6 per parameter of the encoder and of the decoder, and position of its rows."""
        encoder, decoder = self._stack_sizes
        return 6 * (encoder * inputs["encoder_units"].numel() + decoder * inputs["decoder_units"].numel())
