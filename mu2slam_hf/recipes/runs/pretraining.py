# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of Mu2SLAM: five tasks, 24 losses, a frozen speech tokenizer beside the model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from huggingface_hub.errors import StrictDataclassError
from torch import nn

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.data.collation.mu2slam import Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.masking import MaskingConfig
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.processing_speech_tokenizer import log_mel_extractor
from mu2slam_hf.models.task_types import SCORED_TASKS
from mu2slam_hf.quantization.tokenizer_loading import load_speech_tokenizer
from mu2slam_hf.recipes.data.records import Records
from mu2slam_hf.recipes.runs.development import build_generation_metrics
from mu2slam_hf.recipes.runs.mixture import MixtureRun
from mu2slam_hf.recipes.runs.models import build_model_of
from mu2slam_hf.recipes.schema.loader import RecipeError, path_field
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe
from mu2slam_hf.training.objectives.mu2slam import Mu2SLAMObjective, Mu2SLAMObjectiveConfig


@dataclass(kw_only=True)
class SpeechTokenizerSection:
    """The frozen model that converts speech to ids. It is saved with the processor.

    Attributes:
        kind: kind of the codebook, which a recipe must name unless it starts from a processor or tokenizer that has
            one. Paper, section 2.2: that of mSLAM, learned by a contrastive loss (`contrastive`, with `init_from`). A
            random projection requires no training.
        config: further fields of `SpeechTokenizerConfig` (`codevector_dim`, `projection_seed`, ...). The codebook has
            `processor.num_speech_tokens` entries.
        init_from: folder of a saved speech tokenizer instead; `config` must then be empty.
    """

    kind: Literal["random_projection", "contrastive", "kmeans"] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    init_from: str | None = path_field("folder")


@dataclass(kw_only=True)
class PretrainingRecipe(MixtureRecipe):
    """One run of pre-training.

    Attributes:
        kind: kind of the recipe.
    """

    kind: Literal["pretraining"] = "pretraining"
    speech_tokenizer: SpeechTokenizerSection = field(default_factory=SpeechTokenizerSection)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    objective: Mu2SLAMObjectiveConfig = field(default_factory=Mu2SLAMObjectiveConfig)


