# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The recipe of an adaptation: plain values that `mu2slam train` runs too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.training.plan import Plan
from mu2slam_hf.adaptation.training.settings import AdaptationSettings
from mu2slam_hf.adaptation.training.start import NEW_MODEL_CONFIG
from mu2slam_hf.recipes.schema.shipped import configuration_folder

OWN_CORPUS, TEXT_CORPUS, REPLAY_CORPUS, DEV_CORPUS = "recordings", "texts", "replay", "dev"
# Choice: an evaluation on more than this takes long and hardly says more.
_MAX_DEV_UTTERANCES = 200
_NEW_DECODER_LAYERS = 3
_VOCAB_SIZE = 512
# Choice: texts and their translations, of the recordings and others.
_TEXT_BATCH_SHARE = 0.1
_FRONT_END = "model.encoder.subsampling"


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """Files of the data of an adaptation.

    Attributes:
        train: manifest of the training recordings.
        dev: manifest of the development recordings; None if there is none.
        tasks: tasks that they have examples of.
        languages: the spoken language, then those of the translations.
        texts: manifest of the texts without recording, or None.
        parallel: manifest of those that have translations, or None.
        replay: manifest of replayed data, or None.
        replay_languages: its languages.
        replay_hours: its hours of recordings.
    """

    train: Path
    dev: Path | None
    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    texts: Path | None = None
    parallel: Path | None = None
    replay: Path | None = None
    replay_languages: tuple[str, ...] = ()
    replay_hours: float = 0.0


