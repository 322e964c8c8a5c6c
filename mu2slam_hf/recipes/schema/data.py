# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The data sections of recipes: corpora, targets, and the phases of a curriculum."""

from dataclasses import dataclass, field
from typing import Any

from mu2slam_hf.data.augmentation import SpecAugmentConfig, WaveformAugmentationConfig
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.selection import Part
from mu2slam_hf.recipes.schema.loader import path_field
from mu2slam_hf.training.decoder_noise import DecoderNoiseConfig


@dataclass(kw_only=True)
class CorpusSource:
    """Where the records of a corpus come from: exactly one of `name`, `manifest`, `webdataset` and `dataset`.

    Attributes:
        name: name of a corpus that `mu2slam corpora` lists, in the folder `root`.
        root: folder of that corpus.
        manifest: TSV, CSV, JSONL (also compressed by gzip) or Parquet: a file, a folder, or a glob pattern of shards;
            or a file of sentences, one a line: `corpus.txt` (with `lang`), or `corpus.en`, whose translations are in
            `corpus.ro` beside it, line by line.
        webdataset: tar archives with `key.wav` (.flac, .opus, .mp3, .ogg), `key.txt` and `key.json` (columns as of a
            manifest) for each sample: a file, a folder, or a glob pattern.
        dataset: folder of a Hugging Face data set, written by `save_to_disk` or readable by `datasets.load_dataset`.
        split: name of the split (train, dev, ...); not used for files and glob patterns.
        options: further arguments of the loader of a corpus, or of `load_dataset`.
        columns: names of the columns (fields of `ManifestColumns`) of manifests, archives and data sets.
        lang: language of all rows, if there is no such column.
        audio_root: folder that audio paths are relative to; default: the folder of the manifest or data set.
        max_duration_seconds: longer recordings are left out.
        part: one of two parts of the records, by a hash of their ids: `choosing` (a third), by which settings are
            chosen, or `reporting`. None: all.
        limit: number of records to use (spread evenly), for trials.
    """

    name: str | None = None
    root: str | None = path_field("folder")
    manifest: str | None = path_field("files")
    webdataset: str | None = path_field("files")
    dataset: str | None = path_field("folder")
    split: str = "train"
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    lang: str | None = None
    audio_root: str | None = path_field("folder")
    max_duration_seconds: float | None = None
    part: Part | None = None
    limit: int | None = None


@dataclass(kw_only=True)
class CorpusSection(CorpusSource):
    """One corpus of supervised training.

    Attributes:
        name, root, manifest, webdataset, dataset, split, options, columns, lang, audio_root, max_duration_seconds,
            part, limit: see `CorpusSource`.
        tasks: tasks of its examples: some of asr, ast, mt.
        weight: number of passes per epoch; 0.5 is every other epoch.
    """

    tasks: list[str] = field(default_factory=lambda: ["asr", "ast", "mt"])
    weight: float = 1.0


@dataclass(kw_only=True)
class TargetSection:
    """Targets of a source in one epoch.

    Attributes:
        max_per_example: maximum number of targets of one source; None for all.
        task_weights: relative probability of a target by its task; `.inf` for always.
        undetermined_source_ratio: share of sources whose language is not given to the model. Choice, not in the paper:
            0.3.
    """

    max_per_example: int | None = 2
    task_weights: dict[str, float] = field(default_factory=lambda: {"asr": float("inf")})
    undetermined_source_ratio: float = 0.3


@dataclass(kw_only=True)
class PhaseSection:
    """A part of one run with its own mixture and augmentation; optimizer and schedule continue. See also `stages`.

    Attributes:
        name: name for logs.
        steps: number of updates; None in the last phase for the rest of `training.max_steps`.
        tasks: tasks of the corpora that are used; empty for all.
        objective: coefficients that differ from those of `objective`, by name.
        corpus_weights: number of passes over each corpus per epoch, in place of `weight`; other corpora are left
            out. Empty: all, by `weight`.
        batch: bounds on a batch; None for those of `data`.
        text_batch_share: share of text batches; None for that of `data`.
        targets: targets of a source; None for those of `data`.
        waveform: waveform augmentation; None for that of `data`. Its `from_step` counts the updates of the whole run.
        spec_augment: masks; None for those of `data`. `from_step` and `ramp_steps` also count those of the whole run.
        decoder_noise: noise on decoder inputs; None for that of the recipe, `ratio: 0` for none.
    """

    name: str = "all"
    steps: int | None = None
    tasks: list[str] = field(default_factory=list)
    objective: dict[str, float] = field(default_factory=dict)
    corpus_weights: dict[str, float] = field(default_factory=dict)
    batch: BatchLimits | None = None
    text_batch_share: float | None = None
    targets: TargetSection | None = None
    waveform: WaveformAugmentationConfig | None = None
    spec_augment: SpecAugmentConfig | None = None
    decoder_noise: DecoderNoiseConfig | None = None


@dataclass(kw_only=True)
class DataSection:
    """Corpora, their mixture and their augmentation.

    Attributes:
        corpora: corpora by a name chosen in the recipe.
        languages: languages of sources and targets; empty for all.
        temperature: temperature of sampling over languages; 1 keeps sizes, larger is flatter. Paper: 3 for text, 2 for
            MT.
        text_batch_share: share of text batches among all; None for one pass over all text per epoch.
        batch: bounds on one batch of one process and one micro-step.
        targets: targets of a source.
        waveform: waveform augmentation; off by default.
        spec_augment: masks on features; None for none.
        cache_audio: whether to keep decoded recordings in memory.
        curriculum: phases in order; empty for a single one.
    """

    corpora: dict[str, CorpusSection] = field(default_factory=dict)
    languages: list[str] = field(default_factory=list)
    temperature: float = 2.0
    text_batch_share: float | None = None
    batch: BatchLimits = field(default_factory=BatchLimits)
    targets: TargetSection = field(default_factory=TargetSection)
    waveform: WaveformAugmentationConfig = field(default_factory=WaveformAugmentationConfig)
    spec_augment: SpecAugmentConfig | None = None
    cache_audio: bool = True
    curriculum: list[PhaseSection] = field(default_factory=list)
