# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loading of speech tokenizers: for another feature extractor than that of their training, or with their own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mu2slam_hf.checkpoints.folders import check_model_type
from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.processing_speech_tokenizer import SPEECH_TOKENIZER_FOLDER, log_mel_extractor

Ids = npt.NDArray[np.int64]
Tokenize = Callable[[Sequence[FloatArray]], list[Ids]]
"""A function from waveforms at 16 kHz to ids, see `make_tokenize`."""
# Number of clips per batch.
_BATCH_CLIPS = 8
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


def load_with_extractor(
    folder: str | os.PathLike[str], processor: str | None = None
) -> tuple[SpeechTokenizerModel, Mu2SLAMFeatureExtractor]:
    """Load a speech tokenizer and the feature extractor that it was trained with.

    Args:
        folder: folder of the tokenizer, or of a processor that contains one.
        processor: folder of the feature extractor, if it is not in `folder`; default: a new one.

    Raises:
        ValueError: the folder does not contain a speech tokenizer.
    """
    expected = "expected a speech tokenizer, or a processor that contains one"
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: no such folder; {expected}")
    inside = Path(folder) / SPEECH_TOKENIZER_FOLDER
    location = inside if inside.is_dir() else Path(folder)
    if not (location / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json; {expected}")
    try:
        check_model_type(location, SpeechTokenizerModel.config_class.model_type)
    except ValueError as error:
        raise ValueError(f"{error}; {expected}") from error
    tokenizer = SpeechTokenizerModel.from_pretrained(location)
    own = find_feature_extractor(location)
    if own is None and processor:
        own = Mu2SLAMFeatureExtractor.from_pretrained(processor)
    return tokenizer, log_mel_extractor(own, tokenizer.config.num_mel_bins)


def make_tokenize(
    tokenizer: SpeechTokenizerModel, feature_extractor: Mu2SLAMFeatureExtractor, codebook: int = 0
) -> Tokenize:
    """A function from waveforms at 16 kHz to ids `(N,)`; waveforms are resampled if the encoder expects another rate.

    Args:
        tokenizer: `SpeechTokenizerModel`.
        feature_extractor: its feature extractor.
        codebook: index of the codebook, if there are several.
    """

    def tokenize(waves: Sequence[FloatArray]) -> list[Ids]:
        device = tokenizer.quantizer.codebook.device
        ids_by_place: dict[int, Ids] = {}
        # Clips of similar length together, for speed; the ids do not depend on the batch.
        order = sorted(range(len(waves)), key=lambda index: len(waves[index]))
        for start in range(0, len(order), _BATCH_CLIPS):
            chosen = order[start : start + _BATCH_CLIPS]
            batch = [waves[index] for index in chosen]
            if tokenizer.config.reads_waveforms:
                waveforms = [torch.from_numpy(wave) for wave in batch]
                ids = tokenizer.tokenize_waveforms(waveforms, sampling_rate=SAMPLING_RATE)
            else:
                inputs = feature_extractor(batch, sampling_rate=SAMPLING_RATE).to(device)
                ids = tokenizer(inputs["input_features"], inputs["attention_mask"])
            ids = (ids if ids.ndim == 2 else ids[..., codebook]).cpu()
            ids_by_place.update({index: row[row >= 0].numpy() for index, row in zip(chosen, ids, strict=True)})
        return [ids_by_place[index] for index in range(len(waves))]

    return tokenize
