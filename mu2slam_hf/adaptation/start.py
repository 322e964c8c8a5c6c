# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model that an adaptation starts from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from mu2slam_hf.adaptation.plan import Start, StartKind
from mu2slam_hf.adaptation.settings import NEW_MODEL
from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint
from mu2slam_hf.checkpoints.folders import load_processor, read_config
from mu2slam_hf.data.text import find_unknown_characters
from mu2slam_hf.growth.languages import check_new_language
from mu2slam_hf.interop.speech_encoder_formats import FORMATS
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.runs.registry import load_runs
from mu2slam_hf.recipes.schema.shipped import configuration_folder


@dataclass(frozen=True)
class FoundStart:
    """A start with what is needed before its weights are loaded.

    Attributes:
        start: the start.
        processor: processor of a checkpoint, else None.
        num_encoder_layers: number of its Conformer layers.
    """

    start: Start
    processor: Mu2SLAMProcessor | None
    num_encoder_layers: int


def find_start(name: str, texts: Mapping[str, Iterable[str]]) -> FoundStart:
    """Find a checkpoint, a public speech encoder, or the small model with new weights.

    Args:
        name: "default", "new", a folder, or a name on the Hub.
        texts: the spoken language, then those of the translations -> their training texts.

    Raises:
        ValueError: there is no such model, or it is of a type that training cannot start from.
    """
    if name == NEW_MODEL:
        payload = json.loads((configuration_folder() / "models/mu2slam/tiny.json").read_text(encoding="utf-8"))
        payload.pop("model_type")
        config = Mu2SLAMConfig(**payload)
        return _found("new", name, None, config, texts, None)
    folder = default_checkpoint() if name == DEFAULT_NAME else name
    model_type = read_config(folder).get("model_type")
    if model_type == Mu2SLAMConfig.model_type:
        processor = load_processor(folder)
        return _found("checkpoint", name, folder, Mu2SLAMConfig.from_pretrained(folder), texts, processor)
    if model_type in FORMATS:
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in AutoModel.from_config(config).parameters())
        start = Start(kind="encoder", name=name, folder=folder, num_parameters=size)
        return FoundStart(start, None, config.num_hidden_layers)
    expected = ", ".join([Mu2SLAMConfig.model_type, *FORMATS])
    raise ValueError(f"{name}: training starts from a model of type {expected}, or from {NEW_MODEL}; got {model_type}")


def load_untrained(recipe: Path) -> tuple[Any, Mu2SLAMProcessor]:
    """The model of a recipe as it is before training, in evaluation mode, and its processor.

    Args:
        recipe: file of a recipe of kind `finetuning`; its stages are not used.
    """
    (run,) = load_runs(recipe, ["training.resume=false", "stages=[]"])
    data = run.load_data()
    processor = run.build_processor(data)
    return run.build_model(processor, data).eval(), processor


def _found(
    kind: StartKind,
    name: str,
    folder: str | None,
    config: Mu2SLAMConfig,
    texts: Mapping[str, Iterable[str]],
    processor: Mu2SLAMProcessor | None,
) -> FoundStart:
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in Mu2SLAMForConditionalGeneration(config).parameters())
    new: tuple[str, ...] = ()
    growing: tuple[str, ...] = ()
    if processor is not None:
        tokenizer = processor.tokenizer
        new = tuple(lang for lang in texts if lang not in config.languages)
        if new:
            check_new_language(config)
        characters = {lang: "".join(sorted(set("".join(own)))) for lang, own in texts.items()}
        growing = tuple(
            lang for lang, own in characters.items() if lang in new or find_unknown_characters(own, tokenizer)
        )
    start = Start(
        kind=kind,
        name=name,
        folder=folder,
        num_parameters=size,
        new_languages=new,
        growing_languages=growing,
    )
    encoder: Any = config.encoder_config
    return FoundStart(start, processor, encoder.num_hidden_layers)
