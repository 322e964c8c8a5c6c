# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The data set that training reads: examples with what is drawn for them, their audio loaded and augmented."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from huggingface_hub.dataclasses import strict
from torch.utils.data import Dataset

from mu2slam_hf.data.audio import SAMPLING_RATE, AudioCache, AudioError, FloatArray, audio_duration_seconds
from mu2slam_hf.data.augmentation import WaveformAugmenter
from mu2slam_hf.data.examples.tasks import (
    TASK_NAMES,
    Target,
    TrainingExample,
    draw_source_lang,
    draw_targets,
    join_examples,
)
from mu2slam_hf.data.random_keys import DrawKey, draw_generator
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.bucketed import BatchLimits, ExampleCost
from mu2slam_hf.data.shared_counts import LogOnce, SharedCounts
from mu2slam_hf.data.text import join_texts

logger = logging.getLogger(__name__)


class TooManyBadRecordsError(ValueError):
    """More records than allowed could not be read; the message names the latest."""


@dataclass(frozen=True, kw_only=True)
class DrawnExample:
    """One example as it is trained on in one epoch.

    Attributes:
        key: which draw it is.
        example: the example, joined where two utterances were concatenated.
        parts: the utterances, one or two.
        gap_seconds: silence between them.
        speed_factor: speed perturbation.
        source_lang: the language the model is told, `und` in a share of draws.
        targets: the targets drawn.
    """

    key: DrawKey
    example: TrainingExample
    parts: tuple[TrainingExample, ...]
    gap_seconds: float
    speed_factor: float
    source_lang: str
    targets: tuple[Target, ...]

    @property
    def duration_seconds(self) -> float:
        """Length of the waveform after concatenation and speed perturbation."""
        return (self.example.duration_seconds + self.gap_seconds) / self.speed_factor

    @property
    def cost(self) -> ExampleCost:
        """What it takes in a batch."""
        num_target_tokens = sum(target.num_tokens for target in self.targets)
        return ExampleCost(self.duration_seconds, self.example.num_source_tokens, num_target_tokens)


@dataclass(frozen=True, kw_only=True)
class MultitaskItem:
    """What the collator gets: a draw with its `(n,)` float32 waveform, or the reason why there is none."""

    drawn: DrawnExample
    waveform: FloatArray | None = None
    error: str | None = None


@strict
@dataclass(kw_only=True)
class DrawOptions:
    """What is drawn anew per epoch.

    Attributes:
        max_targets: targets of one example in an epoch; None takes all.
        task_weights: relative chance of a target by task, default 1; `inf` always, 0 never.
        undetermined_source_ratio: share of draws where the model is not told the source language.
    """

    max_targets: int | None = None
    task_weights: dict[str, float | int] = field(default_factory=dict)
    undetermined_source_ratio: float | int = 0.0

    def __post_init__(self) -> None:
        if self.max_targets is not None and self.max_targets < 1:
            raise ValueError(f"`max_targets` must be at least 1 or None, got {self.max_targets}")
        for task, weight in self.task_weights.items():
            if task not in TASK_NAMES or not weight >= 0:
                raise ValueError(
                    f"`task_weights` must give {', '.join(TASK_NAMES)} weights from 0; got {task}: {weight}"
                )
        if not 0 <= self.undetermined_source_ratio <= 1:
            raise ValueError(f"`undetermined_source_ratio` must lie in [0, 1], got {self.undetermined_source_ratio}")


class FailureCount:
    """Attempts and failures over all loader processes.

    Args:
        max_share: share of failures beyond which training stops.
        min_failures: but not before so many.
    """

    def __init__(self, max_share: float, min_failures: int = 10) -> None:
        self.max_share, self.min_failures = max_share, min_failures
        self._counts = SharedCounts("attempts", "failures")
        self._log = LogOnce(logger)

    @property
    def attempts(self) -> int:
        """Records that were to be read."""
        return self._counts["attempts"]

    @property
    def failures(self) -> int:
        """Records that could not be read."""
        return self._counts["failures"]

    def add(self, reason: str | None) -> None:
        """Count one attempt; `reason` says why it failed.

        Raises:
            TooManyBadRecordsError: at least `min_failures` failures, and more than the share allowed.
        """
        self._counts.add("attempts")
        if reason is None:
            return
        self._counts.add("failures")
        self._log.warning(reason, f"record left out: {reason}")
        if self.failures >= self.min_failures and self.failures > self.max_share * self.attempts:
            raise TooManyBadRecordsError(
                f"{self.failures} of {self.attempts} records could not be read, more than the share of "
                f"{self.max_share:g} allowed; the latest: {reason}"
            )


