# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tasks by name and the arguments that choose them, checked against modalities and languages. A task adds no token."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from .language_codes import UNDETERMINED, canonical_language, describe_languages, language_index, same_language

MODALITIES = ("speech", "text")
SPEECH, TEXT = 0, 1
"""Values of the modalities in `modality_ids`."""

PRETRAINING_TASKS = ("speech", "text", "asr", "ast", "mt")
"""Tasks of Mu2SLAM pre-training: two for unlabeled data, three for pairs."""

PRETRAINING_VIEWS = (
    "speech",
    "text",
    *(f"{task}{view}" for task in ("asr", "ast", "mt") for view in ("", "_backward", "_alignment")),
)
"""Views of Mu2SLAM pre-training: encoder input, decoder inputs and targets created from one example."""

MSLAM_TASKS = ("speech", "text", "asr")
"""Tasks of mSLAM pre-training: speech only, text only, speech with its transcript."""


@dataclass(frozen=True, kw_only=True)
class TaskType:
    """Source and target of a task, and how its output is scored and named.

    Args:
        title: name of the task in messages.
        source: modality of the source, "speech" or "text".
        target: modality of the target.
        same_language: whether source and target have the same language; None means either.
        metrics: names of the metrics of its texts; empty if they are not scored.
        hub_task: name of the task on the Hub.
    """

    title: str
    source: str
    target: str
    same_language: bool | None
    metrics: tuple[str, ...] = ()
    hub_task: str = "text-generation"


TASKS: dict[str, TaskType] = {
    "asr": TaskType(
        title="speech recognition",
        source="speech",
        target="text",
        same_language=True,
        metrics=("wer", "cer"),
        hub_task="automatic-speech-recognition",
    ),
    "ast": TaskType(
        title="speech translation",
        source="speech",
        target="text",
        same_language=False,
        metrics=("bleu", "chrf", "ter"),
        hub_task="translation",
    ),
    "mt": TaskType(
        title="text translation",
        source="text",
        target="text",
        same_language=False,
        metrics=("bleu", "chrf", "ter"),
        hub_task="translation",
    ),
    "tts": TaskType(title="text to speech ids", source="text", target="speech", same_language=None),
    "s2st": TaskType(title="speech to speech ids", source="speech", target="speech", same_language=None),
}

SCORED_TASKS = tuple(name for name, kind in TASKS.items() if kind.metrics)
"""Tasks whose texts `mu2slam evaluate` scores."""

TRANSLATION_TASKS = tuple(name for name in SCORED_TASKS if TASKS[name].same_language is False)

TASK_TABLE: dict[str, TaskType] = {
    **{name: TASKS[name] for name in SCORED_TASKS},
    "lid": TaskType(
        title="language identification from speech",
        source="speech",
        target="class",
        same_language=None,
        metrics=("accuracy",),
        hub_task="audio-classification",
    ),
    "nli": TaskType(
        title="natural language inference",
        source="text",
        target="class",
        same_language=None,
        metrics=("accuracy",),
        hub_task="text-classification",
    ),
    "qa": TaskType(
        title="question answering",
        source="text",
        target="text",
        same_language=True,
        metrics=("f1", "exact_match"),
        hub_task="question-answering",
    ),
}
"""All tasks that are scored, also those without an argument of `generate`."""


TASK_ALIASES = {"transcribe": {"speech": "asr"}, "translate": {"speech": "ast", "text": "mt"}}
"""Names of tasks in Whisper, with our name for each modality of the source."""


def canonical_task(task: str, source_modality: str | None = None) -> str:
    """Our name of a task.

    Args:
        task: name in `TASKS` or `TASK_ALIASES`, in any case.
        source_modality: "speech" or "text"; None means unknown, then speech.

    Raises:
        ValueError: unknown name; the message contains all names.
    """
    name = task.lower() if isinstance(task, str) else None
    if name in TASK_ALIASES:
        names = TASK_ALIASES[name]
        # Not defined for this source: the name for speech, for which `check_task` raises the error.
        return names.get(source_modality or "speech", names["speech"])
    if name not in TASKS:
        nearest = difflib.get_close_matches(str(task).lower(), (*TASKS, *TASK_ALIASES), n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"unknown task {task!r}; known tasks: {describe_tasks()}.{hint}")
    return name


