# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning of one head on an mSLAM encoder as one typed tree: classes of speech or text, or CTC."""

from dataclasses import dataclass, field
from typing import Literal

from mu2slam_hf.recipes.data_schema import CorpusSource
from mu2slam_hf.recipes.schema import ModelSection, OptimSection, OutputSection, ProcessorSection, TrainingSection


@dataclass(kw_only=True)
class HeadCorpusSection(CorpusSource):
    """One corpus.

    Attributes:
        name, root, split, options, manifest, columns, lang, audio_root, max_duration_seconds, limit: see
            `CorpusSource`.
        modality: whether the head reads its recordings or its texts.
        languages: only records in these; empty for all.
    """

    modality: Literal["speech", "text"] = "speech"
    languages: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class HeadSection:
    """What stands on the encoder, and how much below it is trained.

    Attributes:
        kind: `audio_classification`: classes of speech, from a weighted average over all layers;
            `sequence_classification`: classes of speech or text, from the layers that both share, so that a head
            trained on one may be used on the other; `ctc`: the transcript.
        label: what a record is a member of: `lang`, `speaker`, `kind`, `corpus`, or a further column of its manifest.
        labels: names of the classes, in the order of their numbers; empty: those of the training corpora, sorted.
        trainable_layers: 0 trains the head alone; k also the last k layers; None everything.
    """

    kind: Literal["audio_classification", "sequence_classification", "ctc"] = "audio_classification"
    label: str = "lang"
    labels: list[str] = field(default_factory=list)
    trainable_layers: int | None = None


@dataclass(kw_only=True)
class HeadDataSection:
    """What the head learns from.

    Attributes:
        corpora: by a name of the recipe's own; all of one modality.
        batch_size: items of one batch of one device.
        balance: draw classes equally often, however many items they have.
        cache_audio: keep decoded recordings in memory.
    """

    corpora: dict[str, HeadCorpusSection] = field(default_factory=dict)
    batch_size: int = 16
    balance: bool = True
    cache_audio: bool = True


@dataclass(kw_only=True)
class HeadEvaluationSection:
    """What the head is tested on: each corpus by itself, during training and, with all its errors, after it.

    Attributes:
        corpora: items of classes that the head does not know are left out.
        batch_size: items of one batch.
    """

    corpora: dict[str, HeadCorpusSection] = field(default_factory=dict)
    batch_size: int = 16


@dataclass(kw_only=True)
class HeadRecipe:
    """One run of fine-tuning of a head: what `finetune_classification.py --recipe` reads.

    Attributes:
        kind: tells it from other recipes.
        model: `init_from` is the folder of an mSLAM, pre-trained or with another head.
        processor: by default the one saved beside the model.
    """

    kind: Literal["head_finetuning"] = "head_finetuning"
    model: ModelSection = field(default_factory=ModelSection)
    processor: ProcessorSection = field(default_factory=ProcessorSection)
    head: HeadSection = field(default_factory=HeadSection)
    data: HeadDataSection = field(default_factory=HeadDataSection)
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: HeadEvaluationSection = field(default_factory=HeadEvaluationSection)
    output: OutputSection = field(default_factory=OutputSection)
