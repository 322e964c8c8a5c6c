# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of the audio adapter between a speech encoder and a text model, with or without LoRA of the text model.

The folder of a result has only what was trained, relative to the model of `mu2slam init`. Stages start from such
folders: the adapter is trained alone, then together with LoRA.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.constants import DUMMY_TARGET_MODULES
from safetensors.torch import load_file
from torch import nn
from transformers import set_seed

from mu2slam_hf.checkpoints.folders import check_model_type, find_base_model, load_processor
from mu2slam_hf.data.collation.speech_llm import PromptCollator
from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.models.modeling_speech_llm import SpeechLLMForConditionalGeneration
from mu2slam_hf.models.task_prompts import TEST_PROMPTS, TRAINING_PROMPTS, check_prompts
from mu2slam_hf.recipes.data.records import Records
from mu2slam_hf.recipes.runs.development import build_generation_metrics
from mu2slam_hf.recipes.runs.finetuning import MultitaskDataSection, MultitaskEvaluationSection
from mu2slam_hf.recipes.runs.mixture import MixtureRun
from mu2slam_hf.recipes.runs.models import add_adapters, set_generation
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe
from mu2slam_hf.recipes.schema.sections import LoraSection, ModelSection, StageSection
from mu2slam_hf.training.checkpoints import find_weights_file
from mu2slam_hf.training.objectives.speech_llm import SpeechLLMObjective, SpeechLLMObjectiveConfig

_ADAPTER = "audio_adapter"


@dataclass(kw_only=True)
class SpeechLLMModelSection(ModelSection):
    """The model to train.

    Attributes:
        init_from: folder of `mu2slam init --language-model`, or the result of an earlier stage.
        language_model_dtype: dtype of the frozen text model; T5's format overflows in float16.
    """

    language_model_dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(kw_only=True)
class SpeechLLMLoraSection(LoraSection):
    """Low-rank adapters of the text model.

    Attributes:
        r: rank. Paper: 16.
        lora_alpha: scale. Paper: 10.
        target_modules: names of linear layers, or a regular expression; empty for the queries and values of the text
            model.
        merge: not used; see `merge` of the recipe.
    """

    r: int = 16
    lora_alpha: float = 10.0
    target_modules: list[str] | str = field(default_factory=list)
    merge: bool = False

    def __post_init__(self) -> None:
        if self.modules_to_save:
            raise ValueError("modules_to_save: the audio adapter is trained in full, and nothing else")
        if self.merge:
            raise ValueError("merge: set merge: true beside lora, which also holds for runs without it")


@dataclass(kw_only=True)
class PromptSection:
    """Prompts of the text model, with `{language}` (spoken) and `{target}`.

    Attributes:
        training: prompts by task, one of which is drawn for each example and epoch; by default 25 for each task.
        test: prompt of each task in evaluation and in use; by default those of the paper.
    """

    training: dict[str, list[str]] = field(default_factory=dict)
    test: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_prompts(self.training)
        check_prompts({task: [prompt] for task, prompt in self.test.items()})

    @property
    def by_task(self) -> dict[str, tuple[str, ...]]:
        """Training prompts of all tasks."""
        return TRAINING_PROMPTS | {task: tuple(prompts) for task, prompts in self.training.items()}


@dataclass(kw_only=True)
class SpeechLLMRecipe(MixtureRecipe):
    """One run of training.

    Attributes:
        kind: kind of the recipe.
        prompts: prompts of the text model.
        lora: low-rank adapters of the text model; None trains the audio adapter alone.
        merge: whether to save the whole model too, in `merged/`, for an upload.
        stages: consecutive runs; empty for a single run. Paper: the adapter alone, then the adapter and LoRA.
    """

    kind: Literal["speech_llm"] = "speech_llm"
    model: SpeechLLMModelSection = field(default_factory=SpeechLLMModelSection)
    data: MultitaskDataSection = field(default_factory=MultitaskDataSection)
    prompts: PromptSection = field(default_factory=PromptSection)
    objective: SpeechLLMObjectiveConfig = field(default_factory=SpeechLLMObjectiveConfig)
    evaluation: MultitaskEvaluationSection = field(default_factory=MultitaskEvaluationSection)
    lora: SpeechLLMLoraSection | None = None
    merge: bool = False
    stages: list[StageSection] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.masking is not None:
            raise ValueError("masking: this kind has no masks; leave it out")
        if self.data.undetermined_source_ratio:
            raise ValueError("data.undetermined_source_ratio: must be 0, because the prompts name the language")
        if self.data.spec_augment is not None:
            raise ValueError("data.spec_augment: is not supported by runs of this kind")


