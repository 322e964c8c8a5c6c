# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the speech tokenizer: how frames of a log-mel spectrogram become ids of a codebook."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .configuration_conformer import ConformerEncoderConfig
from .configuration_mslam import QUANTIZER_METHODS

# The ways to obtain a codebook.
SPEECH_TOKENIZER_KINDS = ("random_projection", "contrastive", "kmeans")
# What a codebook can be learned on.
SPEECH_TOKENIZER_FEATURES = ("log_mel", "encoder")


@strict
class SpeechTokenizerConfig(PreTrainedConfig):
    """Configuration of `SpeechTokenizerModel`.

    Paper: Mu2SLAM section 2.2 takes the tokenizer of mSLAM and keeps it constant; the random projection is that of
    BEST-RQ (Chiu et al. 2022, section 3.1: stacked log-mel frames, Xavier projection, normal codebook, both fixed);
    k-means on the layer of an encoder, standardised dimension by dimension, is that of AudioLM (Borsos et al. 2022).
    `contrastive` is the faithful one: the front end and the quantiser that mSLAM learns with the w2v-BERT loss.
    Choice: the random projection is the default because it needs no training.

    Args:
        kind: `random_projection`, `kmeans` or `contrastive`. Of the last, `features` is always `encoder` and
            `encoder_layer` 0: what is quantised is the output of the front end that `encoder_config` describes.
        num_mel_bins: log-mel bins per 10 ms frame.
        num_stacked_frames: 10 ms frames per id. 4 is the 25 Hz of the encoder; no other value gives one id per
            encoder frame, so no other value is accepted.
        num_codevectors_per_group: entries of a codebook, K.
        num_codevector_groups: codebooks searched independently, G. With 1 the ids are `(B, N)`, else `(B, N, G)`.
            `kmeans` has one.
        codevector_dim: width of an entry of `random_projection`; of `contrastive` that of the entries of all codebooks
            together; an entry of `kmeans` is as wide as its features.
        quantizer_method: of `contrastive`: `gumbel`, the largest of K learned logits, or `nearest`, the nearest entry
            on the unit sphere.
        projection_seed: seed of projection and codebook, so that the same configuration gives the same ids anywhere.
            Of `kmeans`: seed of the codebook before it is trained. `contrastive` is not drawn from a seed.
        feature_mean: mean of every mel bin, subtracted before anything else. None where the feature extractor has
            already normalised its output.
        feature_std: standard deviation of every mel bin, likewise.
        center_utterances: whether the mean of each utterance is subtracted from what is quantised, so that the level
            of a recording and much of microphone and voice leave its ids alone. Choice: not by default, as in the
            papers; ids of a recording then depend on all of it, and those of a part of it are others.
        features: of `kmeans`: `log_mel`, or a layer of an `encoder`. Random projection reads log-mel frames.
        num_context_frames: of `kmeans` on log-mel frames: 25 Hz frames on either side that are looked at with each
            one. 0 is the frame's own 40 ms, 1 is 120 ms, 2 is 200 ms.
        encoder_config: of `features="encoder"`: the encoder's own configuration; one with
            `model_type="mu2slam_conformer"` is ours and reads log-mel features, every other is transformers' and
            reads what `encoder_feature_extractor` makes of a waveform.
        encoder_layer: which hidden states are quantised: 0 is the input of the first layer, n the output of layer n;
            of `contrastive` 0 is the output of the front end, before anything is added to it.
        encoder_feature_extractor: of an encoder of transformers: the payload of its `preprocessor_config.json`.
        encoder_frames_per_second: frame rate of that encoder; its frames are pooled to one per id.
    """

    model_type = "mu2slam_speech_tokenizer"
    sub_configs = {"encoder_config": AutoConfig}

    kind: str = "random_projection"
    num_mel_bins: int = 80
    num_stacked_frames: int = 4
    num_codevectors_per_group: int = 1024
    num_codevector_groups: int = 1
    codevector_dim: int = 16
    quantizer_method: str = "gumbel"
    projection_seed: int = 0
    feature_mean: list[float | int] | None = None
    feature_std: list[float | int] | None = None
    center_utterances: bool = False
    features: str = "log_mel"
    num_context_frames: int = 0
    encoder_config: dict | PreTrainedConfig | None = None
    encoder_layer: int | None = None
    encoder_feature_extractor: dict | None = None
    encoder_frames_per_second: float | int | None = None

    def __post_init__(self, **kwargs):
        if self.kind == "contrastive":
            # Nothing else can be quantised by it.
            self.features, self.num_context_frames = "encoder", 0
            self.encoder_layer = 0 if self.encoder_layer is None else self.encoder_layer
            if self.encoder_config is None:
                self.encoder_config = {"model_type": ConformerEncoderConfig.model_type, "num_hidden_layers": 0}
                self.encoder_config |= {"num_mel_bins": self.num_mel_bins}
        if isinstance(self.encoder_config, dict):
            self.encoder_config = _build_encoder_config(self.encoder_config)
        super().__post_init__(**kwargs)

    @property
    def reads_waveforms(self) -> bool:
        """Whether the tokenizer needs the waveform: an encoder of transformers has a front end of its own."""
        return self.encoder_config is not None and self.encoder_config.model_type != ConformerEncoderConfig.model_type

    @property
    def feature_size(self) -> int:
        """Dimensions of what the codebook is searched with (before a random projection)."""
        if self.features == "encoder":
            return self.encoder_config.hidden_size
        return self.num_mel_bins * self.num_stacked_frames * (2 * self.num_context_frames + 1)

    def validate_architecture(self) -> None:
        """Refuse, with the reason, what no tokenizer can be built from."""
        if self.kind not in SPEECH_TOKENIZER_KINDS:
            raise ValueError(f"kind must be one of {', '.join(SPEECH_TOKENIZER_KINDS)}; got {self.kind!r}.")
        if self.num_stacked_frames != 4:
            raise ValueError(
                "num_stacked_frames must be 4: the encoder has one frame per 4 log-mel frames and every one of them "
                f"needs exactly one id; got {self.num_stacked_frames}."
            )
        for name in ("num_mel_bins", "num_codevectors_per_group", "num_codevector_groups", "codevector_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        self._validate_features()
        for name in ("feature_mean", "feature_std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.num_mel_bins:
                raise ValueError(f"{name} needs one value per mel bin ({self.num_mel_bins}); got {len(values)}.")
        if self.feature_std is not None and min(self.feature_std) <= 0:
            raise ValueError("feature_std must be positive in every mel bin.")

    def _validate_features(self) -> None:
        if self.features not in SPEECH_TOKENIZER_FEATURES:
            raise ValueError(f"features must be one of {', '.join(SPEECH_TOKENIZER_FEATURES)}; got {self.features!r}.")
        if self.kind == "random_projection" and (self.features != "log_mel" or self.num_context_frames):
            raise ValueError("kind 'random_projection' reads log-mel frames without context; use kind 'kmeans'.")
        if self.kind == "kmeans" and self.num_codevector_groups != 1:
            raise ValueError(
                f"kind 'kmeans' has one codebook, got num_codevector_groups={self.num_codevector_groups}; several "
                "are for kinds 'random_projection' and 'contrastive'."
            )
        if self.kind == "contrastive":
            self._validate_contrastive()
        if self.num_context_frames < 0:
            raise ValueError(f"num_context_frames must not be negative; got {self.num_context_frames}.")
        if (self.features == "encoder") != (self.encoder_config is not None):
            raise ValueError("features='encoder' and encoder_config belong together: give both or neither.")
        if self.features == "encoder":
            self._validate_encoder()

    def _validate_contrastive(self) -> None:
        if self.quantizer_method not in QUANTIZER_METHODS:
            raise ValueError(
                f"quantizer_method must be one of {', '.join(QUANTIZER_METHODS)}; got {self.quantizer_method!r}."
            )
        if self.codevector_dim % self.num_codevector_groups:
            raise ValueError(
                f"codevector_dim ({self.codevector_dim}) must be a multiple of num_codevector_groups "
                f"({self.num_codevector_groups})."
            )
        if self.reads_waveforms or self.encoder_layer != 0:
            raise ValueError(
                "kind 'contrastive' quantises the output of a front end of this package: encoder_config with "
                f"model_type={ConformerEncoderConfig.model_type!r} and encoder_layer=0; got "
                f"model_type={self.encoder_config.model_type!r} and encoder_layer={self.encoder_layer}."
            )

    def _validate_encoder(self) -> None:
        if self.num_context_frames:
            raise ValueError("num_context_frames is for log-mel features; an encoder sees its context by itself.")
        num_layers = self.encoder_config.num_hidden_layers
        if self.encoder_layer is None or not 0 <= self.encoder_layer <= num_layers:
            raise ValueError(
                f"encoder_layer must be 0 (input of the first layer) to {num_layers} (output of the last one); "
                f"got {self.encoder_layer}."
            )
        if not self.reads_waveforms:
            if self.encoder_config.frontend != "conv2d":
                raise ValueError(
                    f"encoder_config.frontend must be 'conv2d', which gives one frame per id; got "
                    f"{self.encoder_config.frontend!r}."
                )
            if self.encoder_config.num_mel_bins != self.num_mel_bins:
                raise ValueError(
                    f"num_mel_bins is {self.num_mel_bins} here and {self.encoder_config.num_mel_bins} in "
                    "encoder_config."
                )
            return
        extractor = self.encoder_feature_extractor
        if not extractor or "feature_extractor_type" not in extractor:
            raise ValueError(
                f"an encoder of type {self.encoder_config.model_type!r} needs encoder_feature_extractor, the payload "
                "of its preprocessor_config.json with `feature_extractor_type`."
            )
        if not self.encoder_frames_per_second or self.encoder_frames_per_second <= 0:
            raise ValueError(
                f"encoder_frames_per_second must be positive for an encoder of type "
                f"{self.encoder_config.model_type!r}; got {self.encoder_frames_per_second}."
            )


def _build_encoder_config(values: dict) -> PreTrainedConfig:
    """The configuration of an encoder from its payload."""
    values = dict(values)
    model_type = values.pop("model_type", None)
    if model_type is None:
        raise ValueError("encoder_config needs `model_type`, such as 'wav2vec2-bert' or 'mu2slam_conformer'.")
    # By class, not by name: where this package is not installed, nobody has told transformers about our names.
    if model_type == ConformerEncoderConfig.model_type:
        return ConformerEncoderConfig(**values)
    return AutoConfig.for_model(model_type, **values)


__all__ = [
    "SPEECH_TOKENIZER_FEATURES",
    "SPEECH_TOKENIZER_KINDS",
    "SpeechTokenizerConfig",
]
