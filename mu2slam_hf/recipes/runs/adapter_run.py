# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of runs that train `Mu2SLAMForConditionalGeneration` in full, or by low-rank adapters."""

from pathlib import Path
from typing import Any

from torch import nn

from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.runs.models import add_adapters, build_model_of
from mu2slam_hf.recipes.runs.run import Run


class AdapterRun(Run):
    """A run whose recipe may have `lora`: the base model is frozen and peft's adapters are trained."""

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

    def save_more(self, model: Any, processor: Mu2SLAMProcessor, folder: Path) -> None:
        """Save the model with its adapters merged in, if `lora.merge` is set."""
        if self.recipe.lora is not None and self.recipe.lora.merge:
            model.merge_and_unload().save_pretrained(folder / "merged")
            processor.save_pretrained(folder / "merged")
