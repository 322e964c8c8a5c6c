# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The part of a processor that turns speech into ids: it holds, saves, loads and calls the speech tokenizer.

Models that a processor holds have sub-folders of their own, since `ProcessorMixin` does not save models.

Shapes: `B` items, `N` speech ids (25 per second).
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from transformers import ProcessorMixin

from .feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from .modeling_speech_tokenizer import SpeechTokenizerModel
from .modules_speech_inputs import is_log_mel
from .modules_waveforms import read_waveforms

# Subfolder of the speech tokenizer in a saved processor.
SPEECH_TOKENIZER_FOLDER = "speech_tokenizer"

_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision")


class SpeechTokenizerProcessorMixin(ProcessorMixin):
    """Base of processors with a feature extractor, a text tokenizer and an optional speech tokenizer.

    Attributes:
        held_models: class attribute, models that the processor may hold, which `ProcessorMixin` does not save: name of
            the attribute, which is also the sub-folder, -> class of the model and the key that says in the saved
            processor whether there is one.
    """

    held_models: dict[str, tuple[type, str]] = {
        # The key used in published checkpoints.
        SPEECH_TOKENIZER_FOLDER: (SpeechTokenizerModel, "has_speech_codec"),
    }
    feature_extractor: Any
    tokenizer: Any
    speech_tokenizer: Any

    def set_speech_tokenizer(self, speech_tokenizer: Any) -> None:
        """Set the speech tokenizer; None for none.

        Raises:
            ValueError: it is not a model.
        """
        if speech_tokenizer is not None and not isinstance(speech_tokenizer, torch.nn.Module):
            raise ValueError(f"speech_tokenizer must be a model, got {type(speech_tokenizer).__name__}.")
        self.speech_tokenizer = speech_tokenizer

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that transformers loads and saves; excludes `speech_tokenizer`, which its name would include."""
        return ["feature_extractor", "tokenizer"]

    @torch.no_grad()
    def tokenize_speech(self, audio: Any, sampling_rate: float | None = None) -> list[list[int]]:
        """Entries of the codebook for recordings.

        Args:
            audio: in any form that [`Mu2SLAMFeatureExtractor`] accepts.
            sampling_rate: Hz of the audio.

        Returns:
            for each recording `N` ids, one per 40 ms, without the offset of a vocabulary.

        Raises:
            ValueError: the processor has no speech tokenizer, or it has several codebooks.
        """
        speech_tokenizer = self.speech_tokenizer
        if speech_tokenizer is None:
            raise ValueError(
                "This processor has no speech tokenizer: pass speech_tokenizer=SpeechTokenizerModel(...) or load one."
            )
        if speech_tokenizer.config.reads_waveforms:
            waveforms = read_waveforms(audio, sampling_rate, speech_tokenizer.encoder.sampling_rate)
            ids = speech_tokenizer.tokenize_waveforms([torch.from_numpy(waveform) for waveform in waveforms])
        else:
            extractor = log_mel_extractor(self.feature_extractor, speech_tokenizer.config.num_mel_bins)
            features = extractor(audio, sampling_rate=sampling_rate)
            device = next(speech_tokenizer.parameters()).device
            ids = speech_tokenizer(features["input_features"].to(device), features["attention_mask"].to(device))
        if ids.ndim != 2:
            raise ValueError(f"The vocabulary supports one codebook, but the speech tokenizer has {ids.shape[-1]}.")
        return [row[row >= 0].tolist() for row in ids.cpu()]

    def to_dict(self) -> dict[str, Any]:
        """As in `ProcessorMixin`; of the models that it holds only their presence is stored."""
        held = {name: self.__dict__.pop(name, None) for name in self.held_models}
        try:
            output = super().to_dict()
        finally:
            self.__dict__.update(held)
        return output | {key: held[name] is not None for name, (_, key) in self.held_models.items()}

    def save_pretrained(
        self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """As in `ProcessorMixin`; the models that it holds are saved in subfolders with their names."""
        for name in self.held_models:
            if getattr(self, name) is not None:
                getattr(self, name).save_pretrained(os.path.join(save_directory, name))
        return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

    @classmethod
    def from_args_and_dict(cls, args: Any, processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in `ProcessorMixin`; also reads which models were saved."""
        loaded = super().from_args_and_dict(args, processor_dict, **kwargs)
        processor = loaded[0] if isinstance(loaded, tuple) else loaded
        processor._saved_models = [name for name, (_, key) in cls.held_models.items() if processor_dict.get(key)]
        return loaded

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """As in `ProcessorMixin`, including the models that were saved with it."""
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        processor = loaded[0] if isinstance(loaded, tuple) else loaded
        hub_arguments = {name: kwargs[name] for name in _HUB_ARGUMENTS if kwargs.get(name) is not None}
        for name in processor.__dict__.pop("_saved_models", []):
            if getattr(processor, name) is None:
                subfolder = os.path.join(kwargs.get("subfolder") or "", name)
                model_class: Any = cls.held_models[name][0]
                model = model_class.from_pretrained(
                    pretrained_model_name_or_path, subfolder=subfolder, **hub_arguments
                )
                setattr(processor, name, model)
        return loaded


def log_mel_extractor(feature_extractor: Any, num_mel_bins: int = 80) -> Any:
    """The extractor of log-mel features for a speech tokenizer, also for processors of imported encoders.

    Choice: if the model has other inputs, the speech tokenizer reads log-mel features with the default scale, to which
    `load_speech_tokenizer` adapts a trained speech tokenizer.

    Args:
        feature_extractor: that of the processor, or None.
        num_mel_bins: number of mel bins of the speech tokenizer.

    Returns:
        `feature_extractor` if it is a [`Mu2SLAMFeatureExtractor`], else a new one.
    """
    return feature_extractor if is_log_mel(feature_extractor) else Mu2SLAMFeatureExtractor(feature_size=num_mel_bins)


def check_text(name: str, text: Any) -> str | list[str]:
    """`text` as a str or a list of str.

    Raises:
        ValueError: another type, or an empty list.
    """
    if isinstance(text, str):
        return text
    if not isinstance(text, (list, tuple)):
        raise ValueError(
            f"{name} must be a str or a list of str, got {type(text).__name__}. Pass audio as audio=, and token ids "
            "directly to the model."
        )
    if not text:
        raise ValueError(f"{name} is an empty list: pass at least one text.")
    for index, item in enumerate(text):
        if not isinstance(item, str):
            raise ValueError(f"{name}[{index}] must be a str, got {type(item).__name__}.")
    return list(text)


def one_per_item(
    name: str, codes: str | Sequence[str | None] | None, batch_size: int
) -> list[str] | list[str | None] | list[None]:
    """One code per item, from one for all or one for each.

    Raises:
        ValueError: another type, or another number of codes.
    """
    if codes is None or isinstance(codes, str):
        return [codes] * batch_size
    if not isinstance(codes, (list, tuple)):
        raise ValueError(f"{name} must be a code or a list of codes, got {type(codes).__name__}.")
    if len(codes) != batch_size:
        raise ValueError(f"{name} has {len(codes)} codes for {batch_size} items; pass one code or one per item.")
    return list(codes)


__all__ = ["SPEECH_TOKENIZER_FOLDER", "SpeechTokenizerProcessorMixin", "log_mel_extractor"]