def describe_tasks() -> str:
    """All tasks under all of their names, for an error message."""
    aliases = {name: [alias for alias, names in TASK_ALIASES.items() if name in names.values()] for name in TASKS}
    return ", ".join(f"{' or '.join((name, *aliases[name]))} ({kind.title})" for name, kind in TASKS.items())


def check_task(
    task: str,
    source_modality: str | None = None,
    target_modality: str | None = None,
    source_lang: str | None = None,
    target_lang: str | None = None,
) -> TaskType:
    """Check a task against modalities and languages.

    Args:
        task: name in `TASKS` or `TASK_ALIASES`.
        source_modality: "speech" or "text"; None means unknown.
        target_modality: "speech" or "text"; None means that of the task.
        source_lang: code; None or `und` means unknown.
        target_lang: code; None means unspecified.

    Returns:
        the task.

    Raises:
        ValueError: unknown task or modality, or a modality or language that does not match the task.
    """
    name = canonical_task(task, source_modality)
    kind = TASKS[name]
    for what, given in (("source", source_modality), ("target", target_modality)):
        if given is not None and given not in MODALITIES:
            raise ValueError(f"{what}_modality must be one of {MODALITIES}, got {given!r}.")
    if source_modality not in (None, kind.source):
        due = "pass audio (input_features)" if kind.source == "speech" else "pass text (input_ids)"
        raise ValueError(
            f"task={name!r} ({kind.title}) expects {kind.source}, but got {source_modality}: {due}, or use "
            f"{_other_tasks(source_modality, target_modality)}."
        )
    if target_modality not in (None, kind.target):
        raise ValueError(
            f"task={name!r} ({kind.title}) generates {kind.target}, but got target_modality={target_modality!r}: omit "
            f"it, or use {_other_tasks(kind.source, target_modality)}."
        )
    _check_languages(name, kind, source_lang, target_lang)
    return kind


def _check_languages(name: str, kind: TaskType, source_lang: str | None, target_lang: str | None) -> None:
    """Check that two known languages match the task."""
    known = [None if code is None else canonical_language(code) for code in (source_lang, target_lang)]
    source, target = (None if code == UNDETERMINED else code for code in known)
    if source is None or target is None:
        return
    if kind.same_language is True and not same_language(source, target):
        raise ValueError(
            f"task={name!r} ({kind.title}) does not change the language, but source_lang={source!r} and "
            f"target_lang={target!r} differ: omit target_lang, or use task='ast' to translate."
        )
    if kind.same_language is False and source == target:
        other = "use task='asr' to transcribe" if kind.source == "speech" else "pass another target_lang"
        raise ValueError(
            f"task={name!r} ({kind.title}) changes the language, but source_lang and target_lang are both {source!r}: "
            f"set target_lang to the language to translate into, or {other}."
        )


def _other_tasks(source: str | None, target: str | None) -> str:
    """Names of the tasks between two modalities, for an error message."""
    fitting = [name for name, kind in TASKS.items() if source in (None, kind.source) and target in (None, kind.target)]
    return "task=" + " or ".join(repr(name) for name in fitting) if fitting else "other modalities"


Languages = str | Sequence[str | None] | None
"""One language for all items of a batch, or one for each (None: unknown)."""

TRANSLATION_TARGET = "en"
"""Default target of `task="translate"`, as in Whisper."""


class TaskArguments(NamedTuple):
    """Languages and task in our terms.

    Attributes:
        source_lang: language of the source, as given.
        target_lang: language of the target; None if neither given nor implied.
        task: name in `TASKS`; None if not given.
    """

    source_lang: Languages
    target_lang: Languages
    task: str | None


