# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Untrained k-means speech tokenizers on a layer of a saved encoder of this package or of transformers."""

import os
from typing import Any

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_mslam import MSLAMModel
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForCTC, Mu2SLAMModel
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.task_types import SPEECH

Folder = str | os.PathLike[str]
OWN_MODELS: dict[str, Any] = {
    **{"mu2slam": Mu2SLAMModel, "mu2slam_ctc": Mu2SLAMForCTC},
    **{"mslam": MSLAMModel, "mslam_ctc": MSLAMModel},
}


def build_encoder_tokenizer(
    encoder: Folder,
    layer: int,
    *,
    num_codevectors: int = 1024,
    seed: int = 0,
    frames_per_second: float | None = None,
    center_utterances: bool = False,
) -> SpeechTokenizerModel:
    """Build a tokenizer that includes the weights of an encoder; its codebook is random until it is trained.

    Args:
        encoder: folder or Hub name of a Mu2SLAM or mSLAM model (for an mSLAM model with a speech projection, speech
            layers only), or of a speech encoder that `AutoModel` loads, with its feature extractor (wav2vec 2.0,
            HuBERT, WavLM, w2v-BERT 2.0, ...).
        layer: index of the hidden states; 0 is the input of the first layer, n the output of layer n.
        num_codevectors: K.
        seed: seed of the codebook before training.
        frames_per_second: frame rate of an encoder of transformers; None means that of its configuration.
        center_utterances: whether the mean of each utterance is subtracted.

    Raises:
        ValueError: the layer is out of range, or the frame rate is unknown.
    """
    config = AutoConfig.from_pretrained(encoder)
    shared = {
        **{"kind": "kmeans", "features": "encoder", "encoder_layer": layer},
        **{"num_codevectors_per_group": num_codevectors, "projection_seed": seed},
        "center_utterances": center_utterances,
    }
    if config.model_type in OWN_MODELS:
        return _take_own(OWN_MODELS[config.model_type].from_pretrained(encoder, dtype=torch.float32), shared)
    extractor = AutoFeatureExtractor.from_pretrained(encoder)
    tokenizer = SpeechTokenizerModel(
        SpeechTokenizerConfig(
            encoder_config=config.to_dict(),
            encoder_feature_extractor=extractor.to_dict(),
            encoder_frames_per_second=frames_per_second or guess_frames_per_second(config, extractor),
            **shared,
        )
    )
    tokenizer.encoder.model = AutoModel.from_pretrained(encoder, dtype=torch.float32).eval()
    tokenizer.requires_grad_(False)
    return tokenizer


def _take_own(model: Any, shared: dict[str, Any]) -> SpeechTokenizerModel:
    """A tokenizer with the front end and the first layers of a Mu2SLAM or mSLAM encoder."""
    is_mslam = isinstance(model, MSLAMModel)
    encoder, layer = model if is_mslam else model.encoder, shared["encoder_layer"]
    values = encoder.config.encoder_config.to_dict()
    num_layers = values["num_hidden_layers"]
    last_layer = num_layers
    if is_mslam and model.config.add_speech_projection:
        last_layer = model.config.num_speech_layers  # a projection follows these layers
    if not 0 <= layer <= last_layer:
        raise ValueError(f"layer must be between 0 and {last_layer} for this encoder, got {layer}")
    # Later layers and the normalisation after the last one are not kept.
    values |= {"num_hidden_layers": layer} | ({"final_layer_norm": False} if layer < num_layers else {})
    tokenizer = SpeechTokenizerModel(
        SpeechTokenizerConfig(encoder_config=values, num_mel_bins=values["num_mel_bins"], **shared)
    )
    tokenizer.encoder.subsampling.load_state_dict(encoder.subsampling.state_dict())
    kept = tokenizer.encoder.conformer.state_dict()
    weights = encoder.conformer.state_dict()
    tokenizer.encoder.conformer.load_state_dict({name: weights[name] for name in kept})
    if not is_mslam:  # mSLAM adds no embeddings to speech
        tokenizer.encoder.speech_embedding.copy_(
            (encoder.embed_languages.weight[0] + encoder.embed_modalities.weight[SPEECH]).detach()
        )
    return tokenizer


def guess_frames_per_second(config: Any, extractor: Any) -> float:
    """Frame rate of an encoder of transformers from its configuration.

    Raises:
        ValueError: the configuration does not contain it.
    """
    if getattr(config, "conv_stride", None):  # convolutions over samples
        samples = int(torch.tensor(config.conv_stride).prod())
        return float(extractor.sampling_rate / samples)
    if hasattr(extractor, "stride"):  # stacked frames of 10 ms
        return 100.0 / extractor.stride
    raise ValueError(
        f"the configuration of {config.model_type!r} does not contain the frame rate: pass frames_per_second"
    )
