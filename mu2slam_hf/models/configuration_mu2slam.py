# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configurations of the Mu2SLAM models: encoder-decoder, its decoder, and the CTC and transducer models."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.utils import logging

from .configuration_conformer import ConformerEncoderConfig, check_choice, check_multiple, check_positive
from .configuration_transducer import TransducerConfig

logger = logging.get_logger(__name__)

NUM_RESERVED_TOKENS = 64
CTC_LOSS_REDUCTIONS = ("mean", "sum")
DECODER_POSITIONS = ("sinusoidal", "sinusoidal_inclusive", "learned")
DECODER_PROMPTS = ("start", "start_language", "language")
CLASSIFIER_POOLINGS = ("mean", "max")


@strict
class Mu2SLAMDecoderConfig(PreTrainedConfig):
    r"""Configuration of the Transformer decoder.

    Paper: section 2.1, a shallow decoder of 6 Transformer layers of the encoder's width; appendix: dropout 0.1.

    Args:
        vocab_size (`int`, *optional*, defaults to 5184): Size of the shared id space; set by [`Mu2SLAMConfig`].
        num_languages (`int`, *optional*, defaults to 1): Number of rows of the language table; set by
            [`Mu2SLAMConfig`].
        hidden_size (`int`, *optional*, defaults to 1024): Width D; must equal the encoder's, unless
            [`Mu2SLAMConfig`] has `add_encoder_projection`.
        num_hidden_layers (`int`, *optional*, defaults to 6): Number of Transformer layers.
        num_attention_heads (`int`, *optional*, defaults to 8): Number of attention heads.
        intermediate_size (`int`, *optional*, defaults to 4096): Width of the feed-forward module.
        hidden_act (`str`, *optional*, defaults to `"relu"`): Activation of the feed-forward module.
        hidden_dropout (`float`, *optional*, defaults to 0.1): Dropout on inputs and on every residual branch.
        attention_dropout (`float`, *optional*, defaults to 0.0): Dropout on attention weights.
        activation_dropout (`float`, *optional*, defaults to 0.0): Dropout inside the feed-forward module.
        scale_embedding (`bool`, *optional*, defaults to `True`): Whether token embeddings are multiplied by sqrt(D).
        position_embeddings_type (`str`, *optional*, defaults to `"sinusoidal"`): `sinusoidal`: the longest wavelength
            is a step below `10000 * 2 * pi`, as in Vaswani et al. (2017); `sinusoidal_inclusive`: it is exactly that,
            as in fairseq and M2M100; `learned`: a table, as in BART.
        position_offset (`int`, *optional*, defaults to 0): Position of the first token; M2M100 and mBART begin at 2.
        max_position_embeddings (`int`, *optional*, defaults to 1024): Maximum length of a target for `learned`, whose
            table has `max_position_embeddings + position_offset` rows; no limit otherwise.
        normalize_embedding (`bool`, *optional*, defaults to `False`): Whether a normalisation follows the sum of all
            embeddings, as in BART.
        layer_norm_eps (`float`, *optional*, defaults to 1e-05): Epsilon of every normalisation.
        initializer_range (`float`, *optional*, defaults to 0.02): Standard deviation of the initial weights.
        use_cache (`bool`, *optional*, defaults to `True`): Whether decoding caches keys and values.
    """

    model_type = "mu2slam_decoder"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 5184
    num_languages: int = 1
    hidden_size: int = 1024
    num_hidden_layers: int = 6
    num_attention_heads: int = 8
    intermediate_size: int = 4096
    hidden_act: str = "relu"
    hidden_dropout: float | int = 0.1
    attention_dropout: float | int = 0.0
    activation_dropout: float | int = 0.0
    scale_embedding: bool = True
    position_embeddings_type: str = "sinusoidal"
    position_offset: int = 0
    max_position_embeddings: int = 1024
    normalize_embedding: bool = False
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    is_encoder_decoder: bool = True

    def validate_architecture(self):
        """Part of `@strict` validation."""
        check_multiple(self, "hidden_size", "num_attention_heads")
        check_choice(self, "position_embeddings_type", DECODER_POSITIONS)
        check_positive(self, "max_position_embeddings")
        if self.position_offset < 0:
            raise ValueError(f"position_offset cannot be negative, got {self.position_offset}.")

    @property
    def max_target_length(self) -> int | None:
        """Maximum number of decoder positions; None without a limit."""
        return self.max_position_embeddings if self.position_embeddings_type == "learned" else None


