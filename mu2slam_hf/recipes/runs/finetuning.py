# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Supervised training of Mu2SLAM: recognition, speech translation, text translation and CTC together.

Two kinds of recipes differ in their batches. Those of `finetuning` have one source modality and bounds on their size,
in the phases of a curriculum. Those of `multitask_finetuning` have a fixed number of examples of each task, from
tables or streams (paper, section 2.4: multi-task multilingual fine-tuning and the single tasks after it, by `P(y|x)`
alone). Model, adapters, collation and losses are the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from mu2slam_hf.checkpoints.folders import copy_licence
from mu2slam_hf.data.augmentation import SpecAugment, SpecAugmentConfig
from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.data.sampling.phases import PhasedBatchSampler, PhasedCollator, PhasedDataset
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.curriculum import build_curriculum, total_steps
from mu2slam_hf.recipes.data.records import Records, load_records
from mu2slam_hf.recipes.runs.development import build_development_sets, build_generation_metrics
from mu2slam_hf.recipes.runs.mixture import MixtureRun
from mu2slam_hf.recipes.runs.models import add_adapters, build_model_of
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.run import Run, assemble_trainer, build_arguments
from mu2slam_hf.recipes.schema.data import CorpusSection, DataSection
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe, PretrainingDataSection, PretrainingEvaluationSection
from mu2slam_hf.recipes.schema.sections import (
    LoraSection,
    ModelSection,
    OptimSection,
    OutputSection,
    ProcessorSection,
    StageSection,
    TrainingSection,
    check_weight_decay_of_adapters,
)
from mu2slam_hf.training.decoder_noise import DecoderNoiseConfig
from mu2slam_hf.training.objectives.supervised import SupervisedObjective, SupervisedObjectiveConfig
from mu2slam_hf.training.trainer import MultitaskTrainer


class SupervisedRun(Run):
    """Supervised training of `Mu2SLAMForConditionalGeneration`, in full or by low-rank adapters.

    If the recipe has `lora`, the base model is frozen and peft's adapters are trained.
    """

    @property
    def model_recipe(self) -> Any:
        """As in the base class; adapters are always added to their base model."""
        return self.recipe if self.recipe.lora is not None else super().model_recipe

    @property
    def processor_checkpoint(self) -> str | None:
        """Checkpoint that has the processor; None with adapters, whose base model is grown again."""
        return self.checkpoint if self.recipe.lora is None else None

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> nn.Module:
        """See `build_model_of`; with adapters if the recipe has `lora`."""
        model = build_model_of(self.model_recipe, processor, Mu2SLAMForConditionalGeneration, growths=self.growths)
        if self.recipe.lora is None:
            return model
        records = [record for part in (data or {}).values() for record in part]
        languages = sorted({lang for record in records for lang in (record.lang, *record.translations)})
        return add_adapters(self.recipe.lora, model, processor, growths=self.growths, languages=languages)

    def save_extra_files(self, model: Any, processor: Mu2SLAMProcessor, folder: Path) -> None:
        """Save the model with its adapters merged in, if `lora.merge` is set."""
        if self.recipe.lora is not None and self.recipe.lora.merge:
            model.merge_and_unload().save_pretrained(folder / "merged")
            processor.save_pretrained(folder / "merged")
            copy_licence(self.recipe.model.init_from, folder / "merged")

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, **kwargs: Any) -> SupervisedCollator:
        """The collator; `kwargs` are further arguments of it (`spec_augment`). Without masks by default."""
        config = model.config
        return SupervisedCollator(
            processor, encoder_config=config.encoder_config, build_prompt=config.build_prompt, **kwargs
        )

    def build_objective(self, processor: Mu2SLAMProcessor, model: Any) -> SupervisedObjective:
        """The losses, with noise on the decoder's inputs."""
        recipe = self.recipe
        return SupervisedObjective(
            model, recipe.objective, decoder_noise=recipe.decoder_noise, seed=recipe.training.seed
        )


@dataclass(kw_only=True)
class EvaluationSection:
    """Evaluation during training and after it.

    Attributes:
        corpora: development corpora.
        generate_examples: number of examples of each corpus and task to generate during training; 0 for none.
        generate_kwargs: arguments of `generate` for them (num_beams, ctc_weight, ...).
        batch: bounds on an evaluation batch.
    """

    corpora: dict[str, CorpusSection] = field(default_factory=dict)
    generate_examples: int = 0
    generate_kwargs: dict[str, Any] = field(default_factory=lambda: {"num_beams": 1})
    batch: BatchLimits = field(default_factory=lambda: BatchLimits(max_seconds=60.0))


@dataclass(kw_only=True)
class FinetuningRecipe:
    """One run of supervised training.

    Attributes:
        kind: kind of the recipe.
        decoder_noise: noise on decoder inputs; None for none.
        stages: consecutive runs; empty for a single run.
    """

    kind: Literal["finetuning"] = "finetuning"
    model: ModelSection = field(default_factory=ModelSection)
    processor: ProcessorSection = field(default_factory=ProcessorSection)
    data: DataSection = field(default_factory=DataSection)
    decoder_noise: DecoderNoiseConfig | None = None
    objective: SupervisedObjectiveConfig = field(default_factory=SupervisedObjectiveConfig)
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    lora: LoraSection | None = None
    output: OutputSection = field(default_factory=OutputSection)
    stages: list[StageSection] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_weight_decay_of_adapters(self)


