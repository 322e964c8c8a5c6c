# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM's configurations: what they refuse, and how large the models are that they describe."""

import json

import pytest
import torch
from helpers import REPOSITORY_ROOT
from huggingface_hub.errors import StrictDataclassError
from mslam_batches import make_config

from mu2slam_hf import MSLAMConfig, MSLAMCTCConfig, MSLAMForPreTraining


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_speech_layers": 0}, "num_speech_layers must be between 1 and 2"),
        ({"num_speech_layers": 3}, "num_speech_layers must be between 1 and 2"),
        ({"quantizer_method": "kmeans"}, "quantizer_method must be one of gumbel, nearest"),
        ({"speech_mask": "zero"}, "speech_mask must be one of noise, learned"),
        ({"ctc_input": "text"}, "ctc_input must be one of speech, pair"),
        ({"classifier_pooling": "first"}, "classifier_pooling must be one of mean, max"),
        ({"num_negatives": 0}, "num_negatives must be at least 1"),
        ({"num_codevector_groups": 3}, "codevector_dim .8. must be a multiple of num_codevector_groups"),
        ({"contrastive_logits_temperature": 0.0}, "contrastive_logits_temperature must be positive"),
        ({"speech_mask_noise_std": -0.1}, "speech_mask_noise_std cannot be negative"),
        ({"text_token_offset": 70}, "text_token_offset .70. lies inside the speech codebook"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_no_model_can_be_built_from(options, message):
    with pytest.raises(StrictDataclassError, match=message):
        make_config(**options)


def test_by_default_the_codes_are_those_that_short_runs_learn():
    config = MSLAMConfig()
    assert (config.quantizer_method, config.quantizer_frame_entropy_weight) == ("nearest", 0.0)
    assert config.quantizer_center_utterances and config.quantizer_stop_gradient


def test_the_two_configurations_have_the_same_keys():
    shared, ctc = MSLAMConfig().to_dict(), MSLAMCTCConfig().to_dict()
    assert shared.keys() == ctc.keys()
    assert (shared["model_type"], ctc["model_type"]) == ("mslam", "mslam_ctc")


@pytest.mark.parametrize(
    ("name", "speech_layers", "shared_layers", "encoder", "whole"),
    [("paper_0_6b", 8, 16, 586_728_736, 590_411_680), ("paper_2b", 8, 32, 1_836_064_544, 1_840_828_832)],
)
def test_sizes_of_the_paper(name, speech_layers, shared_layers, encoder, whole):
    path = REPOSITORY_ROOT / "configuration" / "models" / "mslam" / f"{name}.json"
    config = MSLAMConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    assert (config.num_speech_layers, config.num_shared_layers) == (speech_layers, shared_layers)
    assert config.vocab_size - config.text_token_offset == 4096
    with torch.device("meta"):
        model = MSLAMForPreTraining(config)
    sizes = [sum(parameter.numel() for parameter in part.parameters()) for part in (model.model, model)]
    assert sizes == [encoder, whole]
