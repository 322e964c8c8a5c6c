# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the dual encoder of speech and text that is made of a language model."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .configuration_conformer import check_choice, check_positive

POOLINGS = ("mean", "last", "attention")


@strict
class SpeechTextDualEncoderConfig(PreTrainedConfig):
    """Configuration of `SpeechTextDualEncoderModel`.

    Paper: "Transforming LLMs into Cross-modal and Cross-lingual Retrieval Systems" (PaLM 2 DE), section 2: one tower
    for speech and text, an embedding table of `(t + a)` rows, outputs pooled along the sequence, one projection.
    Choice: what the paper leaves open is an option: pooling, normalisation, attention, width of the projection.

    Args:
        text_config: configuration of the decoder-only language model, of any type that `AutoModel` builds.
        audio_token_offset: id of the first audio token, t: the number of rows of the language model's table, which is
            often larger than that of its tokenizer. None: `text_config.vocab_size`.
        num_audio_tokens: number of audio tokens, a.
        projection_dim: width of an embedding; None: that of the language model.
        pooling: `mean` over the positions, state of the `last` one, or a learned average (`attention`).
        normalize: whether embeddings have length 1. Paper: similarity is the dot product.
        is_causal: whether the language model attends to earlier positions only, as in its own training.
        dropout: dropout of the embedded ids and of the pooled states. Paper: 0.1. Choice: here, because many language
            models have none of their own.
        speech_languages: codes of the languages of the speech that the model was trained on: those that are "seen".
        text_languages: codes of the languages of the texts likewise.
    """

    model_type = "speech_text_dual_encoder"
    sub_configs = {"text_config": AutoConfig}

    text_config: dict | PreTrainedConfig | None = None
    audio_token_offset: int | None = None
    num_audio_tokens: int = 1024
    projection_dim: int | None = None
    pooling: str = "mean"
    normalize: bool = False
    is_causal: bool = True
    dropout: float = 0.0
    speech_languages: list[str] | None = None
    text_languages: list[str] | None = None

    def __post_init__(self, **kwargs):
        if isinstance(self.text_config, dict):
            values = dict(self.text_config)
            self.text_config = AutoConfig.for_model(values.pop("model_type", "llama"), **values)
        if self.text_config is None:
            self.text_config = AutoConfig.for_model("llama")
        # Masks of transformers are bidirectional for False.
        self.text_config.is_causal = self.is_causal
        if self.audio_token_offset is None:
            self.audio_token_offset = self.text_config.vocab_size
        if self.projection_dim is None:
            self.projection_dim = self.text_config.hidden_size
        self.speech_languages = list(self.speech_languages or [])
        self.text_languages = list(self.text_languages or [])
        super().__post_init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of the language model."""
        return self.text_config.hidden_size

    def validate_architecture(self) -> None:
        """Raise ValueError for values from which no model can be built."""
        check_choice(self, "pooling", POOLINGS)
        check_positive(self, "num_audio_tokens", "projection_dim", "audio_token_offset")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}.")
        if getattr(self.text_config, "is_encoder_decoder", False):
            raise ValueError(
                f"text_config is that of an encoder-decoder ({self.text_config.model_type}); a dual encoder is made "
                "of a decoder-only language model."
            )


__all__ = ["POOLINGS", "SpeechTextDualEncoderConfig"]
