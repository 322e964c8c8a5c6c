# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The frozen speech tokenizer: maps log-mel features to one codebook id per 25 Hz encoder frame.

Shapes: B utterances, T log-mel frames (10 ms), M mel bins, N = ceil(ceil(T / 2) / 2) ids (40 ms), G codebooks, K
entries of a codebook, F dimensions of the quantised features.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, initialization

from .configuration_speech_tokenizer import SpeechTokenizerConfig
from .feature_extraction_mu2slam import frame_count
from .modeling_speech_encoders import IDS_PER_SECOND, ConformerFeatures, build_encoder_features
from .modules_base import initialize_module
from .modules_language_adapters import share_weights
from .modules_learned_quantization import LearnedQuantizer
from .modules_lengths import downsample_attention_mask, encoder_length, length_mask
from .modules_quantization import (
    KMeansQuantizer,
    RandomProjectionQuantizer,
    StaysFloat32,
    center_utterances,
    full_float32,
    stack_context,
    stack_frames,
)
from .modules_waveforms import resample_waveform

# Padding has no id. Choice: -100 rather than 0, which is an entry of the codebook: losses ignore it and an embedding
# raises an error, so that padding is never taken for speech.
PADDING_ID = -100
# Keys of a learned quantiser that have the same names in the configuration of mSLAM.
_QUANTIZER_KEYS = ("num_codevectors_per_group", "num_codevector_groups", "codevector_dim", "quantizer_method")


