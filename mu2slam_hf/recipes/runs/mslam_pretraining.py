# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of mSLAM and Maestro: the mixture of Mu2SLAM's pre-training with their masks and losses."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch import nn

from mu2slam_hf.data.collation.mslam import MaestroCollator, MSLAMCollator
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig
from mu2slam_hf.models.modeling_maestro_pretraining import MaestroForPreTraining
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.task_types import MSLAM_TASKS
from mu2slam_hf.quantization.quantizer_callbacks import QuantizerConfig
from mu2slam_hf.recipes.runs.mixture import MixtureRun
from mu2slam_hf.recipes.runs.models import build_model_of
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe
from mu2slam_hf.training.objectives.maestro import MaestroObjective, MaestroObjectiveConfig
from mu2slam_hf.training.objectives.mslam import MSLAMObjective, MSLAMObjectiveConfig


@dataclass(kw_only=True)
class MSLAMRecipe(MixtureRecipe):
    """One run of mSLAM's pre-training.

    Attributes:
        kind: kind of the recipe.
        masking: rules of masking of speech, texts and pairs.
        objective: weights of the losses.
        quantizer: schedule of its temperature, and threshold of the warning about a collapse.
    """

    kind: Literal["mslam_pretraining"] = "mslam_pretraining"
    masking: MSLAMMaskingConfig = field(default_factory=MSLAMMaskingConfig)
    objective: MSLAMObjectiveConfig = field(default_factory=MSLAMObjectiveConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)

    def __post_init__(self) -> None:
        # The default of evaluation is all tasks.
        self.evaluation = replace(
            self.evaluation, tasks=[task for task in self.evaluation.tasks if task in MSLAM_TASKS]
        )
        others = [task for task in self.data.tasks if task not in MSLAM_TASKS]
        if others:
            raise ValueError(f"data.tasks.{others[0]}: mSLAM supports {', '.join(MSLAM_TASKS)} only")
        if self.data.max_row_length is not None:
            raise ValueError("data.max_row_length: batches of mSLAM have no packed rows; leave it out")


class MSLAMPretrainingRun(MixtureRun):
    """Pre-training of `MSLAMForPreTraining`."""

    recipe_class: ClassVar[type[MSLAMRecipe]] = MSLAMRecipe
    recipe: MSLAMRecipe
    model_class: ClassVar[type[MSLAMForPreTraining]] = MSLAMForPreTraining
    collator_class: ClassVar[type[MSLAMCollator]] = MSLAMCollator
    objective_class: ClassVar[type[MSLAMObjective]] = MSLAMObjective

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> nn.Module:
        """See `build_model_of`."""
        return build_model_of(self.model_recipe, processor, self.model_class, growths=self.growths)

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, *, masking: Any = None) -> MSLAMCollator:
        """The collator for the front end and the negatives of the model; `masking` overrides the recipe's."""
        return self.collator_class(
            processor,
            seed=self.recipe.training.seed,
            masking=masking or self.recipe.masking,
            num_negatives=0 if model.config.has_random_codes else model.config.num_negatives,
            encoder_config=model.config.encoder_config,
        )

    def build_objective(self, processor: Mu2SLAMProcessor, model: Any) -> MSLAMObjective:
        """All losses; those of masked codes alone for a model whose codes are not learned.

        Raises:
            RecipeError: a weight of a loss that the model does not have.
        """
        objective = self.recipe.objective
        if model.config.has_random_codes and (objective.contrastive or objective.diversity):
            raise RecipeError(
                "objective.contrastive and objective.diversity must be 0 with quantizer_method 'random_projection', "
                f"which has neither loss; got {objective.contrastive:g} and {objective.diversity:g}"
            )
        return self.objective_class(model, objective, quantizer=self.recipe.quantizer)


@dataclass(kw_only=True)
class MaestroRecipe(MSLAMRecipe):
    """One run of Maestro's pre-training; `masking` applies to speech without text.

    Attributes:
        kind: kind of the recipe.
        objective: weights of the losses, and when they start.
    """

    kind: Literal["maestro_pretraining"] = "maestro_pretraining"  # type: ignore[assignment]
    objective: MaestroObjectiveConfig = field(default_factory=MaestroObjectiveConfig)  # type: ignore[assignment]


class MaestroPretrainingRun(MSLAMPretrainingRun):
    """Pre-training of `MaestroForPreTraining`."""

    recipe_class = MaestroRecipe
    recipe: MaestroRecipe
    model_class: ClassVar[type[MSLAMForPreTraining]] = MaestroForPreTraining
    collator_class: ClassVar[type[MSLAMCollator]] = MaestroCollator
    objective_class: ClassVar[type[MSLAMObjective]] = MaestroObjective
