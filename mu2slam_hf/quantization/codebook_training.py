# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of the codebook of a k-means speech tokenizer in several passes over features, with resuming.

Shapes: F features of a frame, M mel bins, K entries.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modules_quantization import CodebookHealth, compute_codebook_health
from mu2slam_hf.quantization.kmeans import SAMPLE_PER_CENTRE, StreamingKMeans, StreamStatistics

logger = logging.get_logger(__name__)

# A codebook with a lower usage has collapsed.
COLLAPSED_USAGE = 0.6
# As in the statistics of the feature extractor: bins above 4 kHz are empty in telephone speech.
LOG_MEL_STD_FLOOR = 0.5
# Only limits dimensions of an encoder that are nearly constant.
ENCODER_STD_FLOOR = 0.01


@dataclass(kw_only=True)
class CodebookTrainingConfig:
    """Configuration of k-means.

    Attributes:
        passes: number of passes over the data, after one that computes means, deviations and a sample. In the last
            pass the codebook is updated once, at the end, to the means of all frames.
        update_frames: number of frames per update of the codebook, in all passes except the last.
        keep: weight of earlier frames after an update.
        sample_per_centre: number of frames per entry in the sample for k-means++ and for the replacement of dead
            entries.
        std_floor_ratio: lower bound of deviations relative to their median; None means 0.5 for log-mel features, 0.01
            for those of an encoder.
        seed: seed of the sample, the initial entries, and the order of the recordings.
    """

    passes: int = 8
    update_frames: int = 50_000
    keep: float = 0.5
    sample_per_centre: int = SAMPLE_PER_CENTRE
    std_floor_ratio: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("passes", "update_frames", "sample_per_centre"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.keep <= 1.0:
            raise ValueError(f"keep must be between 0 and 1, got {self.keep}")


@dataclass(frozen=True, kw_only=True)
class CodebookPass:
    """Statistics of one pass.

    Attributes:
        number: number of the pass, from 1.
        num_frames: number of frames of the pass.
        inertia: mean squared distance to the nearest entry, per standardised dimension; 1 for a single entry at the
            mean.
        health: usage statistics of the entries.
    """

    number: int
    num_frames: int
    inertia: float
    health: CodebookHealth


FeaturesOfPass = Callable[[int], Iterable[Tensor]]


def train_codebook(
    tokenizer: SpeechTokenizerModel,
    features_of_pass: FeaturesOfPass,
    config: CodebookTrainingConfig,
    *,
    state_file: str | os.PathLike[str] | None = None,
    on_pass: Callable[[CodebookPass], None] = lambda _: None,
) -> list[CodebookPass]:
    """Fit standardisation and codebook of a `kmeans` tokenizer, in place.

    Args:
        tokenizer: tokenizer to train; its encoder is not changed.
        features_of_pass: function from the number of a pass to batches `(frames, F)` float of features
            (`tokenizer.compute_features`). Every pass must return the same frames, in any order; pass 0 computes the
            statistics.
        config: configuration of k-means.
        state_file: written after every pass; an existing file is resumed from. Removed at the end.
        on_pass: called with the statistics of each pass.

    Returns:
        the passes of this call.

    Raises:
        ValueError: the tokenizer is of another kind, there are too few frames, or the state file is from another run.
    """
    if tokenizer.config.kind != "kmeans":
        raise ValueError(f"expected a tokenizer of kind 'kmeans', got {tokenizer.config.kind!r}")
    identity = json.dumps([asdict(config), tokenizer.config.to_dict()], sort_keys=True, default=str)
    quantizer = tokenizer.quantizer
    device = quantizer.codebook.device
    state = _load_state(state_file, identity)
    if state is None:
        kmeans = _start(tokenizer, features_of_pass(0), config)
        _save_state(state_file, identity, 1, kmeans, quantizer)
        first = 1
    else:
        kmeans, first = StreamingKMeans.from_state(state["kmeans"], device), state["next_pass"]
        quantizer.mean.copy_(state["mean"])
        quantizer.std.copy_(state["std"])
    passes, warned = [], False
    for number in range(first, config.passes + 1):
        vectors = (quantizer.standardize(features.to(device)) for features in features_of_pass(number))
        done = run_pass(kmeans, vectors, config, number)
        passes.append(done)
        quantizer.codebook.copy_(kmeans.centres)
        _save_state(state_file, identity, number + 1, kmeans, quantizer)
        on_pass(done)
        # Not after the first pass, unless it is the only one: dead entries have only just been replaced.
        if not warned and (number > 1 or number == config.passes):
            warned = warn_of_collapse(done.health, f"in pass {number} of {config.passes}")
    quantizer.codebook.copy_(kmeans.centres)
    if state_file is not None:
        Path(state_file).unlink(missing_ok=True)
    return passes


def _start(tokenizer: SpeechTokenizerModel, batches: Iterable[Tensor], config: CodebookTrainingConfig) -> Any:
    """Run the statistics pass and choose the initial entries."""
    num_centres = tokenizer.config.num_codevectors_per_group
    quantizer, device = tokenizer.quantizer, tokenizer.quantizer.codebook.device
    statistics = StreamStatistics(
        tokenizer.config.feature_size, config.sample_per_centre * num_centres, seed=config.seed
    )
    for features in batches:
        statistics.add(features)
    floor = LOG_MEL_STD_FLOOR if tokenizer.config.features == "log_mel" else ENCODER_STD_FLOOR
    mean, std = statistics.standardization(floor if config.std_floor_ratio is None else config.std_floor_ratio)
    quantizer.mean.copy_(mean)
    quantizer.std.copy_(std)
    return StreamingKMeans(quantizer.standardize(statistics.sample.to(device)), num_centres, seed=config.seed)


def run_pass(
    kmeans: StreamingKMeans, batches: Iterable[Tensor], config: CodebookTrainingConfig, number: int
) -> CodebookPass:
    """Run one pass over standardised features, which updates `kmeans`.

    Args:
        kmeans: the centres.
        batches: `(frames, F)` float each.
        config: configuration of k-means.
        number: number of the pass; the last one updates the centres once.
    """
    is_last = number == config.passes
    num_frames, squared_distance = 0, 0.0
    counts = torch.zeros_like(kmeans.counts)

    def close_window() -> None:
        nonlocal num_frames, squared_distance, counts
        counts += kmeans.new_counts
        num_frames += kmeans.num_pending
        squared_distance += kmeans.inertia * kmeans.num_pending
        kmeans.update(0.0 if is_last else config.keep, reseed=not is_last)

    for vectors in batches:
        kmeans.accumulate(vectors)
        if not is_last and kmeans.num_pending >= config.update_frames:
            close_window()
    if kmeans.num_pending:
        close_window()
    if num_frames == 0:
        raise ValueError("k-means: no features; is the corpus empty?")
    return CodebookPass(
        number=number,
        num_frames=num_frames,
        inertia=squared_distance / num_frames / kmeans.centres.shape[1],
        health=compute_codebook_health(counts.long()),
    )


def warn_of_collapse(health: CodebookHealth, when: str = "") -> bool:
    """Warn if most of a codebook is not used.

    Args:
        health: usage statistics.
        when: time of the statistics, for the message.

    Returns:
        whether a warning was logged.
    """
    if health.usage >= COLLAPSED_USAGE:
        return False
    logger.warning(
        f"Only {100 * health.usage:.0f} % of {health.num_codevectors} codebook entries are used by {health.num_ids} "
        f"frames{' ' if when else ''}{when} (perplexity {health.perplexity:.0f}): use fewer entries or more audio."
    )
    return True


def _save_state(
    path: str | os.PathLike[str] | None, identity: str, next_pass: int, kmeans: StreamingKMeans, quantizer: Any
) -> None:
    if path is None:
        return
    state = {"identity": identity, "next_pass": next_pass, "kmeans": kmeans.state_dict()}
    with atomic_path(path) as temporary:
        torch.save({**state, "mean": quantizer.mean.data, "std": quantizer.std.data}, temporary)


def _load_state(path: str | os.PathLike[str] | None, identity: str) -> dict[str, Any] | None:
    if path is None or not Path(path).is_file():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    if state["identity"] != identity:
        raise ValueError(
            f"{path} is from a run with other settings: remove it to train from scratch, or use another folder"
        )
    logger.warning(f"Resuming with pass {state['next_pass']} from {path}.")
    return state


def measure_input_statistics(batches: Iterable[Tensor]) -> tuple[list[float], list[float]]:
    """Mean and deviation of every mel bin, for the `feature_mean` and `feature_std` of a random projection.

    Paper: BEST-RQ requires input with zero mean and unit variance; otherwise few entries are used.

    Args:
        batches: `(frames, M)` float, real frames only.
    """
    statistics: StreamStatistics | None = None
    for features in batches:
        statistics = statistics or StreamStatistics(features.shape[-1], 0)
        statistics.add(features)
    if statistics is None:
        raise ValueError("no features; is the corpus empty?")
    mean, std = statistics.standardization(LOG_MEL_STD_FLOOR)
    return [round(value, 4) for value in mean.tolist()], [round(value, 4) for value in std.tolist()]
