# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of dual encoders that are made of a language model."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.models.processing_speech_text_dual_encoder import DEFAULT_PREFIX
from mu2slam_hf.recipes.schema.loader import path_field
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe, PretrainingDataSection, PretrainingEvaluationSection
from mu2slam_hf.recipes.schema.sections import LoraSection, ModelSection, OptimSection
from mu2slam_hf.training.objectives.dual_encoder import DualEncoderObjectiveConfig

TASKS = ("asr", "mt")


@dataclass(kw_only=True)
class DualEncoderModelSection(ModelSection):
    """The dual encoder to train: made of a language model, or a trained one (`init_from`).

    Attributes:
        language_model: folder of a decoder-only language model of transformers with its tokenizer.
        init_from: folder of a trained dual encoder in its place.
        random_weights: whether only the sizes of the language model are kept, for a comparison with its knowledge.
        text_embeddings: `keep` or `new`; see `SpeechTextDualEncoderModel.from_language_model`.
        audio_embeddings: `small`, `normal` or `mean`, likewise.
        prefix: text before each item, see `SpeechTextDualEncoderProcessor`.
        pooling, projection_dim, normalize, is_causal, dropout: see `SpeechTextDualEncoderConfig`.
        freeze: prefixes of the names of parameters that are not trained.
        attn_implementation: as in `ModelSection`, whose other values do not apply here.
    """

    language_model: str | None = path_field("checkpoint")
    random_weights: bool = False
    text_embeddings: Literal["keep", "new"] = "keep"
    audio_embeddings: Literal["small", "normal", "mean"] = "small"
    prefix: str = DEFAULT_PREFIX
    pooling: Literal["mean", "last", "attention"] = "mean"
    projection_dim: int | None = None
    normalize: bool = False
    is_causal: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("config", "init_encoder_from", "grow_from", "overrides", "generation_config"):
            if getattr(self, name):
                raise ValueError(f"{name}: does not apply to a dual encoder; leave it out")


@dataclass(kw_only=True)
class DualEncoderDataSection(PretrainingDataSection):
    """Corpora and their mixture; see `PretrainingDataSection`.

    Attributes:
        tasks: `asr`, recordings with their transcripts, and `mt`, pairs of texts -> share and corpora. Shares are the
            numbers of pairs of one device. Paper: PaLM 2 DE, section 3.1: each batch has 75 % and 25 %.
        speech_languages: languages of the recordings; empty for all. Pairs of texts may have others.
        pivot_language: the texts of `mt` in this language are targets, those in others sources. Paper: pairs X-en.
        undetermined_source_ratio: share of rows of either side, drawn apart, whose prefix does not name the language.
            Choice: 0 as in the paper; 0.3 for models that are searched without it.
        speech_ids: folder of the tables of speech ids, which runs may share; default: `speech_ids` in `output.dir`.
    """

    speech_languages: list[str] = field(default_factory=list)
    pivot_language: str | None = "en"
    undetermined_source_ratio: float = 0.0
    speech_ids: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.streaming:
            raise ValueError("streaming: speech ids need one pass over the recordings first; use tables")
        for task, section in self.tasks.items():
            if task not in TASKS:
                raise ValueError(f"tasks.{task}: is not a task of dual encoders; these are {', '.join(TASKS)}")
            if section.share is None:
                raise ValueError(f"tasks.{task}.share: is required: the number of its pairs in a batch of a device")
        if self.tasks and not ("asr" in self.tasks and self.tasks["asr"].share):
            raise ValueError("tasks.asr: is required, with a share above 0: without it no speech is learned")


@dataclass(kw_only=True)
class DualEncoderEvaluationSection(PretrainingEvaluationSection):
    """Losses on development corpora; see `PretrainingEvaluationSection`. Recall is measured by `mu2slam retrieve`.

    Attributes:
        tasks: tasks of the pairs, if the corpora have any for them.
    """

    tasks: list[str] = field(default_factory=lambda: list(TASKS))


@dataclass(kw_only=True)
class DualEncoderOptimSection(OptimSection):
    """The optimizer; see `OptimSection`. Paper: PaLM 2 DE, section 3.1: Adam, 1e-3, linear ramp, then cosine.

    Attributes:
        language_model_factor: factor of the learning rate of the language model's own weights; 0 keeps them.
    """

    optimizer: Literal["adamw", "adam"] = "adam"
    min_learning_rate_ratio: float = 0.0
    weight_decay: float = 0.0
    adam_beta2: float = 0.999
    language_model_factor: float = 1.0


@dataclass(kw_only=True)
class DualEncoderRecipe(MixtureRecipe):
    """One run of training of a dual encoder.

    Attributes:
        kind: kind of the recipe.
        speech_tokenizer: folder of a speech tokenizer, or of a model whose processor has one.
        lora: low-rank adapters of the language model instead of training all weights; audio rows, pooling and
            projection are trained in full. The final model has them merged.

    Raises:
        ValueError: several micro-batches in an update, or masking.
    """

    kind: Literal["dual_encoder"] = "dual_encoder"
    model: DualEncoderModelSection = field(default_factory=DualEncoderModelSection)
    speech_tokenizer: str | None = path_field("checkpoint")
    data: DualEncoderDataSection = field(default_factory=DualEncoderDataSection)
    objective: DualEncoderObjectiveConfig = field(default_factory=DualEncoderObjectiveConfig)
    optim: DualEncoderOptimSection = field(default_factory=DualEncoderOptimSection)
    evaluation: DualEncoderEvaluationSection = field(default_factory=DualEncoderEvaluationSection)
    lora: LoraSection | None = None

    def __post_init__(self) -> None:
        if self.training.gradient_accumulation_steps > 1:
            raise ValueError(
                "training.gradient_accumulation_steps: must be 1, because smaller micro-batches have fewer negatives, "
                "which is another loss; set objective.max_tokens_per_chunk to save memory"
            )
        if self.masking is not None:
            raise ValueError("masking: a dual encoder has no masks; leave it out")
