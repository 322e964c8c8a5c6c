# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The data set of training and evaluation: examples with their random draws, and audio, loaded and augmented."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from mu2slam_hf.data.audio import SAMPLING_RATE, AudioCache, AudioError, FloatArray
from mu2slam_hf.data.augmentation import WaveformAugmenter, limit_band
from mu2slam_hf.data.examples.batch_limits import BatchLimits, ExampleCost
from mu2slam_hf.data.examples.draws import DrawnExample, DrawOptions, draw_source_lang, draw_targets
from mu2slam_hf.data.examples.example import Example, Target, join_examples
from mu2slam_hf.data.examples.failures import FailureCount
from mu2slam_hf.data.random_keys import DrawKey, draw_generator


@dataclass(frozen=True, kw_only=True)
class Item:
    """Input of the collators: a draw with its waveform, or with the error of reading it.

    Attributes:
        drawn: the draw.
        waveform: `(n,)` float32 at 16 kHz; None for text and for audio that cannot be read.
        error: record and reason if the audio cannot be read.
    """

    drawn: DrawnExample
    waveform: FloatArray | None = None
    error: str | None = None


class ExampleDataset(Dataset[Item]):
    """Examples with their random draws and audio, by `DrawKey` or by plain index (evaluation: epoch 0).

    In streams a key contains its example, otherwise the position in the table.

    Args:
        examples: all examples; none for streams.
        options: options of the random draws.
        augmenter: augmentation of the waveforms; None for none.
        cache: cache of decoded audio; None for none, required for streams.
        limits: bounds on a batch; a concatenation or speed that exceeds them by itself is not applied.
        band_limit_hz: frequencies of recordings above this are removed; None keeps all.
        seed: seed of the run.
        max_failed_share: largest share of unreadable recordings at which training continues.
        reads_audio: whether items have waveforms; False for models that read stored ids of the recordings.

    Raises:
        ValueError: `band_limit_hz` is not in (0, 8000].
    """

    def __init__(
        self,
        examples: Sequence[Example] = (),
        options: DrawOptions | None = None,
        *,
        augmenter: WaveformAugmenter | None = None,
        cache: AudioCache | None = None,
        limits: BatchLimits | None = None,
        band_limit_hz: float | None = None,
        seed: int = 0,
        max_failed_share: float = 0.01,
        reads_audio: bool = True,
    ) -> None:
        if band_limit_hz is not None and not 0 < band_limit_hz <= SAMPLING_RATE / 2:
            raise ValueError(f"`band_limit_hz` must be in (0, {SAMPLING_RATE // 2}], got {band_limit_hz}")
        self.examples = list(examples)
        self.options = options or DrawOptions()
        self.augmenter, self.limits, self.band_limit_hz, self.seed = augmenter, limits, band_limit_hz, seed
        self.cache = cache if cache is not None else AudioCache(max_bytes=0)
        self.failures = FailureCount(max_failed_share)
        self.reads_audio = reads_audio
        self._short: dict[tuple[str, str], list[int]] = defaultdict(list)
        if augmenter is not None and augmenter.config.concatenate_prob > 0:
            for index, example in enumerate(self.examples):
                short = example.duration_seconds <= augmenter.config.concatenate_max_seconds
                if example.source_modality == "speech" and short:
                    self._short[(example.corpus, example.source_lang)].append(index)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: DrawKey | int) -> Item:
        """The draw with its audio; `error` has the record and the reason if the audio cannot be read.

        Raises:
            TooManyBadRecordsError: the share of unreadable recordings exceeds `max_failed_share`.
        """
        drawn = self.draw(key if isinstance(key, DrawKey) else DrawKey(int(key)))
        if drawn.example.source_modality == "text" or not self.reads_audio:
            return Item(drawn=drawn)
        try:
            waveform = self._waveform(drawn)
        except AudioError as error:
            reason = f"{drawn.example.id}: {error}"
            self.failures.add(reason)
            return Item(drawn=drawn, error=reason)
        self.failures.add(None)
        return Item(drawn=drawn, waveform=waveform)

    def cost_of(self, key: DrawKey) -> ExampleCost:
        """Lengths of a draw, without reading audio; called for every example of every epoch."""
        return self._draw(self._example_of(key), key, source_lang=None).cost

    def draw(self, key: DrawKey) -> DrawnExample:
        """All random choices for an example except its samples: a function of the key and the seed."""
        example = self._example_of(key)
        generator = draw_generator(self.seed, key, example.id, "source_lang")
        ratio = float(self.options.undetermined_source_ratio)
        return self._draw(example, key, source_lang=draw_source_lang(example.source_lang, ratio, generator))

    def _example_of(self, key: DrawKey) -> Example:
        return key.example if isinstance(key.example, Example) else self.examples[key.example]

    def _draw(self, head: Example, key: DrawKey, source_lang: str | None) -> DrawnExample:
        parts, gap, speed = self._draw_lengths(head, key)
        example = join_examples(parts) if len(parts) > 1 else head
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

    def _draw_lengths(self, head: Example, key: DrawKey) -> tuple[tuple[Example, ...], float, float]:
        """The utterances to concatenate, the silence between them and the speed, within the limits."""
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
            joined = join_examples(parts)
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
        if self.band_limit_hz is not None:
            waveform = limit_band(waveform, self.band_limit_hz)
        if self.augmenter is None:
            return waveform
        return self.augmenter(waveform, drawn.key, drawn.example.id, speed_factor=drawn.speed_factor)

    def _load(self, example: Example) -> FloatArray:
        record = example.record
        if record is None:
            raise AudioError("the example has no recording")
        name = record.audio if isinstance(record.audio, str) else f"audio of record {record.key}"
        waveform = self.cache.load(record.audio, key=name, name=name)
        seconds = len(waveform) / SAMPLING_RATE
        # Batches are filled by the durations of the manifest: a wrong one could exceed the memory limit.
        if seconds > 1.1 * example.duration_seconds + 0.5:
            raise AudioError(f"{name}: expected {example.duration_seconds:.2f} s by the manifest, got {seconds:.2f} s")
        return waveform
