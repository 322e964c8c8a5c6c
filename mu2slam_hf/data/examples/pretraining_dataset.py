# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What pre-training reads: examples by their position in a table, or carried along by the key of a stream."""

from collections.abc import Sequence
from typing import NamedTuple

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.examples.dataset import DrawOptions, MultitaskDataset, MultitaskItem
from mu2slam_hf.data.examples.tasks import TrainingExample
from mu2slam_hf.data.random_keys import DrawKey


class StreamKey(NamedTuple):
    """Key of a draw from a stream: there is no table to look into, so it brings its example along.

    Attributes:
        example: with its audio as a path or as the compressed bytes of a file.
        draw: epoch and step of the draw; its `example_index` means nothing.
    """

    example: TrainingExample
    draw: DrawKey


class PretrainingDataset(MultitaskDataset):
    """Examples with their audio, and the language that the model is told; what is masked is drawn by the collator.

    Paper: section 2 has the source language always given. Choice: in 30 % of draws it is `und`.

    Args:
        examples: of all tasks, as the sampler has them; none for streams.
        undetermined_source_ratio: share of draws where the model is not told the source language.
        cache: keeps decoded audio; None for none, as streams need.
        seed: seed of the run.
        max_failed_share: share of unreadable recordings from which training stops.
    """

    def __init__(
        self,
        examples: Sequence[TrainingExample] = (),
        *,
        undetermined_source_ratio: float = 0.3,
        cache: AudioCache | None = None,
        seed: int = 0,
        max_failed_share: float = 0.01,
    ) -> None:
        options = DrawOptions(undetermined_source_ratio=undetermined_source_ratio)
        super().__init__(examples, options, cache=cache, seed=seed, max_failed_share=max_failed_share)

    def __getitem__(self, key: StreamKey | DrawKey | int) -> MultitaskItem:
        """The draw with its audio; `error` names record and reason where there is none.

        Raises:
            TooManyBadRecordsError: more than the share allowed could not be read.
        """
        if isinstance(key, StreamKey):
            return self.load_item(self.draw_of(key.example, key.draw))
        return super().__getitem__(key)
