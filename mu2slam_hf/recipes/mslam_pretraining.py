# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of mSLAM: the mixture of Mu2SLAM's pre-training with other masks and losses."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from mu2slam_hf.data.collation.mslam import MSLAMCollator
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.task_types import MSLAM_TASKS
from mu2slam_hf.quantization.quantizer_callbacks import CodebookWatch, GumbelAnnealing, QuantizerFreezing
from mu2slam_hf.recipes.loader import errors_of
from mu2slam_hf.recipes.mixture_run import MixtureRun
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe
from mu2slam_hf.recipes.models import build_model_of
from mu2slam_hf.training.mslam_trainer import MSLAMTrainer


@dataclass(kw_only=True)
class MSLAMObjectiveSection:
    """Coefficients of the seven losses; each loss is a mean over its own targets in the whole update.

    Paper: mSLAM weighs speech 1.0, text 0.3 and pairs (TLM and CTC) 0.03; w2v-BERT weighs diversity 0.1 of the
    contrastive loss.

    Attributes:
        contrastive: telling the code of a masked frame from others, at the end of the speech layers.
        diversity: for the use of all codes.
        speech_mlm: predicting the codes of masked frames, at the top.
        text_mlm: predicting masked tokens of texts by themselves.
        tlm_speech: codes of masked frames beside the transcript.
        tlm_text: masked tokens of the transcript beside the speech.
        ctc: the transcript from the speech.
    """

    contrastive: float = 1.0
    diversity: float = 0.1
    speech_mlm: float = 1.0
    text_mlm: float = 0.3
    tlm_speech: float = 0.03
    tlm_text: float = 0.03
    ctc: float = 0.03


@dataclass(kw_only=True)
class QuantizerSection:
    """How the learned quantiser is treated; what it is stands in the model's configuration.

    Attributes:
        start_temperature: of the Gumbel softmax at the first update. w2v-BERT: 2.
        min_temperature: least temperature. w2v-BERT: 0.1.
        temperature_factor: by which it falls from update to update. w2v-BERT: 0.999995, for some hundred thousand
            updates.
        freeze_after: updates after which codebooks and front end stand still, so that codes are fixed targets, as
            those of BEST-RQ and HuBERT are from the beginning; None: never. Choice: short runs need it, because a
            predictor cannot follow codes that still move.
        min_usage: share of the entries chosen between two logs below which a codebook is said to have collapsed.
        min_perplexity_ratio: perplexity as a share of the entries, likewise.
    """

    start_temperature: float = 2.0
    min_temperature: float = 0.1
    temperature_factor: float = 0.999995
    freeze_after: int | None = None
    min_usage: float = 0.25
    min_perplexity_ratio: float = 0.05


@dataclass(kw_only=True)
class MSLAMRecipe(MixtureRecipe):
    """One run of mSLAM's pre-training.

    Attributes:
        kind: tells it from other recipes.
        masking: what is hidden of speech, texts and pairs.
        objective: weights of the losses.
        quantizer: course of its temperature, and when a collapse is warned of.
    """

    kind: Literal["mslam_pretraining"] = "mslam_pretraining"
    masking: MSLAMMaskingConfig = field(default_factory=MSLAMMaskingConfig)
    objective: MSLAMObjectiveSection = field(default_factory=MSLAMObjectiveSection)
    quantizer: QuantizerSection = field(default_factory=QuantizerSection)

    def __post_init__(self) -> None:
        # Evaluation names all tasks by default.
        self.evaluation = replace(
            self.evaluation, tasks=[task for task in self.evaluation.tasks if task in MSLAM_TASKS]
        )
        others = [task for task in self.data.tasks if task not in MSLAM_TASKS]
        if others:
            raise ValueError(f"data.tasks.{others[0]}: mSLAM is trained on {', '.join(MSLAM_TASKS)} only")
        if self.data.max_row_length is not None:
            raise ValueError("data.max_row_length: batches of mSLAM have no packed rows; leave it out")


class MSLAMPretrainingRun(MixtureRun):
    """Pre-training of `MSLAMForPreTraining`."""

    recipe_class = MSLAMRecipe
    recipe: MSLAMRecipe

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> nn.Module:
        """New, with the weights of `init_from`, or around a trained encoder; see `build_model_of`."""
        return build_model_of(self.recipe, processor, MSLAMForPreTraining)

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any) -> MSLAMCollator:
        """The collator with the recipe's masks, for the front end and the number of negatives of the model."""
        return MSLAMCollator(
            processor,
            seed=self.recipe.training.seed,
            masking=self.recipe.masking,
            num_negatives=model.config.num_negatives,
            encoder_config=model.config.encoder_config,
        )

    def make_trainer(self, processor: Mu2SLAMProcessor, model: Any, **parts: Any) -> MSLAMTrainer:
        """See `MSLAMTrainer`."""
        section = self.recipe.quantizer
        with errors_of("quantizer"):
            annealing = GumbelAnnealing(section.start_temperature, section.min_temperature, section.temperature_factor)
            freezing = None if section.freeze_after is None else QuantizerFreezing(section.freeze_after)
        watch = CodebookWatch(min_usage=section.min_usage, min_perplexity_ratio=section.min_perplexity_ratio)
        return MSLAMTrainer(model, annealing=annealing, watch=watch, freezing=freezing, **parts)
