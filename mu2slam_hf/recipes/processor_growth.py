# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A loaded processor and the texts of a run: new languages and characters, and characters that are unknown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from transformers.utils import logging

from mu2slam_hf.checkpoints.folders import read_config
from mu2slam_hf.growth.characters import UnknownCharacter, count_unknown_characters
from mu2slam_hf.growth.languages import LanguageGrowth, grow_processor
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.loader import RecipeError, errors_of
from mu2slam_hf.recipes.sections import ModelSection, ProcessorSection

logger = logging.get_logger(__name__)

_SHOWN = 20
"""Number of unknown characters that a message lists."""


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
    left = [one for one in unknown if not {canonical_language(lang) for lang in one.languages} <= added]
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
        new = "".join(one.char for one in growth.characters)
        # An adaptation builds its processor several times: to measure the speed, to score the start, to train.
        logger.warning_once(
            f"processor.add_languages.{code}: {'new language' if growth.is_new else 'known language'}, "
            f"{len(new)} new characters {new}"
        )
    return growths


def _report(unknown: Sequence[UnknownCharacter], allowed: bool) -> None:
    lines = [f"  {one.describe()}" for one in unknown[:_SHOWN]]
    if len(unknown) > _SHOWN:
        lines.append(f"  and {len(unknown) - _SHOWN} more")
    found = f"{len(unknown)} characters of the training texts are not in the tokenizer"
    if allowed:
        logger.warning("\n".join([f"{found} and become <unk>:", *lines]))
        return
    raise RecipeError(
        "\n".join(
            [
                f"processor: {found} that the run starts from:",
                *lines,
                "  Correct the texts, add the characters by processor.add_languages, or train on <unk> with "
                "processor.allow_unknown_characters: true",
            ]
        )
    )
