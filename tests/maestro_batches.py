# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tiny Maestro models and batches, made without the package's collator."""

import torch
from mslam_batches import collate, make_batch, make_config
from torch import Tensor

from mu2slam_hf import MaestroConfig, MaestroForPreTraining

SMALL = {
    "text_encoder_config": {"num_hidden_layers": 1},
    "refiner_config": {"num_hidden_layers": 1, "conv_depthwise_kernel_size": 5},
    "transducer_config": {"hidden_size": 8, "joint_size": 8, "num_layers": 1},
    "duration_predictor_layers": 1,
    "num_text_convolutions": 2,
    "text_mask_time_prob": 0.3,
    "text_mask_time_length": 2,
}


def make_maestro_config(encoder: dict | None = None, **options) -> MaestroConfig:
    """16-wide, one speech layer and two shared ones; predicted durations are at most 6 frames."""
    shared = make_config(encoder).to_dict()
    shared.pop("model_type")
    return MaestroConfig(**{**shared, **SMALL, "max_frames_per_token": 6, **options})


def make_maestro(seed: int = 0, encoder: dict | None = None, **options) -> MaestroForPreTraining:
    """A model with random weights (biases too), in evaluation mode, that predicts about three frames for a token."""
    torch.manual_seed(seed)
    model = MaestroForPreTraining(make_maestro_config(encoder, **options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.model.text_frontend.duration_predictor.linear.bias.fill_(1.4)
    model.quantizer.norm.update(4.0 * torch.randn(50, model.config.hidden_size) + 0.5)
    return model.eval()


def make_maestro_batch(config: MaestroConfig, kinds: str, seed: int = 0, **options) -> dict[str, Tensor]:
    """As `make_batch` and `collate` for mSLAM: `s` an utterance alone, `t` a text alone, `c` a pair; nothing of texts
    and pairs is masked."""
    batch = make_batch(config, kinds, seed=seed)
    for number, text in enumerate(batch.texts):
        text.shown = [text.asked.get(position, token) for position, token in enumerate(text.shown)]
        pairs = [speech for speech, other in batch.pairs if other == number]
        for speech in pairs:
            utterance = batch.utterances[speech]
            utterance.masked = [False] * len(utterance.masked)
            utterance.transcript = text.shown
    tensors = collate(config, batch, **options)
    del tensors["text_labels"]
    return {**tensors, "text_seed": torch.arange(len(tensors["text_ids"])) * 7 + seed}
