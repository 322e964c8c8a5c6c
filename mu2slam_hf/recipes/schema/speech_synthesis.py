# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of speech synthesizers."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.models.configuration_speech_synthesizer import SAMPLES_PER_ID
from mu2slam_hf.recipes.schema.data import CorpusSource
from mu2slam_hf.recipes.schema.loader import path_field
from mu2slam_hf.recipes.schema.sections import ModelSection, OptimSection, OutputSection, TrainingSection
from mu2slam_hf.training.objectives.synthesis import SynthesisObjectiveConfig


@dataclass(kw_only=True)
class SynthesizerModelSection(ModelSection):
    """The synthesizer to train: a new one, whose sizes are those of `SpeechSynthesizerConfig`, or a trained one.

    Attributes:
        config, overrides, init_from, freeze, attn_implementation: see `ModelSection`. A trained synthesizer may get
            another vocoder by `overrides`, which is then trained from new weights.
    """

    def __post_init__(self) -> None:
        for name in ("init_encoder_from", "grow_from", "generation_config"):
            if getattr(self, name):
                raise ValueError(f"{name}: does not apply to a speech synthesizer; leave it out")


@dataclass(kw_only=True)
class SynthesisDataSection:
    """Training data of a synthesizer.

    Attributes:
        corpora: corpora of recordings, by a name chosen in the recipe.
        speakers: what names the voice of a recording: its `speaker`, its `lang` (one voice for each language), or
            `none` (the voices are not distinguished).
        crop_seconds: length of a training example; longer recordings are cut at a place drawn in every epoch.
        undetermined_source_ratio: share of examples for which neither language nor voice is given, so that ids can be
            made audible without them.
        per_device_train_batch_size: number of examples of one batch of one device.
        cache_audio: whether to keep decoded recordings in memory.
        speech_ids: folder of the tables of speech ids, which runs may share; default: `speech_ids` in `output.dir`.
        max_failed_share: largest share of unreadable recordings.
    """

    corpora: dict[str, CorpusSource] = field(default_factory=dict)
    speakers: Literal["speaker", "lang", "none"] = "speaker"
    crop_seconds: float = 2.0
    undetermined_source_ratio: float = 0.1
    per_device_train_batch_size: int = 16
    cache_audio: bool = True
    speech_ids: str | None = None
    max_failed_share: float = 0.01

    def __post_init__(self) -> None:
        if self.crop_ids < 1:
            raise ValueError(f"crop_seconds must be at least {SAMPLES_PER_ID / 16000}, got {self.crop_seconds}")

    @property
    def crop_ids(self) -> int:
        """Speech ids of a crop."""
        return int(self.crop_seconds * 16000 / SAMPLES_PER_ID)


@dataclass(kw_only=True)
class SynthesisEvaluationSection:
    """Losses on whole recordings of development corpora.

    Attributes:
        corpora: development corpora.
        per_device_eval_batch_size: number of recordings of one batch.
    """

    corpora: dict[str, CorpusSource] = field(default_factory=dict)
    per_device_eval_batch_size: int = 8


@dataclass(kw_only=True)
class SpeechSynthesisRecipe:
    """One run of training of a speech synthesizer.

    Attributes:
        kind: kind of the recipe.
        speech_tokenizer: folder of the speech tokenizer whose ids become sound, or of a processor that holds it; for
            `model.init_from` by default that of the trained synthesizer.
        training: `metric_for_best_model` is `loss`.
    """

    kind: Literal["speech_synthesis"] = "speech_synthesis"
    speech_tokenizer: str | None = path_field("folder")
    model: SynthesizerModelSection = field(default_factory=SynthesizerModelSection)
    data: SynthesisDataSection = field(default_factory=SynthesisDataSection)
    objective: SynthesisObjectiveConfig = field(default_factory=SynthesisObjectiveConfig)
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: SynthesisEvaluationSection = field(default_factory=SynthesisEvaluationSection)
    output: OutputSection = field(default_factory=OutputSection)
