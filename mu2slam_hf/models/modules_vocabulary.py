# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The id space `[specials and reserved][speech codebook][text ...]` and its text models.

Paper: section 3.1, a character vocabulary of 4,096 and a SentencePiece vocabulary of 64k; speech ids share the output
space with text ("speech is another language").
"""

import codecs
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import Tensor

from .configuration_mu2slam import NUM_RESERVED_TOKENS

PAD_TOKEN, BOS_TOKEN, EOS_TOKEN, UNK_TOKEN, MASK_TOKEN = "<pad>", "<s>", "</s>", "<unk>", "<mask>"
SPECIAL_TOKENS = (PAD_TOKEN, BOS_TOKEN, EOS_TOKEN, UNK_TOKEN, MASK_TOKEN)
UNK_ID = SPECIAL_TOKENS.index(UNK_TOKEN)

# Word boundary of the pieces, as in SentencePiece.
WORD_BOUNDARY = "\u2581"
_REPLACEMENT_CHARACTER = "\ufffd"
# Log probability of special tokens in the unigram model. The model would match a literal `</s>` as one piece; with
# this score spelling it out is always more probable, and all characters of these names are pieces (see below).
NEVER = -1e4


def speech_token(index: int) -> str:
    """Token of codebook entry `index`."""
    return f"<speech_{index}>"


def language_token(code: str) -> str:
    """Token of a language, in vocabularies of text models that tell the decoder its language by a token."""
    return f"<language_{code}>"


def list_special_tokens(num_speech_tokens: int) -> list[str]:
    """Tokens of all ids before the text part: special, reserved and speech tokens."""
    reserved = [f"<reserved_{index}>" for index in range(len(SPECIAL_TOKENS), NUM_RESERVED_TOKENS)]
    return [*SPECIAL_TOKENS, *reserved, *(speech_token(index) for index in range(num_speech_tokens))]


def iterate_texts(iterator: Iterable[str | list[str]]) -> Iterator[str]:
    """Flatten an iterator over texts or batches of texts.

    Raises:
        ValueError: an item is neither.
    """
    for position, item in enumerate(iterator):
        for text in [item] if isinstance(item, str) else item:
            if not isinstance(text, str):
                raise ValueError(f"expected texts of type str, but item {position} is {type(text).__name__}.")
            yield text


def build_character_tokenizer(texts: Iterable[str], vocab_size: int, num_speech_tokens: int) -> Tokenizer:
    """Character model: one token per code point of the NFC text.

    Args:
        texts: training texts, read once.
        vocab_size: maximum number of characters; only the most frequent ones are kept, all others become `<unk>`.
        num_speech_tokens: number of entries of the speech codebook.

    Raises:
        ValueError: `texts` contain no characters.

    Choice: NFC, so that an accented letter is one token in any encoding. Ties are broken by code point, so that the
    same texts give the same ids.
    """
    counts: Counter[str] = Counter({" ": 1})
    normalizer = normalizers.NFC()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    if len(counts) == 1:
        raise ValueError("Cannot train a tokenizer: the texts contain no characters.")
    characters = sorted(counts, key=lambda character: (-counts[character], character))[:vocab_size]
    names = list_special_tokens(num_speech_tokens) + sorted(characters)
    backend = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token=UNK_TOKEN))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return finish_backend(backend, num_speech_tokens)


def build_unigram_tokenizer(texts: Iterable[str], vocab_size: int, num_speech_tokens: int) -> Tokenizer:
    """Unigram pieces with SentencePiece's word boundary.

    Args:
        texts: training texts, read once.
        vocab_size: maximum number of pieces; small corpora give fewer.
        num_speech_tokens: number of entries of the speech codebook.

    Raises:
        ValueError: no text, or more different characters than `vocab_size`.

    Choice: pieces are sorted by probability and text, since the order of the trainer varies between runs.
    """
    backend = Tokenizer(models.Unigram())
    _set_unigram_pipeline(backend)
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size + 1,
        special_tokens=[UNK_TOKEN],
        unk_token=UNK_TOKEN,
        show_progress=False,
    )
    try:
        backend.train_from_iterator(texts, trainer=trainer)
    except Exception as error:
        if "not large enough" not in str(error):
            raise
        raise ValueError(
            f"The texts contain more different characters than vocab_size={vocab_size}. Increase vocab_size, remove "
            "texts with rare characters, or use kind='char', which keeps the most frequent ones."
        ) from None
    pieces = _settle_scores(json.loads(backend.to_str())["model"]["vocab"][1:])
    if len(pieces) < 2:
        raise ValueError("Cannot train a tokenizer: the texts contain no characters.")
    specials = list_special_tokens(num_speech_tokens)
    # The characters of special tokens must be pieces, or a literal `</s>` could only be matched as the token.
    known, worst = {piece for piece, _ in pieces}, min(score for _, score in pieces)
    spelling = sorted(set("".join(specials)) | {WORD_BOUNDARY})
    pieces += [(character, worst - 1.0) for character in spelling if character not in known]
    vocabulary = [(name, NEVER) for name in specials]
    vocabulary += sorted(pieces, key=lambda piece: (-piece[1], piece[0]))
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=UNK_ID))
    _set_unigram_pipeline(backend)
    return finish_backend(backend, num_speech_tokens)


def byte_characters() -> list[str]:
    """The character by which `tokenizers` writes each byte: printable bytes as themselves, others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_BYTES = {character: bytes([byte]) for byte, character in enumerate(byte_characters())}


