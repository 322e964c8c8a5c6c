# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base class of all models, and initialisation of the modules that transformers does not cover."""

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from .modules_attention import ConformerSelfAttention
from .modules_conformer import SequenceGroupNorm
from .modules_frontends import UtteranceNorm
from .modules_learned_quantization import LearnedQuantizer
from .modules_norms import SequenceBatchNorm
from .modules_pooling import LayerAverage


class ScaledEmbedding(nn.Embedding):
    """An embedding table whose rows are multiplied by a constant on lookup.

    The scale is part of the table, so that `inputs_embeds = get_input_embeddings()(input_ids)` is equivalent to
    `input_ids`, as everywhere in transformers, while a tied softmax uses the unscaled rows.

    Args:
        num_embeddings: number of rows.
        embedding_dim: width D.
        padding_idx: row that receives no gradient.
        scale: the constant.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, scale: float = 1.0):
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        """Rows `(..., D)` of the ids `input` `(...)` int64, scaled."""
        return super().forward(input) * self.scale


def initialize_module(module: nn.Module) -> None:
    """Initialise the parameters of a module of this package, with the guarded initialisers of transformers.

    Without this, a parameter missing from a checkpoint would be uninitialised memory.
    """
    if isinstance(module, (SequenceGroupNorm, SequenceBatchNorm, UtteranceNorm)):
        init.ones_(module.weight)
        init.zeros_(module.bias)
        if isinstance(module, SequenceBatchNorm):
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
    elif isinstance(module, ConformerSelfAttention) and module.positions == "relative":
        init.xavier_uniform_(module.bias_u)
        init.xavier_uniform_(module.bias_v)
    elif isinstance(module, LayerAverage):
        init.zeros_(module.weight)
    elif isinstance(module, LearnedQuantizer):
        module.reset_parameters()
    elif getattr(module, "keeps_variance", False):
        init.kaiming_normal_(module.weight)


class SpeechTextPreTrainedModel(PreTrainedModel):
    """Base class of all models that read speech and text."""

    base_model_prefix = "model"
    main_input_name = "input_features"
    input_modalities = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def __init__(self, config: PreTrainedConfig, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        if getattr(getattr(config, "encoder_config", None), "frontend", None) == "waveform":
            self.main_input_name = "input_values"

    def _init_weights(self, module):
        super()._init_weights(module)
        initialize_module(module)
