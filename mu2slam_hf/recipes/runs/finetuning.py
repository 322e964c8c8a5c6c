# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Supervised training of Mu2SLAM: recognition, speech translation, text translation and CTC together."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.sampling.phases import PhasedBatchSampler, PhasedCollator, PhasedDataset
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.curriculum import build_curriculum, total_steps
from mu2slam_hf.recipes.data.records import Records, load_records
from mu2slam_hf.recipes.runs.adapter_run import AdapterRun
from mu2slam_hf.recipes.runs.development import build_development_sets, build_generation_metrics
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.run import assemble_trainer, build_arguments
from mu2slam_hf.recipes.schema.data import CorpusSection, DataSection
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


class FinetuningRun(AdapterRun):
    """Supervised training on batches of one source modality, with the phases of a curriculum."""

    recipe_class = FinetuningRecipe
    recipe: FinetuningRecipe

    def load_data(self) -> Records:
        """Records of the training corpora."""
        return load_records(self.recipe.data.corpora, "data.corpora")

    def build_processor(self, data: Records) -> Mu2SLAMProcessor:
        """See `mu2slam_hf.recipes.runs.processors.build_processor`."""
        return build_processor(self.recipe, data, self.processor_checkpoint, self.growths)

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, **kwargs: Any) -> SupervisedCollator:
        """The collator without masks; `kwargs` are the options of a phase (`spec_augment`)."""
        config = model.config
        return SupervisedCollator(
            processor, encoder_config=config.encoder_config, build_prompt=config.build_prompt, **kwargs
        )

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer with its phases and development sets."""
        recipe = self.recipe
        args = build_arguments(recipe, max_steps=total_steps(recipe))
        build_collator = partial(self.build_collator, processor, model)
        phases = build_curriculum(recipe, data, processor, build_collator, num_ranks=args.world_size)
        development = load_records(recipe.evaluation.corpora, "evaluation.corpora")
        objective = SupervisedObjective(
            model, recipe.objective, decoder_noise=recipe.decoder_noise, seed=recipe.training.seed
        )
        return assemble_trainer(
            model,
            args,
            processor,
            objective=objective,
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
