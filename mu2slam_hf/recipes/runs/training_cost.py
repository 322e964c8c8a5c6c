# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Contents and floating-point operations of a micro-batch, by the configuration of a model and mean lengths."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe

FRAME_RATE = 25.0
"""Frames per second of an encoder's input, after the convolutions."""


@dataclass(frozen=True, kw_only=True)
class MeanLengths:
    """Mean lengths of examples, which no recipe states.

    Attributes:
        speech_seconds: of a recording without text.
        labeled_seconds: of a recording with a text.
        text_tokens: tokens of a text without speech or translation.
        labeled_tokens: tokens of a transcript or translation.

    Raises:
        ValueError: a length of 0 or less.
    """

    speech_seconds: float = 15.0
    labeled_seconds: float = 8.0
    text_tokens: float = 350.0
    labeled_tokens: float = 110.0

    def __post_init__(self) -> None:
        check_positive_sizes(self)

    def seconds_of(self, task: str) -> float:
        """Seconds of a recording of a task, 0 for texts."""
        return {"speech": self.speech_seconds, "asr": self.labeled_seconds, "ast": self.labeled_seconds}.get(task, 0.0)

    def tokens_of(self, task: str) -> float:
        """Text tokens of an example of a task, of its source and target together."""
        tokens = {"speech": 0.0, "text": self.text_tokens, "mt": 2 * self.labeled_tokens}
        return tokens.get(task, self.labeled_tokens)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Devices of a run.

    Attributes:
        num_devices: number of devices.
        device_flops: floating-point operations per second of one device at its peak.
        utilization: share of the peak that training reaches.

    Raises:
        ValueError: a value of 0 or less.
    """

    num_devices: int
    device_flops: float = 989e12
    utilization: float = 0.4

    def __post_init__(self) -> None:
        check_positive_sizes(self)


def check_positive_sizes(values: Any) -> None:
    """Raises a `ValueError` that names the first field of 0 or less."""
    for item in fields(values):
        if not getattr(values, item.name) > 0:
            raise ValueError(f"`{item.name}` must be above 0, got {getattr(values, item.name)}")


def count_flops(recipe: MixtureRecipe, config: MixtureConfig, lengths: MeanLengths) -> float:
    """Operations of forward and backward pass of one micro-batch: 6 for each weight and position, and attention.

    A labeled example has three views: source to target, target to source, and both together. An unlabeled one has
    one. mSLAM has one view of each example and no decoder, and texts pass only the layers after those for speech.
    Convolutions of the front end, normalisation and the speech tokenizer are left out.

    Args:
        recipe: the run.
        config: its mixture.
        lengths: mean lengths of examples.

    Raises:
        RecipeError: the recipe has no file of a model configuration.
    """
    if recipe.model.config is None:
        raise RecipeError("model.config: costs are computed from the file of a model configuration, but there is none")
    model: dict[str, Any] = json.loads(Path(recipe.model.config).read_text(encoding="utf-8"))
    encoder, decoder = model["encoder_config"], model.get("decoder_config")
    by_task = {task: _rows_of(task, lengths, decoder is not None) * config.shares[task] for task in config.tasks}
    rows = [row for of_task in by_task.values() for row in of_task]
    width, inner = encoder["hidden_size"], encoder["intermediate_size"]
    operations = 0.0
    for task, of_task in by_task.items():
        num_layers = encoder["num_hidden_layers"] - (model.get("num_speech_layers", 0) if task == "text" else 0)
        # Two feed-forward modules; attention 4, the convolution module 3.
        operations += _count_passes(of_task, num_layers, width, 4 * width * inner + 7 * width**2)
    if decoder is not None:
        width, inner = decoder["hidden_size"], decoder["intermediate_size"]
        operations += _count_passes(rows, decoder["num_hidden_layers"], width, 2 * width * inner + 8 * width**2)
    # Choice: half of the positions are predicted, by the encoder and, if there is one, by the decoder.
    num_outputs = 0.5 * sum(rows) * (1 if decoder is None else 2)
    operations += 6 * num_outputs * width * model["vocab_size"]
    return operations * (4 / 3 if recipe.training.activation_checkpointing else 1)


def _rows_of(task: str, lengths: MeanLengths, three_views: bool) -> list[float]:
    """Positions of the views of one example."""
    if task == "mt":
        source = target = lengths.labeled_tokens
    else:
        source = lengths.seconds_of(task) * FRAME_RATE
        target = lengths.tokens_of(task)
    if task in ("speech", "text"):
        return [source + target]
    return [source, target, source + target] if three_views else [source + target]


def _count_passes(rows: list[float], num_layers: int, width: int, num_weights: int) -> float:
    return float(sum(num_layers * (6 * num_weights * length + 12 * width * length**2) for length in rows))
