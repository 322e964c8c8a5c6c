# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Conformer layers of equal sizes in bfloat16, beside Wav2Vec2-BERT's and Parakeet's; 250 frames are 10 s at 25 Hz.

Front ends are left out, so that all systems run the same number of layers over the same number of frames; each keeps
its positions, normalisation and attention. The last column relates multiplications of the layers' matrices and of
attention to products of matrices of 1024 x 1024 in the same run.
"""

import argparse
import copy
from functools import partial

import torch
from torch import nn
from transformers import ParakeetEncoder, ParakeetEncoderConfig, Wav2Vec2BertConfig, Wav2Vec2BertModel

from benchmarks.interleaved import measure_interleaved, relate
from benchmarks.machine import measure_limits
from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
from mu2slam_hf.models.modeling_conformer import ConformerEncoder

NUM_FRAMES, SECONDS, KERNEL_SIZE = 250, 10, 5
# (layers, width, heads, batch)
SIZES = ((24, 1024, 8, 1), (24, 1024, 8, 4), (12, 256, 4, 4))
TOLERANCE = 0.1


def build_layers(num_layers: int, width: int, num_heads: int) -> dict[str, nn.Module]:
    """Encoders of equal sizes, in evaluation, in bfloat16, that map `(B, L, width)` to the same shape."""
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "intermediate_size": 4 * width,
    }
    torch.set_default_dtype(torch.bfloat16)
    try:
        parakeet = ParakeetEncoder(ParakeetEncoderConfig(**sizes, conv_kernel_size=KERNEL_SIZE))
        parakeet.subsampling = FrameInput()
        models = {
            "Mu2SLAM": ConformerEncoder(ConformerEncoderConfig(**sizes, conv_depthwise_kernel_size=KERNEL_SIZE)),
            "Wav2Vec2-BERT": Wav2Vec2BertModel(
                Wav2Vec2BertConfig(**sizes, conv_depthwise_kernel_size=KERNEL_SIZE, apply_spec_augment=False)
            ).encoder,
            "Parakeet": parakeet,
        }
    finally:
        torch.set_default_dtype(torch.float32)
    return {name: model.eval() for name, model in models.items()}


class FrameInput(nn.Module):
    """In place of Parakeet's subsampling: frames of the layers' width."""

    def forward(self, frames: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """The frames themselves."""
        return frames


def count_operations(num_layers: int, width: int, batch_size: int) -> float:
    """Multiplications and additions of our layers' matrices and attention, in 10^9."""
    matrices = (2 * 2 * 4 + 4 + 3) * width**2  # two feed-forward modules, attention, convolution module
    attention = 2 * NUM_FRAMES * width
    return 2 * num_layers * batch_size * NUM_FRAMES * (matrices + attention) / 1e9


def check_against_reference(model: nn.Module, frames: torch.Tensor) -> None:
    """Raises RuntimeError if the states differ from those in float32 by plain attention."""
    with torch.inference_mode():
        states = model(frames).last_hidden_state.float()
        reference = copy.deepcopy(model).float()
        reference.set_attn_implementation("eager")
        expected = reference(frames.float()).last_hidden_state
    error = (states - expected).pow(2).mean().sqrt().item()  # the last normalisation gives them a scale of 1
    if not error <= TOLERANCE:
        raise RuntimeError(f"states differ from the reference by {error:.2g} (RMS), expected at most {TOLERANCE:g}")


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each size and system."""
    rate = measure_limits(options.repeats)["bfloat16_gflops"]
    rows: list[dict[str, object]] = []
    for num_layers, width, num_heads, batch_size in SIZES:
        models = build_layers(num_layers, width, num_heads)
        frames = torch.randn(batch_size, NUM_FRAMES, width, dtype=torch.bfloat16)
        check_against_reference(models["Mu2SLAM"], frames)
        calls = {name: partial(model, frames) for name, model in models.items()}
        with torch.inference_mode():
            times = measure_interleaved(calls, options.repeats)
        operations = count_operations(num_layers, width, batch_size)
        ours = times["Mu2SLAM"]
        rows += [
            {
                "layers": f"{num_layers} x {width}",
                "clips of 10 s": batch_size,
                "system": name,
                "milliseconds": 1e3 * seconds["wall_seconds"],
                **relate(seconds, ours),
                "share of products' rate": operations / seconds["wall_seconds"] / rate if name == "Mu2SLAM" else "",
            }
            for name, seconds in times.items()
        ]
    return rows
