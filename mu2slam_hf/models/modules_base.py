# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base classes of the models; initialisation, and zero gradients, of their parameters."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutput

from .modules_attention import ConformerSelfAttention
from .modules_capabilities import Capabilities, CTCInferenceMixin
from .modules_language_adapters import LanguageAdaptersMixin
from .modules_layers import ChannelNorm, SequenceBatchNorm
from .modules_learned_quantization import LearnedQuantizer
from .modules_losses import ctc_loss
from .modules_pooling import LayerAverage
from .modules_quantization import RandomProjectionQuantizer
from .modules_residual_adapters import ResidualAdapters


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
    if isinstance(module, ChannelNorm):
        init.ones_(module.weight)
        init.zeros_(module.bias)
        if isinstance(module, SequenceBatchNorm):
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
    elif isinstance(module, ConformerSelfAttention) and module.positions == "relative":
        init.xavier_uniform_(module.bias_u)
        init.xavier_uniform_(module.bias_v)
    elif isinstance(module, (LayerAverage, LearnedQuantizer, RandomProjectionQuantizer, ResidualAdapters)):
        module.reset_parameters()
    elif getattr(module, "keeps_variance", False):
        init.kaiming_normal_(module.weight)


def touch_parameters(states: Tensor, parameters: Iterable[Tensor]) -> Tensor:
    """`states`, unchanged, with zero gradients to parameters that they do not depend on.

    For heads on speech alone, whose encoder also has parameters for text: every trainable parameter receives a
    gradient, as data-parallel training requires.
    """
    for parameter in parameters:
        states = states + parameter.flatten()[:0].sum().to(states.dtype)
    return states


class SpeechTextPreTrainedModel(LanguageAdaptersMixin, PreTrainedModel):
    """Base class of the Conformer and of all models that read speech and text."""

    capabilities = Capabilities(embeds=True)
    base_model_prefix = "model"
    main_input_name = "input_features"
    input_modalities = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    # Names of the heads over the vocabulary. The first one is the output embeddings of transformers.
    _vocabulary_heads: tuple[str, ...] = ()

    def __init__(self, config: PreTrainedConfig, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        if getattr(getattr(config, "encoder_config", None), "frontend", None) == "waveform":
            self.main_input_name = "input_values"

    def _init_weights(self, module):
        super()._init_weights(module)
        initialize_module(module)

    def get_output_embeddings(self) -> nn.Module | None:
        return getattr(self, self._vocabulary_heads[0]) if self._vocabulary_heads else None

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        setattr(self, self._vocabulary_heads[0], new_embeddings)

    def set_attention_chunk(self, frames: int | None) -> None:
        """Set `attention_chunk_frames` of the speech encoder of this model; it is saved with the configuration.

        Args:
            frames: encoder frames of a chunk (200 are 8 seconds of log-mel features); None for full attention.

        Raises:
            ValueError: fewer than one frame, or a model without a Conformer.
        """
        encoder_config = getattr(self.config, "encoder_config", self.config)
        if not hasattr(encoder_config, "attention_chunk_frames"):
            raise ValueError(f"{type(self).__name__} has no Conformer whose attention could be cut into chunks.")
        if frames is not None and frames < 1:
            raise ValueError(f"A chunk has at least one frame, got {frames}.")
        encoder_config.attention_chunk_frames = frames

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args, **kwargs) -> nn.Embedding:
        """As in transformers; also resizes all other tables and heads. Text is last, so no other id changes."""
        embeddings = super().resize_token_embeddings(new_num_tokens, *args, **kwargs)
        vocab_size = embeddings.weight.shape[0]
        self.base_model.follow_vocab_size(vocab_size)
        for name in self._vocabulary_heads[1:]:
            if getattr(self, name).out_features != vocab_size:
                setattr(self, name, self._get_resized_lm_head(getattr(self, name), vocab_size))
        self.tie_weights()
        return embeddings

    def resize_language_table(self, num_languages: int) -> None:
        """Resize all language embeddings and the language head; `config.languages` is left to the caller."""
        for parent in list(self.modules()):
            table, head = getattr(parent, "embed_languages", None), getattr(parent, "language_head", None)
            if isinstance(table, nn.Embedding) and table.num_embeddings != num_languages:
                parent.embed_languages = self._get_resized_embeddings(table, num_languages, mean_resizing=False)
            if isinstance(head, nn.Linear) and head.out_features != num_languages:
                parent.language_head = self._get_resized_lm_head(head, num_languages, mean_resizing=False)
        self.tie_weights()

    def grow_tables(self, vocab_size: int, languages: Sequence[str]) -> None:
        """Append rows of tokens and languages to tables, heads and configuration; the new rows are arbitrary.

        Args:
            vocab_size: number of tokens; a smaller one than that of the model changes nothing.
            languages: codes of the languages to append.
        """
        config = self.config
        if vocab_size > config.vocab_size:
            self.resize_token_embeddings(vocab_size, mean_resizing=False)
        if languages:
            self.resize_language_table(config.num_languages + len(languages))
            config.languages = [*config.languages, *languages]
            config.report_missing_adapters()
            if hasattr(config, "decoder_config"):
                config.decoder_config.num_languages = config.num_languages

    def follow_vocab_size(self, vocab_size: int) -> None:
        """Hook for base models with more than one embedding table, after a change of the vocabulary's size."""


