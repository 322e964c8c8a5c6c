# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Options of reading, inspecting and splitting a user's data."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language

SpeakerSource = Literal["auto", "file", "folder", "none"]
SplitBy = Literal["auto", "speaker", "session", "text"]
SPEAKER_SOURCES: tuple[SpeakerSource, ...] = get_args(SpeakerSource)
SPLIT_CHOICES: tuple[SplitBy, ...] = get_args(SplitBy)
TextForm = Literal["written", "lowercase", "normalized"]
TEXT_FORMS: dict[TextForm, str] = {
    "written": "as written",
    "lowercase": "lower case (--lowercase)",
    "normalized": "lower case without punctuation (--normalize)",
}
"""What is done to transcripts and translations -> its name, with the option of `mu2slam adapt`."""
COLUMN_ROLES = ("id", "audio", "text", "lang", "speaker", "duration_seconds", "session", "split", "start", "end")
"""What a column of a table can be; and `text_<language>` for a translation."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How a folder or manifest is read.

    Attributes:
        lang: language that is spoken, in any spelling; stored as its canonical code.
        target_langs: languages of the translations to read; stored as canonical codes.
        tiers: names of the tiers with the transcript (ELAN, Praat); empty: chosen by their names.
        translation_tiers: target language -> name of its tiers; languages that are missing: chosen by their names.
        columns: role (see `COLUMN_ROLES`) -> name of the column of a table; missing roles: the usual names.
        encoding: encoding of text files and tables without a byte order mark; None means UTF-8.
        speaker_from: where the speaker is taken from if neither annotation nor table has one. "file": the part of
            the file's name before the first underscore; "folder": the folder of the file; "none": unknown; "auto":
            as "file", if that part is a word that may be a name.
        texts: files with further texts, see `read_texts_alone`.
        text_form: what is done to all transcripts and translations, see `TEXT_FORMS`; None: as in an earlier report
            about the data, else nothing.

    Raises:
        ValueError: an unknown language, encoding, column role, source of speakers or form of texts.
    """

    lang: str
    target_langs: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    translation_tiers: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    speaker_from: SpeakerSource = "auto"
    texts: tuple[str, ...] = ()
    text_form: TextForm | None = None

    def __post_init__(self) -> None:
        lang = _language(self.lang, "the language")
        if lang == UNDETERMINED:
            raise ValueError("the language of the recordings is required: an ISO 639 code such as fr or mdw")
        targets = tuple(dict.fromkeys(_language(code, "the target language") for code in self.target_langs))
        if lang in targets:
            raise ValueError(f"{lang} is both the language that is spoken and the one to translate into")
        tiers = {_language(code, "a translation tier"): name for code, name in self.translation_tiers.items()}
        for code in tiers:
            if code not in targets:
                raise ValueError(f"a translation tier is given for {code}, which is not a language to translate into")
        for role in self.columns:
            if role not in COLUMN_ROLES and not role.startswith("text_"):
                expected = f"{', '.join(COLUMN_ROLES)} or text_<language>"
                raise ValueError(f"unknown kind of column {role!r}; expected {expected}")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                usual = "utf-8, cp1252, latin-1, utf-16"
                raise ValueError(f"unknown encoding {self.encoding!r}; usual ones are {usual}") from None
        if self.speaker_from not in SPEAKER_SOURCES:
            raise ValueError(f"`speaker_from` must be one of {', '.join(SPEAKER_SOURCES)}, got {self.speaker_from!r}")
        if self.text_form not in (None, *TEXT_FORMS):
            raise ValueError(f"`text_form` must be one of {', '.join(TEXT_FORMS)}, got {self.text_form!r}")
        object.__setattr__(self, "lang", lang)
        object.__setattr__(self, "target_langs", targets)
        object.__setattr__(self, "translation_tiers", tiers)

    @property
    def text_columns(self) -> dict[str, str]:
        """Language -> column of a table with its text, for the roles `text_<language>`."""
        roles = {role: name for role, name in self.columns.items() if role.startswith("text_")}
        return {_language(role.removeprefix("text_"), "a column"): name for role, name in roles.items()}


@dataclass(frozen=True, kw_only=True)
class CheckLimits:
    """Limits of the inspection.

    Attributes:
        min_seconds: shorter recordings are left out.
        max_seconds: longer utterances are left out; recordings without transcript are cut into pieces up to this.
        silence_db: recordings whose loudest tenth of a second is below this level (dB relative to full scale, root
            mean square) are left out as silent.
        end_tolerance_seconds: annotations that end later than this after their recording are reported.
        rate_factor: recordings with this many times fewer or more letters per second than the median are reported.
        samples_per_frame: 16 kHz samples per encoder frame (`encoder_config.samples_per_frame`). CTC needs a frame
            for each token and one more between equal tokens; recordings with fewer are left out.
    """

    min_seconds: float = 0.1
    max_seconds: float = 30.0
    silence_db: float = -60.0
    end_tolerance_seconds: float = 0.5
    rate_factor: float = 4.0
    samples_per_frame: int = 640

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds < self.max_seconds:
            message = f"expected 0 < `min_seconds` < `max_seconds`, got {self.min_seconds} and {self.max_seconds}"
            raise ValueError(message)
        if self.rate_factor <= 1:
            raise ValueError(f"`rate_factor` must be above 1, got {self.rate_factor}")


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """How the development set is chosen.

    Attributes:
        dev_share: wanted share of the transcribed time.
        min_utterances: least number of scored utterances of the development set; at most a quarter of all.
        by: what is kept together: all of a speaker, all of a session, or all recordings of a sentence. "auto" takes
            the first of these that gives a development set of a useful size.
    """

    dev_share: float = 0.1
    min_utterances: int = 20
    by: SplitBy = "auto"

    def __post_init__(self) -> None:
        if not 0.0 < self.dev_share <= 0.5:
            raise ValueError(f"`dev_share` must be above 0 and at most 0.5, got {self.dev_share}")
        if self.min_utterances < 1:
            raise ValueError(f"`min_utterances` must be at least 1, got {self.min_utterances}")
        if self.by not in SPLIT_CHOICES:
            raise ValueError(f"`by` must be one of {', '.join(SPLIT_CHOICES)}, got {self.by!r}")


def _language(code: str, what: str) -> str:
    try:
        return canonical_language(code)
    except ValueError as error:
        raise ValueError(f"{what} {code!r}: {error}") from None
