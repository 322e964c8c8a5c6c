# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Growing a trained model and its processor by a language and its characters."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mu2slam_hf.data.text import find_unknown_characters
from mu2slam_hf.growth.characters import describe_character, find_related
from mu2slam_hf.growth.rows import start_row
from mu2slam_hf.growth.scripts import restrict_scripts
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language, language_index
from mu2slam_hf.models.modules_vocabulary import LANGUAGE_TABLES, TOKEN_TABLES, select_tables

BIAS_OFFSET = -4.0
"""Added to the biases of new rows of all heads, so that an untrained token or language is not chosen in place of those
that it starts from: it has at most e^-4 = 2 % of their probability."""


@dataclass(frozen=True, kw_only=True)
class AddedCharacter:
    """A new character.

    Attributes:
        char: the character.
        token_id: its id.
        sources: ids whose rows its row starts from.
        related: characters of these ids.
        reason: why these.
    """

    char: str
    token_id: int
    sources: tuple[int, ...]
    related: tuple[str, ...]
    reason: str

    def describe(self) -> str:
        """Character, code point, name and id."""
        return f"{self.char} {describe_character(self.char)} (id {self.token_id})"


@dataclass(frozen=True, kw_only=True)
class LanguageGrowth:
    """What a processor was grown by, which its model follows.

    Attributes:
        code: the language.
        is_new: whether the model did not have it before; otherwise only characters were added.
        like: languages that a new language starts from.
        characters: new characters.
        restricted_tokens: new value of `config.restricted_tokens`.
        vocab_size: number of ids of the tokenizer.
    """

    code: str
    is_new: bool
    like: tuple[str, ...]
    characters: tuple[AddedCharacter, ...]
    restricted_tokens: dict[str, list[int]]
    vocab_size: int


def add_language(
    model: Any, processor: Any, code: str, *, like: Sequence[str] = (), characters: Iterable[str] = ()
) -> LanguageGrowth:
    """Grow a trained model and its processor by a language and the characters that it is written with.

    Rows of existing tokens and languages do not change, and texts in existing languages do not either, also after the
    new rows were trained: decoding masks the new tokens in other languages (`config.restricted_tokens`), and the
    letters of its script in languages with another one (`restrict_scripts`). The model must then be trained on the new
    language.

    A new language starts from the mean of the languages `like`; a new character from the mean of related ones
    (`find_related`), with a small difference between characters. For a language that the model has, only characters
    are added.

    Args:
        model: any model of the package with a text vocabulary; changed in place.
        processor: its processor; changed in place.
        code: the language, in any spelling of a BCP-47 or ISO 639 code, also private ones (`qaa-x-name`).
        like: similar languages of the model; default: all, except `und`.
        characters: texts or single characters; those that the tokenizer has already are not added.

    Returns:
        what was added, and what it starts from.

    Raises:
        ValueError: an invalid code, a language of `like` that the model does not have, or characters that cannot be
            added.
    """
    processor.check_config(model.config)
    if canonical_language(code) not in processor.languages:
        check_new_language(model.config)
    growth = grow_processor(processor, code, like=like, characters=characters, known=model.config.restricted_tokens)
    grow_model(model, growth)
    return growth


def grow_processor(
    processor: Any,
    code: str,
    *,
    like: Sequence[str] = (),
    characters: Iterable[str] = (),
    known: Mapping[str, Sequence[int]] | None = None,
) -> LanguageGrowth:
    """The part of [`add_language`] that changes the processor; [`grow_model`] is the other one.

    Args:
        processor: changed in place.
        code: as in `add_language`.
        like: as in `add_language`.
        characters: as in `add_language`.
        known: `config.restricted_tokens` of the model.
    """
    code, languages, tokenizer = canonical_language(code), processor.languages, processor.tokenizer
    if code == UNDETERMINED:
        raise ValueError(f"{UNDETERMINED!r} is the unknown language; expected the code of a language to add")
    like_codes = [languages[language_index(item, languages)] for item in like]
    # Characters in any order must not combine with one another, but a text may be decomposed.
    everything = {char for text in characters for char in unicodedata.normalize("NFC", text)}
    unknown = find_unknown_characters("".join(sorted(everything)), tokenizer)
    vocabulary = tokenizer.get_vocab()
    single = {char: row for char, row in vocabulary.items() if len(char) == 1 and row >= tokenizer.text_token_offset}
    ids = tokenizer.add_characters(unknown)
    added = []
    for char, token_id in zip(sorted(unknown), ids, strict=True):
        related, reason = find_related(char, single)
        sources = tuple(single[item] for item in related)
        added.append(
            AddedCharacter(char=char, token_id=token_id, sources=sources, related=tuple(related), reason=reason)
        )
    tokens = {item: list(own) for item, own in (known or {}).items()}
    # Characters that were added for another language before may be written in this one too.
    limited = {token for own in tokens.values() for token in own}
    shared = {single[char] for char in everything & single.keys()} & limited
    own_tokens = sorted({*tokens.get(code, []), *shared, *ids})
    if own_tokens:
        tokens[code] = own_tokens
    is_new = code not in languages
    if is_new:
        like_codes = like_codes or [item for item in languages if item != UNDETERMINED] or list(languages)
        processor.languages = [*languages, code]
    text_vocabulary = {token: row for token, row in vocabulary.items() if row >= tokenizer.text_token_offset}
    tokens = restrict_scripts(tokens, code, everything, processor.languages, text_vocabulary)
    return LanguageGrowth(
        code=code,
        is_new=is_new,
        like=tuple(like_codes) if is_new else (),
        characters=tuple(added),
        restricted_tokens=tokens,
        vocab_size=len(tokenizer),
    )


def check_new_language(config: Any) -> None:
    """Refuse to add a language to a model whose languages are tokens too; it may get new characters.

    Raises:
        ValueError: the message says how such a model gets a language.
    """
    if getattr(config, "decoder_prompt", "start") != "start":
        raise ValueError(
            "this model is given the target language as a token, and a language cannot be added to it: make it again "
            "with all languages, `mu2slam init --table-languages en,fr,...`"
        )


@torch.no_grad()
def grow_model(model: Any, growth: LanguageGrowth) -> None:
    """Grow a model like its processor: tables, heads and configuration.

    Args:
        model: model of the processor before it was grown; changed in place.
        growth: of [`grow_processor`].
    """
    config = model.config
    if growth.is_new:
        check_new_language(config)
    trained = {name: values.clone() for name, values in model.state_dict().items()}
    model.grow_tables(growth.vocab_size, [growth.code] if growth.is_new else [])
    config.restricted_tokens = growth.restricted_tokens or None
    state = model.state_dict()
    for name, values in select_tables(state, TOKEN_TABLES):
        for character in growth.characters:
            start_row(values, character.token_id, trained[name], character.sources, noise_seed=ord(character.char))
            if name.endswith(".bias"):
                values[character.token_id] += BIAS_OFFSET
    if not growth.is_new:
        return
    sources = [config.languages.index(character) for character in growth.like]
    for name, values in select_tables(state, LANGUAGE_TABLES):
        start_row(values, config.num_languages - 1, trained[name], sources)
        if name.endswith(".bias"):
            values[config.num_languages - 1] += BIAS_OFFSET
