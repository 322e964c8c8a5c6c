# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model of a run: new weights, those of a folder, or a trained encoder; optionally with adapters."""

import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from peft import LoraConfig
from torch import Tensor, nn
from transformers import GenerationConfig, set_seed

from mu2slam_hf.checkpoints.folders import check_model_type, load_processor
from mu2slam_hf.growth.languages import LanguageGrowth, grow_model
from mu2slam_hf.growth.rows import start_row
from mu2slam_hf.models.modules_adapter_growth import is_adapter_weight
from mu2slam_hf.models.modules_vocabulary import LANGUAGE_TABLES, TOKEN_TABLES, VOCABULARY_HEADS, has_rows_of
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.runs.encoder_start import EncoderStart, load_encoder_start
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.recipes.schema.sections import LoraSection, ModelSection
from mu2slam_hf.training.language_adapters import LanguagePeftModel, describe_growth

_TABLE_MODULES = ("embed_tokens", "embed_languages", "language_head", *VOCABULARY_HEADS)
# Types of a trained model that a model may start from, where these are not its own type alone.
_START_TYPES = {
    "mslam": ("mslam", "mslam_ctc", "maestro"),
    "mslam_ctc": ("mslam", "mslam_ctc", "maestro"),
    "mslam_rnnt": ("mslam", "mslam_ctc", "mslam_rnnt", "maestro"),
    "mu2slam_ctc": ("mu2slam", "mu2slam_ctc"),
    "mu2slam_rnnt": ("mu2slam", "mu2slam_ctc", "mu2slam_rnnt"),
}

# The last projection of each residual branch: with zeros, a new layer does not change its input (apart from the
# normalisation at the end of a Conformer layer).
_BRANCH_ENDS = re.compile(r"\.(feed_forward[12]\.down_proj|down_proj|o_proj|pointwise_conv2)\.(weight|bias)$")
_LAYER = re.compile(r"^(.*\.layers)\.(\d+)\.")


def build_model_of(
    recipe: Any,
    processor: Mu2SLAMProcessor,
    model_class: Any,
    *,
    growths: Sequence[LanguageGrowth] = (),
    **fixed: Any,
) -> nn.Module:
    """Build a model in float32, with new weights, those of `init_from`, or a trained encoder.

    Args:
        recipe: recipe of the run.
        processor: processor with the vocabulary and languages of a new model.
        model_class: class of the model; its `config_class` loads `model.config`.
        growths: what the processor of `init_from` was grown by.
        fixed: further values of a new model's configuration, which take precedence over overrides.

    Raises:
        RecipeError: as `build_model`.
    """
    section = recipe.model
    start = load_encoder_start(section)
    if start is None and (section.config is None) == (section.init_from is None):
        raise RecipeError(
            "model: give either config (new weights), init_from (trained weights) or init_encoder_from (a trained "
            "encoder; with config for the rest)"
        )
    set_seed(recipe.training.seed)
    config_class = model_class.config_class
    if section.init_from is not None:
        own = config_class.model_type
        with errors_of("model.init_from"):
            start_type = check_model_type(section.init_from, *_START_TYPES.get(own, (own,)))["model_type"]
        payload = config_class.from_pretrained(section.init_from).to_dict()
        if start_type == "maestro" != own:
            # It has the values of an mSLAM, and those of its text.
            payload = {name: payload[name] for name in config_class().to_dict() if name in payload}
        config = override_config(payload, section, config_class)
        model = model_class.from_pretrained(section.init_from, config=config, dtype=torch.float32)
        for growth in growths:
            grow_model(model, growth)
        try:
            processor.check_config(model.config)
        except ValueError as error:
            raise RecipeError(f"model.init_from: {error} Leave processor.init_from out to use its own.") from error
    else:
        model = model_class(_build_config(recipe, processor, config_class, start, fixed))
    if start is not None:
        start.load_into(model, processor)
    if section.grow_from is not None:
        _grow(model, processor, section, section.grow_from)
    set_generation(model, section)
    if section.attn_implementation is not None:
        model.set_attn_implementation(section.attn_implementation)
    select_trained(model, section.freeze, section.train_only)
    return model


def select_trained(model: nn.Module, freeze: Sequence[str], train_only: Sequence[str] = ()) -> None:
    """Freeze the parameters of some prefixes, or all except those of others.

    Args:
        model: changed in place.
        freeze: prefixes of the names of parameters that are not trained; `*` stands for any characters.
        train_only: prefixes of those that alone are trained; one of the names of a shared parameter is enough. Empty:
            all are trained.

    Raises:
        RecipeError: a prefix of `train_only` that no parameter has.
    """
    if train_only:
        model.requires_grad_(False)
    for prefix in train_only:
        names = model.named_parameters(remove_duplicate=False)
        chosen = [parameter for name, parameter in names if fnmatchcase(name, f"{prefix}*")]
        if not chosen:
            raise RecipeError(f"model.train_only: no parameter of the model has a name that starts with {prefix!r}")
        for parameter in chosen:
            parameter.requires_grad_(True)
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, f"{prefix}*") for prefix in freeze):
            parameter.requires_grad_(False)


def _grow(model: Any, processor: Mu2SLAMProcessor, section: ModelSection, folder: str) -> None:
    if section.config is None or section.init_encoder_from is not None:
        raise RecipeError("model.grow_from: requires model.config, and neither init_from nor init_encoder_from")
    with errors_of("model.grow_from"):
        check_model_type(folder, type(model).config_class.model_type)
        source = type(model).from_pretrained(folder, dtype=torch.float32)
        copy_into_larger_model(model, processor, source, load_processor(folder))


def set_generation(model: Any, section: ModelSection) -> None:
    """Set `model.generation_config` in the generation configuration that is saved with the model.

    Raises:
        RecipeError: an unknown or invalid argument of `generate`, or a model that does not generate.
    """
    if not section.generation_config:
        return
    if not model.can_generate():
        raise RecipeError(f"model.generation_config: {type(model).__name__} does not generate; leave it out")
    known = {*GenerationConfig().to_dict(), "ctc_weight", "ctc_draft", "translate_transcript", "language", "task"}
    for name, value in section.generation_config.items():
        if name not in known:
            raise RecipeError(f"model.generation_config.{name}: unknown argument of generate")
        if name == "ctc_weight" and not (isinstance(value, (int, float)) and 0 <= value <= 1):
            raise RecipeError(f"model.generation_config.ctc_weight: must be in [0, 1], got {value}")
        if name in ("ctc_draft", "translate_transcript") and not isinstance(value, bool):
            raise RecipeError(f"model.generation_config.{name}: must be true or false, got {value}")
        setattr(model.generation_config, name, value)
    with errors_of("model.generation_config"):
        model.generation_config.validate(strict=True)


def _build_config(
    recipe: Any,
    processor: Mu2SLAMProcessor,
    config_class: Any,
    start: EncoderStart | None,
    fixed: dict[str, Any],
) -> Any:
    payload: dict[str, Any] = {}
    if recipe.model.config is not None:
        payload = json.loads(Path(recipe.model.config).read_text(encoding="utf-8"))
    if start is not None:
        start.fit_payload(payload, recipe.model.overrides, config_class)
    tokenizer = processor.tokenizer
    return override_config(
        payload,
        recipe.model,
        config_class,
        vocab_size=len(tokenizer),
        speech_token_offset=tokenizer.speech_token_offset,
        num_speech_tokens=tokenizer.num_speech_tokens,
        text_token_offset=tokenizer.text_token_offset,
        languages=list(processor.languages),
        **fixed,
    )


def override_config(payload: dict[str, Any], section: ModelSection, config_class: Any, **fixed: Any) -> Any:
    """The configuration of a payload with the recipe's overrides; `fixed` values take precedence."""
    payload.pop("model_type", None)
    for name, value in section.overrides.items():
        *parents, last = name.split(".")
        node = payload
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
    payload.update(fixed)
    try:
        return config_class(**payload)
    except (TypeError, ValueError, StrictDataclassError) as error:
        source = section.config or section.init_from or section.init_encoder_from
        raise RecipeError(f"model.config: {source}: {error}") from error


def add_adapters(
    section: LoraSection,
    model: Any,
    processor: Mu2SLAMProcessor,
    *,
    growths: Sequence[LanguageGrowth] = (),
    languages: Sequence[str] = (),
) -> LanguagePeftModel:
    """Add low-rank adapters by peft; all other weights are frozen, except the rows of new languages and characters.

    The folder of the base model, which peft stores with the adapters, becomes an absolute path: transformers loads it
    together with the adapters, from any working directory.

    Args:
        section: section of the recipe.
        model: the model.
        processor: its processor.
        growths: what both were grown by.
        languages: languages of the training data, which the adapters are described by.

    Raises:
        RecipeError: modules that the model does not have, or that have rows of new languages or characters.
    """
    base = getattr(model, "name_or_path", None)
    if base and Path(base).is_dir():
        model.name_or_path = str(Path(base).resolve())
    config = LoraConfig(
        r=section.r,
        lora_alpha=section.lora_alpha,
        lora_dropout=section.lora_dropout,
        target_modules=section.target_modules,
        modules_to_save=section.modules_to_save or None,
    )
    with errors_of("lora.target_modules"):
        growth = describe_growth(model, processor, growths, languages)
        adapted = LanguagePeftModel(model, config, growth)
    if not growth.is_empty:
        _check_tables(adapted)
    return adapted


