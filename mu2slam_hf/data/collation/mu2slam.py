# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a mixed batch of speech, text and pairs to the inputs of the pre-training model.

Legend: U = utterances, T = 10 ms frames (of imported encoders: 20 ms, or samples), M = numbers in one of them, N =
encoder frames, P = text tokens, R = rows, L = encoder positions of a row, D = decoder positions of a row. Units are
explained in `views`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from mu2slam_hf.data.collation.packing import assemble_rows, pack_rows
from mu2slam_hf.data.collation.supervised import SpeechInputs, TranscriptCheck
from mu2slam_hf.data.collation.views import (
    SPEECH_MODALITY,
    TEXT_MODALITY,
    VIEWS_OF_TASK,
    Content,
    GeneratorOf,
    UnitPool,
    View,
    ViewBuilder,
)
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.masking import IntArray, MaskingConfig, number_words
from mu2slam_hf.data.random_keys import draw_generator
from mu2slam_hf.models.language_codes import language_index
from mu2slam_hf.models.modules_speech_inputs import is_log_mel
from mu2slam_hf.models.task_types import PRETRAINING_VIEWS

PRETRAINING_NON_MODEL_KEYS: tuple[str, ...] = ("record_ids",)
"""Keys of a batch that the trainer takes out before it calls the model."""

CODEC_KEYS: tuple[str, ...] = ("codec_waveforms", "codec_keys")
"""Those that are only there where the speech codec reads something else than the model; taken out likewise."""

_SILENT_SAMPLES = 640
_EncodedText = tuple[IntArray, IntArray]
"""Ids and word numbers of the tokens of a text."""


