# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Features of a speech tokenizer from a layer of a frozen speech encoder of this package or of transformers.

Shapes: B utterances, T log-mel frames (10 ms), M mel bins, N ids (40 ms), L frames of an encoder of transformers, D
    its width.
"""

from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModel

from .configuration_conformer import ConformerEncoderConfig
from .configuration_speech_tokenizer import SpeechTokenizerConfig
from .modeling_conformer import ConformerEncoder
from .modules_frontends import ConvolutionalSubsampling, build_frontend
from .modules_lengths import downsample_attention_mask
from .modules_positions import add_sinusoids

# Ids per second; one per frame of the encoders of this package.
IDS_PER_SECOND = 25


def pool_frames(frames: Tensor, num_ids: int, frames_per_id: float) -> Tensor:
    """Mean of the frames that belong to each id, anchored at the start of the clip.

    Frame j has its centre at `(j + 0.5) / frames_per_id` ids. An id without a frame of its own uses the one at its
    centre, or the last one. Choice: anchored in time rather than stretched to fit: features do not depend on where a
    clip ends, and encoders may return a frame or two less than expected.

    Args:
        frames: `(L, D)`, `L >= 1`.
        num_ids: N.
        frames_per_id: number of encoder frames per 40 ms; 2 at 50 Hz, below 1 at less than 25 Hz.

    Returns:
        `(N, D)`.
    """
    num_frames = frames.shape[0]
    owner = ((torch.arange(num_frames, device=frames.device, dtype=torch.float64) + 0.5) / frames_per_id).long()
    frames, owner = frames[owner < num_ids], owner[owner < num_ids]
    sums = frames.new_zeros(num_ids, frames.shape[1]).index_add_(0, owner, frames)
    counts = torch.bincount(owner, minlength=num_ids)
    middles = ((torch.arange(num_ids, device=frames.device, dtype=torch.float64) + 0.5) * frames_per_id).long()
    nearest = frames[middles.clamp(max=frames.shape[0] - 1)]
    return torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], nearest)


class ConformerFeatures(nn.Module):
    """Front end and first layers of an encoder of this package, for speech of unknown language.

    Choice: the language embedding of `und` and the modality embedding of speech are stored as one vector; vocabulary
    and later layers are omitted to keep the tokenizer small.

    Args:
        config: configuration of the encoder, with any front end.
        num_layers: number of layers that run.
    """

    def __init__(self, config: ConformerEncoderConfig, num_layers: int):
        super().__init__()
        self.config = config
        self.num_layers = num_layers
        self.subsampling = build_frontend(config)
        self.speech_embedding = nn.Parameter(torch.zeros(config.hidden_size))
        self.conformer = ConformerEncoder(config)

    def compute_layers(self, speech: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Input of the first layer and outputs of all layers for a batch, each `(B, N, D)`.

        Args:
            speech: `(B, T, M)` features, or `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)`, 1 on real frames (samples).
        """
        states = self.subsampling(speech, attention_mask.to(torch.int64).sum(-1))
        states = states + self.speech_embedding.to(states.dtype)
        if self.config.position_embeddings_type == "sinusoidal":
            positions = torch.arange(states.shape[1], device=states.device)[None]
            states = add_sinusoids(states, positions, self.config.attention_chunk_frames)
        if self.num_layers == 0:
            return (states,)
        mask = downsample_attention_mask(attention_mask, self.config).to(torch.int64)
        options = {"end_layer": self.num_layers, "output_hidden_states": True, "return_dict": True}
        return self.conformer(states, attention_mask=mask, **options).hidden_states

    def forward(self, input_features: Tensor, attention_mask: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            input_features: `(B, T, M)` float32, zero on padding.
            attention_mask: `(B, T)`, 1 on real frames.

        Returns:
            `(B, N, D)`; values on padding are arbitrary.
        """
        return self.compute_layers(input_features, attention_mask)[-1]


class FrontendFeatures(nn.Module):
    """The front end of an encoder of this package, whose output a learned quantiser reads.

    Args:
        config: `config.encoder_config` is a `ConformerEncoderConfig`; its layers are not built.
    """

    def __init__(self, config: SpeechTokenizerConfig):
        super().__init__()
        self.subsampling = ConvolutionalSubsampling(config.encoder_config)

    def forward(self, input_features: Tensor, attention_mask: Tensor) -> Tensor:
        """As `ConformerFeatures`."""
        return self.subsampling(input_features, attention_mask.to(torch.int64).sum(-1))


class WaveformFeatures(nn.Module):
    """A layer of a speech encoder of transformers, with its feature extractor.

    Choice: one utterance at a time, unpadded. The output of several of these encoders depends on padding (through
    group norms and convolutions); ids must not.

    Args:
        config: `encoder_config`, `encoder_layer`, `encoder_feature_extractor`, `encoder_frames_per_second`.
    """

    def __init__(self, config: SpeechTokenizerConfig):
        super().__init__()
        self.layer = config.encoder_layer
        assert config.encoder_frames_per_second is not None  # checked by the configuration
        self.frames_per_id = config.encoder_frames_per_second / IDS_PER_SECOND
        self.model: Any = AutoModel.from_config(config.encoder_config)
        self.extractor: Any = build_own_extractor(config.encoder_feature_extractor)

    @property
    def sampling_rate(self) -> int:
        """Hz of the waveforms."""
        return self.extractor.sampling_rate

    def forward(self, waveform: Tensor, num_ids: int) -> Tensor:
        """Features of one utterance.

        Args:
            waveform: `(n,)` float32 at `sampling_rate`, zero-padded where it is shorter than the encoder's window.
            num_ids: N.

        Returns:
            `(N, D)` float32.
        """
        device = next(self.model.parameters()).device
        inputs = self.extractor(
            waveform.cpu().numpy(), sampling_rate=self.extractor.sampling_rate, return_tensors="pt"
        )
        # The mask of one unpadded utterance is all ones, and some of these encoders do not accept a mask.
        inputs = {name: value.to(device) for name, value in inputs.items() if name == self.model.main_input_name}
        states = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer][0]
        return pool_frames(states.float(), num_ids, self.frames_per_id)


def build_own_extractor(values: dict):
    """A feature extractor of transformers from the content of its `preprocessor_config.json`.

    Raises:
        ValueError: transformers has no such class.
    """
    name = values["feature_extractor_type"]
    extractor_class = getattr(transformers, name, None)
    if extractor_class is None:
        raise ValueError(f"transformers has no feature extractor {name!r}.")
    return extractor_class.from_dict(values)


def build_encoder_features(config: SpeechTokenizerConfig) -> nn.Module | None:
    """The encoder of a tokenizer, in evaluation mode; None if it quantises log-mel frames."""
    if config.features != "encoder":
        return None
    if config.kind == "contrastive":
        return FrontendFeatures(config).eval()
    if config.reads_waveforms:
        return WaveformFeatures(config).eval()
    return ConformerFeatures(config.encoder_config, config.encoder_layer).eval()
