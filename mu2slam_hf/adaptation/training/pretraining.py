# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training on recordings without text, before an adaptation: whether it pays, how long, and its recipe."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.reading.options import CheckLimits, ReadingOptions
from mu2slam_hf.adaptation.report.prepared_data import PreparedData, prepare_data
from mu2slam_hf.adaptation.training.plan import Plan
from mu2slam_hf.adaptation.training.recipes import (
    OWN_CORPUS,
    TEXT_CORPUS,
    TrainingFiles,
    build_model_section,
    build_processor_section,
)
from mu2slam_hf.adaptation.training.settings import AdaptationSettings
from mu2slam_hf.data.records import SpeechTextRecord

UNTRANSCRIBED_CORPUS = "untranscribed"
_MORE_SUFFIX = "_more"
# Choice: at most half of the time, because CTC and decoder are learned mostly from texts.
_MAX_SHARE = 0.5
# Choice: below this, or with less speech than there is with text, masked prediction sees nothing that fine-tuning does
# not see.
_MIN_HOURS = 0.5
# Choice: texts count as much as their speech would, at a usual rate of English.
_CHARACTERS_PER_SECOND = 15.0
# Examples of each task in a micro-batch. Choice: more pairs than the paper's 1 to 4, since they are few.
_SHARES = {"speech": 4, "text": 2, "asr": 2, "ast": 1, "mt": 1}
_MAX_EXAMPLE_SECONDS = 30.0


@dataclass(frozen=True)
class PretrainingChoice:
    """Whether and how long an adaptation pre-trains.

    Attributes:
        share: share of the time; 0 without pre-training.
        reason: sentence for people; None if there is nothing to say.
    """

    share: float
    reason: str | None


def choose_pretraining(
    settings: AdaptationSettings, *, train_hours: float, untranscribed_hours: float, text_hours: float = 0.0
) -> PretrainingChoice:
    """The share of pre-training: half of the time times the share of the data that is speech or text alone.

    Args:
        settings: what the user has decided.
        train_hours: hours of the training recordings.
        untranscribed_hours: hours of speech without text.
        text_hours: hours that the texts without recording would take, see `spoken_hours`.

    Raises:
        ValueError: pre-training was asked for, and there is neither speech without text nor text without speech.
    """
    pays = untranscribed_hours >= max(_MIN_HOURS, train_hours)
    amount = f"{untranscribed_hours:.1f} h without text beside {train_hours:.1f} h with text"
    if settings.pretrain is None:
        hint = f"none, but --pretrain may pay: there are {amount}"
        return PretrainingChoice(0.0, hint if pays else None)
    more_hours = untranscribed_hours + text_hours
    if not more_hours:
        raise ValueError(
            "there is no speech without text to pre-train on: leave --pretrain out, give a folder of recordings, or "
            "texts (--texts)"
        )
    if text_hours:
        amount += f", and texts of {text_hours:.1f} h if they were spoken"
    share = _MAX_SHARE * more_hours / (more_hours + train_hours)
    verdict = (
        "should pay" if pays else f"pays rarely below {_MIN_HOURS} h, or with less speech than there is with text"
    )
    return PretrainingChoice(share, f"{share:.0%} of the time, for {amount}, which {verdict}")


def choose_pretraining_steps(
    share: float, finetuning_steps: int, seconds_left: float | None, step_seconds: float
) -> int:
    """Number of updates of pre-training.

    Args:
        share: of `choose_pretraining`.
        finetuning_steps: updates of fine-tuning.
        seconds_left: time for both; None: in proportion to the updates of fine-tuning.
        step_seconds: measured time of an update of pre-training.
    """
    if seconds_left is None:
        return max(1, math.ceil(finetuning_steps * share / (1 - share)))
    return max(1, int(share * seconds_left / step_seconds))