class PretrainingCollator:
    """Makes one batch of examples of all five tasks: every view of every example, packed into rows.

    The batch has `input_features` `(U, T, M)` float32 (front end `waveform`: samples `(U, T)`) and
    `attention_mask` `(U, T)` int64 (1 on real frames), each utterance once; `text_ids` `(P,)` int64 (pad, `<s>`,
    `</s>`, then tokens); all that `assemble_rows` gives; and `record_ids`, ids of the examples for messages. Without
    speech there is one utterance of 40 ms of silence that nothing points to. Where the speech codec reads something
    else than the model, there are also `codec_waveforms`, a list of U tensors `(n,)` float32 at 16 kHz, and
    `codec_keys`, what these recordings are known by. Items with an error are left out; a batch of nothing is one empty
    row.

    Choice: the forward and the backward view of one example go into the same row, because one is as long on the
    encoder side as the other on the decoder side; where they are too long together, each goes where it fits.
    Choice: `<unk>` is read, and never predicted.
    Choice: a transcript that has more labels than frames gets no CTC loss; it is counted and named once.

    Args:
        processor: has `feature_extractor`, `tokenizer`, `languages` and the `speech_codec`, if any.
        seed: of the run; with epoch, copy, id, view and segment it decides every mask.
        masking: the rules of masking.
        layout: "packed"; or "plain", which gives a list of batches, one per task and view with one view in a row and
            the utterances of that view: the slow way, as a reference and for benchmarks.
        ctc_input: "masked" or "clean", see `ViewBuilder`.
        max_row_length: most encoder or decoder positions of a row; an item longer than that has a row of its own.
        pad_to_multiple_of: of L and D, limits the number of shapes.
        pad_frames_to_multiple_of: of T.
        encoder_config: the model's, names its front end; None for `conv2d`.

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
        ctc_input: Literal["masked", "clean"] = "masked",
        max_row_length: int | None = None,
        pad_to_multiple_of: int = 1,
        pad_frames_to_multiple_of: int = 1,
        encoder_config: Any = None,
    ) -> None:
        for name, value, allowed in (
            ("layout", layout, ("packed", "plain")),
            ("ctc_input", ctc_input, ("masked", "clean")),
        ):
            if value not in allowed:
                raise ValueError(f"`{name}` must be one of {', '.join(allowed)}; got {value!r}")
        for name, length in (
            ("max_row_length", max_row_length),
            ("pad_to_multiple_of", pad_to_multiple_of),
            ("pad_frames_to_multiple_of", pad_frames_to_multiple_of),
        ):
            if length is not None and length < 1:
                raise ValueError(f"`{name}` must be at least 1, got {length}")
        self.tokenizer = processor.tokenizer
        self.speech = SpeechInputs(processor.feature_extractor, encoder_config, pad_frames_to_multiple_of)
        self.codec_reads_waveforms = needs_waveforms(processor)
        self.languages = list(processor.languages)
        self.seed, self.layout = seed, layout
        self.max_row_length, self.pad_to_multiple_of = max_row_length, pad_to_multiple_of
        self.builder = ViewBuilder(
            masking=masking or MaskingConfig(),
            candidate_ids=list_text_ids(self.tokenizer),
            ctc_input=ctc_input,
        )
        self._transcripts = TranscriptCheck()
        self._language_rows: dict[str, int] = {}

    def __call__(self, items: Sequence[Item]) -> dict[str, Any] | list[dict[str, Any]]:
        """Collate items of any tasks.

        Raises:
            ValueError: an example that belongs to no task, or in a language that the model does not know.
        """
        usable = [item for item in items if item.error is None]
        tasks = [item.drawn.task for item in usable]
        texts = self._encode_texts(usable)
        if self.layout == "packed":
            return self._packed(usable, tasks, texts)
        batches = []
        for name in PRETRAINING_VIEWS:
            chosen = [number for number, task in enumerate(tasks) if name in VIEWS_OF_TASK[task]]
            if chosen:
                batches.append(self._plain([usable[number] for number in chosen], name, texts))
        return batches or [self._packed([], [], texts)]

    @property
    def num_ctc_too_long(self) -> int:
        """Transcripts so far, over all loader processes, that need more encoder frames than there are."""
        return self._transcripts.num_too_long

    def _packed(
        self, items: Sequence[Item], tasks: Sequence[str], texts: dict[tuple[str, str], _EncodedText]
    ) -> dict[str, Any]:
        batch, pool, frame_counts = self._inputs(items)
        groups: list[list[View]] = []
        for item, task, frames in zip(items, tasks, frame_counts, strict=True):
            source, target = self._contents(item.drawn, frames, texts, pool)
            views = self.builder.build_all(task, source, target, pool, self._generator_of(item.drawn))
            groups += self._groups(self._check_ctc(view, item.drawn) for view in views)
        rows = pack_rows(
            [sum(view.encoder_length for view in group) for group in groups],
            [sum(view.decoder_length for view in group) for group in groups],
            max_row_length=self.max_row_length,
        )
        return self._batch(batch, [[view for group in row for view in groups[group]] for row in rows], pool, items)

    def _plain(self, items: Sequence[Item], name: str, texts: dict[tuple[str, str], _EncodedText]) -> dict[str, Any]:
        batch, pool, frame_counts = self._inputs(items)
        rows = []
        for item, frames in zip(items, frame_counts, strict=True):
            source, target = self._contents(item.drawn, frames, texts, pool)
            view = self.builder.build(name, source, target, pool, self._generator_of(item.drawn))
            rows.append([self._check_ctc(view, item.drawn)])
        return self._batch(batch, rows, pool, items)

    def _batch(
        self, inputs: dict[str, Any], rows: list[list[View]], pool: UnitPool, items: Sequence[Item]
    ) -> dict[str, Any]:
        return {
            **inputs,
            "text_ids": torch.from_numpy(pool.text_ids),
            **assemble_rows(rows or [[]], pool, pad_to_multiple_of=self.pad_to_multiple_of),
            "record_ids": [item.drawn.example.id for item in items],
        }

    def _inputs(self, items: Sequence[Item]) -> tuple[dict[str, Any], UnitPool, list[IntArray | None]]:
        """Features of all utterances, the index space, and per item the units of its frames (None for text)."""
        speakers = [item for item in items if item.drawn.example.source_modality == "speech"]
        waveforms = [item.waveform for item in speakers if item.waveform is not None]
        if len(waveforms) < len(speakers):
            missing = next(item.drawn.example.id for item in speakers if item.waveform is None)
            raise ValueError(f"{missing}: a speech item needs a waveform, or the `error` that says why it has none")
        waveforms = waveforms or [np.zeros(_SILENT_SAMPLES, dtype=np.float32)]
        features, mask = self.speech.extract(waveforms)
        if not speakers:
            features.zero_()  # the mean, whatever the scale
        specials = [self.tokenizer.pad_token_id, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id]
        pool = UnitPool(features.shape[0], self.speech.num_frames(features.shape[1]), specials)
        lengths = iter(self.speech.num_frames(mask.sum(dim=1)).tolist())
        frames: list[IntArray | None] = []
        utterance = 0
        for item in items:
            if item.drawn.example.source_modality == "speech":
                frames.append(pool.frames(utterance, next(lengths)))
                utterance += 1
            else:
                frames.append(None)
        inputs: dict[str, Any] = {"input_features": features, "attention_mask": mask}
        if self.codec_reads_waveforms:
            inputs["codec_waveforms"] = [torch.from_numpy(waveform) for waveform in waveforms]
            inputs["codec_keys"] = [recording_key(item) for item in speakers] or ["silence"]
        return inputs, pool, frames

    def _contents(
        self,
        drawn: DrawnExample,
        frames: IntArray | None,
        texts: dict[tuple[str, str], _EncodedText],
        pool: UnitPool,
    ) -> tuple[Content, Content | None]:
        """Source and target of an example, with their tokens in the pool."""
        example = drawn.example
        language, told = self._language_row(example.source_lang), self._language_row(drawn.source_lang)
        if frames is not None:
            source = Content(
                units=frames,
                may_be_target=np.ones(len(frames), dtype=bool),
                modality_id=SPEECH_MODALITY,
                language_id=language,
                told_language_id=told,
            )
        else:
            source = self._text(texts[example.source_text or "", example.source_lang], language, told, pool)
        if not drawn.targets:
            return source, None
        target = drawn.targets[0]
        language = self._language_row(target.lang)
        return source, self._text(texts[target.text, target.lang], language, language, pool)

    def _text(self, encoded: _EncodedText, language_id: int, told_language_id: int, pool: UnitPool) -> Content:
        token_ids, word_numbers = encoded
        return Content(
            units=pool.add_tokens(token_ids),
            may_be_target=token_ids != self.tokenizer.unk_token_id,
            modality_id=TEXT_MODALITY,
            language_id=language_id,
            told_language_id=told_language_id,
            word_numbers=word_numbers,
            token_ids=token_ids,
        )

    def _encode_texts(self, items: Sequence[Item]) -> dict[tuple[str, str], _EncodedText]:
        """Tokens of all texts of a batch, by text and language."""
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

    def _groups(self, views: Any) -> list[list[View]]:
        """Views that are to stand in one row."""
        first, *others = views
        if not others:
            return [[first]]
        backward, alignment = others
        together = max(first.encoder_length + backward.encoder_length, first.decoder_length + backward.decoder_length)
        if self.max_row_length is not None and together > self.max_row_length:
            return [[first], [backward], [alignment]]
        return [[first, backward], [alignment]]

    def _check_ctc(self, view: View, drawn: DrawnExample) -> View:
        """The view, without its CTC labels where there is nothing or too much to say."""
        if view.ctc_labels is None:
            return view
        labels = view.ctc_labels.tolist()
        if labels and self._transcripts.fits(labels, view.encoder_length, drawn.example.id):
            return view
        return view.without_ctc()

    def _generator_of(self, drawn: DrawnExample) -> GeneratorOf:
        return lambda purpose: draw_generator(self.seed, drawn.key, drawn.example.id, purpose)

    def _language_row(self, lang: str) -> int:
        if lang not in self._language_rows:
            self._language_rows[lang] = language_index(lang, self.languages)
        return self._language_rows[lang]


def needs_waveforms(processor: Any) -> bool:
    """Whether the speech codec of a processor reads something else than the model does."""
    codec = getattr(processor, "speech_codec", None)
    return codec is not None and (codec.config.reads_waveforms or not is_log_mel(processor.feature_extractor))


def recording_key(item: Item) -> str:
    """What a recording is known by: the same in all its examples, another one for every other waveform."""
    example = item.drawn.example
    name = example.id if example.record is None else example.record.key
    return f"{name}/{0 if item.waveform is None else len(item.waveform)}"


def list_text_ids(tokenizer: Any) -> IntArray:
    """Ids of the text part of the vocabulary."""
    specials = set(tokenizer.all_special_ids)
    first = tokenizer.text_token_offset
    ids = [index for index in range(first, len(tokenizer)) if index not in specials]
    if not ids:
        raise ValueError("the tokenizer has no text token; train it on texts first")
    return np.array(ids, dtype=np.int64)