@strict
class SpeechTextConfig(PreTrainedConfig):
    """Fields and checks shared by the configurations of all models that read speech and text.

    The id space is `[specials and reserved][speech codebook][text ...]`. The fields are described in
    [`Mu2SLAMConfig`].
    """

    sub_configs_defaults = {"encoder_config": ConformerEncoderConfig}
    attribute_map = {"hidden_size": "d_model"}

    encoder_config: dict | PreTrainedConfig | None = None
    vocab_size: int = 5184
    d_model: int | None = None
    speech_token_offset: int = NUM_RESERVED_TOKENS
    num_speech_tokens: int = 1024
    text_token_offset: int = NUM_RESERVED_TOKENS + 1024
    languages: list[str] | tuple[str, ...] = ("und",)
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    unk_token_id: int = 3
    mask_token_id: int = 4
    inputs_to_logits_ratio: int = 640
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    restricted_tokens: dict[str, list[int]] | None = None

    def __post_init__(self, **kwargs):
        self.languages = list(self.languages)
        super().__post_init__(**kwargs)
        self.d_model = self.encoder_config.hidden_size
        # Imported encoders have a different frame rate.
        if self.encoder_config.frontend != "conv2d":
            self.inputs_to_logits_ratio = self.encoder_config.samples_per_frame

    @property
    def num_languages(self) -> int:
        """Number of rows of the language table."""
        return len(self.languages)

    @property
    def num_mel_bins(self) -> int:
        """Number of mel bins of the input features."""
        return self.encoder_config.num_mel_bins

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for an invalid id space or list of languages."""
        if self.speech_token_offset < NUM_RESERVED_TOKENS:
            raise ValueError(
                f"speech_token_offset must be at least {NUM_RESERVED_TOKENS} because ids 0..{NUM_RESERVED_TOKENS - 1} "
                f"are reserved for special tokens, got {self.speech_token_offset}."
            )
        if self.text_token_offset < self.speech_token_offset + self.num_speech_tokens:
            raise ValueError(
                f"text_token_offset ({self.text_token_offset}) lies inside the speech codebook, which ends at "
                f"{self.speech_token_offset + self.num_speech_tokens}."
            )
        if self.vocab_size < self.text_token_offset:
            raise ValueError(
                f"vocab_size ({self.vocab_size}) must be at least text_token_offset ({self.text_token_offset})."
            )
        if not self.languages or self.languages[0] != "und":
            raise ValueError(f"languages must be a list whose first entry is 'und', got {self.languages[:3]}...")
        if len(set(self.languages)) != len(self.languages):
            raise ValueError("languages contains a code more than once.")
        for code, tokens in (self.restricted_tokens or {}).items():
            if code not in self.languages:
                raise ValueError(f"restricted_tokens has {code!r}, which is not one of languages.")
            outside = [token for token in tokens if not self.text_token_offset <= token < self.vocab_size]
            if outside:
                raise ValueError(
                    f"restricted_tokens[{code!r}] has id {outside[0]}; the ids of text are {self.text_token_offset} "
                    f"to {self.vocab_size - 1}."
                )
        self.report_missing_adapters()

    def report_missing_adapters(self) -> None:
        """Log, once, which languages have no residual adapters of their own in an encoder with adapters."""
        encoder, missing = self.encoder_config, self.languages[self.encoder_config.num_adapters :]
        if encoder.adapter_size and missing:
            logger.warning_once(
                f"encoder_config.num_adapters is {encoder.num_adapters}: {', '.join(missing)} have no residual "
                f"adapters and use those of 'und'; all languages have their own with {self.num_languages}."
            )


@strict
class Mu2SLAMConfig(SpeechTextConfig):
    r"""Configuration of the Mu2SLAM encoder-decoder.

    The id space holds special tokens, the speech codebook and text, in this order, so that a new language extends the
    text part without changing other ids. Defaults are the paper's character model without its language list.

    Args:
        encoder_config (`dict` or [`ConformerEncoderConfig`], *optional*): The Conformer and its front end.
        decoder_config (`dict` or [`Mu2SLAMDecoderConfig`], *optional*): The Transformer decoder.
        vocab_size (`int`, *optional*, defaults to 5184): 64 specials + 1024 speech ids + 4096 characters.
        speech_token_offset (`int`, *optional*, defaults to 64): Id of the first codebook entry.
        num_speech_tokens (`int`, *optional*, defaults to 1024): Number of entries of the speech codebook.
        text_token_offset (`int`, *optional*, defaults to 1088): Id of the first text token.
        languages (`list[str]`, *optional*, defaults to `["und"]`): Canonical language codes in the order of the
            language table, append-only; row 0 is `und`.
        mask_token_id (`int`, *optional*, defaults to 4): Id of [MASK]; its embedding also replaces masked speech
            frames.
        unk_token_id (`int`, *optional*, defaults to 3): Id of the unknown token, which decoding does not skip.
        ctc_loss_weight (`float`, *optional*, defaults to 0.3): Weight of the CTC loss in `forward`. Choice: the paper
            gives none.
        language_loss_weight (`float`, *optional*, defaults to 0.1): Weight of the loss of the language head. Choice.
        inputs_to_logits_ratio (`int`, *optional*, defaults to 640): Number of samples per encoder frame (160 x 4);
            derived from the front end if that is not `conv2d`.
        tie_word_embeddings (`bool`, *optional*, defaults to `True`): Whether encoder input, decoder input, decoder
            softmax and CTC softmax share one embedding table (each softmax has its own bias); the parameter counts of
            the paper require it.
        add_encoder_projection (`bool`, *optional*, defaults to `False`): Whether the encoder may have another width
            than the embeddings and the decoder, whose width is then `d_model`: one linear map projects the embeddings
            to the encoder's width, another one its output to `d_model`.
        decoder_prompt (`str`, *optional*, defaults to `"start"`): Tokens that precede a target in the decoder's
            input: `start`: the start token; `start_language`: the start token and the token of the target language
            (NLLB, mBART-50); `language`: only the latter (mBART). The embedding of the language is added to the input
            in any case.
        language_token_ids (`list[int]`, *optional*): Id of the token of each language, in the order of `languages`;
            required by a `decoder_prompt` with a language.
        restricted_tokens (`dict[str, list[int]]`, *optional*): Language code -> ids of the text tokens that were added
            for it. A token that is listed is written in the languages that list it and in no other, nor if the
            language is unknown; tokens that no language lists are for all. Logits are not changed: decoding masks
            these tokens. None: all tokens are for all languages.
        use_segment_embedding (`bool`, *optional*, defaults to `True`): Whether heads for text understanding add a
            learned vector to the tokens of the second of two texts.
        classifier_proj_size (`int`, *optional*, defaults to 256): Width of the projection before classification.
        classifier_pooling (`str`, *optional*, defaults to `"mean"`): `mean` or `max` over the real positions.
        classifier_dropout (`float`, *optional*, defaults to 0.0): Dropout before the classifier.
    """

    model_type = "mu2slam"
    keys_to_ignore_at_inference = ["past_key_values"]
    sub_configs_defaults = {"encoder_config": ConformerEncoderConfig, "decoder_config": Mu2SLAMDecoderConfig}

    decoder_config: dict | PreTrainedConfig | None = None
    add_encoder_projection: bool = False
    decoder_start_token_id: int | None = 1
    decoder_prompt: str = "start"
    language_token_ids: list[int] | None = None
    ctc_loss_weight: float | int = 0.3
    language_loss_weight: float | int = 0.1
    use_segment_embedding: bool = True
    classifier_proj_size: int = 256
    classifier_pooling: str = "mean"
    classifier_dropout: float | int = 0.0
    use_cache: bool = True
    is_encoder_decoder: bool = True

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.add_encoder_projection:
            self.d_model = self.decoder_config.hidden_size
        # The decoder's copies of the shared fields are overwritten, so that the two cannot differ.
        self.decoder_config.vocab_size = self.vocab_size
        self.decoder_config.num_languages = len(self.languages)

    def validate_architecture(self):
        """Part of `@strict` validation: encoder and decoder share one embedding table and therefore its width."""
        if self.encoder_config.hidden_size != self.decoder_config.hidden_size and not self.add_encoder_projection:
            raise ValueError(
                f"encoder and decoder share one embedding table: encoder_config.hidden_size "
                f"({self.encoder_config.hidden_size}) must equal decoder_config.hidden_size "
                f"({self.decoder_config.hidden_size}), unless add_encoder_projection is set."
            )
        check_choice(self, "decoder_prompt", DECODER_PROMPTS)
        check_choice(self, "classifier_pooling", CLASSIFIER_POOLINGS)
        check_positive(self, "classifier_proj_size")
        super().validate_architecture()
        if self.decoder_prompt != "start":
            self._validate_language_tokens()

    def _validate_language_tokens(self):
        ids = self.language_token_ids or []
        if len(ids) != len(self.languages) or not all(0 <= index < self.vocab_size for index in ids):
            raise ValueError(
                f"decoder_prompt={self.decoder_prompt!r} requires one id below vocab_size ({self.vocab_size}) in "
                f"language_token_ids for each of the {len(self.languages)} languages, got {len(ids)}."
            )

    @property
    def prompt_length(self) -> int:
        """Number of tokens that precede a target in the decoder's input."""
        return 2 if self.decoder_prompt == "start_language" else 1

    def build_prompt(self, language_row: int) -> list[int]:
        """Ids of the `prompt_length` tokens that precede a target in the language of a row of `languages`."""
        prompt = []
        if self.decoder_prompt != "language":
            assert self.decoder_start_token_id is not None
            prompt.append(self.decoder_start_token_id)
        if self.decoder_prompt != "start":
            assert self.language_token_ids is not None  # checked by the validation
            prompt.append(self.language_token_ids[language_row])
        return prompt

    def get_text_config(self, *args, **kwargs):
        """The sub-config with `vocab_size` and the shape of the cache: the decoder's."""
        return self.decoder_config