def build_pretraining_tree(
    plan: Plan,
    settings: AdaptationSettings,
    files: TrainingFiles,
    untranscribed: Path | None,
    output_dir: Path,
    *,
    max_steps: int,
    bf16: bool = False,
) -> dict[str, Any]:
    """Values of a recipe of kind `pretraining`: speech alone, texts, and the recordings with text.

    Args:
        plan: of the adaptation.
        settings: what the user has decided.
        files: training and development data.
        untranscribed: manifest of the speech without text; None if there is none.
        output_dir: folder of checkpoints and logs.
        max_steps: number of updates.
        bf16: whether to train in bfloat16.
    """
    manifests = {OWN_CORPUS: files.train, UNTRANSCRIBED_CORPUS: untranscribed, TEXT_CORPUS: files.texts}
    own = {OWN_CORPUS: 1.0}
    speech = {} if untranscribed is None else {UNTRANSCRIBED_CORPUS: 1.0}
    texts = {} if files.texts is None else {TEXT_CORPUS: 1.0}
    weights: dict[str, dict[str, float]] = {"speech": {**speech, **own}, "text": {**own, **texts}}
    weights |= {task: own for task in files.tasks}
    if files.parallel is not None:
        weights["mt"] = {**(own if "mt" in files.tasks else {}), **texts}
    model = build_model_section(replace(plan, method="full"))
    model.pop("generation_config", None)
    return {
        "kind": "pretraining",
        "model": model,
        "processor": build_processor_section(plan, settings, replace(files, replay_languages=())),
        # Choice: for a model without a speech tokenizer; another would have to be trained first.
        "speech_tokenizer": {"kind": "random_projection"},
        "data": {
            "corpora": {name: {"manifest": str(file)} for name, file in manifests.items() if file is not None},
            "tasks": {task: {"share": _SHARES[task], "corpus_weights": own} for task, own in weights.items()},
            "limits": {"max_seconds": _MAX_EXAMPLE_SECONDS},
            "max_seconds": plan.batch_seconds,
        },
        # Choice: with few pairs, CTC and the forward views decide whether speech and text meet at all.
        "objective": {"asr_decoder": 1.0, "ast_decoder": 1.0, "ctc": 1.0, "ctc_input": "clean"},
        "optim": {
            "learning_rate": plan.learning_rate,
            "warmup_steps": max(1, min(300, max_steps // 10)),
            "max_grad_norm": 1.0,
            "weight_decay": 0.01,
        },
        "training": {
            "max_steps": max_steps,
            "seed": settings.seed,
            "bf16": bf16,
            "logging_steps": max(1, min(20, max_steps // 20)),
            "eval_steps": 0,
            "save_steps": max(1, max_steps // 12),
            "save_total_limit": 2,
        },
        "output": {"dir": str(output_dir)},
    }


def start_from_pretrained(tree: dict[str, Any], pretrained: Path) -> dict[str, Any]:
    """The recipe of fine-tuning with the pre-trained model as its start, which has all languages and characters."""
    kept = ("generation_config", "freeze")
    model = {name: value for name, value in tree["model"].items() if name in kept}
    return {**tree, "model": {"init_from": str(pretrained), **model}, "processor": {}}


def add_untranscribed(
    prepared: PreparedData, folder: str, options: ReadingOptions, limits: CheckLimits | None = None
) -> PreparedData:
    """The data with the speech of another folder; texts that it has are not used.

    Args:
        prepared: data of the adaptation.
        folder: folder of recordings.
        options: as for the data.
        limits: as for the data.

    Raises:
        ValueError: the folder does not exist, or nothing in it can be used.
    """
    more = prepare_data(folder, replace(options, texts=()), limits=limits)
    split = more.split
    records = (*more.untranscribed, *more.held_back, *split.train, *split.dev, *split.test)
    # Another corpus, so that keys differ from those of the data.
    without_text = (
        replace(record, corpus=f"{record.corpus}{_MORE_SUFFIX}", text=None, translations={})
        for record in records
        if record.audio is not None
    )
    return replace(prepared, untranscribed=(*prepared.untranscribed, *without_text))


def spoken_hours(records: Iterable[SpeechTextRecord]) -> float:
    """Hours that texts would take if they were spoken at the usual rate."""
    return sum(len(record.text or "") for record in records) / _CHARACTERS_PER_SECOND / 3600


def hours_of(records: Iterable[SpeechTextRecord]) -> float:
    """Hours of recordings."""
    return sum(record.duration_seconds or 0.0 for record in records) / 3600
