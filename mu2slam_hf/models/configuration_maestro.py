# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of Maestro: an mSLAM whose text is resampled to the frame rate of speech and matched with it."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_conformer import ConformerEncoderConfig, check_positive
from .configuration_mslam import MSLAMConfig
from .configuration_transducer import TransducerConfig

# Differences of the text encoder and the refiner from the encoder, if they are not given.
_TEXT_ENCODER = {"num_hidden_layers": 6, "conv_depthwise_kernel_size": 5}
_REFINER = {"num_hidden_layers": 2, "conv_depthwise_kernel_size": 17}


@strict
class MaestroConfig(MSLAMConfig):
    r"""Configuration of [`MaestroModel`].

    Paper: Maestro (Chen et al. 2022): layers for speech, layers for text, and layers shared by both; text is resampled
    to frames by its durations, refined, and matched with speech. The defaults are the 0.6B model: 6 speech layers and
    18 shared ones, 6 text layers, 2 layers of the refiner, a transducer of 2 x 1280 with a joint network of 640.
    Choice: text encoder and refiner are Conformers with the width of the encoder.

    Args:
        encoder_config (`dict` or [`ConformerEncoderConfig`], *optional*): The layers of speech and the shared layers,
            and the front end.
        num_speech_layers (`int`, *optional*, defaults to 6): Number of layers that process speech only.
        text_encoder_config (`dict` or [`ConformerEncoderConfig`], *optional*): The text encoder; its width is that of
            `encoder_config`, as are all values that are not given, except for 6 layers and kernel 5, full attention
            and no adapters.
        refiner_config (`dict` or [`ConformerEncoderConfig`], *optional*): The refiner of resampled text, likewise,
            with 2 layers and kernel 17.
        transducer_config (`dict` or [`TransducerConfig`], *optional*): The transducer that aligns, recognises, and
            reconstructs text.
        num_text_convolutions (`int`, *optional*, defaults to 3): Number of convolutions before the text encoder.
        duration_predictor_layers (`int`, *optional*, defaults to 4): Number of convolutions of the duration predictor.
        max_frames_per_token (`int`, *optional*, defaults to 40): Longest predicted duration of a token in frames.
        matching_stop_gradient (`bool`, *optional*, defaults to `True`): Whether the matching loss trains text only.
            Choice: with gradients into both sides, both can collapse. Paper: USM trains only the text encoder by it.
        alignment_ema_decay (`float`, *optional*, defaults to 0.0): Decay of an average of the weights that aligns
            pairs and predicts the durations of texts; 0 means that the weights themselves do. Paper: 0.9999.
        text_mask_time_prob (`float`, *optional*, defaults to 0.065): Probability that a masked span starts at a frame
            of resampled text. Choice: as in wav2vec 2.0.
        text_mask_time_length (`int`, *optional*, defaults to 10): Length of these spans in frames.
        kwargs: as in [`MSLAMConfig`].
    """

    model_type = "maestro"
    sub_configs_defaults = {
        **MSLAMConfig.sub_configs_defaults,
        "text_encoder_config": ConformerEncoderConfig,
        "refiner_config": ConformerEncoderConfig,
        "transducer_config": TransducerConfig,
    }

    num_speech_layers: int = 6
    text_encoder_config: dict | PreTrainedConfig | None = None
    refiner_config: dict | PreTrainedConfig | None = None
    transducer_config: dict | PreTrainedConfig | None = None
    num_text_convolutions: int = 3
    duration_predictor_layers: int = 4
    max_frames_per_token: int = 40
    matching_stop_gradient: bool = True
    alignment_ema_decay: float | int = 0.0
    text_mask_time_prob: float | int = 0.065
    text_mask_time_length: int = 10

    def __post_init__(self, **kwargs):
        encoder = self.encoder_config
        shared = encoder if isinstance(encoder, dict) else encoder.to_dict() if encoder is not None else {}
        shared = {**shared, "attention_chunk_frames": None, "adapter_size": 0}
        for name, own in (("text_encoder_config", _TEXT_ENCODER), ("refiner_config", _REFINER)):
            given = getattr(self, name)
            if not isinstance(given, PreTrainedConfig):
                setattr(self, name, {**shared, **own, **(given or {})})
        if self.transducer_config is None:
            self.transducer_config = {"hidden_size": 1280}
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for values from which no model can be built."""
        super().validate_architecture()
        width = self.encoder_config.hidden_size
        for name in ("text_encoder_config", "refiner_config"):
            other = getattr(self, name).hidden_size
            if other != width:
                raise ValueError(
                    f"{name}.hidden_size must be that of encoder_config, {width}, because resampled text is compared "
                    f"with speech; got {other}."
                )
        check_positive(self, "num_text_convolutions", "duration_predictor_layers", "max_frames_per_token")
        check_positive(self, "text_mask_time_length")
        for name in ("alignment_ema_decay", "text_mask_time_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1; got {getattr(self, name)}.")
        if self.ctc_input != "speech":
            raise ValueError(
                f"ctc_input must be 'speech': speech and text are never one sequence in Maestro; got "
                f"{self.ctc_input!r}."
            )


__all__ = ["MaestroConfig"]
