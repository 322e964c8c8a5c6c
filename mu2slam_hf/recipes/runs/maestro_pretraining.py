# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of Maestro: that of mSLAM with text at the frame rate of speech."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mu2slam_hf.data.collation.maestro import MaestroCollator
from mu2slam_hf.models.modeling_maestro_pretraining import MaestroForPreTraining
from mu2slam_hf.recipes.runs.mslam_pretraining import MSLAMPretrainingRun, MSLAMRecipe
from mu2slam_hf.training.objectives.maestro import MaestroObjective, MaestroObjectiveConfig


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
    model_class: ClassVar[type[MaestroForPreTraining]] = MaestroForPreTraining
    collator_class: ClassVar[type[MaestroCollator]] = MaestroCollator
    objective_class: ClassVar[type[MaestroObjective]] = MaestroObjective