class MultitaskDataset(Dataset[MultitaskItem]):
    """Examples by `DrawKey` (training, from `BucketedBatchSampler`) or by plain index (evaluation: epoch 0).

    Args:
        examples: all examples.
        options: what is drawn of them.
        augmenter: changes to the waveforms; None for none.
        cache: keeps decoded audio.
        limits: a draw never goes beyond them: a concatenation or speed that would is left out.
        seed: seed of the run.
        max_failed_share: share of unreadable recordings from which training stops.
    """

    def __init__(
        self,
        examples: Sequence[TrainingExample],
        options: DrawOptions | None = None,
        *,
        augmenter: WaveformAugmenter | None = None,
        cache: AudioCache | None = None,
        limits: BatchLimits | None = None,
        seed: int = 0,
        max_failed_share: float = 0.01,
    ) -> None:
        self.examples = list(examples)
        self.options = options or DrawOptions()
        self.augmenter, self.limits, self.seed = augmenter, limits, seed
        self.cache = cache if cache is not None else AudioCache(max_bytes=0)
        self.failures = FailureCount(max_failed_share)
        self._short: dict[tuple[str, str], list[int]] = defaultdict(list)
        if augmenter is not None and augmenter.config.concatenate_prob > 0:
            for index, example in enumerate(self.examples):
                short = example.duration_seconds <= augmenter.config.concatenate_max_seconds
                if example.source_modality == "speech" and short:
                    self._short[(example.corpus, example.source_lang)].append(index)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: DrawKey | int) -> MultitaskItem:
        """The draw with its audio; never raises for audio that cannot be read, up to the share allowed."""
        return self.load_item(self.draw(key if isinstance(key, DrawKey) else DrawKey(int(key))))

    def load_item(self, drawn: DrawnExample) -> MultitaskItem:
        """Load the audio of a draw, count the attempt, and put the reason in its place where it cannot be read."""
        if drawn.example.source_modality == "text":
            return MultitaskItem(drawn=drawn)
        try:
            waveform = self._waveform(drawn)
        except AudioError as error:
            reason = f"{drawn.example.id}: {error}"
            self.failures.add(reason)
            return MultitaskItem(drawn=drawn, error=reason)
        self.failures.add(None)
        return MultitaskItem(drawn=drawn, waveform=waveform)

    def cost_of(self, key: DrawKey) -> ExampleCost:
        """Lengths of a draw, without reading its audio; asked for every example of every epoch."""
        return self._draw(self.examples[key.example_index], key, source_lang=None).cost

    def draw(self, key: DrawKey) -> DrawnExample:
        """Everything that is random about an example except its samples: a function of the key and the seed."""
        return self.draw_of(self.examples[key.example_index], key)

    def draw_of(self, example: TrainingExample, key: DrawKey) -> DrawnExample:
        """As `draw`, for an example that need not be among those of the table."""
        generator = draw_generator(self.seed, key, example.id, "source_lang")
        ratio = float(self.options.undetermined_source_ratio)
        return self._draw(example, key, source_lang=draw_source_lang(example.source_lang, ratio, generator))

    def _draw(self, head: TrainingExample, key: DrawKey, source_lang: str | None) -> DrawnExample:
        parts, gap, speed = self._draw_lengths(head, key)
        example = join_examples(parts, join_texts) if len(parts) > 1 else head
        generator = draw_generator(self.seed, key, head.id, "targets")
        targets = draw_targets(example.targets, self.options.max_targets, self.options.task_weights, generator)
        return DrawnExample(
            key=key,
            example=example,
            parts=parts,
            gap_seconds=gap,
            speed_factor=speed,
            source_lang=source_lang or example.source_lang,
            targets=self._within_limits(targets),
        )

    def _draw_lengths(self, head: TrainingExample, key: DrawKey) -> tuple[tuple[TrainingExample, ...], float, float]:
        """The utterances to join, the silence between them and the speed, within the limits."""
        if self.augmenter is None or head.source_modality == "text":
            return (head,), 0.0, 1.0
        longest = float(self.limits.max_seconds) if self.limits is not None else float("inf")
        speed = self.augmenter.speed_factor(key, head.id)
        if head.duration_seconds / speed > longest:
            return (head,), 0.0, 1.0
        short = self._short.get((head.corpus, head.source_lang), [])
        if head.duration_seconds > self.augmenter.config.concatenate_max_seconds:
            return (head,), 0.0, speed
        chosen = self.augmenter.partner(key, head.id, len(short))
        if chosen is not None:
            parts = (head, self.examples[short[chosen[0]]])
            joined = join_examples(parts, join_texts)
            if joined.targets and (joined.duration_seconds + chosen[1]) / speed <= longest:
                return parts, chosen[1], speed
        return (head,), 0.0, speed

    def _within_limits(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        if self.limits is None:
            return targets
        while len(targets) > 1 and sum(target.num_tokens for target in targets) > self.limits.max_target_tokens:
            targets = targets[:-1]
        return targets

    def _waveform(self, drawn: DrawnExample) -> FloatArray:
        """`(n,)` float32 at 16 kHz."""
        pieces = [self._load(part) for part in drawn.parts]
        if len(pieces) > 1:
            pieces.insert(1, np.zeros(round(drawn.gap_seconds * SAMPLING_RATE), dtype=np.float32))
        waveform = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        if self.augmenter is None:
            return waveform
        return self.augmenter(waveform, drawn.key, drawn.example.id, speed_factor=drawn.speed_factor)

    def _load(self, example: TrainingExample) -> FloatArray:
        record = example.record
        if record is None:
            raise AudioError("the example has no recording")
        name = record.audio if isinstance(record.audio, str) else f"audio of record {record.key}"
        waveform = self.cache.load(record.audio, key=name, name=name)
        seconds = len(waveform) / SAMPLING_RATE
        # Batches are filled by the manifest's lengths: a wrong one would break the memory bound without a word.
        if seconds > 1.1 * example.duration_seconds + 0.5:
            raise AudioError(f"{name}: lasts {seconds:.2f} s, the manifest says {example.duration_seconds:.2f} s")
        return waveform


def split_by_limits(
    examples: Iterable[TrainingExample], limits: BatchLimits
) -> tuple[list[TrainingExample], list[TrainingExample]]:
    """Examples that fit into a batch, and those that are beyond its limits even alone with their shortest target."""
    kept: list[TrainingExample] = []
    beyond: list[TrainingExample] = []
    for example in examples:
        shortest = min((target.num_tokens for target in example.targets), default=0)
        cost = ExampleCost(example.duration_seconds, example.num_source_tokens, shortest)
        (kept if limits.hold(cost, 1) else beyond).append(example)
    return kept, beyond


def fill_durations(
    records: Iterable[SpeechTextRecord], *, num_threads: int = 8
) -> tuple[list[SpeechTextRecord], list[str]]:
    """Records with the lengths of their recordings, read from the headers where the manifest has none.

    Returns:
        The records, without those whose audio cannot be read, and the reasons for these.
    """

    def fill(record: SpeechTextRecord) -> SpeechTextRecord | str:
        if record.audio is None or record.duration_seconds is not None:
            return record
        try:
            return record.with_duration(audio_duration_seconds(record.audio))
        except AudioError as error:
            return f"{record.key}: {error}"

    with ThreadPoolExecutor(num_threads) as pool:
        results = list(pool.map(fill, records))
    filled = [result for result in results if isinstance(result, SpeechTextRecord)]
    return filled, [result for result in results if isinstance(result, str)]