def build_byte_tokenizer(texts: Iterable[str], vocab_size: int, num_speech_tokens: int) -> Tokenizer:
    """One token for each byte of the NFC text in UTF-8, in the order of the bytes, so that no text is unknown.

    Paper: Maestro-U (Chen et al. 2022) section 3, for scripts that are not seen in training.

    Args:
        texts: not read; the vocabulary is the same for all of them.
        vocab_size: not read; there are 256 tokens.
        num_speech_tokens: number of entries of the speech codebook.
    """
    names = list_special_tokens(num_speech_tokens) + byte_characters()
    vocabulary = {name: index for index, name in enumerate(names)}
    backend = Tokenizer(models.BPE(vocabulary, merges=[], unk_token=UNK_TOKEN))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return finish_backend(backend, num_speech_tokens)


def spell_bytes(tokens: Sequence[str]) -> list[str]:
    """What each token of [`build_byte_tokenizer`] adds to the text.

    A character of several bytes is added by the last of them. Bytes that belong to no character are left out; other
    tokens are written as they are.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    spelled = []
    for token in tokens:
        if token not in _BYTES:
            decoder.reset()
        spelled.append(decoder.decode(_BYTES[token]) if token in _BYTES else token)
    return spelled


def rename_tokens(backend: Tokenizer, names: dict[str, str]) -> Tokenizer:
    """The same tokenizer with some tokens renamed; ids do not change."""
    content = json.loads(backend.to_str())
    for token in content["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = content["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(name, name): index for name, index in model["vocab"].items()}
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    else:
        model["vocab"] = [[names.get(name, name), score] for name, score in model["vocab"]]
    return Tokenizer.from_str(json.dumps(content))


def check_new_characters(characters: Iterable[str]) -> list[str]:
    """Characters for a vocabulary, in order of code points.

    Raises:
        ValueError: an item is not one code point in NFC, or cannot be a token: white space, control characters,
            unassigned code points, the word boundary and the character that replaces it.
    """
    checked = sorted(set(characters))
    for character in checked:
        if len(character) != 1 or unicodedata.normalize("NFC", character) != character:
            raise ValueError(f"expected single characters in NFC, got {character!r}.")
        reserved = character in (WORD_BOUNDARY, _REPLACEMENT_CHARACTER) or character.isspace()
        if reserved or unicodedata.category(character) in ("Cc", "Cs", "Cn"):
            raise ValueError(f"U+{ord(character):04X} cannot be added to a vocabulary; remove it from the texts.")
    return checked


def extend_backend(backend: Tokenizer, characters: Iterable[str]) -> Tokenizer:
    """The same tokenizer with further characters, whose ids follow all others; no other id and no score changes.

    In a unigram model a new character is a piece with the lowest score of its pieces, so that texts without the new
    characters are split as before.

    Args:
        backend: tokenizer of one of the kinds of this file.
        characters: single code points that it does not have.
    """
    content = json.loads(backend.to_str())
    vocabulary = content["model"]["vocab"]
    # Tokens that were appended by `add_tokens` become entries of the model, because its entries must be contiguous.
    appended = sorted(content["added_tokens"], key=lambda token: token["id"])
    names = [token["content"] for token in appended if token["id"] >= len(vocabulary)]
    if isinstance(vocabulary, dict):
        for name in (*names, *characters):
            vocabulary[name] = len(vocabulary)
    else:
        lowest = min(score for _, score in vocabulary if score > NEVER)
        vocabulary += [[name, NEVER] for name in names] + [[character, lowest] for character in characters]
    return Tokenizer.from_str(json.dumps(content))


def _settle_scores(pieces: list[list]) -> list[tuple[str, float]]:
    """Scores of pieces that are the same in every run.

    The trainer assigns characters without probability `lowest`, `lowest + 1e-4`, `lowest + 2e-4`, ... in the order of
    a hash table; here they all get `lowest`.
    """
    lowest = min((score for _, score in pieces), default=0.0)

    def is_arbitrary(piece: str, score: float) -> bool:
        steps = (score - lowest) / 1e-4
        return len(piece) == 1 and abs(steps - round(steps)) < 1e-3

    return [(piece, round(lowest if is_arbitrary(piece, score) else score, 6)) for piece, score in pieces]


def _set_unigram_pipeline(backend: Tokenizer) -> None:
    """Set normaliser, word splitting and decoder of the pieces; encoding and decoding preserve every space.

    The word boundary is added before the first word and removed again. A leading space would be lost, so it is doubled
    first; a literal word-boundary character would be decoded as a space, so it is replaced by U+FFFD, which is unknown
    and therefore visible.
    """
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(WORD_BOUNDARY, _REPLACEMENT_CHARACTER),
            normalizers.Replace(Regex(r"\A "), "  "),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=WORD_BOUNDARY, prepend_scheme="first")
    backend.decoder = decoders.Metaspace(replacement=WORD_BOUNDARY, prepend_scheme="first")


def finish_backend(backend: Tokenizer, num_speech_tokens: int) -> Tokenizer:
    """Mark special tokens, and add none to encoded text; the tokenizer class adds `</s>`."""
    backend.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in list_special_tokens(num_speech_tokens)]
    )
    backend.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    return backend


VOCABULARY_HEADS = ("lm_head", "mlm_head", "ctc_head", "token_head")
TOKEN_TABLES = (
    ".embed_tokens.weight",
    *(f".{head}.{kind}" for head in VOCABULARY_HEADS for kind in ("weight", "bias")),
)
"""Ends of the names of tables `(V, ...)` with a row for each token."""
LANGUAGE_TABLES = (".embed_languages.weight", ".language_head.weight", ".language_head.bias")
"""The same with a row for each language."""


def has_rows_of(name: str, tables: tuple[str, ...]) -> bool:
    """Whether a parameter is one of `TOKEN_TABLES` or `LANGUAGE_TABLES`, by its name."""
    return f".{name}".endswith(tables)


def select_tables(state: Mapping[str, Tensor], tables: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    """Names and values of the parameters that are one of the tables."""
    return ((name, values) for name, values in state.items() if has_rows_of(name, tables))