@strict
class Mu2SLAMCTCConfig(SpeechTextConfig):
    r"""Configuration of the CTC-only model: the Mu2SLAM encoder and a CTC softmax over text tokens and blank.

    It has its own `model_type` because the ASR pipeline uses it to choose between CTC and sequence-to-sequence.

    Args:
        encoder_config (`dict` or [`ConformerEncoderConfig`], *optional*): The Conformer and its front end.
        vocab_size (`int`, *optional*, defaults to 5184): As in [`Mu2SLAMConfig`].
        speech_token_offset (`int`, *optional*, defaults to 64): As in [`Mu2SLAMConfig`].
        num_speech_tokens (`int`, *optional*, defaults to 1024): As in [`Mu2SLAMConfig`]; the logits of speech ids are
            masked.
        text_token_offset (`int`, *optional*, defaults to 1088): As in [`Mu2SLAMConfig`].
        languages (`list[str]`, *optional*, defaults to `["und"]`): As in [`Mu2SLAMConfig`].
        pad_token_id (`int`, *optional*, defaults to 0): Also the CTC blank.
        d_model (`int`, *optional*): Width of embeddings and heads: with `add_encoder_projection` any, otherwise always
            that of the encoder.
        add_encoder_projection (`bool`, *optional*, defaults to `False`): As in [`Mu2SLAMConfig`].
        ctc_loss_reduction (`str`, *optional*, defaults to `"mean"`): `mean` per target token, or `sum`.
        inputs_to_logits_ratio (`int`, *optional*, defaults to 640): As in [`Mu2SLAMConfig`].
    """

    model_type = "mu2slam_ctc"

    ctc_loss_reduction: str = "mean"
    add_encoder_projection: bool = False

    def __post_init__(self, **kwargs):
        width = self.d_model
        super().__post_init__(**kwargs)
        if self.add_encoder_projection and width is not None:
            self.d_model = width

    @classmethod
    def from_mu2slam_config(cls, config: "Mu2SLAMConfig", **values) -> "Mu2SLAMCTCConfig":
        """The configuration of the encoder and CTC head of an encoder-decoder, with further values."""
        return cls(**cls._keep_encoder(config.to_dict()) | values)

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs) -> tuple[dict, dict]:
        """As in transformers; for the folder of an encoder-decoder or of a CTC model, its encoder and CTC head."""
        content, others = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if content.get("model_type") in {Mu2SLAMConfig.model_type, Mu2SLAMCTCConfig.model_type} - {cls.model_type}:
            content = {**cls._keep_encoder(content), "model_type": cls.model_type}
        return content, others

    @classmethod
    def _keep_encoder(cls, content: dict) -> dict:
        """The part of the content of a [`Mu2SLAMConfig`] that this configuration has too."""
        others = {"model_type", "architectures", "transformers_version", "is_encoder_decoder"}
        return {name: content[name] for name in cls().to_dict().keys() - others if name in content}

    def validate_architecture(self):
        """Part of `@strict` validation."""
        check_choice(self, "ctc_loss_reduction", CTC_LOSS_REDUCTIONS)
        super().validate_architecture()


@strict
class Mu2SLAMRNNTConfig(Mu2SLAMCTCConfig):
    r"""Configuration of the transducer model, with the keys of [`Mu2SLAMCTCConfig`].

    Args:
        transducer_config (`dict` or [`TransducerConfig`], *optional*): The prediction and joint network.
    """

    model_type = "mu2slam_rnnt"
    sub_configs_defaults = {**Mu2SLAMCTCConfig.sub_configs_defaults, "transducer_config": TransducerConfig}

    transducer_config: dict | PreTrainedConfig | None = None


__all__ = ["Mu2SLAMCTCConfig", "Mu2SLAMConfig", "Mu2SLAMDecoderConfig", "Mu2SLAMRNNTConfig", "SpeechTextConfig"]
