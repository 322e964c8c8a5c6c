# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speech synthesizer: speech ids to log-mel frames and to a waveform.

Shapes: B rows, N ids (25 Hz), T = 4 N log-mel frames (100 Hz), M mel bins, S = 640 N samples (16 kHz).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, SpeechT5HifiGan
from transformers.utils import ModelOutput

from .configuration_speech_synthesizer import FRAMES_PER_ID, SpeechSynthesizerConfig
from .feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from .modeling_conformer import ConformerEncoder
from .modules_base import initialize_module
from .modules_language_adapters import share_weights
from .modules_text_resampling import ResidualConvolutions
from .modules_vocoders import InverseSTFTHead, griffin_lim, mel_to_magnitudes, overlap_add


@dataclass
class SpeechSynthesizerOutput(ModelOutput):
    """Predictions of the synthesizer.

    Attributes:
        log_mel: `(B, T, M)` float32 log-mel frames in the scale of the feature extractor; arbitrary on padding.
        frame_mask: `(B, T)` bool, True on real frames.
        waveforms: `(B, S)` samples of the vocoder for the log-mel frames `labels`, if these are given and the vocoder
            has weights; 0 on padding.
    """

    log_mel: Tensor | None = None
    frame_mask: Tensor | None = None
    waveforms: Tensor | None = None


