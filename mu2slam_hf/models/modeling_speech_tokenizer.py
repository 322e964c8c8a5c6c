# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The frozen speech tokenizer: log-mel features in, one codebook id per 25 Hz encoder frame out.

Shapes: B utterances, T log-mel frames (10 ms), M mel bins, N = ceil(ceil(T / 2) / 2) ids (40 ms), G codebooks, K
entries of a codebook, F dimensions of what is quantised.
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

# Outside of an utterance there is no id. Choice: -100, not 0, because 0 is an entry of the codebook: a position that
# was padded by mistake is then ignored by a loss, or fails loudly in an embedding, but is never taken for speech.
PADDING_ID = -100
# Keys of a learned quantiser that the configuration of mSLAM has by the same names.
_QUANTIZER_KEYS = ("num_codevectors_per_group", "num_codevector_groups", "codevector_dim", "quantizer_method")


class SpeechTokenizerModel(StaysFloat32, PreTrainedModel):
    """Speech to discrete ids, each frame independently, by a codebook that never changes.

    Paper: Mu2SLAM section 2.2, `z_i = argmin_j |G_j - s_i|`, kept constant while the model trains.
    Choice: parameters are frozen and stay float32 whatever is asked of the model, and it stays in evaluation mode, so
    that ids belong to a checkpoint, not to how it was loaded. Frames of padding are zeroed before anything looks at
    them.

    Args:
        config: the configuration; `config.kind` chooses how the codebook is made, `config.features` what it is
            searched with. A `kmeans` tokenizer that was not loaded has a random codebook until one is trained, a
            `contrastive` one is random altogether: it is made by `from_mslam`.
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
        """Stays in evaluation mode: dropout in its encoder would change the ids."""
        return super().train(False)

    def _init_weights(self, module: nn.Module) -> None:
        # Runs after __init__ and for whatever a checkpoint does not hold, among it these non-persistent buffers.
        if isinstance(module, (RandomProjectionQuantizer, KMeansQuantizer)):
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
        """Load as every transformers model does, and freeze: loading makes parameters trainable again."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.requires_grad_(False)
        return loaded

    @classmethod
    def from_mslam(cls, model: Any) -> "SpeechTokenizerModel":
        """The tokenizer that an mSLAM model has learned: copies of its front end and its quantiser, frozen.

        Paper: Mu2SLAM section 2.2 takes the tokenizer of mSLAM.

        Args:
            model: an `MSLAMForPreTraining`, of any type and on any device.

        Returns:
            a tokenizer on the CPU, whose ids are those of `model.quantizer.find_codes` on the output of the model's
            front end in float32.

        Raises:
            ValueError: the front end does not give one frame per id.
        """
        frontend = model.config.encoder_config.frontend
        if frontend != "conv2d":
            raise ValueError(
                f"A speech tokenizer needs one frame per 40 ms of log-mel features, which the front end 'conv2d' "
                f"gives; this model has {frontend!r}. Train k-means on one of its layers instead."
            )
        values = model.config.encoder_config.to_dict()
        # No layer is kept, and with them not what follows the last one.
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
            input_features: `(B, T, M)` float log-mel features; padding may hold anything.
            attention_mask: `(B, T)`, 1 on real frames, 0 on padding at the end. None: every frame is real.

        Returns:
            `(B, N)` int64, or `(B, N, G)` with more than one codebook: ids in `[0, K)`, without the offset of the
            shared vocabulary, and -100 on padding. An utterance of t frames has exactly ceil(ceil(t / 2) / 2) ids.

        Raises:
            ValueError: where the features do not have the shape above, or the tokenizer reads waveforms.
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
            sampling_rate: Hz of the waveforms; what the encoder does not hear is resampled. By default they have the
                rate of its feature extractor (`encoder.sampling_rate`), 16 kHz for most.

        Returns:
            `(B, N)` int64, -100 on padding; a waveform has as many ids as its log-mel features have.
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
        """What the codebook is searched with, before standardising: of all real frames of a batch, one after another.

        Args:
            input_features: `(B, T, M)` as in `forward`.
            attention_mask: `(B, T)` likewise.
            waveforms: as in `tokenize_waveforms`, instead of the two.
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
        """The mask `(B, T)` of features that this tokenizer can read."""
        if self.config.reads_waveforms:
            raise ValueError(
                f"This tokenizer quantises an encoder of type {self.config.encoder_config.model_type!r} that reads "
                "waveforms, not log-mel features: call tokenize_waveforms, or the processor's encode_speech."
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
                # Before stacking: the zeros that fill the last stack are then what they stand for, an average frame.
                features = center_utterances(features, attention_mask.bool())
            stacked = stack_frames(features, self.config.num_stacked_frames)
            return stack_context(stacked, self.config.num_context_frames)
        with torch.autocast(device_type=features.device.type, enabled=False), full_float32(features.device):
            return self._centered(self.encoder(features, attention_mask), downsample_attention_mask(attention_mask))

    def _centered(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States `(B, N, F)` of an encoder, less the means of their utterances where the configuration says so."""
        return center_utterances(features, mask.bool()) if self.config.center_utterances else features

    def _waveform_features(
        self, waveforms: Sequence[torch.Tensor], sampling_rate: float | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """B waveforms to `(B, N, F)` and `(B,)` int64 lengths."""
        if not self.config.reads_waveforms:
            raise ValueError("This tokenizer reads log-mel features, not waveforms: call it on input_features.")
        device = self.quantizer.codebook.device
        if sampling_rate not in (None, self.encoder.sampling_rate):
            waveforms = [_resample(waveform, sampling_rate, self.encoder.sampling_rate) for waveform in waveforms]
        shortest = self.encoder.sampling_rate // IDS_PER_SECOND
        hop_length = self.encoder.sampling_rate // (IDS_PER_SECOND * self.config.num_stacked_frames)
        rows = []
        with torch.autocast(device_type=device.type, enabled=False), full_float32(device):
            for waveform in waveforms:
                num_ids = encoder_length(frame_count(len(waveform), hop_length))
                # An encoder's window must fit once.
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
    """`(n,)` on the CPU, in the precision of the processor's own."""
    return torch.from_numpy(resample_waveform(waveform.double().cpu().numpy(), from_rate, to_rate))


def _build_quantizer(config: SpeechTokenizerConfig) -> nn.Module:
    """The codebook that `config.kind` names."""
    if config.kind == "kmeans":
        return KMeansQuantizer(
            feature_size=config.feature_size,
            num_codevectors=config.num_codevectors_per_group,
            seed=config.projection_seed,
        )
    if config.kind == "contrastive":
        return LearnedQuantizer(
            feature_size=config.feature_size,
            num_codevectors=config.num_codevectors_per_group,
            num_groups=config.num_codevector_groups,
            codevector_dim=config.codevector_dim,
            method=config.quantizer_method,
        )
    return RandomProjectionQuantizer(
        input_size=config.feature_size,
        num_codevectors=config.num_codevectors_per_group,
        codevector_dim=config.codevector_dim,
        num_groups=config.num_codevector_groups,
        seed=config.projection_seed,
    )


__all__ = ["PADDING_ID", "SpeechTokenizerModel"]
