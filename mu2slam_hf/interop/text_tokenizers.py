# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tokenizers of NLLB and mBART with the id space of this package: same pieces, other ids.

Ids: special and reserved tokens, the speech codebook, then the pieces and language tokens of the source in its order,
then the tokens of languages that the source does not have.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer

from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language, language_index
from mu2slam_hf.models.modules_vocabulary import (
    NEVER,
    UNK_ID,
    UNK_TOKEN,
    finish_backend,
    language_token,
    list_special_tokens,
)
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

NEW_ROW = -1
"""In `source_ids`: an id that the source does not have."""

# The decoder's first inputs, by the class of the tokenizer.
_PROMPTS = {"NllbTokenizer": "start_language", "MBart50Tokenizer": "start_language", "MBartTokenizer": "language"}
_LANGUAGE = re.compile(r"([a-z]{2,3})_([A-Z][a-z]{3}|[A-Z]{2})")
# Scripts of languages that NLLB has in several ones: the code without a script is this one.
_MAIN_SCRIPTS = {"ace": "Latn", "bjn": "Latn", "kr": "Latn", "ks": "Arab", "taq": "Latn", "zh": "Hans"}


@dataclass(frozen=True)
class ConvertedTokenizer:
    """A tokenizer of a text model in the id space of this package.

    Attributes:
        tokenizer: the tokenizer.
        source_ids: `(V,)` int64, the id in the source of every id; `NEW_ROW` for new ones.
        languages: codes of the language table, `und` first.
        language_token_ids: id of the token of each language.
        decoder_prompt: as in [`Mu2SLAMConfig`].
    """

    tokenizer: Mu2SLAMTokenizer
    source_ids: NDArray[np.int64] = field(repr=False)
    languages: list[str]
    language_token_ids: list[int]
    decoder_prompt: str


def convert_tokenizer(
    tokenizer: Any, num_speech_tokens: int = 1024, languages: Sequence[str] | None = None
) -> ConvertedTokenizer:
    """Convert the tokenizer of an NLLB or mBART model.

    Choice: a language that the source does not have gets a new token; a regional or script variant of one that it has
    (`pt-BR`) gets a token whose embedding begins as that of the language. Unlike other tokenizers of this package,
    the normalisation is that of the source, so that runs of spaces are not preserved.

    Args:
        tokenizer: `NllbTokenizer`, `MBart50Tokenizer` or `MBartTokenizer`.
        num_speech_tokens: number of entries of the speech codebook.
        languages: codes of the language table; by default all languages of the source.

    Raises:
        ValueError: another tokenizer, an unknown language code, or a vocabulary with gaps or with names of ours.
    """
    prompt = _PROMPTS.get(type(tokenizer).__name__.removesuffix("Fast"))
    if prompt is None:
        *names, last = _PROMPTS
        reason = (
            " (M2M100Tokenizer has no backend of the library tokenizers)" if "M2M100" in str(type(tokenizer)) else ""
        )
        raise ValueError(
            f"expected a tokenizer of class {', '.join(names)} or {last}, got {type(tokenizer).__name__}{reason}."
        )
    tokens = _tokens_by_id(tokenizer)
    special = {token.content for token in tokenizer.backend_tokenizer.get_added_tokens_decoder().values()}
    special = {*special, *tokenizer.all_special_tokens} & set(tokens)
    known = find_languages([token for token in tokens if token in special])
    codes = _list_languages(languages, list(known.values()))

    # The start token of MBart50Tokenizer has only its name of a classifier token.
    begin = tokenizer.bos_token or tokenizer.cls_token
    named = [tokenizer.pad_token, begin, tokenizer.eos_token, tokenizer.unk_token, tokenizer.mask_token]
    named = [str(name) for name in named]
    ids = {token: index for index, token in enumerate(tokens)}
    if missing := [name for name in named if name not in ids]:
        raise ValueError(f"the vocabulary of the tokenizer has no {', '.join(missing)}.")
    ours = list_special_tokens(num_speech_tokens)
    kept = [index for index, token in enumerate(tokens) if token not in set(named)]
    kept_names = [language_token(known[tokens[i]]) if tokens[i] in known else tokens[i] for i in kept]
    missing = [code for code in codes if code not in known.values()]
    new_names = [language_token(code) for code in missing]
    names = [*ours, *kept_names, *new_names]
    if len(set(names)) != len(names):
        raise ValueError(
            "the vocabulary of the tokenizer has tokens with the names of special tokens of this package."
        )
    source = np.full(len(names), NEW_ROW, dtype=np.int64)
    source[: len(named)] = [ids[name] for name in named]
    source[len(ours) : len(ours) + len(kept)] = kept
    by_code = {code: ids[token] for token, code in known.items()}
    for place, code in enumerate(missing, start=len(ours) + len(kept)):
        source[place] = _related(code, by_code)
    languages_in_vocabulary = [language_token(code) for code in known.values()] + new_names
    other_special = [token for token in tokens if token in special and token not in known and token not in named]
    backend = _build_backend(tokenizer.backend_tokenizer, names, tokens, source)
    backend = finish_backend(backend, num_speech_tokens)
    backend.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in (*languages_in_vocabulary, *other_special)]
    )
    rows = {name: index for index, name in enumerate(names)}
    return ConvertedTokenizer(
        tokenizer=Mu2SLAMTokenizer.from_backend(backend),
        source_ids=source,
        languages=codes,
        language_token_ids=[rows[language_token(code)] for code in codes],
        decoder_prompt=prompt,
    )


