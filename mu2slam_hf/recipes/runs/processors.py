# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The processor of a run: feature extractor, tokenizer and languages."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from mu2slam_hf.checkpoints.folders import load_processor, read_config
from mu2slam_hf.data.audio import AudioError, FloatArray, load_audio
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.growth.characters import UnknownCharacter, count_unknown_characters
from mu2slam_hf.growth.languages import LanguageGrowth, grow_processor
from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.recipes.data.records import Records
from mu2slam_hf.recipes.runs.encoder_start import fit_processor, load_start_extractor, load_start_processor
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.recipes.schema.sections import ModelSection, ProcessorSection

logger = logging.get_logger(__name__)

_UNUSED_TEXT = "a"
"""Text of the tokenizer of a run on speech alone, which is saved with the model but reads nothing."""

_VOCAB_SIZE = 4096
"""Default number of text tokens of a new tokenizer."""

_SHOWN = 20
"""Number of unknown characters that a message lists."""


def build_processor(
    recipe: Any, records: Records, checkpoint: str | None = None, growths: list[LanguageGrowth] | None = None
) -> Mu2SLAMProcessor:
    """The processor: of the checkpoint that is resumed, of `init_from`, or trained on the training texts.

    With a trained encoder (`model.init_encoder_from`), the feature extractor is that of the encoder.

    Args:
        recipe: recipe of the run.
        records: training records.
        checkpoint: folder of the checkpoint to resume.
        growths: receives the extensions of the vocabulary of a loaded processor, for `build_model_of`.

    Raises:
        RecipeError: a folder without a processor, or training texts that do not fit a loaded one.
    """
    section = recipe.processor
    folder = checkpoint or section.init_from or recipe.model.init_from
    if folder is not None:
        name = "output.dir" if checkpoint else "processor.init_from" if section.init_from else "model.init_from"
        with errors_of(name):
            saved = load_processor(folder)
        if checkpoint:
            return saved
        fitted = fit_processor(recipe.model, saved, folder)
        grown = grow_for_texts(section, recipe.model, fitted, iterate_training_texts(recipe, records))
        if growths is not None:
            growths += grown
        return fitted
    if section.add_languages:
        raise RecipeError("processor.add_languages: requires model.init_from; a new model has processor.languages")
    start = recipe.model.init_encoder_from
    # A Maestro has new text units, also if it starts from an mSLAM.
    has_new_text = start is None or recipe.kind == "maestro_pretraining"
    processor = None if has_new_text else load_start_processor(start)
    if processor is not None:
        return processor
    texts = _tokenizer_texts(records, section.texts_per_language, recipe.training.seed)
    if not texts and _reads_speech_alone(recipe):
        texts = [_UNUSED_TEXT]
    with errors_of("processor.tokenizer"):
        tokenizer = Mu2SLAMTokenizer.train_from_iterator(
            texts,
            vocab_size=section.vocab_size or _VOCAB_SIZE,
            kind=section.tokenizer,
            num_speech_tokens=section.num_speech_tokens,
        )
    unknown = count_unknown_characters(iterate_training_texts(recipe, records), tokenizer)
    if unknown:
        listed = "; ".join(character.describe() for character in unknown[:10])
        logger.warning(
            f"processor.vocab_size: {len(unknown)} rare characters of the training texts are not in the new tokenizer "
            f"and become <unk>: {listed}"
        )
    in_data = {lang for part in records.values() for record in part for lang in (record.lang, *record.translations)}
    languages = ["und", *(lang for lang in section.languages or sorted(in_data) if lang != "und")]
    if recipe.model.grow_from is not None:
        with errors_of("model.grow_from"):
            extractor = load_processor(recipe.model.grow_from).feature_extractor
    else:
        extractor = _fit_feature_extractor(recipe, records) if start is None else load_start_extractor(start)
    return Mu2SLAMProcessor(extractor, tokenizer, languages=languages)