def build_recipe_tree(
    plan: Plan, settings: AdaptationSettings, files: TrainingFiles, output_dir: Path
) -> dict[str, Any]:
    """Values of a recipe of kind `finetuning`.

    Args:
        plan: with its number of updates, or any number of them to measure the speed.
        settings: what the user has decided.
        files: training and development data.
        output_dir: folder of checkpoints and logs.
    """
    tree: dict[str, Any] = {
        "model": build_model_section(plan),
        "processor": build_processor_section(plan, settings, files),
        "data": _data_section(plan, files),
        "objective": {"label_smoothing": 0.1},
        "optim": {
            "learning_rate": plan.learning_rate,
            "warmup_steps": plan.warmup_steps,
            "max_grad_norm": 1.0,
            "weight_decay": 0.0 if plan.method == "lora" else 0.01,
        },
        "training": _training_section(plan, settings, files),
        "output": {"dir": str(output_dir)},
    }
    if files.dev is not None:
        dev = {"manifest": str(files.dev), "tasks": list(files.tasks), "limit": _MAX_DEV_UTTERANCES}
        tree["evaluation"] = {"corpora": {DEV_CORPUS: dev}}
    if plan.method == "lora":
        tree["lora"] = {"r": 16, "lora_alpha": 32.0, "lora_dropout": 0.05}
    if settings.mode == "noisy":
        tree["decoder_noise"] = {"ratio": 0.06}
    if settings.mode == "gradual" and plan.method == "lora":
        # Stages start from the result of the one before, but adapters belong to the model of the first start.
        tree["data"]["curriculum"] = [{"name": "all", "steps": max(1, plan.max_steps // 2)}, _alone()]
    elif settings.mode == "gradual":
        tree["stages"] = _stages(plan)
    return tree


def build_model_section(plan: Plan) -> dict[str, Any]:
    """The section `model`: start, frozen layers, and defaults of generation for a new decoder."""
    start = plan.start
    if start.kind == "checkpoint":
        section: dict[str, Any] = {"init_from": start.folder}
    elif start.kind == "encoder":
        section = {
            "init_encoder_from": start.folder,
            "overrides": {"decoder_config.num_hidden_layers": _NEW_DECODER_LAYERS},
        }
    else:
        section = {"config": str(configuration_folder() / NEW_MODEL_CONFIG)}
    if start.kind != "checkpoint":
        # CTC's share in recognition is saved with the model.
        section["generation_config"] = {"num_beams": 4, "ctc_weight": 0.6}
    if plan.method == "frozen":
        lower = range(start.num_encoder_layers // 2)
        section["freeze"] = [_FRONT_END, *(f"model.encoder.conformer.layers.{number}." for number in lower)]
    return section


def build_processor_section(plan: Plan, settings: AdaptationSettings, files: TrainingFiles) -> dict[str, Any]:
    """The section `processor`: a new tokenizer, or the languages that the start is grown by."""
    if plan.start.kind != "checkpoint":
        languages = sorted({*files.languages, *files.replay_languages})
        return {"tokenizer": "char", "vocab_size": _VOCAB_SIZE, "languages": languages}
    related = {"like": list(settings.like)} if settings.like else {}
    is_new = plan.start.new_languages
    return {"add_languages": {code: related if code in is_new else {} for code in plan.start.growing_languages}}


def _data_section(plan: Plan, files: TrainingFiles) -> dict[str, Any]:
    corpora: dict[str, dict[str, Any]] = {OWN_CORPUS: {"manifest": str(files.train), "tasks": list(files.tasks)}}
    if files.parallel is not None:
        corpora[TEXT_CORPUS] = {"manifest": str(files.parallel), "tasks": ["mt"]}
    if files.replay is not None:
        corpora[REPLAY_CORPUS] = {"manifest": str(files.replay), "weight": plan.replay_weight}
    section: dict[str, Any] = {
        "corpora": corpora,
        "temperature": 1.0,
        "batch": {
            "max_seconds": plan.batch_seconds,
            "max_source_tokens": int(40 * plan.batch_seconds),
            "max_target_tokens": int(80 * plan.batch_seconds),
        },
        "waveform": {"speed_factors": [0.9, 0.95, 1.0, 1.05, 1.1], "gain_prob": 0.5, "noise_prob": 0.1},
        "spec_augment": {
            "max_time_mask_frames": 25,
            "max_frequency_mask_bins": 12,
            # New weights learn CTC's alignment without masks first.
            "from_step": 0 if plan.start.kind == "checkpoint" else plan.max_steps // 5,
        },
    }
    if "mt" in files.tasks or files.parallel is not None or files.replay is not None:
        section["text_batch_share"] = _TEXT_BATCH_SHARE
    return section


def _training_section(plan: Plan, settings: AdaptationSettings, files: TrainingFiles) -> dict[str, Any]:
    section: dict[str, Any] = {
        "max_steps": plan.max_steps,
        "seed": settings.seed,
        "bf16": plan.pace is not None and plan.pace.bf16,
        "logging_steps": max(1, min(20, plan.max_steps // 20)),
        "eval_steps": plan.eval_steps,
        "save_steps": max(1, plan.eval_steps),
        "save_total_limit": 3,
        "average_last": 3,
    }
    if files.dev is not None:
        section |= {
            "load_best_model_at_end": True,
            "metric_for_best_model": "ctc_cer" if "asr" in files.tasks else "loss",
            "early_stopping_patience": plan.patience,
        }
    return section


def _stages(plan: Plan) -> Sequence[dict[str, Any]]:
    """Paper: section 2.4, gradual fine-tuning: all labelled data, then the task that matters."""
    first = max(1, plan.max_steps // 2)
    return [
        {"name": "all", "set": {"training.max_steps": first}},
        {
            "name": "recordings",
            "set": {
                "training.max_steps": max(1, plan.max_steps - first),
                "optim.learning_rate": plan.learning_rate / 2,
                "data.curriculum": [_alone()],
                # The first stage has added them.
                "processor.add_languages": {},
            },
        },
    ]


def _alone() -> dict[str, Any]:
    """The phase on the user's recordings alone."""
    return {"name": OWN_CORPUS, "corpus_weights": {OWN_CORPUS: 1.0}}
