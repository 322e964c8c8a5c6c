# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A recurrent recognizer: four log-mel frames at a time, a GRU, and a softmax for CTC.

Letters: B batch, T feature frames, M mel bins, N = T / 4 output frames, V vocabulary.
"""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from .configuration_frame_recognizer import FrameRecognizerConfig
from .modules_capabilities import CTCInferenceMixin
from .modules_lengths import length_mask


class FrameRecognizer(CTCInferenceMixin, PreTrainedModel):
    """Scores of text tokens and blank for every output frame; its capabilities are those of a CTC model."""

    config_class = FrameRecognizerConfig
    main_input_name = "input_features"

    def __init__(self, config: FrameRecognizerConfig):
        super().__init__(config)
        self.gru = nn.GRU(4 * config.num_mel_bins, config.hidden_size, batch_first=True)
        self.ctc_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_features: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> CausalLMOutput:
        """Logits `(B, N, V)` of features `(B, T, M)`; the mask `(B, T)` and the language are read by the loss only."""
        missing = -input_features.shape[1] % 4
        frames = nn.functional.pad(input_features, (0, 0, 0, missing))
        # (B, T, M) -> (B, N, 4 * M)
        states, _ = self.gru(frames.reshape(frames.shape[0], -1, 4 * frames.shape[2]))
        return CausalLMOutput(logits=self.ctc_head(states))

    def compute_frame_mask(self, attention_mask: Tensor) -> Tensor:
        """Mask `(B, N)` of the output frames."""
        lengths = -(-attention_mask.sum(dim=-1) // 4)
        return length_mask(lengths, -(-attention_mask.shape[1] // 4))
