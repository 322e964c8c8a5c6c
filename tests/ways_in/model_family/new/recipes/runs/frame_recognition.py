# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of a recurrent recognizer."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler
from mu2slam_hf.models.modeling_frame_recognizer import FrameRecognizer
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.records import Records, load_records
from mu2slam_hf.recipes.runs.models import build_model_of
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.run import Run, assemble_trainer, build_arguments
from mu2slam_hf.recipes.schema.head import HeadDataSection, HeadEvaluationSection
from mu2slam_hf.recipes.schema.sections import (
    ModelSection,
    OptimSection,
    OutputSection,
    ProcessorSection,
    TrainingSection,
)
from mu2slam_hf.training.objectives.frame_recognition import FrameRecognitionObjective
from mu2slam_hf.training.trainer import MultitaskTrainer


@dataclass(kw_only=True)
class FrameRecognitionRecipe:
    """One run of training."""

    kind: Literal["frame_recognition"] = "frame_recognition"
    model: ModelSection = field(default_factory=ModelSection)
    processor: ProcessorSection = field(default_factory=ProcessorSection)
    data: HeadDataSection = field(default_factory=HeadDataSection)
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: HeadEvaluationSection = field(default_factory=HeadEvaluationSection)
    output: OutputSection = field(default_factory=OutputSection)


class FrameRecognitionRun(Run):
    """Recordings in random order, CTC."""

    recipe_class = FrameRecognitionRecipe

    def load_data(self) -> Records:
        """Records of the training corpora."""
        return load_records(self.recipe.data.corpora, "data.corpora")

    def build_processor(self, data: Records) -> Mu2SLAMProcessor:
        """A new processor, or that of the checkpoint."""
        return build_processor(self.recipe, data, self.checkpoint)

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> nn.Module:
        """A new model."""
        return build_model_of(self.recipe, processor, FrameRecognizer)

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any) -> HeadCollator:
        """Features and transcripts."""
        return HeadCollator(processor)

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer over all recordings with a transcript."""
        args = build_arguments(self.recipe)
        records = [record for part in data.values() for record in part]
        dataset = ExampleDataset(ExampleBuilder(tasks=["asr"], one_target=True).build(records), seed=args.seed)
        size = self.recipe.data.per_device_train_batch_size
        return assemble_trainer(
            model,
            args,
            processor,
            objective=FrameRecognitionObjective(model),
            dataset=dataset,
            sampler=ShuffledBatchSampler(dataset.examples, size, seed=args.seed, **args.place),
            collator=self.build_collator(processor, model),
        )