class SpeechSynthesizerModel(PreTrainedModel):
    """Makes speech of speech ids, with a fixed number of samples for each.

    Choice: a log-mel spectrogram is predicted first, by a regression: for a recogniser the phases that Griffin-Lim
    finds for it lose nothing, and a trained vocoder can replace it.

    Args:
        config: the configuration; `config.vocoder` selects how samples are made.
    """

    config_class = SpeechSynthesizerConfig
    config: SpeechSynthesizerConfig
    base_model_prefix = "speech_synthesizer"
    main_input_name = "input_ids"
    input_modalities = ("text",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: SpeechSynthesizerConfig):
        super().__init__(config)
        encoder_config, frame_config = config.encoder_config, config.frame_config
        width, frame_width = encoder_config.hidden_size, frame_config.hidden_size
        self.embed_ids = nn.Embedding(config.num_speech_tokens, width)
        self.embed_languages = nn.Embedding(len(config.languages), width)
        self.embed_speakers = nn.Embedding(len(config.speakers), width)
        self.encoder = ConformerEncoder(encoder_config)
        self.upsample = nn.Linear(width, FRAMES_PER_ID * frame_width)
        self.frame_layers = ResidualConvolutions(frame_config, frame_config.num_hidden_layers)
        self.norm = nn.LayerNorm(frame_width, eps=frame_config.layer_norm_eps)
        self.mel_head = nn.Linear(frame_width, config.num_mel_bins)
        self.vocoder: nn.Module | None = None
        if config.vocoder == "istft":
            num_frequencies = (config.features or {}).get("n_fft", 512) // 2 + 1
            self.vocoder = InverseSTFTHead(config.vocoder_config, config.num_mel_bins, num_frequencies)
        elif config.vocoder == "hifigan":
            self.vocoder = SpeechT5HifiGan(config.vocoder_config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        initialize_module(module)

    def get_input_embeddings(self) -> nn.Module:
        """The table of ids."""
        return self.embed_ids

    def save_pretrained(self, save_directory, *args, **kwargs):
        super().save_pretrained(save_directory, *args, **kwargs)
        share_weights(save_directory)

    @cached_property
    def features(self) -> Mu2SLAMFeatureExtractor:
        """The feature extractor of the log-mel frames that are predicted."""
        return Mu2SLAMFeatureExtractor(**(self.config.features or {}))

    @cached_property
    def _inverse_filters(self) -> Tensor:
        """`(M, F)` float32 pseudo-inverse of the mel filters."""
        return torch.linalg.pinv(self.features.mel_filters).float()

    @property
    def _window(self) -> Tensor:
        """`(W,)` float32 window of a frame in the middle of the Fourier transform."""
        missing = self.features.n_fft - self.features.win_length
        window = nn.functional.pad(self.features.window, (missing // 2, missing - missing // 2))
        return window.to(self.device, torch.float32)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        speaker_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SpeechSynthesizerOutput:
        """Log-mel frames of a batch, and samples for given ones.

        Args:
            input_ids: `(B, N)` int64 entries of the codebook; the values of padding have no effect.
            attention_mask: `(B, N)`, 1 on real ids, 0 on padding at the end. None: every id is real.
            language_ids: `(B,)` int64 rows of `config.languages`; None for `und`.
            speaker_ids: `(B,)` int64 rows of `config.speakers`; None for `und`.
            labels: `(B, T, M)` float log-mel frames of which a trained vocoder makes samples.
        """
        mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        states = self.embed_ids(input_ids.masked_fill(~mask, 0))
        none = mask.new_zeros(len(mask), dtype=torch.int64)
        states = states + self.embed_languages(none if language_ids is None else language_ids)[:, None]
        states = states + self.embed_speakers(none if speaker_ids is None else speaker_ids)[:, None]
        states = self.encoder(inputs_embeds=states, attention_mask=mask.long()).last_hidden_state
        # (B, N, 4 C) -> (B, T, C)
        frames = self.upsample(states).unflatten(2, (FRAMES_PER_ID, -1)).flatten(1, 2)
        frame_mask = mask.repeat_interleave(FRAMES_PER_ID, dim=1)
        frames = self.norm(self.frame_layers(frames, frame_mask))
        waveforms = None
        if labels is not None and self.vocoder is not None:
            waveforms = self.make_waveforms(labels, frame_mask.sum(dim=1))
        return SpeechSynthesizerOutput(
            log_mel=self.mel_head(frames).float(), frame_mask=frame_mask, waveforms=waveforms
        )

    def make_waveforms(self, log_mel: Tensor, lengths: Tensor | None = None, seed: int = 0) -> Tensor:
        """Samples of log-mel frames by the vocoder.

        Rows of equal length are one batch, so that the samples of a row do not depend on its padding.

        Args:
            log_mel: `(B, T, M)` float, in the scale of the feature extractor.
            lengths: `(B,)` int64 real frames of each row; None for all.
            seed: seed of the first phases of Griffin-Lim.

        Returns:
            `(B, 160 T)` float32, 0 on padding.
        """
        batch, num_frames, _ = log_mel.shape
        hop = self.features.hop_length
        lengths = log_mel.new_full((batch,), num_frames, dtype=torch.int64) if lengths is None else lengths
        waveforms = log_mel.new_zeros(batch, num_frames * hop, dtype=torch.float32)
        with torch.autocast(device_type=log_mel.device.type, enabled=False):
            for length in sorted(set(lengths.tolist()) - {0}):
                rows = (lengths == length).nonzero()[:, 0]
                samples = self._run_vocoder(log_mel[rows, :length].float(), seed)
                samples = nn.functional.pad(samples, (0, waveforms.shape[1] - samples.shape[1]))
                waveforms = waveforms.index_add(0, rows, samples)
        return waveforms

    def _run_vocoder(self, log_mel: Tensor, seed: int) -> Tensor:
        """`(B, T, M)` float32 without padding to `(B, 160 T)` float32."""
        hop = self.features.hop_length
        if isinstance(self.vocoder, InverseSTFTHead):
            return overlap_add(self.vocoder(log_mel), self._window, hop)
        if self.vocoder is not None:
            return self.vocoder(log_mel.to(self.dtype)).float()
        unscaled = self.features.unscale(log_mel)
        scale = (2.0 / float(self.features.window.sum())) ** 2
        magnitudes = mel_to_magnitudes(unscaled, self._inverse_filters.to(unscaled), scale)
        return griffin_lim(
            magnitudes,
            self._window,
            hop,
            num_passes=self.config.griffin_lim_passes,
            momentum=self.config.griffin_lim_momentum,
            seed=seed,
        )

    @torch.no_grad()
    def synthesize(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        speaker_ids: Tensor | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Waveforms of a batch of ids.

        Args:
            input_ids, attention_mask, language_ids, speaker_ids: as in `forward`.
            seed: seed of the first phases of Griffin-Lim.

        Returns:
            `(B, S)` float32 at 16 kHz, 0 on padding: 640 samples for each id.

        Raises:
            ValueError: an id outside the codebook.
        """
        real = input_ids if attention_mask is None else input_ids[attention_mask.bool()]
        if real.numel() and not 0 <= int(real.min()) <= int(real.max()) < self.config.num_speech_tokens:
            wrong = real[(real < 0) | (real >= self.config.num_speech_tokens)]
            raise ValueError(
                f"Speech id {int(wrong[0])} is outside the codebook of this synthesizer, which has "
                f"{self.config.num_speech_tokens} entries (0 to {self.config.num_speech_tokens - 1})."
            )
        outputs = self(input_ids, attention_mask, language_ids, speaker_ids)
        return self.make_waveforms(outputs.log_mel, outputs.frame_mask.sum(dim=1), seed)


__all__ = ["SpeechSynthesizerModel", "SpeechSynthesizerOutput"]