class PretrainingRun(MixtureRun):
    """Pre-training of `Mu2SLAMForPreTraining`."""

    recipe_class = PretrainingRecipe
    recipe: PretrainingRecipe

    def complete_processor(self, processor: Mu2SLAMProcessor, *, is_new: bool) -> Mu2SLAMProcessor:
        """The processor with its speech tokenizer.

        Raises:
            RecipeError: the speech tokenizer does not match the text tokenizer or the sampling rate.
        """
        replaces = not is_new and self.checkpoint is None and self.recipe.speech_tokenizer.init_from is not None
        if processor.speech_tokenizer is None or replaces:
            processor.speech_tokenizer = build_frozen_speech_tokenizer(self.recipe, processor)
        config, wanted = processor.speech_tokenizer.config, processor.tokenizer.num_speech_tokens
        if config.reads_waveforms and processor.speech_tokenizer.encoder.sampling_rate != SAMPLING_RATE:
            rate = processor.speech_tokenizer.encoder.sampling_rate
            raise RecipeError(f"speech_tokenizer: expects {rate} Hz, but recordings are read at {SAMPLING_RATE} Hz")
        if (config.num_codevectors_per_group, config.num_codevector_groups) != (wanted, 1):
            raise RecipeError(
                f"speech_tokenizer: has {config.num_codevector_groups} codebooks of "
                f"{config.num_codevectors_per_group} entries, but the text tokenizer leaves room for one of {wanted} "
                "(processor.num_speech_tokens)"
            )
        return processor

    def build_objective(self, processor: Mu2SLAMProcessor, model: Any) -> Mu2SLAMObjective:
        """The 24 losses, with the speech tokenizer of the processor."""
        assert processor.speech_tokenizer is not None, "set by complete_processor"
        return Mu2SLAMObjective(model, self.recipe.objective, speech_tokenizer=processor.speech_tokenizer)

    def build_development_metrics(
        self, records: Records, processor: Mu2SLAMProcessor
    ) -> Callable[[Any], dict[str, float]] | None:
        """See `build_generation_metrics`."""
        section = self.recipe.evaluation
        tasks = [task for task in section.tasks if task in SCORED_TASKS]
        return build_generation_metrics(section, dict.fromkeys(records, tasks), records, processor)

    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> nn.Module:
        """See `build_model_of`.

        Raises:
            RecipeError: also if the decoder expects tokens of languages, which the views of pre-training do not have.
        """
        model: Any = build_model_of(self.model_recipe, processor, Mu2SLAMForPreTraining, growths=self.growths)
        if model.config.decoder_prompt != "start":
            raise RecipeError(
                f"model.init_from: pre-training has no language tokens in the decoder's input, but the model has "
                f"decoder_prompt={model.config.decoder_prompt!r}: set model.overrides.decoder_prompt to start, which "
                "leaves the added embeddings to tell the language"
            )
        return model

    def build_collator(
        self, processor: Mu2SLAMProcessor, model: Any, *, masking: Any = None
    ) -> Mu2SLAMPreTrainingCollator:
        """The collator for the front end of the model; `masking` overrides the recipe's."""
        recipe = self.recipe
        return Mu2SLAMPreTrainingCollator(
            processor,
            seed=recipe.training.seed,
            masking=masking or recipe.masking,
            ctc_input=recipe.objective.ctc_input,
            max_row_length=recipe.data.max_row_length,
            encoder_config=model.config.encoder_config,
        )


def build_frozen_speech_tokenizer(recipe: PretrainingRecipe, processor: Mu2SLAMProcessor) -> SpeechTokenizerModel:
    """The frozen speech tokenizer of a recipe.

    Raises:
        RecipeError: both `init_from` and `config` are given, or neither `kind` nor `init_from`; the tokenizer in the
            folder is of another kind, or `config` is invalid.
    """
    section = recipe.speech_tokenizer
    if section.init_from is not None:
        if section.config:
            raise RecipeError("speech_tokenizer: give either init_from or config")
        try:
            loaded = load_speech_tokenizer(section.init_from, log_mel_extractor(processor.feature_extractor))
        except ValueError as error:
            raise RecipeError(f"speech_tokenizer.init_from: {error}") from error
        if section.kind not in (None, loaded.config.kind):
            raise RecipeError(
                f"speech_tokenizer.kind: is {section.kind!r}, but {section.init_from} has one of kind "
                f"{loaded.config.kind!r}; give that kind or another folder"
            )
        return loaded
    if section.kind is None:
        raise RecipeError(
            "speech_tokenizer.kind: is required, because the ids of speech depend on it: `contrastive` or `kmeans` "
            "with `init_from`, the folder of a run of kind `speech_tokenizer`, or `random_projection`, which is not "
            "trained"
        )
    if section.kind != "random_projection":
        raise RecipeError(
            f"speech_tokenizer.init_from: is required for a codebook of kind {section.kind!r}, which must be trained"
        )
    fixed = {
        "kind": section.kind,
        "num_mel_bins": log_mel_extractor(processor.feature_extractor).feature_size,
        "num_codevectors_per_group": processor.tokenizer.num_speech_tokens,
    }
    known = SpeechTokenizerConfig().to_dict().keys() - fixed.keys()
    unknown = sorted(set(section.config) - known)
    if unknown:
        raise RecipeError(f"speech_tokenizer.config.{unknown[0]}: unknown or set elsewhere")
    try:
        return SpeechTokenizerModel(SpeechTokenizerConfig(**section.config, **fixed))
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise RecipeError(f"speech_tokenizer.config: {error}") from error
