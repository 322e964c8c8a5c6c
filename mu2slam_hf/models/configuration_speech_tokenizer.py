# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the speech tokenizer: how frames of a log-mel spectrogram become ids of a codebook."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# The ways to obtain a codebook. The names are reserved from the first release, so that a checkpoint of a later
# release is refused by name instead of being read as something else.
SPEECH_TOKENIZER_KINDS = ("random_projection", "contrastive", "kmeans")
IMPLEMENTED_SPEECH_TOKENIZER_KINDS = ("random_projection",)


@strict
class SpeechTokenizerConfig(PreTrainedConfig):
    """Configuration of `SpeechTokenizerModel`.

    Paper: Mu2SLAM section 2.2 takes the tokenizer of mSLAM and keeps it constant; the random projection is that of
    BEST-RQ (Chiu et al. 2022, section 3.1: stacked log-mel frames, Xavier projection, normal codebook, both fixed).
    Choice: the random projection comes first because it needs no training; `kind` names the others.

    Args:
        kind: `random_projection`; `contrastive` and `kmeans` are reserved names.
        num_mel_bins: log-mel bins per 10 ms frame.
        num_stacked_frames: 10 ms frames per id. 4 is the 25 Hz of the encoder; no other value gives one id per
            encoder frame, so no other value is accepted.
        num_codevectors_per_group: entries of a codebook, K.
        num_codevector_groups: codebooks searched independently, G. With 1 the ids are `(B, N)`, else `(B, N, G)`.
        codevector_dim: width of an entry.
        projection_seed: seed of projection and codebook, so that the same configuration gives the same ids anywhere.
        feature_mean: mean of every mel bin, subtracted before projecting. None where the feature extractor has
            already normalised its output.
        feature_std: standard deviation of every mel bin, likewise.
    """

    model_type = "mu2slam_speech_tokenizer"

    kind: str = "random_projection"
    num_mel_bins: int = 80
    num_stacked_frames: int = 4
    num_codevectors_per_group: int = 1024
    num_codevector_groups: int = 1
    codevector_dim: int = 16
    projection_seed: int = 0
    feature_mean: list[float | int] | None = None
    feature_std: list[float | int] | None = None

    def validate_architecture(self) -> None:
        """Refuse, with the reason, what no tokenizer can be built from."""
        if self.kind not in SPEECH_TOKENIZER_KINDS:
            raise ValueError(f"kind must be one of {', '.join(SPEECH_TOKENIZER_KINDS)}; got {self.kind!r}.")
        if self.kind not in IMPLEMENTED_SPEECH_TOKENIZER_KINDS:
            raise ValueError(
                f"kind {self.kind!r} is a reserved name that this version of mu2slam_hf cannot build; "
                f"use {', '.join(IMPLEMENTED_SPEECH_TOKENIZER_KINDS)} or install a newer version."
            )
        if self.num_stacked_frames != 4:
            raise ValueError(
                "num_stacked_frames must be 4: the encoder has one frame per 4 log-mel frames and every one of them "
                f"needs exactly one id; got {self.num_stacked_frames}."
            )
        for name in ("num_mel_bins", "num_codevectors_per_group", "num_codevector_groups", "codevector_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for name in ("feature_mean", "feature_std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.num_mel_bins:
                raise ValueError(f"{name} needs one value per mel bin ({self.num_mel_bins}); got {len(values)}.")
        if self.feature_std is not None and min(self.feature_std) <= 0:
            raise ValueError("feature_std must be positive in every mel bin.")


__all__ = ["IMPLEMENTED_SPEECH_TOKENIZER_KINDS", "SPEECH_TOKENIZER_KINDS", "SpeechTokenizerConfig"]
