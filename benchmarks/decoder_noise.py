# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A supervised update with noise on the decoder's inputs beside one without: 8 clips of 8 s in bfloat16 autocast.

The model of `training_step`, with 2,048 and with 64,000 tokens: neighbours are searched among all of them.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.interleaved import measure_interleaved
from benchmarks.training_step import NUM_CLIPS, NUM_TOKENS, SECONDS, build_model
from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.models.modules_losses import shift_tokens_right
from mu2slam_hf.training.decoder_noise import DecoderNoiseConfig
from mu2slam_hf.training.objectives.supervised import SupervisedObjective

RATIOS = (0.0, 0.06, 0.48)
VOCABULARIES = (2048, 64_000)


def build_update(ratio: float, vocab_size: int, batch: dict[str, Any]) -> Callable[[], float]:
    """A function that makes one update and returns the sum of the losses."""
    torch.manual_seed(0)
    model = build_model(vocab_size).train()
    noise = DecoderNoiseConfig(ratio=ratio) if ratio else None
    objective = SupervisedObjective(model, decoder_noise=noise)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def update() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = objective.forward(model, batch, step=0)
        sums = objective.sum(outputs, batch, is_training=True)
        loss = torch.stack([value.float() for value in sums.values()]).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return update


def make_batch(vocab_size: int) -> dict[str, Any]:
    """Features, decoder inputs and targets of recognition, as the collator of fine-tuning gives them."""
    labels = torch.randint(vocab_size // 2, vocab_size, (NUM_CLIPS, NUM_TOKENS))
    languages = torch.ones(NUM_CLIPS, dtype=torch.int64)
    return {
        "input_features": torch.randn(NUM_CLIPS, 100 * SECONDS, 80),
        "attention_mask": torch.ones(NUM_CLIPS, 100 * SECONDS, dtype=torch.int64),
        "language_ids": languages,
        "decoder_language_ids": languages,
        "decoder_input_ids": shift_tokens_right(labels, pad_token_id=0, decoder_start_token_id=1),
        "labels": labels,
        "ctc_labels": labels,
        "task_ids": torch.full((NUM_CLIPS,), TASK_NAMES.index("asr")),
        "record_ids": [f"clip{number}" for number in range(NUM_CLIPS)],
    }


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each vocabulary and ratio.

    Raises:
        RuntimeError: the loss does not fall on the batch that is seen again and again, or noise changes nothing.
    """
    rows = []
    for vocab_size in VOCABULARIES:
        torch.manual_seed(0)
        batch = make_batch(vocab_size)
        updates = {ratio: build_update(ratio, vocab_size, batch) for ratio in RATIOS}
        losses = {ratio: [update() for _ in range(3)] for ratio, update in updates.items()}
        if (
            not all(found[-1] < found[0] for found in losses.values())
            or len({found[0] for found in losses.values()}) < 3
        ):
            raise RuntimeError(f"losses of three updates by ratio: {losses}; expected falling and different ones")
        times = measure_interleaved({str(ratio): update for ratio, update in updates.items()}, options.repeats)
        plain = times[str(RATIOS[0])]
        rows += [
            {
                "vocabulary": vocab_size,
                "noise": ratio,
                "milliseconds": 1000 * times[str(ratio)]["wall_seconds"],
                "time, with / without noise": times[str(ratio)]["wall_seconds"] / plain["wall_seconds"],
                "process time, with / without noise": times[str(ratio)]["process_seconds"] / plain["process_seconds"],
            }
            for ratio in RATIOS
        ]
    return rows