def _reads_speech_alone(recipe: Any) -> bool:
    """Whether the only task of a mixture is speech without text."""
    tasks = getattr(recipe.data, "tasks", None) or {}
    return {task for task, section in tasks.items() if section.share != 0} == {"speech"}


def _tokenizer_texts(records: Records, per_language: int | None, seed: int) -> list[str]:
    """Texts and translations of all records; at most `per_language` of each language, drawn at random."""
    by_language: dict[str, list[str]] = {}
    for name in sorted(records):
        for record in records[name]:
            for lang, text in ((record.lang, record.text), *record.translations.items()):
                if text:
                    by_language.setdefault(lang, []).append(text)
    if per_language is None:
        return [text for texts in by_language.values() for text in texts]
    drawn = []
    for lang, texts in sorted(by_language.items()):
        distinct = sorted(set(texts))
        drawn += random.Random(f"{seed}:{lang}").sample(distinct, min(per_language, len(distinct)))
    return drawn


def _fit_feature_extractor(recipe: Any, records: Records) -> Mu2SLAMFeatureExtractor:
    """Measure mean and deviation of each mel bin on random recordings, the same share of each corpus."""
    extractor = Mu2SLAMFeatureExtractor(feature_size=_num_mel_bins(recipe.model))
    wanted = recipe.processor.feature_statistics_utterances
    spoken = {name: [r for r in part if r.audio is not None] for name, part in records.items()}
    spoken = {name: part for name, part in spoken.items() if part}
    if wanted <= 0 or not spoken:
        return extractor
    generator = random.Random(recipe.training.seed)
    chosen = []
    for name in sorted(spoken):
        chosen += generator.sample(spoken[name], min(len(spoken[name]), max(1, wanted // len(spoken))))
    return extractor.fit_statistics(_load_readable(chosen), sampling_rate=16000)


def _num_mel_bins(section: ModelSection) -> int:
    """Mel bins of the encoder of a new model."""
    own: Mapping[str, Any] = {}
    if section.config is not None:
        own = json.loads(Path(section.config).read_text(encoding="utf-8")).get("encoder_config") or {}
    bins = section.overrides.get("encoder_config.num_mel_bins", own.get("num_mel_bins"))
    return ConformerEncoderConfig.num_mel_bins if bins is None else int(bins)


def _load_readable(records: Iterable[SpeechTextRecord]) -> Iterator[FloatArray]:
    """Audio of the records; unreadable recordings are logged and left out, and counted later by the data set.

    Raises:
        RecipeError: no recording could be read.
    """
    reasons = []
    num_read = 0
    for record in records:
        try:
            waveform = load_audio(record.audio)
        except AudioError as error:
            reasons.append(f"{record.key}: {error}")
            logger.warning(f"left out of the feature statistics: {reasons[-1]}")
            continue
        num_read += 1
        yield waveform
    if not num_read:
        raise RecipeError(f"processor.feature_statistics_utterances: no recording can be read; {reasons[-1]}")


def iterate_training_texts(recipe: Any, records: Records) -> Iterator[tuple[str, str]]:
    """Language and text of every source and target of the corpora of a recipe; a text may occur several times.

    Limits of length are ignored. Texts of streams are not known before training and are left out.

    Args:
        recipe: recipe of the run.
        records: its training records.
    """
    data = recipe.data
    if hasattr(data, "tasks"):
        uses = [
            (name, ExampleBuilder(tasks=[task], one_target=True, **_options(data, data.languages_of(task))))
            for task, section in data.tasks.items()
            if section.share != 0
            for name, weight in section.corpus_weights.items()
            if weight > 0
        ]
    elif all(hasattr(corpus, "tasks") for corpus in data.corpora.values()):
        uses = [
            (name, ExampleBuilder(tasks=corpus.tasks, **_options(data, data.languages)))
            for name, corpus in data.corpora.items()
        ]
    else:  # transcripts only
        for part in records.values():
            yield from ((record.lang, record.text) for record in part if record.text)
        return
    for name, builder in uses:
        for record in records.get(name, ()):
            for example in builder.examples_of(record):
                yield from _texts_of(example)


def _options(data: Any, languages: Sequence[str]) -> dict[str, Any]:
    as_texts = getattr(data, "translations_as_texts", False)
    return {"languages": languages or None, "translations_as_texts": as_texts}


def _texts_of(example: Example) -> Iterator[tuple[str, str]]:
    if example.source_text is not None:
        yield example.source_lang, example.source_text
    yield from ((target.lang, target.text) for target in example.targets)


def grow_for_texts(
    section: ProcessorSection, model: ModelSection, processor: Mu2SLAMProcessor, texts: Iterable[tuple[str, str]]
) -> list[LanguageGrowth]:
    """Grow a loaded processor by `processor.add_languages`, then check that it has all characters of the texts.

    Args:
        section: section of the processor.
        model: section of the model.
        processor: as it was loaded; changed in place.
        texts: (language, text) of the training texts.

    Returns:
        what was added; the model must be grown by the same.

    Raises:
        RecipeError: languages of the recipe that the processor does not have, or unknown characters.
    """
    known = set(processor.languages) | {canonical_language(code) for code in section.add_languages}
    missing = [code for code in section.languages if canonical_language(code) not in known]
    if missing:
        raise RecipeError(
            f"processor.languages: the model that the run starts from has no {', '.join(missing)}; its languages are "
            f"{', '.join(processor.languages[1:])}. Add new ones by processor.add_languages ({{{missing[0]}: {{}}}})"
        )
    added = {canonical_language(code) for code in section.add_languages}
    characters: dict[str, set[str]] = defaultdict(set)

    def collect() -> Iterator[tuple[str, str]]:
        for lang, text in texts:
            if lang in added:
                characters[lang].update(text)
            yield lang, text

    unknown = count_unknown_characters(collect(), processor.tokenizer)
    growths = _add_languages(section, model, processor, characters) if added else []
    left = [char for char in unknown if not {canonical_language(lang) for lang in char.languages} <= added]
    if left:
        _report(left, section.allow_unknown_characters)
    return growths


def _add_languages(
    section: ProcessorSection,
    model: ModelSection,
    processor: Mu2SLAMProcessor,
    characters: Mapping[str, Iterable[str]],
) -> list[LanguageGrowth]:
    if model.init_from is None or section.init_from is not None:
        raise RecipeError("processor.add_languages: requires model.init_from, and no processor.init_from")
    tokens: Mapping[str, Sequence[int]] = read_config(Path(model.init_from)).get("restricted_tokens") or {}
    growths = []
    for code, added in section.add_languages.items():
        with errors_of(f"processor.add_languages.{code}"):
            own = "".join(sorted(characters.get(canonical_language(code), ())))
            growth = grow_processor(processor, code, like=added.like, characters=[own], known=tokens)
        tokens = growth.restricted_tokens
        growths.append(growth)
        new = "".join(character.char for character in growth.characters)
        # An adaptation builds its processor several times: to measure the speed, to score the start, to train.
        logger.warning_once(
            f"processor.add_languages.{code}: {'new language' if growth.is_new else 'known language'}, "
            f"{len(new)} new characters {new}"
        )
    return growths


def _report(unknown: Sequence[UnknownCharacter], allowed: bool) -> None:
    lines = [f"  {character.describe()}" for character in unknown[:_SHOWN]]
    if len(unknown) > _SHOWN:
        lines.append(f"  and {len(unknown) - _SHOWN} more")
    summary = f"{len(unknown)} characters of the training texts are not in the tokenizer"
    if allowed:
        logger.warning("\n".join([f"{summary} and become <unk>:", *lines]))
        return
    raise RecipeError(
        "\n".join(
            [
                f"processor: {summary} that the run starts from:",
                *lines,
                "  Correct the texts, add the characters by processor.add_languages, or train on <unk> with "
                "processor.allow_unknown_characters: true",
            ]
        )
    )