class SpeechTokenizerModel(StaysFloat32, PreTrainedModel):
    """Maps speech to discrete ids, frame by frame, with a fixed codebook.

    Paper: Mu2SLAM section 2.2, `z_i = argmin_j |G_j - s_i|`, kept constant while the model trains.
    Choice: parameters are frozen and stay float32 even after `.half()` or `.to(dtype)`, and the model stays in
    evaluation mode, so that ids do not depend on how a checkpoint is loaded. Padding frames are zeroed first.

    Args:
        config: the configuration; `config.kind` selects the kind of codebook, `config.features` the quantised
            features. A new `kmeans` tokenizer has a random codebook until it is trained; a `contrastive` one is
            created by `from_mslam`.
    """

    config_class = SpeechTokenizerConfig
    config: SpeechTokenizerConfig
    feature_mean: torch.Tensor
    feature_std: torch.Tensor
    base_model_prefix = "speech_tokenizer"
    main_input_name = "input_features"
    input_modalities = ("audio",)
    _keep_in_fp32_modules_strict = ["quantizer", "encoder"]
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: SpeechTokenizerConfig):
        super().__init__(config)
        num_mel_bins = config.num_mel_bins
        self.register_buffer("feature_mean", torch.zeros(num_mel_bins, dtype=torch.float32), persistent=False)
        self.register_buffer("feature_std", torch.ones(num_mel_bins, dtype=torch.float32), persistent=False)
        self.encoder: Any = build_encoder_features(config)
        self.quantizer: Any = _build_quantizer(config)
        self.post_init()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True):
        """Stays in evaluation mode, since dropout in its encoder would change the ids."""
        return super().train(False)

    def _init_weights(self, module: nn.Module) -> None:
        # Runs after __init__ and for everything missing from a checkpoint, including these non-persistent buffers.
        if isinstance(module, KMeansQuantizer):
            module.reset_parameters()
        elif isinstance(module, SpeechTokenizerModel):
            num_mel_bins = self.config.num_mel_bins
            mean = self.config.feature_mean or [0.0] * num_mel_bins
            std = self.config.feature_std or [1.0] * num_mel_bins
            initialization.copy_(module.feature_mean, torch.tensor(mean, dtype=torch.float32))
            initialization.copy_(module.feature_std, torch.tensor(std, dtype=torch.float32))
        else:
            super()._init_weights(module)
            initialize_module(module)
            if isinstance(module, ConformerFeatures):
                initialization.zeros_(module.speech_embedding)

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        """As in transformers; also freezes the parameters, which loading makes trainable."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.requires_grad_(False)
        return loaded

    def save_pretrained(self, save_directory, *args, **kwargs):
        super().save_pretrained(save_directory, *args, **kwargs)
        share_weights(save_directory)

    @classmethod
    def from_mslam(cls, model: Any) -> "SpeechTokenizerModel":
        """The tokenizer learned by an mSLAM model: frozen copies of its front end and its quantiser.

        Paper: Mu2SLAM section 2.2 uses the tokenizer of mSLAM.

        Args:
            model: an `MSLAMForPreTraining`, of any dtype and on any device.

        Returns:
            a tokenizer on the CPU; its ids equal those of `model.quantizer.find_codes` on the output of the model's
            front end in float32.

        Raises:
            ValueError: the front end does not give one frame per id.
        """
        frontend = model.config.encoder_config.frontend
        if frontend != "conv2d":
            raise ValueError(
                "A speech tokenizer requires the front end 'conv2d' (one frame per 40 ms), but this model has "
                f"{frontend!r}. Train k-means on one of its layers instead."
            )
        values = model.config.encoder_config.to_dict()
        # No layer is kept, and neither is the normalisation after the last one.
        values |= {"num_hidden_layers": 0, "final_layer_norm": False}
        tokenizer = cls(
            SpeechTokenizerConfig(
                kind="contrastive",
                num_mel_bins=model.config.num_mel_bins,
                encoder_config=values,
                center_utterances=model.config.quantizer_center_utterances,
                **{name: getattr(model.config, name) for name in _QUANTIZER_KEYS},
            )
        )
        tokenizer.encoder.subsampling.load_state_dict(model.base_model.subsampling.state_dict())
        tokenizer.quantizer.load_state_dict(model.quantizer.state_dict())
        return tokenizer

    @torch.no_grad()
    def forward(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokenize a batch of utterances.

        Args:
            input_features: `(B, T, M)` float log-mel features; the values of padding have no effect.
            attention_mask: `(B, T)`, 1 on real frames, 0 on padding at the end. None: every frame is real.

        Returns:
            `(B, N)` int64, or `(B, N, G)` with more than one codebook: ids in `[0, K)`, without the offset of the
            shared vocabulary, and -100 on padding. An utterance of t frames has ceil(ceil(t / 2) / 2) ids.

        Raises:
            ValueError: the features do not have the shape above, or the tokenizer reads waveforms.
        """
        attention_mask = self._checked_mask(input_features, attention_mask)
        features = self._log_mel_features(input_features, attention_mask)
        return self._quantize(features, downsample_attention_mask(attention_mask))

    @torch.no_grad()
    def tokenize_waveforms(
        self, waveforms: Sequence[torch.Tensor], sampling_rate: float | None = None
    ) -> torch.Tensor:
        """As `forward`, for a tokenizer whose encoder reads waveforms (`config.reads_waveforms`).

        Args:
            waveforms: B tensors `(n,)` float.
            sampling_rate: Hz of the waveforms, which are resampled if the encoder expects another rate. Default: the
                rate of its feature extractor (`encoder.sampling_rate`), 16 kHz for most.

        Returns:
            `(B, N)` int64, -100 on padding; N is the same as for the log-mel features of the waveforms.
        """
        features, lengths = self._waveform_features(waveforms, sampling_rate)
        return self._quantize(features, length_mask(lengths, features.shape[1]))

    @torch.no_grad()
    def compute_features(
        self,
        input_features: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        waveforms: Sequence[torch.Tensor] | None = None,
        sampling_rate: float | None = None,
    ) -> torch.Tensor:
        """The features to quantise, before standardisation, of all real frames of a batch (concatenated).

        Args:
            input_features: `(B, T, M)` as in `forward`.
            attention_mask: `(B, T)` likewise.
            waveforms: as in `tokenize_waveforms`, in place of features and mask.
            sampling_rate: of the waveforms, likewise.

        Returns:
            `(frames, F)` float32.
        """
        if waveforms is not None:
            features, lengths = self._waveform_features(waveforms, sampling_rate)
            return features[length_mask(lengths, features.shape[1])]
        attention_mask = self._checked_mask(input_features, attention_mask)
        return self._log_mel_features(input_features, attention_mask)[downsample_attention_mask(attention_mask)]

    def _checked_mask(self, input_features: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Check the features; returns their mask `(B, T)`."""
        if self.config.reads_waveforms:
            raise ValueError(
                f"This tokenizer expects waveforms for its encoder of type {self.config.encoder_config.model_type!r}, "
                "not log-mel features: call tokenize_waveforms, or the processor's encode_speech."
            )
        num_mel_bins = self.config.num_mel_bins
        if input_features.ndim != 3 or input_features.shape[-1] != num_mel_bins or input_features.shape[1] == 0:
            raise ValueError(
                f"input_features must have the shape (batch, frames, {num_mel_bins}) with at least one frame; "
                f"got {tuple(input_features.shape)}."
            )
        if attention_mask is None:
            return input_features.new_ones(input_features.shape[:2], dtype=torch.int64)
        if attention_mask.shape != input_features.shape[:2]:
            raise ValueError(
                f"attention_mask must have the shape {tuple(input_features.shape[:2])} of input_features without the "
                f"mel bins; got {tuple(attention_mask.shape)}."
            )
        return attention_mask

    def _log_mel_features(self, input_features: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """`(B, T, M)` to `(B, N, F)`."""
        features = (input_features.float() - self.feature_mean) / self.feature_std
        # Selected, not multiplied: padding may hold NaN, and NaN * 0 is NaN.
        features = torch.where(attention_mask.bool().unsqueeze(-1), features, 0.0)
        if self.encoder is None:
            if self.config.center_utterances:
                # Before stacking: the zeros that fill the last stack then represent an average frame.
                features = center_utterances(features, attention_mask.bool())
            stacked = stack_frames(features, self.config.num_stacked_frames)
            return stack_context(stacked, self.config.num_context_frames)
        with torch.autocast(device_type=features.device.type, enabled=False), full_float32(features.device):
            return self._centered(self.encoder(features, attention_mask), downsample_attention_mask(attention_mask))

    def _centered(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States `(B, N, F)` of an encoder, with the mean of each utterance subtracted if configured."""
        return center_utterances(features, mask.bool()) if self.config.center_utterances else features

    def _waveform_features(
        self, waveforms: Sequence[torch.Tensor], sampling_rate: float | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """B waveforms to `(B, N, F)` and `(B,)` int64 lengths."""
        if not self.config.reads_waveforms:
            raise ValueError("This tokenizer expects log-mel features, not waveforms: call it on input_features.")
        device = self.quantizer.codebook.device
        if sampling_rate not in (None, self.encoder.sampling_rate):
            waveforms = [_resample(waveform, sampling_rate, self.encoder.sampling_rate) for waveform in waveforms]
        shortest = self.encoder.sampling_rate // IDS_PER_SECOND
        hop_length = self.encoder.sampling_rate // (IDS_PER_SECOND * self.config.num_stacked_frames)
        rows = []
        with torch.autocast(device_type=device.type, enabled=False), full_float32(device):
            for waveform in waveforms:
                num_ids = encoder_length(frame_count(len(waveform), hop_length))
                # At least one window of the encoder.
                padded = functional.pad(waveform.float(), (0, max(0, shortest - len(waveform))))
                rows.append(self.encoder(padded, num_ids))
        lengths = torch.tensor([len(row) for row in rows], device=device)
        features = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return self._centered(features, length_mask(lengths, features.shape[1])), lengths

    def _quantize(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`(B, N, F)` and its mask `(B, N)` bool to ids."""
        # (B, N, F) -> (B * N, F) -> (B * N, G) -> (B, N, G)
        frames = features.flatten(0, 1)
        if self.config.kind == "contrastive":
            ids = self.quantizer.find_codes(frames).reshape(len(frames), -1)
        else:
            ids = self.quantizer(frames)
        ids = ids.unflatten(0, features.shape[:2])
        ids = ids.masked_fill(~mask.unsqueeze(-1), PADDING_ID)
        return ids.squeeze(-1) if self.config.num_codevector_groups == 1 else ids


def _resample(waveform: torch.Tensor, from_rate: float, to_rate: float) -> torch.Tensor:
    """Resample `(n,)` on the CPU, with the same precision as the processor."""
    return torch.from_numpy(resample_waveform(waveform.double().cpu().numpy(), from_rate, to_rate))


def _build_quantizer(config: SpeechTokenizerConfig) -> nn.Module:
    """The quantiser of kind `config.kind`."""
    size, entries, groups = config.feature_size, config.num_codevectors_per_group, config.num_codevector_groups
    if config.kind == "kmeans":
        return KMeansQuantizer(size, entries, config.projection_seed)
    if config.kind == "contrastive":
        return LearnedQuantizer(size, entries, groups, config.codevector_dim, config.quantizer_method)
    return RandomProjectionQuantizer(size, entries, config.codevector_dim, groups, config.projection_seed)


__all__ = ["PADDING_ID", "SpeechTokenizerModel"]
