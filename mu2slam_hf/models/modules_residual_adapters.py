# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Residual adapters: small bottleneck modules of each language inside the layers of an encoder.

Shapes: B batch, L positions, D width, S size of the bottleneck, A adapters.
"""

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN

from .configuration_conformer import ConformerEncoderConfig


class ResidualAdapters(nn.Module):
    """One bottleneck for each language, `up[l](act(down[l](norm(x))))`, which is added to the states by the layer.

    Paper: Maestro-U (Chen et al. 2022) section 3, residual adapters of languages; USM (Zhang et al. 2023) section 4.4.
    Choice: `up` starts at 0, so that new adapters change nothing. Choice: the norm has no weights, because all
    languages would share them; `down` contains them.

    Args:
        config: configuration of the encoder, with `num_adapters` and `adapter_size`.
    """

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        num_adapters, width, size = config.num_adapters, config.hidden_size, config.adapter_size
        self.down_weight = nn.Parameter(torch.empty(num_adapters, size, width))
        self.down_bias = nn.Parameter(torch.empty(num_adapters, size))
        self.up_weight = nn.Parameter(torch.empty(num_adapters, width, size))
        self.up_bias = nn.Parameter(torch.empty(num_adapters, width))
        self.activation = ACT2FN[config.hidden_act]
        self.eps = config.layer_norm_eps

    def reset_parameters(self) -> None:
        """Initialise, with the guarded initialisers of transformers."""
        init.normal_(self.down_weight, std=self.down_weight.shape[-1] ** -0.5)
        for parameter in (self.down_bias, self.up_weight, self.up_bias):
            init.zeros_(parameter)

    def forward(self, hidden_states: Tensor, language_ids: Tensor) -> Tensor:
        """What the adapters of the languages add.

        Args:
            hidden_states: `(B, L, D)`.
            language_ids: `(B,)` int64 languages of rows, or `(B, L)` of positions, each in `[0, A)`.

        Returns:
            `(B, L, D)`.
        """
        states = nn.functional.layer_norm(hidden_states, hidden_states.shape[-1:], eps=self.eps)
        if language_ids.dim() == 1:
            down, up = self.down_weight[language_ids], self.up_weight[language_ids]
            states = torch.baddbmm(self.down_bias[language_ids, None], states, down.transpose(1, 2))
            return torch.baddbmm(self.up_bias[language_ids, None], self.activation(states), up.transpose(1, 2))
        # The weights of every position would need too much memory: language by language.
        flat, change = states.flatten(0, 1), torch.zeros_like(hidden_states).flatten(0, 1)
        for language in language_ids.unique().tolist():
            positions = (language_ids.flatten() == language).nonzero()[:, 0]
            inner = nn.functional.linear(flat[positions], self.down_weight[language], self.down_bias[language])
            added = nn.functional.linear(self.activation(inner), self.up_weight[language], self.up_bias[language])
            change = change.index_copy(0, positions, added.to(change.dtype))
        return change.view(hidden_states.shape)
