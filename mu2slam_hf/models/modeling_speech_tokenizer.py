# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The frozen speech tokenizer: log-mel features in, one codebook id per 25 Hz encoder frame out.

Letters: B utterances, T log-mel frames (10 ms), M mel bins, N = ceil(ceil(T / 2) / 2) ids (40 ms), G codebooks.
"""

import torch
from transformers import PreTrainedModel, initialization

from .configuration_speech_tokenizer import SpeechTokenizerConfig
from .modules_lengths import downsample_attention_mask
from .modules_quantization import RandomProjectionQuantizer, stack_frames

# Outside of an utterance there is no id. Choice: -100, not 0, because 0 is an entry of the codebook: a position that
# was padded by mistake is then ignored by a loss, or fails loudly in an embedding, but is never taken for speech.
PADDING_ID = -100


class SpeechTokenizerModel(PreTrainedModel):
    """Speech to discrete ids, each frame independently, by a codebook that never changes.

    Paper: Mu2SLAM section 2.2, `z_i = argmin_j |G_j - s_i|`, kept constant while the model trains.
    Choice: parameters are frozen and stay float32 whatever is asked of the model, so that ids belong to a checkpoint,
    not to how it was loaded. Frames of padding are zeroed before anything looks at them.

    Args:
        config: the configuration; `config.kind` chooses how the codebook is made.
    """

    config_class = SpeechTokenizerConfig
    base_model_prefix = "speech_tokenizer"
    main_input_name = "input_features"
    input_modalities = ("audio",)
    _keep_in_fp32_modules_strict = ["quantizer"]

    def __init__(self, config: SpeechTokenizerConfig):
        super().__init__(config)
        self.register_buffer("feature_mean", torch.zeros(config.num_mel_bins), persistent=False)
        self.register_buffer("feature_std", torch.ones(config.num_mel_bins), persistent=False)
        self.quantizer = RandomProjectionQuantizer(
            input_size=config.num_stacked_frames * config.num_mel_bins,
            num_codevectors=config.num_codevectors_per_group,
            codevector_dim=config.codevector_dim,
            num_groups=config.num_codevector_groups,
            seed=config.projection_seed,
        )
        self.post_init()
        self.requires_grad_(False)

    def _init_weights(self, module: torch.nn.Module) -> None:
        # Runs after __init__ and for whatever a checkpoint does not hold, among it these non-persistent buffers.
        if isinstance(module, RandomProjectionQuantizer):
            module.reset_parameters()
        elif isinstance(module, SpeechTokenizerModel):
            num_mel_bins = self.config.num_mel_bins
            mean = self.config.feature_mean or [0.0] * num_mel_bins
            std = self.config.feature_std or [1.0] * num_mel_bins
            initialization.copy_(module.feature_mean, torch.tensor(mean, dtype=torch.float32))
            initialization.copy_(module.feature_std, torch.tensor(std, dtype=torch.float32))

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        """Load as every transformers model does, and freeze: loading makes parameters trainable again."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.requires_grad_(False)
        return loaded

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
            ValueError: where the features do not have the shape above.
        """
        num_mel_bins = self.config.num_mel_bins
        if input_features.ndim != 3 or input_features.shape[-1] != num_mel_bins or input_features.shape[1] == 0:
            raise ValueError(
                f"input_features must have the shape (batch, frames, {num_mel_bins}) with at least one frame; "
                f"got {tuple(input_features.shape)}."
            )
        if attention_mask is None:
            attention_mask = input_features.new_ones(input_features.shape[:2], dtype=torch.int64)
        if attention_mask.shape != input_features.shape[:2]:
            raise ValueError(
                f"attention_mask must have the shape {tuple(input_features.shape[:2])} of input_features without the "
                f"mel bins; got {tuple(attention_mask.shape)}."
            )
        features = (input_features.float() - self.feature_mean.float()) / self.feature_std.float()
        # Selected, not multiplied: padding may hold NaN, and NaN * 0 is NaN.
        features = torch.where(attention_mask.bool().unsqueeze(-1), features, 0.0)
        stacked = stack_frames(features, self.config.num_stacked_frames)
        # (B, N, F) -> (B * N, F) -> (B * N, G) -> (B, N, G)
        ids = self.quantizer(stacked.flatten(0, 1)).unflatten(0, stacked.shape[:2])
        ids = ids.masked_fill(~downsample_attention_mask(attention_mask).bool().unsqueeze(-1), PADDING_ID)
        return ids.squeeze(-1) if self.config.num_codevector_groups == 1 else ids


__all__ = ["PADDING_ID", "SpeechTokenizerModel"]
