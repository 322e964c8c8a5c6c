# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From items of the data set to a padded dictionary keyed by the names of the model's inputs.

Legend: B = examples, T = 10 ms frames (of imported encoders: 20 ms, or samples), F = numbers in one of them, L =
positions of the longest row, Lc = longest transcript in tokens.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.data.augmentation import SpecAugment
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.example import TASK_NAMES, Target
from mu2slam_hf.data.shared_counts import LogOnce, SharedCounts
from mu2slam_hf.models.language_codes import language_index
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_speech_inputs import (
    describe_mismatch,
    extract_speech,
    speech_input_name,
    stacked_frames_of,
)

logger = logging.getLogger(__name__)

IGNORED = -100
TEXT_MODALITY = 1
NON_MODEL_KEYS: tuple[str, ...] = ("task_ids",)
"""Keys of a batch that the trainer takes out before it calls the model."""


@dataclass(frozen=True)
class PackedTarget:
    """One decoder sequence before packing: `<s> y1 .. yn` in, `y1 .. yn </s>` out."""

    token_ids: list[int]
    language_id: int
    task_id: int


class SpeechInputs:
    """What a model's front end reads of waveforms, and how many encoder frames it makes of that.

    Args:
        feature_extractor: ours, or that of an imported encoder; None where there is no speech.
        encoder_config: names the front end; None for `conv2d`.
        pad_to_multiple_of: of T.

    Raises:
        ValueError: the front end reads something else than the feature extractor makes.
    """

    def __init__(self, feature_extractor: Any, encoder_config: Any = None, pad_to_multiple_of: int = 1) -> None:
        self.feature_extractor, self.encoder_config = feature_extractor, encoder_config
        self.pad_to_multiple_of = pad_to_multiple_of
        mismatch = None if feature_extractor is None else describe_mismatch(feature_extractor, encoder_config)
        if mismatch is not None:
            raise ValueError(f"`feature_extractor` and `encoder_config` do not fit one another: {mismatch}")

    @property
    def name(self) -> str:
        """Key of the speech in a batch: `input_features` or `input_values`."""
        return speech_input_name(self.feature_extractor.model_input_names) or "input_features"

    def extract(self, waveforms: Sequence[FloatArray | None]) -> tuple[Tensor, Tensor]:
        """`(B, T, F)` (or `(B, T)` samples) float32 and the mask `(B, T)` int64 of `(n,)` waveforms at 16 kHz."""
        return extract_features(self.feature_extractor, waveforms, self.pad_to_multiple_of)

    def num_frames(self, lengths: Any) -> Any:
        """Encoder frames of `lengths` real places along T, an int or an integer tensor."""
        return encoder_length(lengths, self.encoder_config)