def _check_tables(adapted: LanguagePeftModel) -> None:
    """Refuse adapters on tables that grow, whose new rows are trained in full anyway."""
    for name, _ in adapted.named_parameters():
        if is_adapter_weight(name) and any(f".{table}." in name for table in _TABLE_MODULES):
            module = next(table for table in _TABLE_MODULES if f".{table}." in name)
            raise RecipeError(
                f"lora: {module} has rows of new languages or characters, which are trained in full; leave it out of "
                "lora.target_modules and lora.modules_to_save"
            )


@torch.no_grad()
def copy_into_larger_model(model: Any, processor: Any, source: Any, source_processor: Any) -> None:
    """Start a new model from a trained one of the same width, so that it computes nearly the same at first.

    - Layers of the source are copied; additional layers have no effect yet, because their branches end in zeros.
    - Wider feed-forward modules have the units of the source, and further units without effect.
    - Tokens and languages that the source has, by name, have its rows; a piece of several characters starts as the
      mean of its characters.

    Args:
        model: new model; changed in place.
        processor: its processor.
        source: trained model of the same class.
        source_processor: its processor.

    Raises:
        ValueError: another width, fewer layers, or other sizes that cannot be copied.
    """
    own, trained = model.state_dict(), source.state_dict()
    last = {stem: number for stem, number in _layer_numbers(trained)}
    lost = sorted(set(trained) - set(own))
    if lost:
        raise ValueError(f"the new model lacks {lost[0]}; it must not have fewer layers")
    for name, values in own.items():
        layer = _LAYER.match(name)
        if layer and int(layer[2]) > last.get(layer[1], -1):
            if _BRANCH_ENDS.search(name):
                values.zero_()
        elif name not in trained:
            continue
        elif has_rows_of(name, TOKEN_TABLES):
            _copy_tokens(values, trained[name], processor.tokenizer, source_processor.tokenizer)
        elif has_rows_of(name, LANGUAGE_TABLES):
            _copy_languages(values, trained[name], processor.languages, source_processor.languages)
        else:
            _copy_corner(name, values, trained[name])


def _layer_numbers(names: Any) -> list[tuple[str, int]]:
    """Stem of the names of layers and number of the last one, in increasing order."""
    return sorted((match[1], int(match[2])) for match in map(_LAYER.match, names) if match)


def _copy_corner(name: str, values: Tensor, trained: Tensor) -> None:
    """Copy into the first rows and columns; further inputs of a projection have no effect, others stay as they are."""
    if values.dim() != trained.dim() or any(new < old for new, old in zip(values.shape, trained.shape, strict=True)):
        shapes = f"{tuple(trained.shape)} to {tuple(values.shape)}"
        raise ValueError(f"{name} cannot change from {shapes}")
    if values.shape != trained.shape and ".up_proj." not in name and ".down_proj." not in name:
        raise ValueError(
            f"{name} has {tuple(trained.shape)} in the source and {tuple(values.shape)} in the new "
            "model; only layers, feed-forward modules and vocabularies can grow"
        )
    if name.endswith("down_proj.weight"):
        values[:, trained.shape[1] :] = 0.0
    values[tuple(slice(size) for size in trained.shape)] = trained


def _copy_tokens(values: Tensor, trained: Tensor, tokenizer: Any, source_tokenizer: Any) -> None:
    known = source_tokenizer.get_vocab()
    boundary, space = "\u2581", " "
    for token, row in tokenizer.get_vocab().items():
        spelled = token if token in known else token.replace(boundary, space)
        if spelled in known:
            start_row(values, row, trained, [known[spelled]])
        elif rows := [known[character] for character in spelled if character in known]:
            start_row(values, row, trained, rows)


def _copy_languages(values: Tensor, trained: Tensor, languages: Any, source_languages: Any) -> None:
    rows = {language: row for row, language in enumerate(source_languages)}
    for row, language in enumerate(languages):
        if language in rows:
            start_row(values, row, trained, [rows[language]])
