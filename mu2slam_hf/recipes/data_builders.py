# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The data half of the factory: corpora to records, records to phases and development sets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.augmentation import SpecAugment, WaveformAugmenter
from mu2slam_hf.data.collation.supervised import MultitaskCollator
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.data.durations import fill_durations
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.example import TASK_NAMES, Example
from mu2slam_hf.data.examples.tasks import build_examples, count_characters
from mu2slam_hf.data.manifests import ManifestColumns, read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.bucketed import BucketedBatchSampler
from mu2slam_hf.data.sampling.mixture import Mixture, MixtureConfig
from mu2slam_hf.data.sampling.phases import Phase
from mu2slam_hf.evaluation.metrics import compute_cer, compute_wer
from mu2slam_hf.recipes.data_schema import CorpusSection, CorpusSource, DataSection, PhaseSection, TargetSection
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.schema import Recipe
from mu2slam_hf.training.development import DevelopmentSet, TranscriptScorer
from mu2slam_hf.training.objectives import MSLAM_LOSS_TABLE, PRETRAINING_LOSS_TABLE, LossTable

logger = logging.get_logger(__name__)

Records = dict[str, list[SpeechTextRecord]]

LOSS_NAMES = LossTable.of_tasks(TASK_NAMES).names

SEED_STEP = 1_000_003
"""Distance between the seeds of phases, so that no phase repeats the random draws of another."""


def load_records(corpora: Mapping[str, CorpusSource], path: str) -> Records:
    """Records of each corpus of a section, named as the recipe names it, with durations.

    Args:
        corpora: the section.
        path: its dotted path, for messages.
    """
    return {name: _load_corpus(section, name, f"{path}.{name}") for name, section in corpora.items()}