class EncoderFreezingMixin:
    """Freezing of the encoder under a head; the base model has a `conformer`."""

    def freeze_encoder(self, num_trainable_layers: int = 0) -> None:
        """Stop training the encoder, except for its last layers.

        These last layers become trainable even if they were frozen before. Dropout stays active in training mode.

        Args:
            num_trainable_layers: number of last Conformer layers that stay trainable, together with the normalisation
                after them.

        Raises:
            ValueError: the encoder has fewer layers.
        """
        conformer = self.base_model.conformer
        if not 0 <= num_trainable_layers <= len(conformer.layers):
            raise ValueError(
                f"num_trainable_layers must be between 0 and {len(conformer.layers)}, the number of layers of this "
                f"encoder; got {num_trainable_layers}."
            )
        self.base_model.requires_grad_(False)
        if num_trainable_layers:
            conformer.layers[-num_trainable_layers:].requires_grad_(True)
            if conformer.norm is not None:
                conformer.norm.requires_grad_(True)


class CTCMixin(EncoderFreezingMixin, CTCInferenceMixin):
    """Methods shared by the models with nothing but a CTC head, `ctc_head`, on their base model."""

    input_modalities = ("audio",)
    _vocabulary_heads = ("ctc_head",)

    def copy_weights(self, model: PreTrainedModel, encoder: nn.Module):
        """Copy the weights of `encoder` and, if both models have them, its CTC head and its transducer; returns self.

        Weights of an encoder that this one does not have, such as those of Maestro's text, are left out.
        """
        own = self.base_model.state_dict().keys()
        self.base_model.load_state_dict({name: values for name, values in encoder.state_dict().items() if name in own})
        for name in ("ctc_head", "transducer"):
            if hasattr(model, name) and hasattr(self, name):
                getattr(self, name).load_state_dict(getattr(model, name).state_dict())
        self.tie_weights()
        return self.to(device=model.device, dtype=model.dtype).train(model.training)

    def compute_output(self, states: Tensor, outputs, labels: Tensor | None, num_items_in_batch) -> CausalLMOutput:
        """Logits of `states` `(B, N, D)`, and their loss if labels are given; `outputs` are those of the encoder."""
        logits = self.compute_ctc_logits(states)
        loss = None
        if labels is not None:
            blank, reduction = self.config.pad_token_id, self.config.ctc_loss_reduction
            loss = ctc_loss(logits, outputs.attention_mask, labels, blank, reduction, num_items_in_batch)
        return CausalLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )
