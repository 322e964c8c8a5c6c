# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sections of runs over a mixture of tasks: the pre-training of Mu2SLAM and of mSLAM."""

from dataclasses import dataclass, field
from typing import Any

from mu2slam_hf.data.examples.builder import ExampleLimits
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.models.task_types import PRETRAINING_TASKS
from mu2slam_hf.recipes.schema.data import CorpusSource
from mu2slam_hf.recipes.schema.sections import (
    ModelSection,
    OptimSection,
    OutputSection,
    ProcessorSection,
    TrainingSection,
)


@dataclass(kw_only=True)
class PretrainingCorpusSection(CorpusSource):
    """One corpus of pre-training.

    Attributes:
        name, root, manifest, webdataset, dataset, split, options, columns, lang, audio_root, max_duration_seconds,
            part, limit: see `CorpusSource`; `part` and `limit` are not supported for streams.
        total_size: for streams: total hours (or texts), or task -> total where tasks count them differently, divided
            among the languages in proportion to their known sizes. Default: the declared sizes of a corpus, if any;
            else the sizes counted in the manifests, archives or data set in one pass at the start of a run (not with
            `total_size` and `lang`); else the bytes of the files.
    """

    total_size: dict[str, float] | float | None = None

    def __post_init__(self) -> None:
        totals = self.total_size if isinstance(self.total_size, dict) else {"": self.total_size}
        for task, total in totals.items():
            name = f"total_size.{task}" if task else "total_size"
            if task and task not in PRETRAINING_TASKS:
                raise ValueError(f"{name}: unknown; the tasks are {', '.join(PRETRAINING_TASKS)}")
            if total is not None and not total > 0:
                raise ValueError(f"{name}: must be above 0, got {total}")

    def total_of(self, task: str) -> float | None:
        """`total_size` for a task."""
        return self.total_size.get(task) if isinstance(self.total_size, dict) else self.total_size


@dataclass(kw_only=True)
class PretrainingTaskSection:
    """One of the five kinds of examples.

    Attributes:
        share: number of examples in a micro-batch of one device. Default, by the paper (section 3.1): speech 4, text
            8, asr, ast and mt 1; 0 for none.
        temperature: T of sampling over languages. Default, by the paper (appendix A.1): text 3, mt 2; Choice: 1 else.
        corpus_weights: name in `data.corpora` -> number of passes per epoch of the task.
        languages: languages of the examples of the task, so that a corpus gives speech and texts of a language, but no
            pairs; empty for those of `data.languages`.
    """

    share: int | None = None
    temperature: float | None = None
    corpus_weights: dict[str, float] = field(default_factory=dict)
    languages: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class PretrainingDataSection:
    """Corpora, tasks and their mixture.

    Attributes:
        corpora: corpora by a name chosen in the recipe.
        tasks: `speech`, `text`, `asr`, `ast`, `mt` -> share and corpora; other tasks are not trained.
        languages: languages of sources and targets; empty for all.
        translations_as_texts: whether translations are also texts of text-only examples.
        limits: longer examples are left out.
        max_seconds: maximum speech in one micro-batch of one device, by smaller batches; None for no bound.
        max_tokens: maximum number of text tokens in one micro-batch of one device, as `max_seconds`.
        max_row_length: maximum number of encoder or decoder positions of a packed row; None: chosen by the collator.
        undetermined_source_ratio: share of draws without the source language as encoder input. Choice: 0.3.
        max_failed_share: maximum share of unreadable recordings; the run stops if it is exceeded.
        cache_audio: whether to keep decoded recordings in memory; not for streams.
        streaming: whether to read corpora shard by shard instead of as tables in memory, each process its own part.
        block_size: number of records of a stream, of several shards, that are held in memory and shuffled together.
    """

    corpora: dict[str, PretrainingCorpusSection] = field(default_factory=dict)
    tasks: dict[str, PretrainingTaskSection] = field(default_factory=dict)
    languages: list[str] = field(default_factory=list)
    translations_as_texts: bool = True
    limits: ExampleLimits = field(default_factory=ExampleLimits)
    max_seconds: float | None = None
    max_tokens: int | None = None
    max_row_length: int | None = None
    undetermined_source_ratio: float = 0.3
    max_failed_share: float = 0.01
    cache_audio: bool = True
    streaming: bool = False
    block_size: int = 1000

    def languages_of(self, task: str) -> list[str]:
        """Canonical codes of the languages of a task; empty for all."""
        own = self.tasks[task].languages if task in self.tasks else []
        return [canonical_language(code) for code in own or self.languages]

    def __post_init__(self) -> None:
        for task, section in self.tasks.items():
            if task not in PRETRAINING_TASKS:
                raise ValueError(f"tasks.{task}: unknown; the tasks are {', '.join(PRETRAINING_TASKS)}")
            for corpus in section.corpus_weights:
                if corpus not in self.corpora:
                    known = ", ".join(self.corpora)
                    raise ValueError(f"tasks.{task}.corpus_weights.{corpus}: no such corpus in data.corpora ({known})")
            all_languages = set(map(canonical_language, self.languages or section.languages))
            outside = [code for code in section.languages if canonical_language(code) not in all_languages]
            if outside:
                raise ValueError(f"tasks.{task}.languages: {', '.join(outside)} is not in data.languages")


@dataclass(kw_only=True)
class PretrainingEvaluationSection:
    """Losses on development corpora, with the same masks at every evaluation.

    Attributes:
        corpora: development corpora.
        tasks: tasks of the examples, if the corpora have any for them.
        max_seconds: maximum speech of an evaluation batch.
        max_tokens: maximum number of text tokens of an evaluation batch.
        generate_examples: number of examples of each corpus and task (asr, ast, mt) to transcribe and translate, for
            error rates of decoder and CTC before any fine-tuning; 0 for none. Mu2SLAM only.
        generate_kwargs: arguments of `generate` for them.
    """

    corpora: dict[str, CorpusSource] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=lambda: list(PRETRAINING_TASKS))
    max_seconds: float = 60.0
    max_tokens: int = 4000
    generate_examples: int = 0
    generate_kwargs: dict[str, Any] = field(default_factory=lambda: {"num_beams": 1})


@dataclass(kw_only=True)
class MixtureRecipe:
    """Base of the recipes of runs over a mixture of tasks.

    Attributes:
        kind: kind of the recipe.
        model, processor, data, optim, training, evaluation, output: sections.
        masking: rules of masking.
        objective: weights of the losses.
    """

    kind: str = ""
    model: ModelSection = field(default_factory=ModelSection)
    processor: ProcessorSection = field(default_factory=ProcessorSection)
    data: PretrainingDataSection = field(default_factory=PretrainingDataSection)
    masking: Any = None
    objective: Any = None
    optim: OptimSection = field(default_factory=OptimSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: PretrainingEvaluationSection = field(default_factory=PretrainingEvaluationSection)
    output: OutputSection = field(default_factory=OutputSection)
