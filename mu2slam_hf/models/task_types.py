# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tasks by name, checked against modalities and languages. A task adds no token to the input."""

import difflib
from dataclasses import dataclass

from .language_codes import UNDETERMINED, canonical_language, same_language

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
    """Source and target of a task.

    Args:
        title: name of the task in messages.
        source: modality of the source, "speech" or "text".
        target: modality of the target.
        same_language: whether source and target have the same language; None means either.
    """

    title: str
    source: str
    target: str
    same_language: bool | None


TASKS: dict[str, TaskType] = {
    "asr": TaskType(title="speech recognition", source="speech", target="text", same_language=True),
    "ast": TaskType(title="speech translation", source="speech", target="text", same_language=False),
    "mt": TaskType(title="text translation", source="text", target="text", same_language=False),
    "tts": TaskType(title="text to speech ids", source="text", target="speech", same_language=None),
    "s2st": TaskType(title="speech to speech ids", source="speech", target="speech", same_language=None),
}


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
