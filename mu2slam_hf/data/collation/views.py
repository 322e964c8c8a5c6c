# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The views of pre-training: encoder segments, decoder sequences and their targets.

A view refers to its contents by *units*, indices in one index space of a batch:

    unit 0                [MASK]
    unit 1 + u * N + n    encoder frame n of utterance u
    unit 1 + U * N + p    token p of the batch's `text_ids`

A masked position refers to unit 0, and the audio of an utterance is processed once for all its views.

Legend: U = utterances, N = encoder frames of the longest one, P = tokens of `text_ids`, n = units of one content.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mu2slam_hf.data.masking import (
    BoolArray,
    GeneratorOf,
    IntArray,
    MaskingConfig,
    corrupt_tokens,
    draw_frame_mask,
    draw_span_mask,
)
from mu2slam_hf.models.modules_losses import IGNORE_INDEX
from mu2slam_hf.models.task_types import PRETRAINING_TASKS, PRETRAINING_VIEWS, TEXT

MASK_UNIT = 0

CTCInput = Literal["masked", "clean"]
"""Encoder inputs of the forward ASR view, which has the CTC loss: masked, or clean without masked prediction."""

VIEWS_OF_TASK: dict[str, tuple[str, ...]] = {
    task: (task,) if task in ("speech", "text") else (task, f"{task}_backward", f"{task}_alignment")
    for task in PRETRAINING_TASKS
}
"""Paper: section 2.3, Eq. 3 and 6. Unlabeled data have denoising; pairs have forward, backward and alignment views."""


class UnitPool:
    """The index space of one batch.

    Args:
        num_utterances: U.
        frames_per_utterance: N.
        special_ids: ids of pad, `<s>` and `</s>`, the first entries of `text_ids`.
    """

    def __init__(self, num_utterances: int, frames_per_utterance: int, special_ids: Sequence[int]) -> None:
        self.num_utterances, self.frames_per_utterance = num_utterances, frames_per_utterance
        self._first_text = 1 + num_utterances * frames_per_utterance
        self._parts: list[IntArray] = [np.asarray(special_ids, dtype=np.int64)]
        self._num_tokens = len(special_ids)
        self.pad, self.bos, self.eos = range(self._first_text, self._first_text + 3)

    def frames(self, utterance: int, num_frames: int) -> IntArray:
        """Units of the first frames of an utterance."""
        first = 1 + utterance * self.frames_per_utterance
        return np.arange(first, first + num_frames, dtype=np.int64)

    def add_tokens(self, token_ids: IntArray) -> IntArray:
        """Append tokens to `text_ids` and return their units."""
        first = self._first_text + self._num_tokens
        self._parts.append(token_ids)
        self._num_tokens += len(token_ids)
        return np.arange(first, first + len(token_ids), dtype=np.int64)

    @property
    def text_ids(self) -> IntArray:
        """`(P,)` int64: the special ids, then all tokens added."""
        return np.concatenate(self._parts)


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Content:
    """One side of an example: the frames of an utterance or the tokens of a text, without `</s>`.

    Attributes:
        units: `(n,)` int64.
        may_be_target: `(n,)` bool, False for positions that are never targets (`<unk>`).
        modality_id: speech or text.
        language_id: row of the true language in the language table.
        told_language_id: row of the language given to the encoder, 0 (`und`) in a share of the draws.
        word_numbers: `(n,)` int64, see `number_words`; None for speech.
        token_ids: `(n,)` int64; None for speech.
    """

    units: IntArray
    may_be_target: BoolArray
    modality_id: int
    language_id: int
    told_language_id: int
    word_numbers: IntArray | None = None
    token_ids: IntArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """One content as an input of the encoder, or one decoder sequence, with its targets.

    Attributes:
        units: `(l,)` int64. Encoder: with [MASK] and random tokens; a text ends with `</s>`. Decoder: the inputs, the
            first is `<s>`.
        label_positions: `(k,)` int64, positions with a target: the unit at this position on the encoder, the next
            one on the decoder.
        labels: `(k,)` int64, units of the targets.
        modality_id: speech or text.
        language_id: encoder: the language given to the model; decoder: the true language of the output.
    """

    units: IntArray
    label_positions: IntArray
    labels: IntArray
    modality_id: int
    language_id: int


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class View:
    """One encoder sequence with all its targets.

    Attributes:
        name: one of `PRETRAINING_VIEWS`.
        segments: inputs of the encoder, concatenated to one sequence.
        sequences: separate sequences of the decoder.
        language_label: row of the source's true language if the model predicts it, else -100.
        ctc_labels: token ids of the transcript on the forward ASR view, else None.
    """

    name: str
    segments: tuple[Segment, ...]
    sequences: tuple[Segment, ...]
    language_label: int = IGNORE_INDEX
    ctc_labels: IntArray | None = None

    @property
    def view_id(self) -> int:
        """Number in `PRETRAINING_VIEWS`."""
        return PRETRAINING_VIEWS.index(self.name)

    @property
    def encoder_length(self) -> int:
        """Encoder positions."""
        return sum(len(segment.units) for segment in self.segments)

    @property
    def decoder_length(self) -> int:
        """Decoder positions."""
        return sum(len(sequence.units) for sequence in self.sequences)

    def without_ctc(self) -> "View":
        """The same view without CTC labels."""
        return replace(self, ctc_labels=None)


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ViewBuilder:
    """Builds the views of one draw of an example.

    Attributes:
        masking: rules of masking.
        candidate_ids: `(c,)` int64, text tokens that may replace a chosen token.
        pool: index space to which random tokens are added.
        generator_of: generators by purpose; masks use `mask:<view>:<number of the segment>`.
        ctc_input: see `CTCInput`.
    """

    masking: MaskingConfig
    candidate_ids: IntArray
    pool: UnitPool
    generator_of: GeneratorOf
    ctc_input: CTCInput = "masked"

    def build(self, name: str, source: Content, target: Content | None) -> View:
        """Build one view.

        Paper: section 2.3. Eq. 2: denoising of one content, on the encoder and on the decoder. Eq. 4: forward and
        backward, from a masked source to the whole target. Eq. 5: alignment, both contents in one encoder sequence,
        each denoised by its own decoder sequence.

        Choice: Eq. 6 has a masked target in the forward loss; the mask is that of the source, whose length differs, so
        the whole target is predicted, with its `</s>` (otherwise generated speech would never stop).
        Choice: the language is predicted on views of the source only, if it is not given.

        Args:
            name: one of `PRETRAINING_VIEWS`.
            source: x.
            target: y; None for speech-only and text-only.
        """
        if target is None:
            segment, mask = self._read(name, 0, source)
            return View(
                name=name,
                segments=(segment,),
                sequences=(denoising_sequence(source, mask, self.pool),),
                language_label=_language_label(source),
            )
        if name.endswith("_alignment"):
            read = [self._read(name, number, side) for number, side in enumerate((source, target))]
            return View(
                name=name,
                segments=tuple(segment for segment, _ in read),
                sequences=tuple(
                    denoising_sequence(side, mask, self.pool)
                    for side, (_, mask) in zip((source, target), read, strict=True)
                ),
            )
        if name.endswith("_backward"):
            segment, _ = self._read(name, 0, target)
            return View(name=name, segments=(segment,), sequences=(generation_sequence(source, self.pool),))
        segment, _ = self._read(name, 0, source)
        return View(
            name=name,
            segments=(segment,),
            sequences=(generation_sequence(target, self.pool),),
            language_label=_language_label(source),
            ctc_labels=_ctc_labels(target) if name == "asr" else None,
        )

    def _read(self, name: str, number: int, content: Content) -> tuple[Segment, BoolArray]:
        """The encoder inputs of a content in this view, and its mask `(n,)`, True = to be predicted."""
        generator = self.generator_of(f"mask:{name}:{number}")
        units = content.units.copy()
        if name == "asr" and self.ctc_input == "clean":
            mask = np.zeros(len(units), dtype=bool)
        elif content.word_numbers is None:
            mask = draw_frame_mask(len(units), self.masking, generator)
            units[mask] = MASK_UNIT
        else:
            ratio = self.masking.mt_ratio if name.startswith("mt") else self.masking.text_ratio
            mask = draw_span_mask(content.word_numbers, ratio, generator)
            corruption = corrupt_tokens(mask, self.candidate_ids, self.masking, generator)
            units[corruption.is_masked] = MASK_UNIT
            units[corruption.is_random] = self.pool.add_tokens(corruption.random_ids)
        if content.modality_id == TEXT:
            units = np.append(units, self.pool.eos)
        positions = np.flatnonzero(mask & content.may_be_target)
        labels = content.units[positions]
        return Segment(units, positions, labels, content.modality_id, content.told_language_id), mask


