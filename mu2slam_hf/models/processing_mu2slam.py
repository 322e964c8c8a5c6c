# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Processor: converts audio, text, languages and tasks to model inputs.

Shapes: `B` items, `T` frames of 10 ms (imported encoders: 20 ms, or samples), `M` values per frame, `L` tokens,
`N` speech ids (25 per second).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature

from .language_codes import UNDETERMINED, canonical_language, language_index
from .modules_adapter_growth import AdapterProcessorMixin
from .modules_losses import IGNORE_INDEX
from .modules_speech_inputs import describe_mismatch, extract_speech
from .processing_speech_output import SpeechOutputProcessorMixin
from .processing_speech_tokenizer import check_text, one_per_item
from .task_types import check_task, listing_choices, resolve_task_arguments
from .tokenization_mu2slam import Mu2SLAMCTCTokenizer


def check_languages(languages: Sequence[str]) -> list[str]:
    """Check a list of languages for `config.languages`.

    Raises:
        ValueError: it does not begin with `und`, contains a code twice, or contains a code that is not canonical.
    """
    checked = list(languages)
    if not checked or checked[0] != UNDETERMINED:
        raise ValueError(f"languages must begin with {UNDETERMINED!r} (row 0 of the table), got {checked[:3]}.")
    for code in checked:
        if canonical_language(code) != code:
            raise ValueError(f"languages contains {code!r}; use the canonical code {canonical_language(code)!r}.")
        if checked.count(code) > 1:
            raise ValueError(f"languages contains {code!r} more than once.")
    return checked