def resolve_task_arguments(
    languages: Sequence[str],
    source_modality: str | None,
    *,
    language: Languages = None,
    source_lang: Languages = None,
    target_lang: Languages = None,
    task: str | None = None,
    defaults: Any = None,
    has_source: bool = False,
    has_target: bool = False,
) -> TaskArguments:
    """Convert all ways to name languages and task to ours.

    Args:
        languages: the model's languages (`config.languages`).
        source_modality: "speech" or "text"; None means unknown.
        language: language of the source, in place of `source_lang`; also a token of Whisper such as `<|es|>`.
        source_lang: language of the source.
        target_lang: language of the target.
        task: name in `TASKS` or `TASK_ALIASES`.
        defaults: generation configuration, whose `language` and `task` apply to what the arguments leave open.
        has_source: whether the languages of the sources are given in another form, so that `defaults` do not apply.
        has_target: whether the languages of the targets are given in another form, so that none is implied.

    Raises:
        ValueError: an unknown language or task, `language` and `source_lang` differ, or "translate" without a target
            for a model without English; the message contains all tasks and the languages of the model.
    """
    if language is None and source_lang is None and not has_source:
        language = getattr(defaults, "language", None)
    if task is None and target_lang is None and not has_target:
        task = getattr(defaults, "task", None)
    with listing_choices(languages):
        if language is not None:
            language = _map_languages("language", _without_marks, language)
            if source_lang is not None and not _agree(language, source_lang, languages):
                raise ValueError(
                    f"language={language!r} and source_lang={source_lang!r} differ, but both are the language of the "
                    "source: pass one of them."
                )
            source_lang = language if source_lang is None else source_lang
        for argument, given in (("source_lang", source_lang), ("target_lang", target_lang)):
            _map_languages(argument, lambda code: language_index(code, languages), given)
        name = None if task is None else canonical_task(task, source_modality)
        if task is not None and task.lower() == "translate" and target_lang is None and not has_target:
            if TRANSLATION_TARGET not in languages:
                raise ValueError(
                    f"task={task!r} translates into English by default, which this model does not support: pass "
                    "target_lang=."
                )
            target_lang = TRANSLATION_TARGET
    return TaskArguments(source_lang, target_lang, name)


@contextmanager
def listing_choices(languages: Sequence[str]) -> Iterator[None]:
    """Append all tasks and all languages of a model to the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        tasks = "" if "known tasks:" in str(error) else f" Tasks: {describe_tasks()}."
        text = str(error).rstrip(".")
        raise ValueError(f"{text}.{tasks} Languages of this model: {describe_languages(languages)}.") from None


def _map_languages(argument: str, function: Callable[[Any], Any], codes: Any) -> Any:
    """`function` of one code, or of each code of a list; None remains None."""
    if codes is None or isinstance(codes, str):
        return None if codes is None else function(codes)
    if not isinstance(codes, (list, tuple)):
        raise ValueError(f"{argument} must be a code or a list of codes, got {type(codes).__name__}.")
    return [None if code is None else function(code) for code in codes]


def _without_marks(code: Any) -> Any:
    """`es` for Whisper's token `<|es|>`."""
    return code.strip().removeprefix("<|").removesuffix("|>") if isinstance(code, str) else code


def _agree(first: Languages, second: Languages, languages: Sequence[str]) -> bool:
    """Whether two specifications denote the same languages of the model; one code stands for all items."""
    sides = [list(side) if isinstance(side, (list, tuple)) else [side] for side in (first, second)]
    longest = max(map(len, sides))
    first_codes, second_codes = (side * longest if len(side) == 1 else side for side in sides)
    if len(first_codes) != len(second_codes):
        return False
    known = ((a, b) for a, b in zip(first_codes, second_codes, strict=True) if a is not None and b is not None)
    return all(language_index(a, languages) == language_index(b, languages) for a, b in known)
