# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of Mu2SLAM's pre-training: views of a mixed batch of speech, text and pairs.

Legend: U = utterances, T = 10 ms frames (of imported encoders: 20 ms, or samples), M = values per frame, N =
encoder frames, P = text tokens, R = rows, L = encoder positions of a row, D = decoder positions of a row. Units are
explained in `views`.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from mu2slam_hf.data.collation.collator import check_at_least_one
from mu2slam_hf.data.collation.masking_collator import MaskingCollator
from mu2slam_hf.data.collation.packing import assemble_rows, pack_rows
from mu2slam_hf.data.collation.views import VIEWS_OF_TASK, Content, CTCInput, UnitPool, View, ViewBuilder
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.masking import IntArray, MaskingConfig, number_words
from mu2slam_hf.models.modules_speech_inputs import is_log_mel
from mu2slam_hf.models.task_types import PRETRAINING_VIEWS, SPEECH, TEXT

NON_MODEL_KEYS: tuple[str, ...] = ("record_ids", "speech_tokenizer_waveforms", "speech_tokenizer_keys")
"""Keys of a batch that are no inputs of the model; the last two exist only if the speech tokenizer requires them."""

EncodedTexts = dict[tuple[str, str], tuple[IntArray, IntArray]]
"""Text and language -> ids and word numbers of its tokens."""