class Mu2SLAMProcessor(AdapterProcessorMixin, SpeechOutputProcessorMixin):
    """Combines a feature extractor, a text tokenizer and an optional speech tokenizer.

    Args:
        feature_extractor: [`Mu2SLAMFeatureExtractor`], or for a model with an imported encoder that of the original
            model (`SeamlessM4TFeatureExtractor`, `Wav2Vec2FeatureExtractor`).
        tokenizer: [`Mu2SLAMTokenizer`], or [`Mu2SLAMCTCTokenizer`] for a CTC model.
        speech_tokenizer: [`SpeechTokenizerModel`] that converts features to codebook ids; None if speech is not a
            target. Saved in the subfolder `speech_tokenizer` and loaded by `from_pretrained`.
        languages: the model's language list, `und` first (`config.languages`); None means `und` alone.
        chat_template: ignored; accepted because transformers passes it to every processor.
        speech_synthesizer: [`SpeechSynthesizerModel`] that makes sound of speech ids; None if there is none. Saved in
            the subfolder `speech_synthesizer` and loaded by `from_pretrained`.

    Raises:
        ValueError: an invalid list of languages, a speech tokenizer that is not a model, or a speech synthesizer of
            another codebook.
    """

    text_kwargs = {"padding": True}

    def __init__(
        self,
        feature_extractor: Any = None,
        tokenizer: Any = None,
        speech_tokenizer: Any = None,
        languages: Sequence[str] | None = None,
        chat_template: str | None = None,
        speech_synthesizer: Any = None,
    ) -> None:
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.set_speech_tokenizer(speech_tokenizer)
        self.set_speech_synthesizer(speech_synthesizer)
        self.languages = check_languages((UNDETERMINED,) if languages is None else languages)

    @property
    def model_input_names(self) -> list[str]:
        """Names of the outputs of a call with audio and text."""
        return [*self.feature_extractor.model_input_names, "labels"]

    def __call__(
        self,
        audio: Any = None,
        text: str | Sequence[str] | None = None,
        source_lang: str | Sequence[str | None] | None = None,
        target_lang: str | Sequence[str | None] | None = None,
        task: str | None = None,
        language: str | Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Model inputs of a batch.

        Args:
            audio: speech source, in any form that [`Mu2SLAMFeatureExtractor`] accepts.
            text: the source text; together with `audio`, the target text, like `text_target`.
            source_lang: language of the source, one code (or name, such as "Spanish") or one per item; None (or
                `und`) means unknown.
            target_lang: language of the target; None means that of the source.
            task: "asr", "ast", "mt", ...: only checked against the other arguments. As in Whisper also "transcribe"
                and "translate", whose `target_lang` is English by default.
            language: Whisper's name of `source_lang`.
            **kwargs: `text_target`, the target text; `sampling_rate` of the audio in Hz; `return_tensors` ("pt" by
                default, "np"), `padding`, `max_length`, `truncation`; or `audio_kwargs` and `text_kwargs`,
                dictionaries for one side only.

        Returns:
            for audio `input_features` `(B, T, M)` (front end `waveform`: `input_values` `(B, T)`) and `attention_mask`
            `(B, T)`; for text only `input_ids` and `attention_mask` `(B, L)`; for targets `labels` `(B, L)` with -100
            on padding; for languages `language_ids` and `decoder_language_ids` `(B,)` int64. Sources and targets end
            with `</s>` (CTC targets do not).

        Raises:
            ValueError: no input, two targets, text in place of audio or vice versa, an unknown language or task, or
                a task that does not match the other arguments.
        """
        text_target = kwargs.pop("text_target", None)
        if audio is None and text is None and text_target is None:
            raise ValueError("Nothing to process: pass audio= (speech source), text= (text source) or text_target=.")
        if audio is not None and text is not None:
            if text_target is not None:
                raise ValueError(
                    "With audio, `text` is the target and `text_target` a second one. Pass only one of them."
                )
            text, text_target = None, text
        kwargs.setdefault("return_tensors", "pt")
        options = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        outputs: dict[str, Any] = {}
        if audio is not None:
            outputs.update(extract_speech(self.feature_extractor, audio, **options["audio_kwargs"]))
        if text is not None:
            outputs.update(self.tokenizer(check_text("text", text), **options["text_kwargs"]))
        if text_target is not None:
            outputs["labels"] = self._labels(check_text("text_target", text_target), options["text_kwargs"])
        batch_size = self._batch_size(outputs)
        source_modality = "speech" if audio is not None else "text" if text is not None else None
        source_lang, target_lang, task = resolve_task_arguments(
            self.languages,
            source_modality,
            language=language,
            source_lang=source_lang,
            target_lang=target_lang,
            task=task,
        )
        languages = self._language_rows(source_modality, source_lang, target_lang, task, batch_size, outputs)
        as_array = np.asarray if kwargs["return_tensors"] == "np" else torch.tensor
        outputs.update({name: as_array(rows, dtype=as_array([0]).dtype) for name, rows in languages.items()})
        return BatchFeature(outputs)

    def _labels(self, texts: str | list[str], options: dict[str, Any]) -> Any:
        """Token ids of targets with -100 on padding, in the form specified by `return_tensors`."""
        encoded = self.tokenizer(texts, **{**options, "return_attention_mask": True})
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        if isinstance(ids, torch.Tensor):
            return ids.masked_fill(mask == 0, IGNORE_INDEX)
        if isinstance(ids, np.ndarray):
            return np.where(mask == 0, IGNORE_INDEX, ids)
        rows = [ids] if isinstance(texts, str) else ids
        masks = [mask] if isinstance(texts, str) else mask
        labels = [
            [item if real else IGNORE_INDEX for item, real in zip(row, row_mask, strict=True)]
            for row, row_mask in zip(rows, masks, strict=True)
        ]
        return labels[0] if isinstance(texts, str) else labels

    @staticmethod
    def _batch_size(outputs: dict[str, Any]) -> int:
        """Number of items of the batch.

        Raises:
            ValueError: source and target have different numbers of items.
        """
        sizes = {}
        for name in ("input_features", "input_values", "input_ids", "labels"):
            if name in outputs:
                value = outputs[name]
                is_single = isinstance(value, list) and bool(value) and isinstance(value[0], int)
                sizes[name] = 1 if is_single else len(value)
        if len(set(sizes.values())) > 1:
            raise ValueError(f"Every item must have one source and one target, got {sizes}.")
        return next(iter(sizes.values()))

    def _language_rows(
        self,
        source_modality: str | None,
        source_lang: str | Sequence[str | None] | None,
        target_lang: str | Sequence[str | None] | None,
        task: str | None,
        batch_size: int,
        outputs: dict[str, Any],
    ) -> dict[str, list[int]]:
        """Check the task for every item; returns the rows of the language table per item."""
        sources = one_per_item("source_lang", source_lang, batch_size)
        targets = one_per_item("target_lang", target_lang, batch_size)
        if task is not None:
            target_modality = "text" if "labels" in outputs else None
            with listing_choices(self.languages):
                for source, target in zip(sources, targets, strict=True):
                    check_task(task, source_modality, target_modality, source, target)
            if task in ("ast", "mt") and target_lang is None:
                raise ValueError(f"task={task!r} requires target_lang=, the language to translate into.")
        rows: dict[str, list[int]] = {}
        if source_lang is not None and source_modality is not None:
            rows["language_ids"] = [self.language_row(code) for code in sources]
        if target_lang is not None:
            rows["decoder_language_ids"] = [self.language_row(code) for code in targets]
        elif source_lang is not None and "labels" in outputs:
            # The target text is in the language of the source by default.
            rows["decoder_language_ids"] = [self.language_row(code) for code in sources]
        return rows

    def language_row(self, code: str | None) -> int:
        """Row of a language in the model's table; None is `und`.

        Raises:
            ValueError: the model does not support it; the message lists the most similar codes.
        """
        return 0 if code is None else language_index(code, self.languages)

    def for_ctc(self) -> "Mu2SLAMProcessor":
        """The processor of a CTC model with this vocabulary: its tokenizer collapses repeated ids when decoding."""
        tokenizer = self.tokenizer
        if not isinstance(tokenizer, Mu2SLAMCTCTokenizer):
            tokenizer = Mu2SLAMCTCTokenizer.from_tokenizer(tokenizer)
        return type(self)(self.feature_extractor, tokenizer, languages=self.languages)

    def encode_speech(self, audio: Any, sampling_rate: float | None = None) -> list[list[int]]:
        """Speech ids of recordings, as ids of the vocabulary (`<speech_k>`).

        Args:
            audio: as in `__call__`.
            sampling_rate: Hz of the audio.

        Returns:
            for each recording `N` ids, one per 40 ms.

        Raises:
            ValueError: the processor has no speech tokenizer, or its codebook is larger than that of the vocabulary.
        """
        return [self.tokenizer.convert_speech_ids(ids) for ids in self.tokenize_speech(audio, sampling_rate)]

    def _num_speech_tokens(self) -> int | None:
        return self.tokenizer.num_speech_tokens or None

    def _codebook_entries(self, ids: Sequence[int]) -> list[int]:
        """Entries of the codebook for ids of the vocabulary, without special tokens.

        Raises:
            ValueError: an id of text.
        """
        offset, size = self.tokenizer.speech_token_offset, self.tokenizer.num_speech_tokens
        for item in map(int, ids):
            if item >= self.tokenizer.text_token_offset:
                raise ValueError(f"{item} is the id of {self.tokenizer.convert_ids_to_tokens(item)!r}, not of speech.")
        return [int(item) - offset for item in ids if offset <= int(item) < offset + size]

    def check_config(self, config: Any) -> None:
        """Check that this processor matches a model.

        Args:
            config: the model's configuration.

        Raises:
            ValueError: languages, vocabulary, mel bins or codebook differ; the message contains all differences.
        """
        differences = []
        theirs = list(getattr(config, "languages", self.languages))
        if theirs != self.languages:
            row = next(
                (i for i, pair in enumerate(zip(theirs, self.languages, strict=False)) if pair[0] != pair[1]),
                min(len(theirs), len(self.languages)),
            )
            differences.append(
                f"languages ({len(theirs)} in the model, {len(self.languages)} here) differ from row {row} on: "
                f"{theirs[row : row + 3]} and {self.languages[row : row + 3]}"
            )
        mine = {
            name: getattr(self.tokenizer, name, None)
            for name in ("speech_token_offset", "num_speech_tokens", "text_token_offset")
        }
        if not mine["num_speech_tokens"]:
            mine.pop("speech_token_offset")
        for name, value in mine.items():
            expected = getattr(config, name, None)
            if None not in (value, expected) and value != expected:
                differences.append(f"{name} is {expected} in the model and {value} in the tokenizer")
        vocab_size = getattr(config, "vocab_size", None)
        if vocab_size is not None and len(self.tokenizer) > vocab_size:
            differences.append(f"the tokenizer has {len(self.tokenizer)} ids and the model {vocab_size} rows")
        encoder_config = getattr(config, "encoder_config", None)
        if encoder_config is not None:
            mismatch = describe_mismatch(self.feature_extractor, encoder_config)
            differences += [mismatch] if mismatch else []
        if differences:
            raise ValueError("This processor does not match this model: " + "; ".join(differences) + ".")


__all__ = ["Mu2SLAMProcessor"]
