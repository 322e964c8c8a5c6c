# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the speech tokenizer, which maps speech frames to ids of a codebook."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .configuration_conformer import ConformerEncoderConfig, check_choice, check_multiple, check_positive
from .configuration_mslam import QUANTIZER_METHODS

# Kinds of codebook.
SPEECH_TOKENIZER_KINDS = ("random_projection", "contrastive", "kmeans")
# Features on which a codebook can be learned.
SPEECH_TOKENIZER_FEATURES = ("log_mel", "encoder")


@strict
class SpeechTokenizerConfig(PreTrainedConfig):
    """Configuration of `SpeechTokenizerModel`.

    Paper: Mu2SLAM section 2.2 uses the tokenizer of mSLAM, frozen; the random projection is that of BEST-RQ (Chiu et
    al. 2022, section 3.1: stacked log-mel frames, Xavier projection, normal codebook, both fixed); k-means on an
    encoder layer, with each dimension standardised, is that of AudioLM (Borsos et al. 2022). `contrastive` follows the
    paper: the front end and the quantiser that mSLAM learns with the w2v-BERT loss.
    Choice: the random projection is the default because it needs no training.

    Args:
        kind: `random_projection`, `kmeans` or `contrastive`. For `contrastive`, `features` is always `encoder` and
            `encoder_layer` 0: the output of the front end described by `encoder_config` is quantised.
        num_mel_bins: number of log-mel bins per 10 ms frame.
        num_stacked_frames: number of 10 ms frames per id. Must be 4, which gives one id per encoder frame (25 Hz).
        num_codevectors_per_group: number of entries of a codebook, K.
        num_codevector_groups: number of independent codebooks, G. The ids are `(B, N)` for 1, else `(B, N, G)`.
            `kmeans` has one.
        codevector_dim: width of an entry for `random_projection`; for `contrastive` the total width over all
            codebooks; unused for `kmeans`, whose entries have the width of the features.
        quantizer_method: for `contrastive`: `gumbel`, the largest of K learned logits, or `nearest`, the nearest entry
            on the unit sphere.
        projection_seed: seed of projection and codebook, so that the same configuration always gives the same ids. For
            `kmeans`: seed of the initial codebook. Unused for `contrastive`.
        feature_mean: mean of every mel bin, subtracted first. None if the feature extractor already normalises its
            output.
        feature_std: standard deviation of every mel bin, likewise.
        center_utterances: whether the mean of each utterance is subtracted before quantisation, which makes the ids
            less sensitive to level, microphone and voice. Choice: not by default, as in the papers; with it the ids of
            a segment differ from those of the same segment within a longer recording.
        features: for `kmeans`: `log_mel`, or a layer of an `encoder`. `random_projection` always uses log-mel frames.
        num_context_frames: for `kmeans` on log-mel frames: number of 25 Hz frames of context on either side. 0 covers
            40 ms, 1 covers 120 ms, 2 covers 200 ms.
        encoder_config: for `features="encoder"`: configuration of the encoder. An encoder with
            `model_type="mu2slam_conformer"` belongs to this package and reads log-mel features; any other is a model
            of transformers and reads the output of `encoder_feature_extractor`.
        encoder_layer: index of the hidden states that are quantised: 0 is the input of the first layer, n the output
            of layer n; for `contrastive` 0 is the output of the front end, before positions are added.
        encoder_feature_extractor: for an encoder of transformers: the content of its `preprocessor_config.json`.
        encoder_frames_per_second: frame rate of that encoder in Hz; its frames are pooled to one per id.
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
            # The only features that this kind supports.
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
        """Whether the tokenizer reads waveforms, as encoders of transformers with their own feature extractor do."""
        return self.encoder_config is not None and self.encoder_config.model_type != ConformerEncoderConfig.model_type

    @property
    def feature_size(self) -> int:
        """Number of dimensions of the quantised features (before a random projection)."""
        if self.features == "encoder":
            return self.encoder_config.hidden_size
        return self.num_mel_bins * self.num_stacked_frames * (2 * self.num_context_frames + 1)

    def validate_architecture(self) -> None:
        """Raise ValueError for values from which no tokenizer can be built."""
        check_choice(self, "kind", SPEECH_TOKENIZER_KINDS)
        if self.num_stacked_frames != 4:
            raise ValueError(
                "num_stacked_frames must be 4, which gives exactly one id per encoder frame; got "
                f"{self.num_stacked_frames}."
            )
        check_positive(self, "num_mel_bins", "num_codevectors_per_group", "num_codevector_groups", "codevector_dim")
        self._validate_features()
        for name in ("feature_mean", "feature_std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.num_mel_bins:
                raise ValueError(f"{name} must have {self.num_mel_bins} values, one per mel bin; got {len(values)}.")
        if self.feature_std is not None and min(self.feature_std) <= 0:
            raise ValueError("feature_std must be positive in every mel bin.")

    def _validate_features(self) -> None:
        check_choice(self, "features", SPEECH_TOKENIZER_FEATURES)
        if self.kind == "random_projection" and (self.features != "log_mel" or self.num_context_frames):
            raise ValueError("kind 'random_projection' requires features='log_mel' and num_context_frames=0.")
        if self.kind == "kmeans" and self.num_codevector_groups != 1:
            raise ValueError(
                f"kind 'kmeans' supports one codebook only, got num_codevector_groups={self.num_codevector_groups}; "
                "use 'random_projection' or 'contrastive' for several."
            )
        if self.kind == "contrastive":
            self._validate_contrastive()
        if self.num_context_frames < 0:
            raise ValueError(f"num_context_frames must not be negative; got {self.num_context_frames}.")
        if (self.features == "encoder") != (self.encoder_config is not None):
            raise ValueError("features='encoder' and encoder_config must be given together.")
        if self.features == "encoder":
            self._validate_encoder()

    def _validate_contrastive(self) -> None:
        check_choice(self, "quantizer_method", QUANTIZER_METHODS)
        check_multiple(self, "codevector_dim", "num_codevector_groups")
        if self.reads_waveforms or self.encoder_layer != 0:
            raise ValueError(
                f"kind 'contrastive' requires an encoder_config with model_type={ConformerEncoderConfig.model_type!r} "
                f"and encoder_layer=0; got model_type={self.encoder_config.model_type!r} and "
                f"encoder_layer={self.encoder_layer}."
            )

    def _validate_encoder(self) -> None:
        if self.num_context_frames:
            raise ValueError("num_context_frames must be 0 for features='encoder'.")
        num_layers = self.encoder_config.num_hidden_layers
        if self.encoder_layer is None or not 0 <= self.encoder_layer <= num_layers:
            raise ValueError(
                f"encoder_layer must be between 0 (input of the first layer) and {num_layers} (output of the last "
                f"layer); got {self.encoder_layer}."
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
                f"an encoder of type {self.encoder_config.model_type!r} requires encoder_feature_extractor: the "
                "content of its preprocessor_config.json, including `feature_extractor_type`."
            )
        if not self.encoder_frames_per_second or self.encoder_frames_per_second <= 0:
            raise ValueError(
                f"encoder_frames_per_second must be positive for an encoder of type "
                f"{self.encoder_config.model_type!r}; got {self.encoder_frames_per_second}."
            )


def _build_encoder_config(values: dict) -> PreTrainedConfig:
    """The configuration of an encoder from its dictionary."""
    values = dict(values)
    model_type = values.pop("model_type", None)
    if model_type is None:
        raise ValueError("encoder_config must contain `model_type`, such as 'wav2vec2-bert' or 'mu2slam_conformer'.")
    # By class, not through AutoConfig: in custom code the model types of this package are not registered.
    if model_type == ConformerEncoderConfig.model_type:
        return ConformerEncoderConfig(**values)
    return AutoConfig.for_model(model_type, **values)


__all__ = [
    "SPEECH_TOKENIZER_FEATURES",
    "SPEECH_TOKENIZER_KINDS",
    "SpeechTokenizerConfig",
]