def find_languages(tokens: Sequence[str]) -> dict[str, str]:
    """Canonical codes of language tokens (`eng_Latn`, `en_XX`): the script or region is left out where it is implied.

    A second token for the same language and script (Akan and Twi are one language in CLDR) has no code; it is an
    ordinary special token.
    """
    results: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for token in tokens:
        match = _LANGUAGE.fullmatch(token)
        if match is None:
            continue
        script = match[2] if len(match[2]) == 4 else ""
        base = canonical_language(match[1])
        if (base, script) in seen:
            continue
        seen.add((base, script))
        is_main = not script or _MAIN_SCRIPTS.get(base, script) == script
        code = base if is_main and base not in results.values() else canonical_language(f"{match[1]}-{script}")
        if code not in results.values():
            results[token] = code
    return results


def _list_languages(languages: Sequence[str] | None, known: list[str]) -> list[str]:
    codes = known if languages is None else [canonical_language(code) for code in languages]
    return list(dict.fromkeys([UNDETERMINED, *codes]))


def _related(code: str, by_code: dict[str, int]) -> int:
    """Id in the source of a more general language than `code`; `NEW_ROW` if it has none."""
    codes = list(by_code)
    try:
        return by_code[codes[language_index(code, codes)]]
    except ValueError:
        return NEW_ROW


def _tokens_by_id(tokenizer: Any) -> list[str]:
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError("the ids of the tokenizer have gaps.")
    return tokens


def _build_backend(backend: Tokenizer, names: list[str], tokens: list[str], source: NDArray[np.int64]) -> Tokenizer:
    """The backend of the source with other names and ids; normaliser, word splitting, merges and decoder are kept."""
    content = json.loads(backend.to_str())
    model = content["model"]
    if model["type"] == "BPE":
        # Tokens without merges, such as special ones, are never the result of merges.
        model["vocab"] = {name: index for index, name in enumerate(names)}
        model["unk_token"] = UNK_TOKEN
    else:
        # The score keeps special tokens that are written in a text from being matched as one piece.
        added = {token.content for token in backend.get_added_tokens_decoder().values()}
        scores = {piece: score for piece, score in model["vocab"] if piece not in added}
        from_source = (scores.get(tokens[i], NEVER) if i != NEW_ROW else NEVER for i in source.tolist())
        model["vocab"] = [[name, score] for name, score in zip(names, from_source, strict=True)]
        model["unk_id"] = UNK_ID
    content |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    return Tokenizer.from_str(json.dumps(content))
