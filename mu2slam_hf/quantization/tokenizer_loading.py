# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loading of a speech tokenizer for another feature extractor than that of its training."""

import os
from pathlib import Path

import torch
from torch import Tensor

from mu2slam_hf.checkpoints.folders import check_model_type
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.processing_speech_tokenizer import SPEECH_TOKENIZER_FOLDER, log_mel_extractor

# Settings of log-mel features except the scaling by mean and deviation.
_SOUND = (
    *("feature_size", "sampling_rate", "hop_length", "win_length", "n_fft"),
    *("min_frequency", "max_frequency", "mel_floor"),
)


def load_speech_tokenizer(
    folder: str | os.PathLike[str], feature_extractor: Mu2SLAMFeatureExtractor
) -> SpeechTokenizerModel:
    """Load a tokenizer and adapt it to the features of `feature_extractor`, so that its ids do not change.

    Feature extractors with different mean and deviation of each mel bin differ by an affine map, which is compensated
    in `feature_mean` and `feature_std` of the tokenizer.

    Args:
        folder: folder of the tokenizer. If it contains no feature extractor, and is not part of a processor, the
            tokenizer is not adapted.
        feature_extractor: feature extractor of its input.

    Raises:
        ValueError: the feature extractors differ in mel bins, window or frequencies.
    """
    tokenizer = SpeechTokenizerModel.from_pretrained(folder)
    trained_with = find_feature_extractor(folder)
    if trained_with is None or tokenizer.config.reads_waveforms:
        return tokenizer
    different = [key for key in _SOUND if getattr(trained_with, key) != getattr(feature_extractor, key)]
    if different:
        raise ValueError(
            f"{folder} was trained on other log-mel features; these settings differ: {', '.join(different)}. Train it "
            "with --processor, the folder of the processor to use"
        )
    (mean, std), (other_mean, other_std) = map(_scaling, (trained_with, feature_extractor))
    if torch.equal(mean, other_mean) and torch.equal(std, other_std):
        return tokenizer
    own_mean, own_std = tokenizer.feature_mean.double(), tokenizer.feature_std.double()
    # With log-mel L: trained on ((L - mean) / std - own_mean) / own_std, given (L - other_mean) / other_std.
    shift = (mean + own_mean * std - other_mean) / other_std
    factor = std * own_std / other_std
    tokenizer.config.feature_mean, tokenizer.config.feature_std = shift.tolist(), factor.tolist()
    tokenizer.feature_mean.copy_(shift)
    tokenizer.feature_std.copy_(factor)
    return tokenizer


def load_tokenizer_with_extractor(
    folder: str | os.PathLike[str],
) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """A tokenizer, and the feature extractor of its input: the one saved with it, else a new one.

    Args:
        folder: folder of the tokenizer, or of a processor that holds one.

    Raises:
        ValueError: there is no tokenizer in it.
    """
    folder = Path(folder)
    if (folder / SPEECH_TOKENIZER_FOLDER).is_dir():
        folder = folder / SPEECH_TOKENIZER_FOLDER
    check_model_type(folder, SpeechTokenizerConfig.model_type)
    tokenizer = SpeechTokenizerModel.from_pretrained(folder)
    return tokenizer, log_mel_extractor(find_feature_extractor(folder), tokenizer.config.num_mel_bins)


def find_feature_extractor(folder: str | os.PathLike[str]) -> Mu2SLAMFeatureExtractor | None:
    """The feature extractor saved with a tokenizer or in its processor, or None."""
    folder = Path(folder)
    if (folder / "preprocessor_config.json").is_file():
        return Mu2SLAMFeatureExtractor.from_pretrained(folder)
    if folder.name == SPEECH_TOKENIZER_FOLDER and (folder.parent / "processor_config.json").is_file():
        return Mu2SLAMFeatureExtractor.from_pretrained(folder.parent)
    return None


def _scaling(extractor: Mu2SLAMFeatureExtractor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each bin, `(M,)` float64."""
    mean = [extractor.DEFAULT_MEAN] * extractor.feature_size if extractor.mean is None else extractor.mean
    std = [extractor.DEFAULT_STD] * extractor.feature_size if extractor.std is None else extractor.std
    return torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
