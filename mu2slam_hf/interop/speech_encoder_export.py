# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Export of an encoder as a checkpoint of `Wav2Vec2BertModel` or `Wav2Vec2ConformerModel`."""

import os
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from mu2slam_hf.interop.speech_encoder_formats import (
    FORMATS,
    find_name,
    list_names,
    reason_to_leave_out,
    restore_config,
)
from mu2slam_hf.interop.speech_encoders import find_own_encoder
from mu2slam_hf.models.modeling_mslam import MSLAMModel
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMEncoder
from mu2slam_hf.models.task_types import SPEECH


def export_speech_encoder(
    model: PreTrainedModel, folder: str | os.PathLike[str] | None = None, feature_extractor: Any = None
) -> PreTrainedModel:
    """Export an encoder that was imported by `load_speech_encoder` in its original format.

    The result is equivalent to the encoder for speech, up to rounding. For Mu2SLAM it corresponds to unknown language
    (`und`): the language and modality embeddings, which are the same for every frame, are added to a bias. The
    embedding of masked frames is the row of [MASK]. Heads, text and decoder are not exported.

    Args:
        model: a Mu2SLAM or mSLAM model with the front end `stacked_frames` or `waveform`.
        folder: folder to save the result in; None to skip saving.
        feature_extractor: feature extractor to save with it.

    Returns:
        `Wav2Vec2BertModel` or `Wav2Vec2ConformerModel` in float32 and evaluation mode.

    Raises:
        ValueError: the class of the source cannot represent this encoder.
    """
    encoder: Any = find_own_encoder(model)
    if not isinstance(encoder, (Mu2SLAMEncoder, MSLAMModel)):
        raise ValueError(f"{type(model).__name__} has no front end, which is required for the export.")
    if getattr(encoder.config, "add_speech_projection", False):
        raise ValueError(
            "this mSLAM model has a linear projection between its speech layers and its shared layers "
            "(add_speech_projection), which other formats do not support."
        )
    config: Any = encoder.config
    restored = restore_config(config.encoder_config)
    exported: Any = AutoModel.from_config(restored).float().eval()
    own = {name: tensor.detach().float().cpu() for name, tensor in encoder.state_dict().items()}
    constant = _constant_of(encoder)
    own["subsampling.linear.bias"] = own["subsampling.linear.bias"] + constant
    known = FORMATS[restored.model_type]
    missing = []
    with torch.no_grad():
        for name, tensor in exported.state_dict().items():
            if reason_to_leave_out(name, known) is not None:
                continue
            ours, rule = find_name(name, known) or ("no rule", None)
            if rule is None or ours not in own:
                missing.append(f"{name} ({ours})")
            else:
                tensor.copy_(own[ours][..., None] if rule.drop_last_axis else own[ours])
        if hasattr(exported, "masked_spec_embed"):
            row = encoder.embed_tokens(torch.tensor(encoder.config.mask_token_id, device=encoder.device))
            exported.masked_spec_embed.copy_(row.detach().float().cpu() + constant)
    if missing:
        raise ValueError(f"the encoder has no weights for {list_names(missing)}.")
    if folder is not None:
        exported.save_pretrained(folder)
        if feature_extractor is not None:
            feature_extractor.save_pretrained(folder)
    return exported


def _constant_of(encoder: Any) -> Tensor:
    """`(D,)` sum of the embeddings that a Mu2SLAM encoder adds to speech of unknown language; zeros for mSLAM."""
    if not isinstance(encoder, Mu2SLAMEncoder):
        return torch.zeros(encoder.config.encoder_config.hidden_size)
    return (encoder.embed_languages.weight[0] + encoder.embed_modalities.weight[SPEECH]).detach().float().cpu()


__all__ = ["export_speech_encoder"]
