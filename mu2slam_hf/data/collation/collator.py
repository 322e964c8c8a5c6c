# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of all collators: speech, texts, languages and transcripts of a batch.

Legend: B = utterances, T = frames (or samples) that the front end reads, L = tokens of the longest row.
"""

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.data.augmentation import SpecAugment
from mu2slam_hf.data.collation.padding import pad_rows
from mu2slam_hf.data.collation.speech_inputs import SpeechInputs, silence
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.masking import IntArray
from mu2slam_hf.data.shared_counts import LogOnce, SharedCounts
from mu2slam_hf.models.language_codes import language_index


class SpeechTextCollator:
    """Collates items into a batch: a dictionary with the names of the model's inputs.

    Items with an `error` are left out. If the model always requires speech, a batch without any has one silent
    utterance without labels, so that all processes run the same modules.

    Args:
        processor: processor with `feature_extractor`, `tokenizer` and, for models with language ids, `languages`.
        encoder_config: encoder configuration of the model, for its front end; None for `conv2d`.
        pad_to_multiple_of: multiple for the length of rows of tokens, limits the number of shapes.
        pad_frames_to_multiple_of: multiple for T, limits the number of shapes.
        spec_augment: masks on the features of `read_speech`; None for none.

    Raises:
        ValueError: a multiple below 1, or a feature extractor that does not match the front end.
    """

    def __init__(
        self,
        processor: Any,
        *,
        encoder_config: Any = None,
        pad_to_multiple_of: int = 1,
        pad_frames_to_multiple_of: int = 1,
        spec_augment: SpecAugment | None = None,
    ) -> None:
        check_at_least_one(pad_to_multiple_of=pad_to_multiple_of, pad_frames_to_multiple_of=pad_frames_to_multiple_of)
        self.tokenizer: Any = processor.tokenizer
        self.languages: list[str] = list(getattr(processor, "languages", ()))
        self.speech = SpeechInputs(processor.feature_extractor, encoder_config, pad_frames_to_multiple_of)
        self.pad_to_multiple_of = pad_to_multiple_of
        self.spec_augment = spec_augment
        self.transcripts = TranscriptCheck()
        self._language_rows: dict[str, int] = {}

    @property
    def num_ctc_too_long(self) -> int:
        """Number of transcripts so far, over all loader processes, that need more encoder frames than there are."""
        return self.transcripts.num_too_long

    def waveforms_of(self, items: Sequence[Item]) -> list[FloatArray]:
        """Waveforms `(n,)` of items with speech; silence if there are no items.

        Raises:
            ValueError: an item without a waveform.
        """
        for item in items:
            if item.waveform is None:
                raise ValueError(f"{item.drawn.example.id}: a speech item must have a waveform or an `error`")
        return [item.waveform for item in items if item.waveform is not None] or [silence()]

    def read_speech(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """Features and `attention_mask` of items with speech, masked by `spec_augment`; silence if there are no items.

        Raises:
            ValueError: an item without a waveform.
        """
        batch = self.speech.extract(self.waveforms_of(items))
        if self.spec_augment is not None and items:
            batch[self.speech.name] = self.spec_augment(
                batch[self.speech.name],
                batch["attention_mask"].sum(dim=1).tolist(),
                [item.drawn.key for item in items],
                [item.drawn.example.id for item in items],
                num_stacked_frames=self.speech.num_stacked_frames,
            )
        return batch

    def count_frames(self, batch: dict[str, Any]) -> list[int]:
        """Number of encoder frames of each utterance of a batch."""
        frames: list[int] = self.speech.num_frames(batch["attention_mask"].sum(dim=1)).tolist()
        return frames

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without `</s>`."""
        if not texts:
            return []
        return list(self.tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"])

    def read_texts(self, texts: Sequence[str], second_texts: Sequence[str | None] = ()) -> dict[str, Tensor]:
        """Source texts, each with `</s>`: `input_ids` and `attention_mask` `(B, L)` int64.

        Args:
            texts: the texts.
            second_texts: the second segment of each row, or None for a row of one text.
        """
        rows = [[*ids, self.tokenizer.eos_token_id] for ids in self.encode(texts)]
        pairs = [(row, second) for row, second in zip(rows, second_texts, strict=False) if second is not None]
        for (row, _), ids in zip(pairs, self.encode([second for _, second in pairs]), strict=True):
            row += [*ids, self.tokenizer.eos_token_id]
        mask = self.pad([[1] * len(row) for row in rows], 0)
        return {"input_ids": self.pad(rows, self.tokenizer.pad_token_id), "attention_mask": mask}

    def without_unknown(self, token_ids: Sequence[int]) -> list[int]:
        """Token ids without `<unk>`, which is not a target of CTC."""
        return [token_id for token_id in token_ids if token_id != self.tokenizer.unk_token_id]

    def pad(self, rows: Sequence[Sequence[int] | IntArray], value: int) -> Tensor:
        """`(B, L)` int64, see `pad_rows`."""
        return pad_rows(rows, value, self.pad_to_multiple_of)

    def language_row(self, lang: str) -> int:
        """Row of a language in the model's table.

        Raises:
            ValueError: the language is not in the table.
        """
        if lang not in self._language_rows:
            self._language_rows[lang] = language_index(lang, self.languages)
        return self._language_rows[lang]

    def known_rows(self, languages: Sequence[str]) -> list[int]:
        """Rows of languages, 0 (`und`) for one that is not in the table: mSLAM may be trained on any language."""
        return [self.language_row(code) if code in self.languages else 0 for code in languages]


def check_at_least_one(**numbers: int | None) -> None:
    """Check that options of a collator are at least 1 or None.

    Raises:
        ValueError: a number below 1.
    """
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ValueError(f"`{name}` must be at least 1, got {number}")


logger = logging.getLogger(__name__)


class TranscriptCheck:
    """Finds transcripts without a CTC path, counts them over all loader processes and logs the first few.

    Choice: only a few, because such a transcript is no error: dense text is common, and the trainer logs the number.
    """

    def __init__(self) -> None:
        self._counts = SharedCounts("ctc_too_long")
        self._log = LogOnce(logger, max_lines=3)

    @property
    def num_too_long(self) -> int:
        """Number of transcripts so far that did not fit."""
        return self._counts["ctc_too_long"]

    def keep_fitting(
        self, token_ids: list[int], num_frames: int, example_id: str, max_symbols_per_frame: int | None = None
    ) -> list[int]:
        """The labels, or none if they need more than `num_frames` encoder frames.

        Args:
            token_ids: the labels.
            num_frames: number of encoder frames of the recording.
            example_id: id for the log.
            max_symbols_per_frame: labels that a frame can have, for a transducer; None for CTC: one, and a blank
                between two equal ones.
        """
        repeats = sum(first == second for first, second in zip(token_ids, token_ids[1:], strict=False))
        needed = len(token_ids) + repeats
        if max_symbols_per_frame is not None:
            needed = -(-len(token_ids) // max_symbols_per_frame)
        if needed <= num_frames:
            return token_ids
        loss = "CTC" if max_symbols_per_frame is None else "transducer"
        self._counts.add("ctc_too_long")
        self._log.warning(
            example_id,
            f"{example_id}: the transcript needs {needed} encoder frames, got {num_frames}; it has no {loss} loss",
        )
        return []
