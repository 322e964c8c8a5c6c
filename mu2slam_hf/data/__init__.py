# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Data: records, manifests, corpora, audio, augmentation, sampling and collation. Names are fetched on first use."""

import importlib
from typing import Any

_PUBLIC_NAMES = {
    "AudioCache": "audio",
    "AudioError": "audio",
    "BatchLimits": "sampling",
    "BucketedBatchSampler": "sampling",
    "CORPORA": "corpora",
    "CorpusReader": "corpus_reader",
    "DatasetStream": "streams",
    "DrawKey": "counter_seeds",
    "DrawOptions": "dataset",
    "ExampleLimits": "pretraining_examples",
    "MSLAMCollator": "mslam_collator",
    "MSLAMMaskingConfig": "span_masking",
    "ManifestColumns": "manifests",
    "ManifestError": "manifests",
    "ManifestShardReader": "manifest_shards",
    "MaskingConfig": "masking",
    "Mixture": "mixture",
    "MixtureConfig": "mixture",
    "MultitaskCollator": "collators",
    "MultitaskDataset": "dataset",
    "PretrainingCollator": "pretraining_collator",
    "PretrainingDataset": "pretraining_dataset",
    "PretrainingExampleBuilder": "pretraining_examples",
    "RecordError": "records",
    "ShardedStream": "streams",
    "SpecAugment": "augmentation",
    "SpecAugmentConfig": "augmentation",
    "SpeechTextRecord": "records",
    "StreamKey": "pretraining_dataset",
    "StreamMixtureSampler": "stream_mixture",
    "StreamSource": "example_streams",
    "SyntheticSpeech": "synthetic",
    "TASK_NAMES": "tasks",
    "TaskMixtureConfig": "task_shares",
    "TaskMixtureSampler": "task_mixture",
    "TrainingExample": "tasks",
    "WaveformAugmentationConfig": "augmentation",
    "WaveformAugmenter": "augmentation",
    "build_examples": "tasks",
    "build_pretraining_examples": "pretraining_examples",
    "build_stream_sources": "example_streams",
    "corpus_shards": "corpora",
    "corpus_table": "public_corpora",
    "fill_durations": "dataset",
    "format_mixture": "mixture_report",
    "iter_corpus": "corpora",
    "load_audio": "audio",
    "load_corpus": "corpora",
    "read_dataset": "manifests",
    "read_manifest": "manifests",
    "speak_manifest": "synthetic_texts",
    "summarize_mixture": "mixture_report",
    "synthesize_texts": "synthetic_texts",
    "write_synthetic_folder": "synthetic",
}

__all__ = list(_PUBLIC_NAMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Fetch a public name from its module on first use."""
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, those not fetched yet included."""
    return sorted({*globals(), *_PUBLIC_NAMES})
