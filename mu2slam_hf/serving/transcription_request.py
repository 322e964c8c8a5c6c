# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The fields of a request, checked before its recording is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.datastructures import FormData, UploadFile

from mu2slam_hf.inference.languages import resolve_language, resolve_source_language
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.serving.errors import ApiError, invalid_value
from mu2slam_hf.serving.served_models import ServedModel, ServedModels

DOCUMENTS = {"text": "txt", "srt": "srt", "vtt": "vtt", "tsv": "tsv", "textgrid": "textgrid"}
"""Formats of a response that are a document -> those of `format_transcript`."""
FORMATS = ("json", "verbose_json", *DOCUMENTS)
GRANULARITIES = ("segment", "word")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class AudioRequest:
    """What a client asks for.

    Attributes:
        upload: the recording.
        model: the model.
        source_lang: spoken language; None means that it is predicted.
        translates: whether a translation is wanted.
        target_lang: language to translate into; None for a transcription, and if it is the spoken one.
        response_format: one of `FORMATS`.
        granularities: what has times in `verbose_json`, some of `GRANULARITIES`.
        stream: send the text while it grows.
        ignored: fields that have no effect.
    """

    upload: UploadFile
    model: ServedModel
    source_lang: str | None
    translates: bool
    target_lang: str | None
    response_format: str
    granularities: frozenset[str]
    stream: bool
    ignored: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the recording in messages."""
        return (self.upload.filename or "the file")[-80:]


class _Fields:
    """The fields of a form, each of which is taken once; `a[]` and `a[b]` count as `a`."""

    def __init__(self, form: FormData) -> None:
        self._values: dict[str, list[str | UploadFile]] = {}
        for name, value in form.multi_items():
            self._values.setdefault(name.partition("[")[0], []).append(value)

    def take_file(self) -> UploadFile:
        """The recording."""
        values = self._values.pop("file", [])
        if not values or not isinstance(values[-1], UploadFile):
            raise ApiError(
                400, "missing_field", "file: expected the recording as a file of the form; none came", param="file"
            )
        if not values[-1].size:
            raise ApiError(400, "empty_file", "file: the recording has 0 bytes", param="file")
        return values[-1]

    def take_texts(self, name: str) -> list[str]:
        """All values of a field that are not empty."""
        values = self._values.pop(name, [])
        texts = [value.strip() for value in values if isinstance(value, str)]
        if len(texts) < len(values):
            raise invalid_value(name, "expected text, but a file came")
        return [text for text in texts if text]

    def take(self, name: str, default: str = "") -> str:
        """The last value of a field."""
        return (self.take_texts(name) or [default])[-1]

    def take_choice(self, name: str, choices: Mapping[str, Value], default: str) -> Value:
        """The value that a field stands for."""
        text = self.take(name, default).lower()
        if text not in choices:
            raise invalid_value(name, f"expected one of {', '.join(filter(None, choices))}, got {text[:80]!r}")
        return choices[text]

    def take_rest(self) -> list[str]:
        """Names of the fields that nobody took and that are not empty."""
        return sorted(name for name, values in self._values.items() if any(values))


def read_request(form: FormData, models: ServedModels, *, translates: bool) -> AudioRequest:
    """A request from its form.

    Args:
        form: the fields.
        models: what it may ask for.
        translates: whether it asks for a translation.

    Raises:
        ApiError: a field is missing or has a value that is not accepted.
    """
    fields = _Fields(form)
    name = fields.take("model")
    if not name:
        known = ", ".join(models.models)
        raise ApiError(400, "missing_field", f"model: expected one of {known}; none came", param="model")
    model = models.find(name)
    source_lang = read_source_language(fields.take("language"), model)
    response_format = fields.take_choice("response_format", {name: name for name in FORMATS}, "json")
    target_lang, granularities, stream = None, frozenset({"segment"}), False
    if translates:
        target_lang = read_target_language(fields.take("target_language", "en"), model)
    else:
        granularities = _read_granularities(fields.take_texts("timestamp_granularities"), response_format)
        stream = fields.take_choice("stream", _BOOLEANS, "")
        if stream and response_format not in ("json", "text"):
            raise invalid_value("stream", f"expected response_format json or text with it, got {response_format}")
        if include := fields.take("include"):
            message = f"{include[:80]!r} is not available; the words of verbose_json have confidences"
            raise invalid_value("include", message)
    has_temperature = _read_temperature(fields.take("temperature", "0")) > 0
    if fields.take("chunking_strategy", "auto") != "auto":  # recordings are always cut at pauses
        raise invalid_value("chunking_strategy", "expected auto: recordings are cut at pauses")
    return AudioRequest(
        upload=fields.take_file(),
        model=model,
        source_lang=source_lang,
        translates=translates,
        target_lang=None if target_lang == source_lang else target_lang,
        response_format=response_format,
        granularities=granularities,
        stream=stream,
        ignored=(*(["temperature"] if has_temperature else []), *fields.take_rest()),
    )


def _read_language(param: str, text: str, resolve: Callable[[str], str | None]) -> str | None:
    try:
        return resolve(text[:80]) if text else None
    except ValueError as error:
        raise ApiError(400, "unsupported_language", str(error), param=param) from None


def read_source_language(text: str, model: ServedModel, *, is_spoken: bool = True) -> str | None:
    """The language of a recording or text, as a model calls it; None if it is not given.

    Args:
        text: value of the field.
        model: the model.
        is_spoken: whether it is that of a recording, which some models need.

    Raises:
        ApiError: the model does not know it, or needs it.
    """
    code = _read_language("language", text, lambda text: resolve_source_language(text, model.languages, "language"))
    if is_spoken:
        check_language_is_given(code, model)
    return code


def check_language_is_given(code: str | None, model: ServedModel) -> None:
    """Raises ApiError if a model needs the spoken language, and it is not given."""
    if code is None and model.needs_language:
        message = "language: is required, because the prompt names the language that is spoken"
        raise ApiError(400, "missing_language", message, param="language")


def read_target_language(text: str, model: ServedModel) -> str:
    """The language to translate into, as a model calls it.

    Raises:
        ApiError: the model does not know it, or does not translate.
    """
    if not model.translates:
        raise invalid_value("model", f"{model.name} transcribes, but cannot translate")
    param = "target_language"
    code = _read_language(param, text, lambda text: resolve_language(text, model.languages, param))
    if code is None or code == UNDETERMINED:
        raise ApiError(400, "unsupported_language", f"{param}: expected a language to translate into", param=param)
    return code


def _read_granularities(texts: Sequence[str], response_format: str) -> frozenset[str]:
    name = "timestamp_granularities"
    for text in texts:
        if text not in GRANULARITIES:
            raise invalid_value(name, f"expected {' or '.join(GRANULARITIES)}, got {text[:80]!r}")
    if texts and response_format != "verbose_json":
        raise invalid_value(name, f"expected response_format verbose_json with it, got {response_format}")
    return frozenset(texts or ["segment"])


def _read_temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise invalid_value("temperature", f"expected a number from 0 to 1, got {text[:80]!r}")
    return value
