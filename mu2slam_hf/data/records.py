# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The record type of all corpora, with its validation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import isfinite
from typing import Any

from mu2slam_hf.models.language_codes import LANGUAGE_NAMES, UNDETERMINED, canonical_language

_UNUSABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
# A corpus has a few codes, repeated millions of times.
cached_canonical_language = lru_cache(maxsize=8192)(canonical_language)


def named_language(code: str) -> str | None:
    """The canonical code of a language with a name; None for words such as `norm` or `raw`, which look like codes."""
    try:
        canonical = canonical_language(code)
    except ValueError:
        return None
    return canonical if canonical.split("-")[0] in LANGUAGE_NAMES else None


class RecordError(ValueError):
    """An invalid record; the message contains its key and the reason."""


@dataclass(frozen=True, kw_only=True)
class SpeechTextRecord:
    """One utterance, one sentence, or one sentence with its recording and its translations.

    Attributes:
        id: name within its corpus and language; the n-way parallel versions of one sentence share it.
        audio: path of a file, another source of `load_audio` (bytes, mapping, object with `read_audio()`), or None.
        text: transcript or text in `lang`; None for speech without a transcript.
        lang: canonical BCP-47 code of `text` and `audio` ("und" if unknown).
        translations: canonical code -> text, without `lang` itself.
        duration_seconds: length of the recording; None if not known yet.
        speaker: name of the speaker; None if unknown.
        corpus: name of the corpus, part of `key`.
        kind: free label of the corpus ("prompt", "number", ...), for reports.
        extra: other columns of the manifest, unchanged.
    """

    id: str
    audio: Any = None
    text: str | None = None
    lang: str = UNDETERMINED
    translations: Mapping[str, str] = field(default_factory=dict)
    duration_seconds: float | None = None
    speaker: str | None = None
    corpus: str = ""
    kind: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`corpus/lang/id`: unique over the training data; random draws depend on it."""
        return f"{self.corpus}/{self.lang}/{self.id}"

    def validate(self) -> "SpeechTextRecord":
        """Check every field and return the record itself.

        Raises:
            RecordError: the record is invalid; the message has its key and all faults.
        """
        faults = [*self._text_faults(), *self._language_faults(), *self._number_faults()]
        if not isinstance(self.id, str) or not self.id.strip():
            faults.insert(0, f"`id` must be a non-empty string, got {self.id!r}")
        if self.audio is None and not self.text:
            faults.append("must have `audio` or `text`")
        if faults:
            raise RecordError(f"record {self.key!r}: " + "; ".join(faults))
        return self

    def with_duration(self, duration_seconds: float) -> "SpeechTextRecord":
        """The same record with its length filled in."""
        return replace(self, duration_seconds=duration_seconds)

    def _text_faults(self) -> list[str]:
        texts = {"text": self.text, **{f"translations[{lang}]": text for lang, text in self.translations.items()}}
        faults = []
        for name, text in texts.items():
            if text is None and name == "text":
                continue
            if not isinstance(text, str):
                faults.append(f"`{name}` must be a string, got {type(text).__name__}")
            elif not text.strip():
                faults.append(f"`{name}` is empty; use None if there is no text")
            elif _UNUSABLE.search(text):
                faults.append(f"`{name}` has a control character or half of a surrogate pair: {text[:40]!r}")
        return faults

    def _language_faults(self) -> list[str]:
        faults = []
        for name, code in (("lang", self.lang), *(("translations", code) for code in self.translations)):
            try:
                canonical = cached_canonical_language(code)
            except (ValueError, TypeError) as error:
                faults.append(f"`{name}`: {error}")
                continue
            if canonical != code:
                faults.append(f"`{name}`: {code!r} is not canonical, use {canonical!r}")
        if self.lang in self.translations:
            faults.append(f"`translations` has {self.lang!r}, which is the language of the record itself")
        return faults

    def _number_faults(self) -> list[str]:
        seconds = self.duration_seconds
        if seconds is None:
            return []
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not isfinite(seconds) or seconds <= 0:
            return [f"`duration_seconds` must be a positive finite number of seconds, got {seconds!r}"]
        return []
