# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The data sections of recipes: corpora, what is asked of a source, and the phases of a curriculum."""

from dataclasses import dataclass, field
from typing import Any

from mu2slam_hf.data.augmentation import SpecAugmentConfig, WaveformAugmentationConfig
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.recipes.loader import path_field
from mu2slam_hf.training.decoder_noise import DecoderNoiseConfig


@dataclass(kw_only=True)
class CorpusSource:
    """Where the records of a corpus come from: exactly one of `name`, `manifest`, `webdataset` and `dataset`.

    Attributes:
        name: a corpus that `mu2slam corpora` lists, in the folder `root`.
        root: folder of that corpus.
        manifest: TSV, CSV, JSONL (each also packed by gzip) or Parquet: a file, a folder, or a glob pattern of shards.
        webdataset: tar archives with `key.wav` (.flac, .opus, .mp3, .ogg), `key.txt` and `key.json` (columns as of a
            manifest) for each sample: a file, a folder, or a glob pattern.
        dataset: folder of a Hugging Face data set: one that `save_to_disk` wrote, or files that
            `datasets.load_dataset` reads.
        split: train, dev, ...; files and glob patterns have none.
        options: further arguments of the loader of a corpus, or of `load_dataset`.
        columns: names of the columns (fields of `ManifestColumns`) of manifests, archives and data sets.
        lang: language of all rows, where there is no such column.
        audio_root: what relative audio paths start from; default: the folder of the manifest or data set.
        max_duration_seconds: longer recordings are left out.
        limit: use only this many records (spread evenly); for trials.
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
    limit: int | None = None


@dataclass(kw_only=True)
class CorpusSection(CorpusSource):
    """One corpus of supervised training.

    Attributes:
        name, root, manifest, webdataset, dataset, split, options, columns, lang, audio_root, max_duration_seconds,
            limit: see `CorpusSource`.
        tasks: which of asr, ast, mt to make of it.
        weight: how often it is gone through per epoch; 0.5 is every other time.
    """

    tasks: list[str] = field(default_factory=lambda: ["asr", "ast", "mt"])
    weight: float = 1.0


@dataclass(kw_only=True)
class TargetSection:
    """What a source is asked for in one pass.

    Attributes:
        max_per_example: targets drawn for one source; None for all.
        task_weights: relative chance of a target by its task; `.inf` is always taken.
        undetermined_source_ratio: share of sources whose language the model is not told. Paper: silent. Choice: 0.3.
    """

    max_per_example: int | None = 2
    task_weights: dict[str, float] = field(default_factory=lambda: {"asr": float("inf")})
    undetermined_source_ratio: float = 0.3


@dataclass(kw_only=True)
class PhaseSection:
    """A part of one run with its own mixture and augmentation; optimiser and schedule go on. See also `stages`.

    Attributes:
        name: for logs.
        steps: updates of this phase; the last phase may leave it out and gets what is left of `training.max_steps`.
        tasks: only these of the tasks of each corpus; empty for all.
        objective: coefficients that differ from those of `objective`, by the same names.
        corpus_weights: how often each corpus is used per epoch, replacing `weight`; a corpus that is not named is left
            out. Empty: all, by `weight`.
        batch: bounds on a batch; None for those of `data`.
        text_batch_share: share of text batches; None for that of `data`.
        targets: what a source is asked for; None for that of `data`.
        waveform: waveform augmentation; None for that of `data`. Its `from_step` counts the updates of the whole run.
        spec_augment: masks; None for those of `data`. `from_step` and `ramp_steps` count likewise.
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
    """Corpora, how they are mixed, and what is done to them.

    Attributes:
        corpora: by a name of the recipe's own.
        languages: only these, as source and target; empty for all.
        temperature: of sampling over languages; 1 keeps sizes, larger is flatter. Paper: 3 for text, 2 for MT.
        text_batch_share: share of text batches among all; None goes through all text once an epoch.
        batch: bounds on one batch of one process and one micro-step.
        targets: what a source is asked for.
        waveform: waveform augmentation; off by default.
        spec_augment: masks on features; None for none.
        cache_audio: keep decoded recordings in memory.
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