class FinetuningRun(SupervisedRun):
    """Supervised training on batches of one source modality, with the phases of a curriculum."""

    recipe_class = FinetuningRecipe
    recipe: FinetuningRecipe

    def load_data(self) -> Records:
        """Records of the training corpora."""
        return load_records(self.recipe.data.corpora, "data.corpora")

    def build_processor(self, data: Records) -> Mu2SLAMProcessor:
        """See `mu2slam_hf.recipes.runs.processors.build_processor`."""
        return build_processor(self.recipe, data, self.processor_checkpoint, self.growths)

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer with its phases and development sets."""
        recipe = self.recipe
        args = build_arguments(recipe, max_steps=total_steps(recipe))
        build_collator = partial(self.build_collator, processor, model)
        phases = build_curriculum(recipe, data, processor, build_collator, num_ranks=args.world_size)
        development = load_records(recipe.evaluation.corpora, "evaluation.corpora")
        return assemble_trainer(
            model,
            args,
            processor,
            objective=self.build_objective(processor, model),
            dataset=PhasedDataset(phases),
            sampler=PhasedBatchSampler(phases, **args.place),
            collator=PhasedCollator(phases),
            development_sets=build_development_sets(recipe, development, processor, build_collator, model.config),
            development_metrics=build_generation_metrics(
                recipe.evaluation,
                {name: corpus.tasks for name, corpus in recipe.evaluation.corpora.items()},
                development,
                processor,
            ),
        )


@dataclass(kw_only=True)
class MultitaskObjectiveConfig(SupervisedObjectiveConfig):
    """Coefficients of the named losses; each loss is a mean over its own targets.

    Paper: section 2.4: the sequence-to-sequence loss alone. Choice: no other loss unless the recipe asks for it.

    Attributes:
        asr_decoder, ast_decoder, mt_decoder: decoder cross entropy of each task. Choice: 1.
        ctc: CTC on the transcript.
        language: the head that predicts the source language.
        label_smoothing: label smoothing of the decoder losses, over text rows.
    """

    ctc: float = 0.0
    language: float = 0.0
    label_smoothing: float = 0.0


@dataclass(kw_only=True)
class MultitaskDataSection(PretrainingDataSection):
    """Corpora, tasks and their mixture; see `PretrainingDataSection`.

    Attributes:
        tasks: asr, ast, mt -> share and corpora. Shares are required: examples in a batch of one device. Choice: a
            pair of `mt` has one direction, chosen by a hash of its id, so that both directions have half of the pairs.
        undetermined_source_ratio: share of draws without the source language as encoder input. Choice: 0 as in the
            paper, whose model always has the language.
        spec_augment: masks on the features of speech; None for none.
    """

    undetermined_source_ratio: float = 0.0
    spec_augment: SpecAugmentConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for task, section in self.tasks.items():
            if task not in TASK_NAMES:
                raise ValueError(f"tasks.{task}: is not a task of fine-tuning; these are {', '.join(TASK_NAMES)}")
            if section.share is None:
                raise ValueError(f"tasks.{task}.share: is required: the number of its examples in a batch of a device")


@dataclass(kw_only=True)
class MultitaskEvaluationSection(PretrainingEvaluationSection):
    """Losses and figures of generated text on development corpora; see `PretrainingEvaluationSection`.

    Attributes:
        tasks: tasks of the examples, if the corpora have any for them.
    """

    tasks: list[str] = field(default_factory=lambda: list(TASK_NAMES))


@dataclass(kw_only=True)
class MultitaskFinetuningRecipe(MixtureRecipe):
    """One run of fine-tuning with a fixed number of examples of each task in every batch.

    Attributes:
        kind: kind of the recipe.
        decoder_noise: noise on decoder inputs; None for none.
        lora: low-rank adapters instead of training all weights.
        stages: consecutive runs; empty for a single run.
    """

    kind: Literal["multitask_finetuning"] = "multitask_finetuning"
    data: MultitaskDataSection = field(default_factory=MultitaskDataSection)
    decoder_noise: DecoderNoiseConfig | None = None
    objective: MultitaskObjectiveConfig = field(default_factory=MultitaskObjectiveConfig)
    evaluation: MultitaskEvaluationSection = field(default_factory=MultitaskEvaluationSection)
    lora: LoraSection | None = None
    stages: list[StageSection] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.masking is not None:
            raise ValueError("masking: fine-tuning has no masks (paper, section 2.4); leave it out")
        check_weight_decay_of_adapters(self)


class MultitaskFinetuningRun(SupervisedRun, MixtureRun):
    """Supervised training on batches that hold a share of every task."""

    recipe_class = MultitaskFinetuningRecipe
    recipe: MultitaskFinetuningRecipe

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, **kwargs: Any) -> SupervisedCollator:
        """The collator of training, with masks on the features of speech if the recipe has `data.spec_augment`."""
        masks = self.recipe.data.spec_augment
        spec_augment = None if masks is None else SpecAugment(masks, seed=self.recipe.training.seed)
        return super().build_collator(processor, model, spec_augment=spec_augment)

    def build_development_collator(self, processor: Mu2SLAMProcessor, model: Any) -> SupervisedCollator:
        """The collator without masks."""
        return super().build_collator(processor, model)

    def build_development_metrics(
        self, records: Records, processor: Mu2SLAMProcessor
    ) -> Callable[[Any], dict[str, float]] | None:
        """See `build_generation_metrics`."""
        section = self.recipe.evaluation
        return build_generation_metrics(section, dict.fromkeys(records, section.tasks), records, processor)