class Mu2SLAMPreTrainingCollator(MaskingCollator[MaskingConfig]):
    """Collates examples of all five tasks: every view of every example, packed into rows.

    The batch has `input_features` `(U, T, M)` float32 (front end `waveform`: `input_values` `(U, T)`) and
    `attention_mask` `(U, T)` int64 (1 on real frames), each utterance once; `text_ids` `(P,)` int64 (pad, `<s>`,
    `</s>`, then tokens); the tensors of `assemble_rows`; and `record_ids`, ids of the examples for messages. Without
    speech there is one utterance of 40 ms of silence that no unit refers to. If the speech tokenizer has other inputs
    than the model, there are also `speech_tokenizer_waveforms`, a list of U tensors `(n,)` float32 at 16 kHz, and
    `speech_tokenizer_keys`, names of these recordings for caching their ids. A batch without usable items is one empty
    row.

    Choice: the forward and the backward view of an example are packed into the same row, because one is as long on the
    encoder side as the other on the decoder side; if they are too long together, they are packed separately.
    Choice: `<unk>` is an input, but never a target.
    Choice: a transcript with more labels than frames has no CTC loss; it is counted and logged once.

    Args:
        processor: processor with `feature_extractor`, `tokenizer`, `languages` and the `speech_tokenizer`, if any.
        seed: seed of the run; masks depend on it and on epoch, copy, id, view and segment.
        masking: rules of masking.
        layout: "packed"; or "plain" for a list of batches, one per task and view, with one view per row and the
            utterances of that view: slow, as a reference and for benchmarks.
        ctc_input: "masked" or "clean", see `ViewBuilder`.
        max_row_length: maximum number of encoder or decoder positions of a row; a longer view is alone in its row.
        kwargs: as in `SpeechTextCollator`.

    Raises:
        ValueError: an unknown layout or `ctc_input`, or a length below 1.
    """

    def __init__(
        self,
        processor: Any,
        *,
        seed: int,
        masking: MaskingConfig | None = None,
        layout: Literal["packed", "plain"] = "packed",
        ctc_input: CTCInput = "masked",
        max_row_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(processor, seed=seed, masking=masking or MaskingConfig(), **kwargs)
        for name, value, allowed in (
            ("layout", layout, ("packed", "plain")),
            ("ctc_input", ctc_input, get_args(CTCInput)),
        ):
            if value not in allowed:
                raise ValueError(f"`{name}` must be one of {', '.join(allowed)}; got {value!r}")
        check_at_least_one(max_row_length=max_row_length)
        self.layout, self.ctc_input, self.max_row_length = layout, ctc_input, max_row_length
        self.tokenizer_reads_waveforms = needs_waveforms(processor)

    def __call__(self, items: Sequence[Item]) -> dict[str, Any] | list[dict[str, Any]]:
        """Collate items of any tasks.

        Raises:
            ValueError: an example without a task, or in a language that is not in the model's table.
        """
        usable = [item for item in items if item.error is None]
        texts = self._encode_texts(usable)
        if self.layout == "packed":
            return self._collate(usable, texts)
        batches = []
        for view in PRETRAINING_VIEWS:
            chosen = [item for item in usable if view in VIEWS_OF_TASK[item.drawn.task]]
            if chosen:
                batches.append(self._collate(chosen, texts, view))
        return batches or [self._collate([], texts)]

    def _collate(self, items: Sequence[Item], texts: EncodedTexts, view: str | None = None) -> dict[str, Any]:
        """A packed batch of all views, or a plain one of the given view."""
        inputs, pool, frames_of_items = self._inputs(items)
        groups: list[list[View]] = []
        for item, frames in zip(items, frames_of_items, strict=True):
            drawn = item.drawn
            builder = ViewBuilder(
                masking=self.masking_of(drawn),
                candidate_ids=self.candidate_ids,
                pool=pool,
                generator_of=self.generator_of(drawn),
                ctc_input=self.ctc_input,
            )
            source, target = self._contents(drawn, frames, texts, pool)
            names = VIEWS_OF_TASK[drawn.task] if view is None else (view,)
            groups += self._group([self._check_ctc(builder.build(name, source, target), drawn) for name in names])
        if view is None:
            packed = pack_rows(
                [sum(view.encoder_length for view in group) for group in groups],
                [sum(view.decoder_length for view in group) for group in groups],
                max_row_length=self.max_row_length,
            )
            groups = [[view for number in row for view in groups[number]] for row in packed]
        return {
            **inputs,
            "text_ids": torch.from_numpy(pool.text_ids),
            **assemble_rows(groups or [[]], pool, pad_to_multiple_of=self.pad_to_multiple_of),
            "record_ids": [item.drawn.example.id for item in items],
        }

    def _inputs(self, items: Sequence[Item]) -> tuple[dict[str, Any], UnitPool, list[IntArray | None]]:
        """Features of all utterances, the index space, and per item the units of its frames (None for text)."""
        speakers = [item for item in items if item.drawn.example.source_modality == "speech"]
        waveforms = self.waveforms_of(speakers)
        inputs: dict[str, Any] = self.speech.extract(waveforms)
        speech = inputs[self.speech.name]
        if not speakers:
            speech.zero_()  # the mean, whatever the scale
        specials = [self.tokenizer.pad_token_id, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id]
        pool = UnitPool(len(speech), self.speech.num_frames(speech.shape[1]), specials)
        units = iter([pool.frames(row, length) for row, length in enumerate(self.count_frames(inputs))])
        frames = [next(units) if item.drawn.example.source_modality == "speech" else None for item in items]
        if self.tokenizer_reads_waveforms:
            inputs["speech_tokenizer_waveforms"] = [torch.from_numpy(waveform) for waveform in waveforms]
            inputs["speech_tokenizer_keys"] = [recording_key(item) for item in speakers] or ["silence"]
        return inputs, pool, frames

    def _contents(
        self, drawn: DrawnExample, frames: IntArray | None, texts: EncodedTexts, pool: UnitPool
    ) -> tuple[Content, Content | None]:
        """Source and target of an example, with their tokens in the pool."""
        example = drawn.example
        language, is_given = self.language_row(example.source_lang), self.language_row(drawn.source_lang)
        if frames is not None:
            source = Content(
                units=frames,
                may_be_target=np.ones(len(frames), dtype=bool),
                modality_id=SPEECH,
                language_id=language,
                told_language_id=is_given,
            )
        else:
            source = self._text(texts[example.source_text or "", example.source_lang], language, is_given, pool)
        if not drawn.targets:
            return source, None
        target = drawn.targets[0]
        language = self.language_row(target.lang)
        return source, self._text(texts[target.text, target.lang], language, language, pool)

    def _text(
        self, encoded: tuple[IntArray, IntArray], language_id: int, told_language_id: int, pool: UnitPool
    ) -> Content:
        token_ids, word_numbers = encoded
        return Content(
            units=pool.add_tokens(token_ids),
            may_be_target=token_ids != self.tokenizer.unk_token_id,
            modality_id=TEXT,
            language_id=language_id,
            told_language_id=told_language_id,
            word_numbers=word_numbers,
            token_ids=token_ids,
        )

    def _encode_texts(self, items: Sequence[Item]) -> EncodedTexts:
        """Tokens of all texts of a batch."""
        keys: dict[tuple[str, str], None] = {}
        for item in items:
            example = item.drawn.example
            if example.source_modality == "text":
                keys[example.source_text or "", example.source_lang] = None
            keys |= {(target.text, target.lang): None for target in item.drawn.targets}
        if not keys:
            return {}
        encoded = self.tokenizer(
            [text for text, _ in keys],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        return {
            (text, lang): (np.array(ids, dtype=np.int64), number_words(text, offsets, lang))
            for (text, lang), ids, offsets in zip(keys, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        }

    def _group(self, views: list[View]) -> list[list[View]]:
        """Groups of views that are packed into the same row."""
        if len(views) == 1:
            return [views]
        first, backward, alignment = views
        together = max(first.encoder_length + backward.encoder_length, first.decoder_length + backward.decoder_length)
        if self.max_row_length is not None and together > self.max_row_length:
            return [[first], [backward], [alignment]]
        return [[first, backward], [alignment]]

    def _check_ctc(self, view: View, drawn: DrawnExample) -> View:
        """The view, without CTC labels if there are none or too many."""
        if view.ctc_labels is None:
            return view
        labels = view.ctc_labels.tolist()
        fits = self.transcripts.keep_fitting(labels, view.encoder_length, drawn.example.id)
        return view if fits else view.without_ctc()


def needs_waveforms(processor: Any) -> bool:
    """Whether the speech tokenizer of a processor has other inputs than the model."""
    speech_tokenizer = getattr(processor, "speech_tokenizer", None)
    if speech_tokenizer is None:
        return False
    return speech_tokenizer.config.reads_waveforms or not is_log_mel(processor.feature_extractor)


def recording_key(item: Item) -> str:
    """A name of a recording: the same for all its examples, different for every other waveform."""
    example = item.drawn.example
    name = example.id if example.record is None else example.record.key
    return f"{name}/{0 if item.waveform is None else len(item.waveform)}"
