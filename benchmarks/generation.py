# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Greedy generation of 60 tokens by decoders of 6 layers of width 512 in bfloat16, beside Whisper's and Canary's.

All decoders have random weights, 8192 tokens and a source of 250 positions (10 s at 25 Hz), which is given: encoders
do not run. Every system must write exactly 60 tokens.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CanaryForConditionalGeneration,
    GenerationMixin,
    WhisperForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.parakeet.modeling_parakeet import ParakeetEncoderModelOutput

from benchmarks.interleaved import measure_interleaved, relate
from benchmarks.peers import canary_config, whisper_config
from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration

NUM_LAYERS, WIDTH, NUM_HEADS, VOCABULARY = 6, 512, 8, 8192
NUM_POSITIONS, NUM_TOKENS = 250, 60
BATCH_SIZES = (1, 16)


def build_mu2slam() -> Any:
    """Our model with a small encoder, without CTC and loops' end."""
    sizes = {"hidden_size": WIDTH, "num_attention_heads": NUM_HEADS, "intermediate_size": 4 * WIDTH}
    config = Mu2SLAMConfig(
        encoder_config={**sizes, "num_hidden_layers": 1},
        decoder_config={**sizes, "num_hidden_layers": NUM_LAYERS},
        vocab_size=VOCABULARY + 64,
        num_speech_tokens=64,
        languages=["und", "en"],
    )
    return Mu2SLAMForConditionalGeneration(config)


def build_systems() -> dict[str, Callable[[Tensor], Tensor]]:
    """Name -> function from the source `(B, 250, 512)` to ids; each writes 60 tokens after its prompt."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        sizes = (WIDTH, NUM_HEADS, (1, NUM_LAYERS), VOCABULARY)  # with small encoders
        ours = build_mu2slam().eval()
        whisper = WhisperForConditionalGeneration(whisper_config(*sizes, NUM_POSITIONS)).eval()
        canary = CanaryForConditionalGeneration(canary_config(*sizes)).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    common = {"num_beams": 1, "do_sample": False, "max_new_tokens": NUM_TOKENS}

    def write_ours(source: Tensor) -> Tensor:
        outputs = ours.build_encoder_outputs(BaseModelOutput(last_hidden_state=source))
        return ours.generate(
            encoder_outputs=outputs,
            source_modality="speech",
            source_lang="en",
            target_lang="en",
            ctc_draft=False,
            **common,
        )

    def write_whisper(source: Tensor) -> Tensor:
        # Not Whisper's own `generate`, which adds work for time stamps and long recordings.
        outputs = BaseModelOutput(last_hidden_state=source)
        return GenerationMixin.generate(whisper, encoder_outputs=outputs, eos_token_id=None, **common)

    def write_canary(source: Tensor) -> Tensor:
        outputs = ParakeetEncoderModelOutput(last_hidden_state=source, attention_mask=None)
        return GenerationMixin.generate(canary, encoder_outputs=outputs, eos_token_id=None, **common)

    return {"Mu2SLAM": write_ours, "Whisper": write_whisper, "Canary": write_canary}


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each batch size and system.

    Raises:
        RuntimeError: a system wrote fewer tokens, which other random weights may cause.
    """
    torch.manual_seed(0)
    systems = build_systems()
    rows: list[dict[str, object]] = []
    for batch_size in BATCH_SIZES:
        source = torch.randn(batch_size, NUM_POSITIONS, WIDTH, dtype=torch.bfloat16)
        for name, write in systems.items():
            num_written = write(source).shape[1] - 1
            if num_written != NUM_TOKENS:
                raise RuntimeError(f"{name} wrote {num_written} tokens, expected {NUM_TOKENS}")
        calls = {name: partial(write, source) for name, write in systems.items()}
        times = measure_interleaved(calls, options.repeats)
        ours = times["Mu2SLAM"]
        rows += [
            {
                "batch": batch_size,
                "system": name,
                "tokens per second": batch_size * NUM_TOKENS / seconds["wall_seconds"],
                **relate(seconds, ours),
            }
            for name, seconds in times.items()
        ]
    return rows
