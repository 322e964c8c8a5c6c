# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from paper_languages import PAPER_LANGUAGES
from tiny_models import tiny_config

from mu2slam_hf import ConformerEncoderConfig, Mu2SLAMConfig, Mu2SLAMForConditionalGeneration

PRESETS = Path(__file__).parents[3] / "configuration" / "models" / "mu2slam"


def load_preset(name: str) -> Mu2SLAMConfig:
    return Mu2SLAMConfig(**json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8")))


def count_on_meta(config: Mu2SLAMConfig) -> tuple[float, float]:
    """Millions of parameters of encoder (without embeddings) and of the whole model."""
    with torch.device("meta"):
        model = Mu2SLAMForConditionalGeneration(config)
    encoder = model.model.encoder
    parts = [*encoder.conformer.parameters(), *encoder.subsampling.parameters()]
    return sum(p.numel() for p in parts) / 1e6, sum(p.numel() for p in model.parameters()) / 1e6


@pytest.mark.parametrize(("name", "total"), [("paper_char", 0.69), ("paper_spm", 0.75)])
def test_paper_sizes(name, total):
    config = load_preset(name)
    assert config.languages == list(PAPER_LANGUAGES)
    encoder_millions, millions = count_on_meta(config)
    assert round(encoder_millions / 1000, 2) == 0.58
    assert round(millions / 1000, 2) == total


@pytest.mark.parametrize(("name", "low", "high"), [("base", 100, 150), ("small", 20, 30), ("tiny", 6, 8)])
def test_smaller_sizes(name, low, high):
    assert low < count_on_meta(load_preset(name))[1] < high


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.json")))
def test_presets_are_complete_payloads(name):
    payload = json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8"))
    restored = load_preset(name).to_dict()
    for key, value in payload.items():
        if isinstance(value, dict):
            assert {inner: restored[key][inner] for inner in value} == value
        else:
            assert restored[key] == value, key


def test_shared_fields_reach_the_decoder():
    config = tiny_config()
    assert config.decoder_config.vocab_size == config.vocab_size == config.get_text_config().vocab_size
    assert config.decoder_config.num_languages == len(config.languages)
    assert config.hidden_size == 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": ["en"]}, "und"),
        ({"languages": ["und", "en", "en"]}, "more than once"),
        ({"text_token_offset": 70}, "codebook"),
        ({"speech_token_offset": 5}, "special"),
        ({"vocab_size": 90}, "vocab_size"),
        ({"vocab_size": "many"}, "vocab_size"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    payload = tiny_config().to_dict() | changes
    with pytest.raises((ValueError, TypeError, StrictDataclassError), match=message):
        Mu2SLAMConfig(**payload)


@pytest.mark.parametrize(
    "changes",
    [
        {"conv_norm": "bach"},
        {"frontend": "wave"},
        {"feat_extract_norm": "batch"},
        {"position_embeddings_type": "rotery"},
        {"left_max_position_embeddings": -1},
        {"num_stacked_frames": 0},
        {"conv_stride": [5, 2]},
        {"conv_kernel": [0] * 7},
        {"conv_depthwise_kernel_size": 4},
        {"num_attention_heads": 7},
        {"subsampling_conv_channels": [8]},
    ],
)
def test_encoder_keys_are_validated(changes):
    with pytest.raises((ValueError, StrictDataclassError), match=next(iter(changes))):
        ConformerEncoderConfig(**({"hidden_size": 64, "num_attention_heads": 4} | changes))
