# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the transducer head, a part of the configurations of models that write with it."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_conformer import check_choice, check_positive

PREDICTOR_TYPES = ("lstm", "stateless")


@strict
class TransducerConfig(PreTrainedConfig):
    r"""Configuration of a [`TransducerHead`]: prediction network and joint network of an RNN-T.

    Choice: the default sizes are those of Parakeet in transformers; Maestro has two LSTM layers of width 1280 and a
    joint network of width 640.

    Args:
        predictor_type (`str`, *optional*, defaults to `"lstm"`): Prediction network. `lstm`: an LSTM over all tokens
            written so far; `stateless`: a convolution over the last `context_size` of them.
        context_size (`int`, *optional*, defaults to 2): Number of tokens that `stateless` reads.
        hidden_size (`int`, *optional*, defaults to 640): Width H of token embeddings and prediction network.
        num_layers (`int`, *optional*, defaults to 2): Number of layers of `lstm`.
        joint_size (`int`, *optional*, defaults to 640): Width J of the joint network.
        hidden_act (`str`, *optional*, defaults to `"relu"`): Activation of the joint network.
        dropout (`float`, *optional*, defaults to 0.0): Dropout on token embeddings and on the output of the
            prediction network.
        max_symbols_per_frame (`int`, *optional*, defaults to 10): Maximum number of tokens that greedy decoding writes
            at one encoder frame.
        ctc_loss_weight (`float`, *optional*, defaults to 0.3): Weight of the CTC loss in `forward`. Choice: as in
            [`Mu2SLAMConfig`].
    """

    model_type = "mu2slam_transducer"

    predictor_type: str = "lstm"
    context_size: int = 2
    hidden_size: int = 640
    num_layers: int = 2
    joint_size: int = 640
    hidden_act: str = "relu"
    dropout: float | int = 0.0
    max_symbols_per_frame: int = 10
    ctc_loss_weight: float | int = 0.3

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for values from which no head can be built."""
        check_choice(self, "predictor_type", PREDICTOR_TYPES)
        check_positive(self, "context_size", "hidden_size", "num_layers", "joint_size", "max_symbols_per_frame")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1; got {self.dropout}.")
        if self.ctc_loss_weight < 0:
            raise ValueError(f"ctc_loss_weight cannot be negative; got {self.ctc_loss_weight}.")


__all__ = ["TransducerConfig"]
