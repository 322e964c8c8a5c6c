# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning of Mu2SLAM with a fixed number of examples of each task in every batch, on tables or on streams.

Paper: section 2.4, multi-task multilingual fine-tuning and the single tasks after it, by `P(y|x)` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from mu2slam_hf.data.augmentation import SpecAugment, SpecAugmentConfig
from mu2slam_hf.data.collation.multitask import MultitaskCollator
from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.records import Records
from mu2slam_hf.recipes.runs.adapter_run import AdapterRun
from mu2slam_hf.recipes.runs.development import build_generation_metrics
from mu2slam_hf.recipes.runs.mixture import MixtureRun
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe, PretrainingDataSection, PretrainingEvaluationSection
from mu2slam_hf.recipes.schema.sections import LoraSection, StageSection, check_weight_decay_of_adapters
from mu2slam_hf.training.decoder_noise import DecoderNoiseConfig
from mu2slam_hf.training.objectives.multitask import MultitaskObjective
from mu2slam_hf.training.objectives.supervised import SupervisedObjectiveConfig


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


class MultitaskFinetuningRun(AdapterRun, MixtureRun):
    """Fine-tuning of `Mu2SLAMForConditionalGeneration` on batches that hold a share of every task."""

    recipe_class = MultitaskFinetuningRecipe
    recipe: MultitaskFinetuningRecipe

    def build_objective(self, processor: Mu2SLAMProcessor, model: Any) -> MultitaskObjective:
        """The decoder loss of each task, with noise on the decoder's inputs."""
        recipe = self.recipe
        return MultitaskObjective(
            model, recipe.objective, decoder_noise=recipe.decoder_noise, seed=recipe.training.seed
        )

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, masking: Any = None) -> MultitaskCollator:
        """The collator of training, with masks on the features of speech if the recipe has `data.spec_augment`."""
        masks = self.recipe.data.spec_augment
        spec_augment = None if masks is None else SpecAugment(masks, seed=self.recipe.training.seed)
        return self._build_collator(processor, model, spec_augment)

    def build_development_collator(self, processor: Mu2SLAMProcessor, model: Any) -> MultitaskCollator:
        """The collator without masks."""
        return self._build_collator(processor, model, None)

    def build_development_metrics(
        self, records: Records, processor: Mu2SLAMProcessor
    ) -> Callable[[Any], dict[str, float]] | None:
        """See `build_generation_metrics`."""
        section = self.recipe.evaluation
        return build_generation_metrics(section, dict.fromkeys(records, section.tasks), records, processor)

    def _build_collator(
        self, processor: Mu2SLAMProcessor, model: Any, spec_augment: SpecAugment | None
    ) -> MultitaskCollator:
        config = model.config
        return MultitaskCollator(
            SupervisedCollator(
                processor,
                encoder_config=config.encoder_config,
                build_prompt=config.build_prompt,
                spec_augment=spec_augment,
            )
        )