class SpeechLLMRun(MixtureRun):
    """Training of the audio adapter, and of LoRA if the recipe has it, on a mixture of asr, ast and mt."""

    recipe_class = SpeechLLMRecipe
    recipe: SpeechLLMRecipe

    def build_processor(self, data: Records) -> Any:
        """The processor of `model.init_from`, with the test prompts of the recipe.

        Raises:
            RecipeError: there is no `init_from`, or its prompts cannot name a language of the data.
        """
        section = self.recipe.model
        if section.init_from is None:
            raise RecipeError(
                "model.init_from: expected the folder of a speech encoder and a text model; create one with `mu2slam "
                "init --speech-model S --language-model T --output-dir BASE`"
            )
        with errors_of("model.init_from"):
            check_model_type(section.init_from, "speech_llm")
            processor: Any = load_processor(section.init_from)
        processor.prompts = {**TEST_PROMPTS, **self.recipe.prompts.test}
        codes = {lang for part in data.values() for record in part for lang in (record.lang, *record.translations)}
        for code in sorted(self.recipe.data.languages or codes):
            with errors_of("data.languages"):
                processor.language_row(code)
        return processor

    def build_model(self, processor: Any, data: Any = None) -> nn.Module:
        """The base model with a trainable audio adapter and LoRA, or those of the stage before.

        Raises:
            RecipeError: LoRA on the encoder, or of another shape than in the stage before.
        """
        section = self.recipe.model
        set_seed(self.recipe.training.seed)
        before = Path(str(section.init_from))
        base = find_base_model(before)
        with errors_of("model.init_from"):
            model: Any = SpeechLLMForConditionalGeneration.from_pretrained(base or before, dtype=torch.float32)
        model.language_model.to(getattr(torch, section.language_model_dtype))
        set_generation(model, section)
        if section.attn_implementation is not None:
            model.set_attn_implementation(section.attn_implementation)
        lora = self._complete_lora(model)
        if base is not None:
            check_same_lora(before, lora)
        records = [record for part in (data or {}).values() for record in part]
        languages = sorted({lang for record in records for lang in (record.lang, *record.translations)})
        adapted = add_adapters(lora, model, processor, languages=languages)
        if base is not None:
            adapted.load_adapter_weights(load_file(find_weights_file(before)))
        return adapted

    def _complete_lora(self, model: Any) -> LoraSection:
        """The section with its targets; without LoRA there are none, and peft saves the audio adapter alone."""
        section = self.recipe.lora
        if section is None:
            return LoraSection(target_modules=DUMMY_TARGET_MODULES, modules_to_save=[_ADAPTER], merge=False)
        complete = LoraSection(**vars(section))
        complete.modules_to_save = [_ADAPTER]
        with errors_of("lora.target_modules"):
            complete.target_modules = section.target_modules or find_lora_targets(model)
            check_lora_targets(model, complete.target_modules)
        return complete

    def save_extra_files(self, model: Any, processor: Any, folder: Path) -> None:
        """Save the whole model, with LoRA merged into the text model, if the recipe has `merge`."""
        if self.recipe.merge:
            model.merge_and_unload().save_pretrained(folder / "merged")
            processor.save_pretrained(folder / "merged")

    def build_collator(self, processor: Any, model: Any, *, masking: Any = None) -> PromptCollator:
        """The collator of training, which draws the prompts."""
        return PromptCollator(processor, prompts=self.recipe.prompts.by_task, seed=self.recipe.training.seed)

    def build_development_collator(self, processor: Any, model: Any) -> PromptCollator:
        """The collator with the test prompts."""
        return PromptCollator(processor, prompts={task: (prompt,) for task, prompt in processor.prompts.items()})

    def build_objective(self, processor: Any, model: Any) -> SpeechLLMObjective:
        """The loss of each task."""
        return SpeechLLMObjective(model, self.recipe.objective)

    def build_development_metrics(self, records: Records, processor: Any) -> Callable[[Any], dict[str, float]] | None:
        """See `build_generation_metrics`."""
        section = self.recipe.evaluation
        tasks = dict.fromkeys(records, [task for task in section.tasks if task in TASK_NAMES])
        return build_generation_metrics(section, tasks, records, processor)


def find_lora_targets(model: Any) -> str:
    """Names, as a regular expression, of the projections of the text model that LoRA adapts by default.

    Paper: the sizes of its LoRA are those of q and v of every attention. Choice: of the text model only, by peft's
    names for its type, because the Conformer has a `q_proj` too.

    Raises:
        ValueError: peft has no names for this type.
    """
    model_type = model.config.text_config.get_text_config().model_type
    names = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model_type)
    if names is None:
        raise ValueError(f"peft has no default for a text model of type {model_type!r}: name the layers")
    return rf"language_model\..*\.({'|'.join(names)})"


def check_lora_targets(model: Any, targets: list[str] | str) -> None:
    """Raises ValueError if LoRA would adapt layers of the encoder, whose languages must not change."""
    config = LoraConfig(target_modules=targets)
    inside = [
        name for name, _ in model.encoder.named_modules() if check_target_module_exists(config, f"encoder.{name}")
    ]
    if inside:
        raise ValueError(
            f"{targets!r} also matches encoder.{inside[0]} of the speech encoder, which stays frozen: begin with "
            "language_model, as in " + repr(r"language_model\..*\.(q_proj|v_proj)")
        )


def check_same_lora(folder: Path, lora: LoraSection) -> None:
    """Check that a stage can continue the LoRA of the one before, if that has any.

    Raises:
        RecipeError: rank, scale or targets differ.
    """
    values = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if values["target_modules"] in (DUMMY_TARGET_MODULES, [DUMMY_TARGET_MODULES]):
        return
    for name in ("r", "lora_alpha", "target_modules"):
        ours, theirs = getattr(lora, name), values[name]
        ours, theirs = ((sorted(item) if isinstance(item, list) else item) for item in (ours, theirs))
        if ours != theirs:
            raise RecipeError(
                f"lora.{name}: {folder} has LoRA with {theirs!r}, got {ours!r}; a stage continues that of the stage "
                "before"
            )