class MultitaskCollator:
    """Makes speech batches and text batches; all items of a batch have the same source modality.

    Speech: `input_features` `(B, T, F)` (front end `waveform`: `input_values` `(B, T)`), `attention_mask` `(B, T)`,
    `ctc_labels` `(B, Lc)` (the transcript without `</s>`, -100 elsewhere and in rows without one).
    Text: `input_ids`, `attention_mask` `(B, L)`.
    Both: `language_ids` `(B,)` (what the model is told), `source_language_labels` `(B,)` (the truth, -100
    unknown), and the packed decoder rows of `pack_targets`. Items without audio are left out; a batch of nothing else
    becomes one row of silence without labels, so that all ranks keep the same number of batches.

    Args:
        processor: has `feature_extractor`, `tokenizer` and `languages`; or give these three.
        feature_extractor: waveforms to what the front end reads.
        tokenizer: text to ids.
        languages: the model's list, row 0 is `und`.
        spec_augment: masks on the features; None for none.
        pad_frames_to_multiple_of: limits the number of shapes of speech.
        pad_tokens_to_multiple_of: limits the number of shapes of text and decoder rows.
        encoder_config: the model's, names its front end; None for `conv2d`.
    """

    def __init__(
        self,
        processor: Any = None,
        *,
        feature_extractor: Any = None,
        tokenizer: Any = None,
        languages: Sequence[str] | None = None,
        spec_augment: SpecAugment | None = None,
        pad_frames_to_multiple_of: int = 1,
        pad_tokens_to_multiple_of: int = 1,
        encoder_config: Any = None,
    ) -> None:
        self.feature_extractor: Any = feature_extractor or getattr(processor, "feature_extractor", None)
        self.tokenizer: Any = tokenizer or getattr(processor, "tokenizer", None)
        languages = languages if languages is not None else getattr(processor, "languages", None)
        if self.tokenizer is None or languages is None:
            raise ValueError("give a `processor` with `tokenizer` and `languages`, or these two themselves")
        self.languages = list(languages)
        self.spec_augment = spec_augment
        self.speech = SpeechInputs(self.feature_extractor, encoder_config, pad_frames_to_multiple_of)
        self.pad_tokens_to_multiple_of = pad_tokens_to_multiple_of
        self._transcripts = TranscriptCheck()
        self._language_rows: dict[str, int] = {}

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """Collate items of one modality.

        Raises:
            ValueError: no items, or speech and text in one batch.
        """
        modalities = {item.drawn.example.source_modality for item in items}
        if len(modalities) != 1:
            raise ValueError(
                f"a batch needs examples of exactly one source modality, got {sorted(modalities) or 'none'}"
            )
        usable = [item for item in items if item.error is None]
        batch = self._text_source(usable) if modalities == {"text"} else self._speech_source(usable)
        if not usable:
            return batch | self._decoder([[]]) | self._languages_of([None])
        batch |= self._decoder([[self._packed(target) for target in item.drawn.targets] for item in usable])
        return batch | self._languages_of(usable)

    @property
    def num_ctc_too_long(self) -> int:
        """Transcripts so far, over all loader processes, that need more encoder frames than there are."""
        return self._transcripts.num_too_long

    def _speech_source(self, items: Sequence[Item]) -> dict[str, Tensor]:
        if self.feature_extractor is None:
            raise ValueError("speech needs a `feature_extractor`")
        waveforms = [item.waveform for item in items] or [torch.zeros(SAMPLING_RATE // 10).numpy()]
        features, mask = self.speech.extract(waveforms)
        lengths = mask.sum(dim=1).tolist()
        if self.spec_augment is not None and items:
            keys, ids = [item.drawn.key for item in items], [item.drawn.example.id for item in items]
            stacked = stacked_frames_of(self.feature_extractor)
            features = self.spec_augment(features, lengths, keys, ids, num_stacked_frames=stacked)
        return {
            self.speech.name: features,
            "attention_mask": mask,
            "ctc_labels": self._ctc_labels(items, lengths),
        }

    def _text_source(self, items: Sequence[Item]) -> dict[str, Tensor]:
        rows = [list(self.tokenizer(item.drawn.example.source_text)["input_ids"]) for item in items]
        ids = _pad_rows(rows, self.tokenizer.pad_token_id, self.pad_tokens_to_multiple_of)
        mask = _pad_rows([[1] * len(row) for row in rows], 0, self.pad_tokens_to_multiple_of)
        return {"input_ids": ids, "attention_mask": mask}

    def _ctc_labels(self, items: Sequence[Item], lengths: Sequence[int]) -> Tensor:
        """`(B, Lc)`; a transcript that needs more encoder frames than there are is counted and left out."""
        rows: list[list[int]] = []
        for item, num_frames in zip(items, lengths, strict=False):
            transcripts = [target for target in item.drawn.targets if target.task == "asr"]
            row = self._token_ids(transcripts[0].text) if transcripts else []
            fits = self._transcripts.fits(row, self.speech.num_frames(num_frames), item.drawn.example.id)
            rows.append(row if fits else [])
        return _pad_rows(rows or [[]], IGNORED, self.pad_tokens_to_multiple_of)

    def _packed(self, target: Target) -> PackedTarget:
        return PackedTarget(
            token_ids=self._token_ids(target.text),
            language_id=self._language_row(target.lang),
            task_id=TASK_NAMES.index(target.task),
        )

    def _decoder(self, rows: Sequence[Sequence[PackedTarget]]) -> dict[str, Tensor]:
        return pack_targets(
            rows,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            pad_to_multiple_of=self.pad_tokens_to_multiple_of,
        )

    def _languages_of(self, items: Sequence[Item | None]) -> dict[str, Tensor]:
        told = [self._language_row(item.drawn.source_lang) if item else 0 for item in items]
        true = [self._language_row(item.drawn.example.source_lang) if item else 0 for item in items]
        return {
            "language_ids": torch.tensor(told),
            # row 0 is `und`: there is nothing to learn where the truth is not known
            "source_language_labels": torch.tensor([row if row != 0 else IGNORED for row in true]),
        }

    def _token_ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _language_row(self, lang: str) -> int:
        if lang not in self._language_rows:
            self._language_rows[lang] = language_index(lang, self.languages)
        return self._language_rows[lang]


class TranscriptCheck:
    """Finds transcripts that CTC has no path for, counts them over all loader processes and names the first few.

    Choice: few, because such a transcript is no fault: dense text is common, and the trainer's log has the number.
    """

    def __init__(self) -> None:
        self._counts = SharedCounts("ctc_too_long")
        self._log = LogOnce(logger, max_lines=3)

    @property
    def num_too_long(self) -> int:
        """Transcripts so far that did not fit."""
        return self._counts["ctc_too_long"]

    def fits(self, token_ids: Sequence[int], num_frames: int, example_id: str) -> bool:
        """Whether so many encoder frames can say the transcript."""
        # CTC needs a blank between two equal labels
        repeats = sum(first == second for first, second in zip(token_ids, token_ids[1:], strict=False))
        needed = len(token_ids) + repeats
        if needed <= num_frames:
            return True
        self._counts.add("ctc_too_long")
        self._log.warning(
            example_id,
            f"{example_id}: transcript needs {needed} encoder frames, there are {num_frames}; no CTC loss for it",
        )
        return False


def extract_features(
    feature_extractor: Any, waveforms: Sequence[FloatArray | None], pad_frames_to_multiple_of: int = 1
) -> tuple[Tensor, Tensor]:
    """What a front end reads of `(n,)` waveforms at 16 kHz.

    Returns:
        features `(B, T, F)` float32, or samples `(B, T)` where the feature extractor gives `input_values`; and a mask
        `(B, T)` int64, 1 on real frames or samples.
    """
    extracted = extract_speech(feature_extractor, list(waveforms), SAMPLING_RATE, padding=True, return_tensors="pt")
    features = extracted[speech_input_name(extracted) or "input_features"]
    mask = extracted["attention_mask"].to(torch.int64)
    extra = -features.shape[1] % pad_frames_to_multiple_of
    if extra:
        # Time is the second axis of both.
        features = torch.nn.functional.pad(features, (*(0,) * (2 * (features.ndim - 2)), 0, extra))
        mask = torch.nn.functional.pad(mask, (0, extra))
    return features, mask


def pack_targets(
    rows: Sequence[Sequence[PackedTarget]],
    *,
    bos_token_id: int,
    eos_token_id: int,
    pad_token_id: int,
    pad_to_multiple_of: int = 1,
) -> dict[str, Tensor]:
    """Several targets of one source side by side in one decoder row.

    Args:
        rows: targets of each example.
        bos_token_id: `<s>`, first input of every sequence.
        eos_token_id: `</s>`, last label of every sequence.
        pad_token_id: input on padding.
        pad_to_multiple_of: of L.

    Returns:
        All `(B, L)` int64: `decoder_input_ids`; `labels` (-100 on padding); `decoder_sequence_ids` (1, 2, ... within a
        row, 0 on padding); `decoder_position_ids` (restart per sequence); `decoder_language_ids` (0 on padding);
        `decoder_modality_ids` (1 = text everywhere); `decoder_source_ids` (1 everywhere: one source per row; also on
        padding, so that no position has an empty source); `task_ids` (numbers in `TASK_NAMES`, -1 on padding).
    """
    columns: dict[str, list[list[int]]] = {
        name: [[] for _ in rows]
        for name in (
            "decoder_input_ids",
            "labels",
            "decoder_sequence_ids",
            "decoder_position_ids",
            "decoder_language_ids",
            "task_ids",
        )
    }
    for row, targets in enumerate(rows):
        for number, target in enumerate(targets, start=1):
            length = len(target.token_ids) + 1
            columns["decoder_input_ids"][row] += [bos_token_id, *target.token_ids]
            columns["labels"][row] += [*target.token_ids, eos_token_id]
            columns["decoder_sequence_ids"][row] += [number] * length
            columns["decoder_position_ids"][row] += range(length)
            columns["decoder_language_ids"][row] += [target.language_id] * length
            columns["task_ids"][row] += [target.task_id] * length
    padding = {"decoder_input_ids": pad_token_id, "labels": IGNORED, "task_ids": -1}
    packed = {name: _pad_rows(lists, padding.get(name, 0), pad_to_multiple_of) for name, lists in columns.items()}
    packed["decoder_modality_ids"] = torch.full_like(packed["labels"], TEXT_MODALITY)
    packed["decoder_source_ids"] = torch.ones_like(packed["labels"])
    return packed


def _pad_rows(rows: Sequence[Sequence[int]], value: int, multiple: int) -> Tensor:
    """`(B, L)` int64 with L at least 1 and a multiple of `multiple`."""
    longest = max(1, *(len(row) for row in rows)) if rows else 1
    longest += -longest % multiple
    padded = torch.full((len(rows), longest), value, dtype=torch.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return padded