def _load_corpus(section: CorpusSource, name: str, path: str) -> list[SpeechTextRecord]:
    if (section.name is None) == (section.manifest is None):
        raise RecipeError(f"{path}: give either name and root (a registered corpus) or manifest")
    if section.name is not None:
        if section.root is None:
            raise RecipeError(f"{path}.root: the folder of corpus {section.name!r} is required")
        try:
            records = load_corpus(section.name, section.root, section.split, **section.options)
        except TypeError as error:
            raise RecipeError(f"{path}.options: {error}") from error
    else:
        try:
            columns = ManifestColumns(**section.columns)
        except TypeError as error:
            raise RecipeError(f"{path}.columns: {error}") from error
        records = read_manifest(
            section.manifest or "", columns=columns, lang=section.lang, corpus=name, audio_root=section.audio_root
        )
    records, failures = fill_durations(replace(record, corpus=name) for record in records)
    for failure in failures:
        logger.warning(f"{path}: left out {failure}")
    longest = section.max_duration_seconds
    if longest is not None:
        records = [r for r in records if r.duration_seconds is None or r.duration_seconds <= longest]
    if section.limit is not None and len(records) > section.limit:
        records = [records[len(records) * i // section.limit] for i in range(section.limit)]
    if not records:
        raise RecipeError(f"{path}: no record is left")
    return records


def build_corpus_examples(
    recipe: Recipe, corpora: dict[str, CorpusSection], records: Records, limits: BatchLimits, tokenizer: Any
) -> list[Example]:
    """Examples of all corpora; those that alone are larger than a batch may be are left out and counted."""
    count_tokens = build_token_counter(tokenizer)
    examples: list[Example] = []
    for name, section in corpora.items():
        built = build_examples(
            records[name], tasks=section.tasks, languages=recipe.data.languages or None, count_tokens=count_tokens
        )
        fitting = [example for example in built if limits.hold(example.cost, 1)]
        if len(fitting) < len(built):
            logger.warning(f"{name}: {len(built) - len(fitting)} of {len(built)} examples exceed {limits}: left out")
        examples += fitting
    return examples


def build_token_counter(tokenizer: Any) -> Callable[[str], int]:
    """Length of a text in tokens; for a tokenizer of characters without running it."""
    if type(tokenizer.backend_tokenizer.model).__name__ == "WordLevel":
        return count_characters
    return lambda text: len(tokenizer.encode_ctc_labels([text])[0])


def resolve_curriculum(recipe: Recipe) -> list[PhaseSection]:
    """The phases with all steps known: the last one takes what is left of `training.max_steps`.

    Raises:
        RecipeError: if steps are missing or do not add up.
    """
    phases = list(recipe.data.curriculum) or [PhaseSection()]
    total = recipe.training.max_steps
    for number, phase in enumerate(phases):
        path = f"data.curriculum.{number}"
        unknown = sorted(set(phase.corpora) - set(recipe.data.corpora))
        if unknown:
            known = ", ".join(recipe.data.corpora)
            raise RecipeError(f"{path}.corpora.{unknown[0]}: no such corpus in data.corpora ({known})")
        foreign = sorted(set(phase.objective) - set(LOSS_NAMES))
        if foreign:
            raise RecipeError(f"{path}.objective.{foreign[0]}: unknown; known: {', '.join(LOSS_NAMES)}")
        foreign = sorted(set(phase.tasks) - set(TASK_NAMES))
        if foreign:
            raise RecipeError(f"{path}.tasks: {foreign[0]!r} is none of {', '.join(TASK_NAMES)}")
        if phase.steps is None and number < len(phases) - 1:
            raise RecipeError(f"{path}.steps: only the last phase may leave it out")
    before = sum(phase.steps or 0 for phase in phases[:-1])
    last = phases[-1].steps
    if last is None:
        if total is None:
            raise RecipeError("training.max_steps: is required where the last phase names no steps")
        last = total - before
    if last <= 0 and total is not None and before >= total:
        # A trial run with few updates ends in an early phase.
        last = 1
    if total is not None and total > before + last:
        last = total - before
    return [*phases[:-1], replace(phases[-1], steps=last)]


def total_steps(recipe: Recipe) -> int:
    """Updates of the whole run."""
    return recipe.training.max_steps or sum(phase.steps or 0 for phase in resolve_curriculum(recipe))


def build_curriculum(
    recipe: Recipe, records: Records, processor: Any, *, num_ranks: int = 1, encoder_config: Any = None
) -> list[Phase]:
    """Phases of a run: same examples and decoded audio, own mixture, limits and augmentation.

    Args:
        recipe: the run.
        records: of `load_records(recipe.data.corpora, ...)`.
        processor: feature extractor, tokenizer and languages.
        num_ranks: number of processes.
        encoder_config: the model's, names its front end; None for `conv2d`.
    """
    data = recipe.data
    cache = AudioCache() if data.cache_audio else AudioCache(max_bytes=0)
    if data.cache_audio and recipe.training.dataloader_num_workers > 0:
        # Before the loader forks: its processes then share one copy.
        spoken = [r for part in records.values() for r in part if r.audio is not None]
        cache.preload({record.key: record.audio for record in spoken})
    return [
        _build_phase(recipe, number, section, records, processor, cache, num_ranks, encoder_config)
        for number, section in enumerate(resolve_curriculum(recipe))
    ]


def _build_phase(
    recipe: Recipe,
    number: int,
    section: PhaseSection,
    records: Records,
    processor: Any,
    cache: AudioCache,
    num_ranks: int,
    encoder_config: Any,
) -> Phase:
    data, seed = recipe.data, recipe.training.seed + number * SEED_STEP
    limits = section.batch or data.batch
    weights = section.corpora or {name: corpus.weight for name, corpus in data.corpora.items()}
    chosen = {
        name: _restrict_tasks(corpus, section.tasks)
        for name, corpus in data.corpora.items()
        if weights.get(name, 0.0) > 0.0
    }
    chosen = {name: corpus for name, corpus in chosen.items() if corpus.tasks}
    examples = build_corpus_examples(recipe, chosen, records, limits, processor.tokenizer)
    dataset = ExampleDataset(
        examples,
        _draw_options(section.targets or data.targets),
        augmenter=WaveformAugmenter(section.waveform or data.waveform, seed=seed),
        cache=cache,
        limits=limits,
        seed=seed,
    )
    share = data.text_batch_share if section.text_batch_share is None else section.text_batch_share
    sampler = BucketedBatchSampler(
        Mixture(examples, _mixture_config(data, weights, chosen, share), seed=seed),
        dataset.cost_of,
        limits,
        seed=seed,
        # All batches of one update are planned together; `PhasedBatchSampler` hands them out.
        num_ranks=num_ranks * recipe.training.gradient_accumulation_steps,
    )
    masks = section.spec_augment or data.spec_augment
    spec_augment = SpecAugment(masks, seed=seed) if masks else None
    return Phase(
        name=section.name,
        num_steps=section.steps or 1,
        sampler=sampler,
        dataset=dataset,
        collator=MultitaskCollator(processor, spec_augment=spec_augment, encoder_config=encoder_config),
        loss_weights={**asdict_objective(recipe.objective), **section.objective} if section.objective else None,
        decoder_noise=section.decoder_noise,
    )


def _restrict_tasks(corpus: CorpusSection, tasks: list[str]) -> CorpusSection:
    return replace(corpus, tasks=[task for task in corpus.tasks if task in tasks]) if tasks else corpus


def asdict_objective(objective: Any) -> dict[str, float]:
    """Coefficients of the named losses, without the other values of the section."""
    names = {*LOSS_NAMES, *PRETRAINING_LOSS_TABLE.names, *MSLAM_LOSS_TABLE.names}
    return {item.name: getattr(objective, item.name) for item in fields(objective) if item.name in names}


def _draw_options(targets: TargetSection) -> DrawOptions:
    return DrawOptions(
        max_targets=targets.max_per_example,
        task_weights=targets.task_weights,
        undetermined_source_ratio=targets.undetermined_source_ratio,
    )


def _mixture_config(
    data: DataSection, weights: dict[str, float], chosen: dict[str, CorpusSection], text_share: float | None
) -> MixtureConfig:
    return MixtureConfig(
        corpus_weights={name: weights[name] for name in chosen},
        speech_temperature=data.temperature,
        text_temperature=data.temperature,
        text_batch_share=text_share,
    )


def build_development_sets(
    recipe: Recipe, records: Records, processor: Any, encoder_config: Any = None
) -> dict[str, DevelopmentSet]:
    """Development sets by the names of `evaluation.corpora`: every target, the source language told."""
    section = recipe.evaluation
    collator = MultitaskCollator(processor, encoder_config=encoder_config)
    scorer = TranscriptScorer(
        decode=lambda rows: processor.tokenizer.batch_decode(rows, skip_special_tokens=True),
        score=score_transcripts,
        languages=list(processor.languages),
    )
    sets = {}
    for name, corpus in section.corpora.items():
        examples = build_corpus_examples(recipe, {name: corpus}, records, section.batch, processor.tokenizer)
        dataset = ExampleDataset(examples, DrawOptions(), cache=AudioCache(), seed=recipe.training.seed)
        sampler = BucketedBatchSampler(Mixture(examples), dataset.cost_of, section.batch, shuffle=False)
        batches = [batch for step in sampler.plan(0) for batch in step]
        sets[name] = DevelopmentSet(dataset=dataset, batches=batches, collator=collator, scorer=scorer)
    return sets


def score_transcripts(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Error rates in percent, after the normalisation that evaluation uses."""
    return {
        "cer": compute_cer(references, hypotheses).value,
        "wer": compute_wer(references, hypotheses).value,
    }
