# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Processor of the dual encoder: speech and text become rows of ids of one table.

It also writes the files by which sentence-transformers loads the folder of a model.
Shapes: `B` items, `L` ids of the longest row.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers.utils import logging

from .language_codes import LANGUAGE_NAMES, UNDETERMINED, language_index
from .processing_speech_tokenizer import SpeechTokenizerProcessorMixin, check_text, one_per_item

logger = logging.get_logger(__name__)

DEFAULT_PREFIX = "[{language} {modality}] "
_SPEECH, _TEXT = "Speech", "Text"
_METHOD = {"method": "forward", "method_output_name": "pooler_output"}
# File -> content: one module, which reads texts and recordings and gives the output of the model as it is.
_SENTENCE_TRANSFORMERS_FILES: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
    ],
    "sentence_bert_config.json": {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": _METHOD, "audio": _METHOD},
        "module_output_name": "sentence_embedding",
    },
    "config_sentence_transformers.json": {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"},
}


class SpeechTextDualEncoderProcessor(SpeechTokenizerProcessorMixin):
    """Combines the tokenizer of a language model and a speech tokenizer.

    A row is the prefix, which names language and modality, and the ids of the text or of the speech. Paper: PaLM 2 DE,
    section 2.3; the prefix is ordinary text. Choice: the start token of the tokenizer precedes it if the tokenizer
    adds one by itself; nothing follows.

    Ids from `audio_token_offset` on come from the speech tokenizer only: special tokens that are spelled in a text
    are ordinary text. Padding is on the right, so that the positions of a row do not depend on its batch.

    Args:
        feature_extractor: extractor of the features for the speech tokenizer.
        tokenizer: tokenizer of the language model.
        speech_tokenizer: [`SpeechTokenizerModel`] with one codebook; None if no speech is read. Saved in the subfolder
            `speech_tokenizer` and loaded by `from_pretrained`.
        audio_token_offset: id of the first audio token, `config.audio_token_offset`; None: the size of the tokenizer.
        prefix: text before each item, with `{language}` (an English name) and `{modality}` (Speech or Text). Without a
            language, `{language}` and the space behind it are left out.
        max_text_tokens: longer texts are cut, with a warning; None for no bound.
        chat_template: ignored; accepted because transformers passes it to every processor.

    Raises:
        ValueError: an audio token would have the id of a text token.
    """

    text_kwargs = {"padding": True}

    def __init__(
        self,
        feature_extractor: Any = None,
        tokenizer: Any = None,
        speech_tokenizer: Any = None,
        audio_token_offset: int | None = None,
        prefix: str = DEFAULT_PREFIX,
        max_text_tokens: int | None = None,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.set_speech_tokenizer(speech_tokenizer)
        self.audio_token_offset = len(tokenizer) if audio_token_offset is None else audio_token_offset
        if self.audio_token_offset < len(tokenizer):
            raise ValueError(
                f"audio_token_offset is {audio_token_offset}, but the tokenizer has {len(tokenizer)} ids: it must be "
                "the number of rows of the language model's table."
            )
        self.prefix = prefix
        self.max_text_tokens = max_text_tokens

    @property
    def model_input_names(self) -> list[str]:
        """Names of the outputs."""
        return ["input_ids", "attention_mask"]

    def __call__(
        self,
        audio: Any = None,
        text: str | Sequence[str] | None = None,
        language: str | Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Model inputs of recordings or of texts.

        Args:
            audio: recordings, in any form that [`Mu2SLAMFeatureExtractor`] accepts, or paths.
            text: texts. Exactly one of both must be given.
            language: language of the items, a code or a name, or one per item; None (or `und`) means unknown.
            **kwargs: `sampling_rate` of the audio in Hz; `max_length` of a text row; `return_tensors` ("pt" by
                default, "np"); or `audio_kwargs`, `text_kwargs` and `common_kwargs`, which may contain `language` too.

        Returns:
            `input_ids` and `attention_mask` `(B, L)` int64, 1 on real positions.

        Raises:
            ValueError: not exactly one of audio and text, an empty text, the path of a file in place of a text, or an
                unknown language.
        """
        if (audio is None) == (text is None):
            raise ValueError(
                "Pass exactly one of audio= and text=: each is a side of its own, with its own embedding."
            )
        own = kwargs.pop("text_kwargs" if audio is None else "audio_kwargs", None) or {}
        options = {**(kwargs.pop("common_kwargs", None) or {}), **kwargs, **own}
        language = language if language is not None else options.get("language")
        if audio is None:
            texts = check_text("text", text)
            rows = self.encode_text([texts] if isinstance(texts, str) else texts, language, options.get("max_length"))
        else:
            rows = self.join_speech(self.tokenize_speech(_open_paths(audio), options.get("sampling_rate")), language)
        return self.pad(rows, options.get("return_tensors") or "pt")

    def encode_text(
        self, texts: Sequence[str], language: str | Sequence[str | None] | None = None, max_length: int | None = None
    ) -> list[list[int]]:
        """Rows of ids of texts, with their prefixes.

        Args:
            texts: the texts.
            language: as in `__call__`.
            max_length: longest row; None for no bound but `max_text_tokens`.
        """
        for index, item in enumerate(texts):
            if not item.strip():
                raise ValueError(f"text[{index}] is empty.")
            if len(item) < 1024 and "\n" not in item and os.path.isfile(item):
                raise ValueError(
                    f"text[{index}] is the name of a file, {item!r}: pass recordings as audio= (in "
                    'sentence-transformers as {"audio": path}).'
                )
        starts = self._starts(_TEXT, language, len(texts))
        tokenized = self.tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, return_attention_mask=False
        )["input_ids"]
        rows = []
        for start, ids in zip(starts, tokenized, strict=True):
            bounds = [bound for bound in (self.max_text_tokens, max_length and max_length - len(start)) if bound]
            if bounds and len(ids) > min(bounds):
                logger.warning_once(f"Texts of more than {min(bounds)} tokens are cut.")
                ids = ids[: min(bounds)]
            rows.append([*start, *ids])
        return rows

    def join_speech(
        self, speech_ids: Sequence[Sequence[int]], language: str | Sequence[str | None] | None = None
    ) -> list[list[int]]:
        """Rows of ids of speech, with their prefixes, from the entries of the codebook (see `tokenize_speech`)."""
        starts = self._starts(_SPEECH, language, len(speech_ids))
        offset = self.audio_token_offset
        return [[*start, *(offset + int(k) for k in ids)] for start, ids in zip(starts, speech_ids, strict=True)]

    def pad(self, rows: Sequence[Sequence[int]], return_tensors: str = "pt") -> BatchFeature:
        """Rows of ids as a batch, padded on the right."""
        length = max(map(len, rows))
        ids = np.full((len(rows), length), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        arrays = {"input_ids": ids, "attention_mask": mask}
        is_numpy = return_tensors == "np"
        return BatchFeature(arrays if is_numpy else {name: torch.from_numpy(value) for name, value in arrays.items()})

    def _starts(self, modality: str, language: str | Sequence[str | None] | None, number: int) -> list[list[int]]:
        """Start token and prefix of each item."""
        by_language: dict[str | None, list[int]] = {}
        languages = one_per_item("language", language, number)
        for code in set(languages):
            name = _name_of(code)
            template = self.prefix if name else self.prefix.replace("{language} ", "").replace("{language}", "")
            ids = self.tokenizer(
                template.format(language=name, modality=modality), add_special_tokens=False, split_special_tokens=True
            )["input_ids"]
            start = self.tokenizer.bos_token_id
            by_language[code] = [start, *ids] if start in self.tokenizer("")["input_ids"] else list(ids)
        return [by_language[code] for code in languages]

    def check_config(self, config: Any) -> None:
        """Check that this processor matches a model.

        Raises:
            ValueError: the first audio token, the size of the codebook or the vocabulary differ.
        """
        differences = []
        if config.audio_token_offset != self.audio_token_offset:
            differences.append(
                f"audio_token_offset is {config.audio_token_offset} in the model and {self.audio_token_offset} here"
            )
        size = getattr(getattr(self.speech_tokenizer, "config", None), "num_codevectors_per_group", None)
        if size is not None and size != config.num_audio_tokens:
            differences.append(f"the speech tokenizer has {size} entries and the model {config.num_audio_tokens}")
        if differences:
            raise ValueError("This processor does not match this model: " + "; ".join(differences) + ".")

    def save_pretrained(
        self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """As in the base class; also writes the files of sentence-transformers."""
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        for name, content in _SENTENCE_TRANSFORMERS_FILES.items():
            (Path(save_directory) / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)


def _name_of(code: str | None) -> str:
    """English name of a language; empty for an unknown one."""
    if code is None or code == UNDETERMINED:
        return ""
    known = list(LANGUAGE_NAMES)
    return LANGUAGE_NAMES[known[language_index(code, known)]]


def _open_paths(audio: Any) -> Any:
    """Recordings, with paths as mappings that the feature extractor reads."""
    if isinstance(audio, (str, os.PathLike)):
        return [{"path": os.fspath(audio)}]
    if isinstance(audio, Mapping) or not isinstance(audio, Sequence):
        return audio
    return [{"path": os.fspath(item)} if isinstance(item, (str, os.PathLike)) else item for item in audio]


__all__ = ["SpeechTextDualEncoderProcessor"]
