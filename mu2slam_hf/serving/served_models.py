# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The models of a server by the names under which requests ask for them: checkpoints and their adapters."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mu2slam_hf.checkpoints.folders import read_card_summary
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.inference.transcription import Transcriber, TranscriptionOptions, build_transcriber
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.modules_adapter_growth import AdapterGrowth
from mu2slam_hf.models.modules_capabilities import capabilities_of
from mu2slam_hf.models.modules_language_adapters import BASE_ADAPTER
from mu2slam_hf.serving.errors import ApiError

OPENAI_NAME = "whisper-1"
"""What many clients ask for and cannot change: the first model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedModel:
    """A model, perhaps with an adapter.

    Attributes:
        name: what requests call it.
        languages: its languages, as the model calls them.
        translates: whether it translates.
        tokenizer: a copy of its tokenizer, which another thread than that of the model can use.
        build_transcriber: a new window loop on it.
        created: Unix time at which it was loaded.
        needs_language: whether a request must say which language is spoken, because the prompt names it.
        summary: what its card says about it, see `read_card_summary`.
    """

    name: str
    languages: Sequence[str]
    translates: bool
    tokenizer: Any
    build_transcriber: Callable[[], Transcriber]
    created: int
    needs_language: bool = False
    summary: str = ""
    _lock: Any = field(default_factory=threading.Lock)

    def tokenize(self, text: str) -> list[int]:
        """Ids of the tokens of a text; from any thread."""
        with self._lock:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def describe(self) -> dict[str, Any]:
        """The model as an object of OpenAI's API, with its languages and endpoints."""
        tasks = ["transcriptions", *(["translations"] if self.translates else [])]
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "mu2slam-hf",
            "languages": [code for code in self.languages if code != UNDETERMINED],
            "tasks": tasks,
        }


class ServedModels:
    """All models of a server.

    Args:
        models: in order; the first one answers for `OPENAI_NAME`.
        strict: only names of models are accepted.
    """

    def __init__(self, models: Sequence[ServedModel], *, strict: bool = False) -> None:
        self.models = {model.name: model for model in models}
        self._strict = strict

    def find(self, name: str) -> ServedModel:
        """The model of a name.

        Raises:
            ApiError: 404, there is none.
        """
        if name == OPENAI_NAME and not self._strict and name not in self.models:
            return next(iter(self.models.values()))
        if name not in self.models:
            known = ", ".join(self.models)
            raise ApiError(
                404,
                "model_not_found",
                f"model: there is no {name[:80]!r} here; expected one of {known}",
                param="model",
            )
        return self.models[name]


def load_models(
    choices: Mapping[str, ModelChoice], options: TranscriptionOptions, *, strict: bool = False
) -> ServedModels:
    """Load models and their adapters; an adapter is called `MODEL:ADAPTER`.

    Args:
        choices: models by name.
        options: how all of them transcribe; adapter and languages are those of a request.
        strict: see `ServedModels`.

    Raises:
        ValueError: a model cannot be loaded, cannot transcribe, or does not support the options.
    """
    models: list[ServedModel] = []
    for name, choice in choices.items():
        choice.check()
        choice.check_task("asr")
        model, processor = choice.load()
        base_languages = list(choice.read_config().get("languages") or [])
        variants: dict[str, tuple[str | None, list[str]]] = {
            name: (BASE_ADAPTER if choice.adapters else None, base_languages)
        }
        for adapter, folder in choice.adapters.items():
            growth = AdapterGrowth.load(folder)
            added = growth.new_languages if growth else ()
            variants[f"{name}:{adapter}"] = (adapter, [*base_languages, *added])
        for variant, (adapter_name, languages) in variants.items():
            own_options = replace(options, adapter_name=adapter_name)
            build = partial(build_transcriber, model, processor, own_options)
            build()  # raises errors of the options
            models.append(
                ServedModel(
                    name=variant,
                    languages=languages,
                    translates=capabilities_of(model).translates,
                    tokenizer=deepcopy(processor.tokenizer),
                    build_transcriber=build,
                    created=int(time.time()),
                    needs_language=capabilities_of(model).reads_prompts and "{language}" in processor.prompts["asr"],
                    summary=read_card_summary(choice.path),
                )
            )
    return ServedModels(models, strict=strict)
