# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The convolutional front end, from log-mel features at 100 Hz to latent speech representations S at 25 Hz.

Shapes: B batch, T feature frames, N encoder frames, M mel bins, C channels, D width.
"""

import torch
from torch import Tensor, nn

from .configuration_conformer import ConformerEncoderConfig
from .modules_lengths import conv_output_length, length_mask
from .modules_linear import linear


class ConvolutionalSubsampling(nn.Module):
    """Two 2-D convolutions of stride (2, 2), then a linear map to the encoder's width.

    Paper: section 2.1, "two 2D-convolutional layers with strides (2, 2)" and "a subsequent linear projection".
    Choice: kernel 3, padding 1, ReLU; padding frames are zeroed before every convolution, so that their values cannot
    affect real frames.
    Choice: new weights use `initializer_range` like all others, or with `subsampling_keeps_variance` preserve the
    variance of the features (Kaiming). The second is for encoders that add positions to S: at the size of the paper
    `initializer_range` makes S 93 times smaller than these, and small mSLAMs learned with S at their scale a little
    better (RESULTS.md, "A small mSLAM"). Encoders with rotary positions, which are not added, learned worse with it:
    CTC of a small Mu2SLAM was 3.70 after 300 updates instead of 3.16. With S multiplied by 16, the scale of token
    embeddings, it was the same after 225 updates (6.71, without 6.55, per piece), and the language loss had not
    fallen (1.68, without 1.25).
    """

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        first, second = config.subsampling_conv_channels
        self.conv1 = nn.Conv2d(1, first, kernel_size=3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1)
        num_bins = conv_output_length(conv_output_length(config.num_mel_bins))
        self.linear = nn.Linear(second * num_bins, config.hidden_size)
        for module in (self.conv1, self.conv2, self.linear):
            module.keeps_variance = config.subsampling_keeps_variance  # type: ignore[assignment]

    def forward(self, input_features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Subsample a batch of utterances.

        Args:
            input_features: `(B, T, M)` float.
            lengths: `(B,)` int64, number of real frames of each utterance; None when none is padded.

        Returns:
            `(B, N, D)`; frames past `encoder_length(lengths)` hold arbitrary finite values.
        """
        # (B, T, M) -> (B, 1, T, M)
        states = input_features.to(self.conv1.weight.dtype).unsqueeze(1)
        for conv in (self.conv1, self.conv2):
            if lengths is not None:
                frame_mask = length_mask(lengths, states.shape[2])[:, None, :, None]
                # Selected, not multiplied: padding may hold NaN or infinite values.
                states = torch.where(frame_mask, states, torch.zeros((), dtype=states.dtype, device=states.device))
                lengths = conv_output_length(lengths)
            states = nn.functional.relu(conv(states))
        # (B, C, N, M / 4) -> (B, N, C * M / 4)
        states = states.transpose(1, 2).flatten(2)
        return linear(self.linear, states)