def generation_sequence(content: Content, pool: UnitPool) -> Segment:
    """Inputs `<s> y_1 .. y_n`, targets `y_1 .. y_n </s>`; an `<unk>` is an input, but not a target."""
    outputs = np.append(content.units, pool.eos)
    positions = np.flatnonzero(np.append(content.may_be_target, True))
    units = np.insert(content.units, 0, pool.bos)
    return Segment(units, positions, outputs[positions], content.modality_id, content.language_id)


def denoising_sequence(content: Content, mask: BoolArray, pool: UnitPool) -> Segment:
    """The complementary sequence, shifted: inputs `<s> u_1 .. u_(n-1)`, targets the masked x_i, no `</s>`.

    Paper: section 2.3, Eq. 2: u_i is x_i if the encoder's x_i is masked, and [MASK] otherwise.

    Args:
        content: x.
        mask: `(n,)` bool, True if x_i is masked on the encoder.
        pool: index space, for `<s>`.
    """
    shown = np.where(mask, content.units, MASK_UNIT)
    positions = np.flatnonzero(mask & content.may_be_target)
    units = np.insert(shown[:-1], 0, pool.bos)[: len(shown)]
    return Segment(units, positions, content.units[positions], content.modality_id, content.language_id)


def _language_label(source: Content) -> int:
    """Label of the language head: the true language if it is known and not given to the model."""
    return source.language_id if source.told_language_id == 0 != source.language_id else IGNORE_INDEX


def _ctc_labels(transcript: Content) -> IntArray:
    """Ids of the transcript without `<unk>`, which is not a target of CTC."""
    assert transcript.token_ids is not None, "a transcript is a text"
    return transcript.token_ids[transcript.may_be_target]
