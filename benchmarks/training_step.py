# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A supervised training step on 8 clips of 8 s in bfloat16 autocast, beside Canary and Whisper of equal sizes.

12 encoder layers and 6 decoder layers of width 256, 2048 tokens, targets of 40 tokens, AdamW (fused); features are
given. Each system keeps its front end: encoder positions at 25 Hz here, 12.5 Hz in Canary, 50 Hz in Whisper. Ours
computes cross-entropy and CTC, the others cross-entropy. The last column relates the multiplications of our matrices,
forward and twice backward, to products of matrices in the same run.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    CanaryForConditionalGeneration,
    WhisperForConditionalGeneration,
)

from benchmarks.interleaved import measure_interleaved, relate
from benchmarks.machine import measure_limits
from benchmarks.peers import canary_config, whisper_config
from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration

NUM_CLIPS, SECONDS, NUM_TOKENS = 8, 8, 40
ENCODER_LAYERS, DECODER_LAYERS, WIDTH, NUM_HEADS, VOCABULARY = 12, 6, 256, 4, 2048
SIZES = {"hidden_size": WIDTH, "num_attention_heads": NUM_HEADS, "intermediate_size": 4 * WIDTH}


def build_model(vocab_size: int = VOCABULARY) -> Mu2SLAMForConditionalGeneration:
    """A Mu2SLAM with random weights, without dropout."""
    ours = Mu2SLAMConfig(
        encoder_config={**SIZES, "num_hidden_layers": ENCODER_LAYERS},
        decoder_config={
            **SIZES,
            "num_hidden_layers": DECODER_LAYERS,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
        },
        vocab_size=vocab_size,
        num_speech_tokens=64,
        languages=["und", "en"],
        attn_implementation="eager",
    )
    return Mu2SLAMForConditionalGeneration(ours)


def build_models() -> dict[str, nn.Module]:
    """The three models with random weights, without dropout, which not all of them have in the same places."""
    sizes = (WIDTH, NUM_HEADS, (ENCODER_LAYERS, DECODER_LAYERS), VOCABULARY)
    no_dropout = dict.fromkeys(("dropout", "layerdrop", "activation_dropout", "attention_dropout"), 0.0)
    canary = canary_config(*sizes, **no_dropout)
    whisper = whisper_config(*sizes, 50 * SECONDS, dropout=0.0)
    return {
        "Mu2SLAM": build_model(),
        "Canary": CanaryForConditionalGeneration(canary),
        "Whisper": WhisperForConditionalGeneration(whisper),
    }


def make_inputs(labels: Tensor) -> dict[str, dict[str, Tensor]]:
    """Features and targets of each system."""
    features = torch.randn(NUM_CLIPS, 100 * SECONDS, 80)
    return {
        "Mu2SLAM": {
            "input_features": features,
            "labels": labels,
            "language_ids": torch.ones(NUM_CLIPS, dtype=torch.int64),
            "decoder_language_ids": torch.ones(NUM_CLIPS, dtype=torch.int64),
            "ctc_labels": labels,
        },
        "Canary": {"input_features": features, "labels": labels},
        "Whisper": {"input_features": features.transpose(1, 2).contiguous(), "labels": labels},
    }


def build_step(model: nn.Module, inputs: dict[str, Tensor]) -> Callable[[], float]:
    """A function that makes one update and returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def count_operations() -> float:
    """Multiplications and additions of a step of ours, in 10^9; the front end's convolutions are left out."""
    positions = 25 * SECONDS
    encoder = ENCODER_LAYERS * positions * ((2 * 2 * 4 + 4 + 3) * WIDTH**2 + 2 * positions * WIDTH)
    cross = 2 * positions * WIDTH**2 + NUM_TOKENS * (2 * WIDTH**2 + 2 * positions * WIDTH)
    own = NUM_TOKENS * ((4 + 8) * WIDTH**2 + 2 * NUM_TOKENS * WIDTH)
    heads = (positions + NUM_TOKENS) * WIDTH * VOCABULARY
    return 3 * 2 * NUM_CLIPS * (encoder + DECODER_LAYERS * (cross + own) + heads) / 1e9


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each system.

    Raises:
        RuntimeError: the loss of a system does not fall on the batch that it sees again and again.
    """
    torch.manual_seed(0)
    rate = measure_limits(options.repeats)["bfloat16_gflops"]
    inputs = make_inputs(torch.randint(100, VOCABULARY, (NUM_CLIPS, NUM_TOKENS)))
    steps = {name: build_step(model.train(), inputs[name]) for name, model in build_models().items()}
    for name, step in steps.items():
        losses = [step() for _ in range(3)]
        if not losses[-1] < losses[0]:
            raise RuntimeError(f"{name}: losses {losses} do not fall")
    times = measure_interleaved({name: partial(step) for name, step in steps.items()}, options.repeats)
    ours = times["Mu2SLAM"]
    return [
        {
            "system": name,
            "audio seconds per second": NUM_CLIPS * SECONDS / seconds["wall_seconds"],
            **relate(seconds, ours),
            "share of products' rate": count_operations() / ours["wall_seconds"] / rate if name == "Mu2SLAM" else "",
        }
        for name, seconds in times.items()
    ]
