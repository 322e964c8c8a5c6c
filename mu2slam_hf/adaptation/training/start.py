# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model that an adaptation starts from."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModel

from mu2slam_hf.adaptation.training.recipe_runs import build_recipes
from mu2slam_hf.adaptation.training.settings import NEW_MODEL
from mu2slam_hf.checkpoints.folders import load_processor
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.data.text import find_unknown_characters
from mu2slam_hf.growth.languages import check_new_language
from mu2slam_hf.interop.speech_encoder_formats import FORMATS
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.recipes.runs.registry import build_run
from mu2slam_hf.recipes.schema.shipped import configuration_folder

NEW_MODEL_CONFIG = "models/mu2slam/tiny.json"
"""Configuration of the model with new weights, in the folder of configurations."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """The model that an adaptation starts from, as it is known before its weights are loaded.

    Attributes:
        kind: a trained checkpoint of this package, a public speech encoder, or new weights.
        name: as given by the user.
        folder: folder or name on the Hub; None for new weights.
        num_parameters: number of parameters of the model to train.
        num_encoder_layers: number of its Conformer layers.
        new_languages: languages that are added to the checkpoint.
        growing_languages: languages that are new, or written with characters that the checkpoint does not have.
    """

    kind: Literal["checkpoint", "encoder", "new"]
    name: str
    folder: str | None
    num_parameters: int = 0
    num_encoder_layers: int = 0
    new_languages: tuple[str, ...] = ()
    growing_languages: tuple[str, ...] = ()


def find_start(name: str, texts: Mapping[str, Iterable[str]]) -> Start:
    """Find a checkpoint, a public speech encoder, or the small model with new weights.

    Args:
        name: "default", "new", a folder, or a name on the Hub.
        texts: the spoken language, then those of the translations -> their training texts.

    Raises:
        ValueError: there is no such model, or it is of a type that training cannot start from.
    """
    if name == NEW_MODEL:
        payload = json.loads((configuration_folder() / NEW_MODEL_CONFIG).read_text(encoding="utf-8"))
        payload.pop("model_type")
        return _measure(
            Start(kind="new", name=name, folder=None), Mu2SLAMForConditionalGeneration, Mu2SLAMConfig(**payload)
        )
    choice = ModelChoice(name=name)
    folder, model_type = choice.path, choice.read_config().get("model_type")
    if model_type in FORMATS:
        start = Start(kind="encoder", name=name, folder=folder)
        return _measure(start, AutoModel.from_config, AutoConfig.from_pretrained(folder))
    if model_type != Mu2SLAMConfig.model_type:
        expected = f"{', '.join([Mu2SLAMConfig.model_type, *FORMATS])}, or from {NEW_MODEL}"
        raise ValueError(f"{name}: training starts from a model of type {expected}; got {model_type}")
    config = Mu2SLAMConfig.from_pretrained(folder)
    tokenizer = load_processor(folder).tokenizer
    new = tuple(lang for lang in texts if lang not in config.languages)
    if new:
        check_new_language(config)
    characters = {lang: "".join(sorted(set("".join(own)))) for lang, own in texts.items()}
    growing = tuple(lang for lang in texts if lang in new or find_unknown_characters(characters[lang], tokenizer))
    start = Start(kind="checkpoint", name=name, folder=folder, new_languages=new, growing_languages=growing)
    return _measure(start, Mu2SLAMForConditionalGeneration, config)


def load_untrained(tree: Mapping[str, Any]) -> tuple[Any, Any]:
    """The model of a recipe as it is before training, in evaluation mode, and its processor.

    Args:
        tree: values of a recipe of kind `finetuning`; its stages are not used.
    """
    training = {**tree["training"], "resume": False}
    (recipe,) = build_recipes({**tree, "training": training, "stages": []})
    run = build_run(recipe)
    data = run.load_data()
    processor = run.build_processor(data)
    return run.build_model(processor, data).eval(), processor


def _measure(start: Start, build: Callable[[Any], Any], config: Any) -> Start:
    """A start with the numbers of parameters and encoder layers of its model, which is built without weights."""
    with torch.device("meta"):
        num_parameters = sum(parameter.numel() for parameter in build(config).parameters())
    encoder = getattr(config, "encoder_config", config)
    return replace(start, num_parameters=num_parameters, num_encoder_layers=encoder.num_hidden_layers)
