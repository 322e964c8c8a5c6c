# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The processor of a run: feature extractor, tokenizer and languages."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from transformers.utils import logging

from mu2slam_hf.checkpoints.folders import load_processor
from mu2slam_hf.data.audio import AudioError, FloatArray, load_audio
from mu2slam_hf.data.examples.token_counts import TokenCounter, count_characters
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.growth.characters import count_unknown_characters
from mu2slam_hf.growth.languages import LanguageGrowth
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.recipes.encoder_start import fit_processor, load_start_extractor, load_start_processor
from mu2slam_hf.recipes.loader import RecipeError, errors_of
from mu2slam_hf.recipes.processor_growth import grow_for_texts
from mu2slam_hf.recipes.records import Records
from mu2slam_hf.recipes.training_texts import iterate_training_texts

logger = logging.get_logger(__name__)


def build_processor(
    recipe: Any, records: Records, checkpoint: str | None = None, growths: list[LanguageGrowth] | None = None
) -> Mu2SLAMProcessor:
    """The processor: of the checkpoint that is resumed, of `init_from`, or trained on the training texts.

    With a trained encoder (`model.init_encoder_from`), the feature extractor is that of the encoder.

    Args:
        recipe: recipe of the run.
        records: training records.
        checkpoint: folder of the checkpoint to resume.
        growths: what a loaded processor is grown by is appended to this list, for `build_model_of`.

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
    processor = None if start is None else load_start_processor(start)
    if processor is not None:
        return processor
    texts = _tokenizer_texts(records, section.texts_per_language, recipe.training.seed)
    with errors_of("processor.tokenizer"):
        tokenizer = Mu2SLAMTokenizer.train_from_iterator(
            texts, vocab_size=section.vocab_size, kind=section.tokenizer, num_speech_tokens=section.num_speech_tokens
        )
    unknown = count_unknown_characters(iterate_training_texts(recipe, records), tokenizer)
    if unknown:
        found = "; ".join(one.describe() for one in unknown[:10])
        logger.warning(
            f"processor.vocab_size: {len(unknown)} rare characters of the training texts are not in the new tokenizer "
            f"and become <unk>: {found}"
        )
    in_data = {lang for part in records.values() for record in part for lang in (record.lang, *record.translations)}
    languages = ["und", *(lang for lang in section.languages or sorted(in_data) if lang != "und")]
    if recipe.model.grow_from is not None:
        with errors_of("model.grow_from"):
            extractor = load_processor(recipe.model.grow_from).feature_extractor
    else:
        extractor = _fit_feature_extractor(recipe, records) if start is None else load_start_extractor(start)
    return Mu2SLAMProcessor(extractor, tokenizer, languages=languages)


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
    extractor = Mu2SLAMFeatureExtractor()
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


def build_token_counter(tokenizer: Any) -> Callable[[str], int]:
    """A function that counts the tokens of a text; for character tokenizers without running the tokenizer."""
    if type(tokenizer.backend_tokenizer.model).__name__ == "WordLevel":
        return count_characters
    return TokenCounter(tokenizer)
