# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text tokenizers: one for the encoder-decoder, one that decodes CTC output.

Neither has an `__init__`, with which transformers would rebuild the backend on loading, without normaliser and
decoder.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tokenizers import AddedToken, Tokenizer
from transformers import TokenizersBackend
from transformers.utils import ModelOutput

from .modules_vocabulary import (
    WORD_BOUNDARY,
    build_byte_tokenizer,
    build_character_tokenizer,
    build_unigram_tokenizer,
    check_new_characters,
    extend_backend,
    iterate_texts,
    rename_tokens,
    speech_token,
    spell_bytes,
)

# Names in transformers of the ids 0, 1, ...
_NAMED_TOKENS = ("pad_token", "bos_token", "eos_token", "unk_token", "mask_token")
TOKENIZER_KINDS = {"char": build_character_tokenizer, "unigram": build_unigram_tokenizer, "byte": build_byte_tokenizer}
"""Maps each kind to a function `(texts, vocab_size, num_speech_tokens)` that returns the backend."""


class Mu2SLAMTokenizer(TokenizersBackend):
    """Tokenizer of characters, unigram pieces or bytes, with special tokens and speech ids.

    Ids: pad 0, `<s>` 1, `</s>` 2, `<unk>` 3, `<mask>` 4, reserved up to 63, then `<speech_0>`, `<speech_1>`, ..., then
    text. `tokenizer(text)` appends `</s>` and adds no `<s>`, for encoder sources and decoder targets alike.

    Special tokens within a text, such as `</s>` or `<speech_5>`, are encoded as text, never as the id, unless a call
    passes `split_special_tokens=False`. Characters that are not in the vocabulary become `<unk>`, which decoding keeps
    even with `skip_special_tokens=True`, so that gaps in a transcript are visible.

    New characters are appended with `add_characters`; existing ids do not change.
    """

    model_input_names = ["input_ids", "attention_mask"]
    _ends_with_eos = True

    @classmethod
    def train_from_iterator(
        cls,
        iterator: Iterable[str | list[str]],
        vocab_size: int = 4096,
        kind: str = "char",
        num_speech_tokens: int = 1024,
    ) -> "Mu2SLAMTokenizer":
        """Train on texts.

        Args:
            iterator: texts, or batches of texts; read once.
            vocab_size: maximum number of *text* tokens (characters or pieces), not including special and speech
                tokens; bytes have 256.
            kind: one of `TOKENIZER_KINDS`.
            num_speech_tokens: number of entries of the speech codebook.

        Returns:
            a tokenizer of this class with at most `64 + num_speech_tokens + vocab_size` ids.

        Raises:
            ValueError: an invalid argument, or texts without characters.

        Paper: section 3.1, 4,096 characters or 64k pieces.
        """
        if kind not in TOKENIZER_KINDS:
            raise ValueError(f"kind must be one of {sorted(TOKENIZER_KINDS)}, got {kind!r}.")
        if vocab_size < 1 or num_speech_tokens < 0:
            raise ValueError(
                f"Expected vocab_size >= 1 and num_speech_tokens >= 0, got {vocab_size} and {num_speech_tokens}."
            )
        if isinstance(iterator, str):
            raise ValueError("iterator must be an iterable of texts, got one str: pass a list of texts.")
        return cls.from_backend(TOKENIZER_KINDS[kind](iterate_texts(iterator), vocab_size, num_speech_tokens))

    @classmethod
    def from_backend(cls, backend: Tokenizer) -> "Mu2SLAMTokenizer":
        """A tokenizer of this class for a backend with the id space of this package."""
        names = dict(zip(_NAMED_TOKENS, map(backend.id_to_token, range(len(_NAMED_TOKENS))), strict=True))
        return cls(
            tokenizer_object=backend,
            **names,
            add_bos_token=False,
            add_eos_token=cls._ends_with_eos,
            clean_up_tokenization_spaces=False,
        )

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str | list[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str | AddedToken] | None = None,
        special_tokens_map: dict[str, str] | None = None,
    ) -> "Mu2SLAMTokenizer":
        """Train a new tokenizer of the same kind and codebook size on other texts.

        Overrides the method of transformers, which includes special tokens and codebook in `vocab_size` and would
        leave no room for text.

        Args:
            text_iterator: texts, or batches of texts.
            vocab_size: maximum number of text tokens, as in `train_from_iterator`.
            length: ignored; accepted for compatibility with transformers.
            new_special_tokens: appended after the text.
            special_tokens_map: new names of special tokens.
        """
        kind = "byte" if self.has_bytes else "unigram" if self._has_pieces else "char"
        trained = self.train_from_iterator(text_iterator, vocab_size, kind, self.num_speech_tokens)
        if special_tokens_map:
            trained = self.from_backend(rename_tokens(trained.backend_tokenizer, special_tokens_map))
        if new_special_tokens:
            trained.add_special_tokens({"extra_special_tokens": list(new_special_tokens)})
        return trained

    @property
    def has_bytes(self) -> bool:
        """Whether tokens are bytes."""
        return type(self._tokenizer.decoder).__name__ == "ByteLevel"

    @property
    def _has_pieces(self) -> bool:
        """Whether tokens are pieces of several characters."""
        return type(self._tokenizer.model).__name__ != "WordLevel" and not self.has_bytes

    def spell(self, token_ids: Sequence[int]) -> list[str]:
        """Text of each token; of a character of several bytes at the last one. Pieces show where words begin."""
        tokens = [self._tokenizer.id_to_token(index) or "" for index in token_ids]
        return spell_bytes(tokens) if self.has_bytes else tokens

    @property
    def split_special_tokens(self) -> bool:
        """Always True, see the class; only a single call can override it."""
        return True

    @split_special_tokens.setter
    def split_special_tokens(self, value: bool) -> None:
        # Ignored: the base class assigns its default (False) on construction, and saved values must not override True.
        pass

    @property
    def speech_token_offset(self) -> int:
        """Id of the first speech token, or the id that it would have without a codebook."""
        first = self._tokenizer.token_to_id(speech_token(0))
        return self.text_token_offset if first is None else first

    @property
    def num_speech_tokens(self) -> int:
        """Number of speech tokens in the vocabulary."""
        return len(self._special_ids() & self._speech_ids())

    @property
    def text_token_offset(self) -> int:
        """Id of the first text token."""
        specials = self._special_ids()
        return next(index for index in range(len(self) + 1) if index not in specials)

    def convert_speech_ids(self, speech_ids: Iterable[int]) -> list[int]:
        """Convert codebook entries `0..num_speech_tokens-1` to ids of this vocabulary.

        Raises:
            ValueError: an entry is out of range.
        """
        offset, size, converted = self.speech_token_offset, self.num_speech_tokens, []
        for entry in speech_ids:
            if not 0 <= int(entry) < size:
                raise ValueError(f"speech id {int(entry)} is out of range for the codebook, 0..{size - 1}.")
            converted.append(offset + int(entry))
        return converted

    def encode_ctc_labels(self, texts: list[str]) -> list[list[int]]:
        """CTC targets: ids of each text, without special tokens."""
        return self(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"] if texts else []

    def add_characters(self, characters: Iterable[str]) -> list[int]:
        """Append characters to the vocabulary, as characters or pieces like all others.

        Unlike words added with `add_tokens`, which are cut out of a text before it is split into pieces, they may be
        part of a word. Existing ids and the ids of texts without the new characters do not change.

        Args:
            characters: single code points, also combining marks; those that the tokenizer has are ignored.

        Returns:
            the ids of the new characters, in order of code points; none for bytes, which write all characters.

        Raises:
            ValueError: an item is not one code point in NFC, or is white space or a control character.
        """
        if self.has_bytes:
            return []
        known = self.get_vocab()
        new = [character for character in check_new_characters(characters) if character not in known]
        if not new:
            return []
        start = len(self)
        self._tokenizer: Tokenizer = extend_backend(self.backend_tokenizer, new)
        self.__dict__.pop("_special_ids_cache", None)
        return list(range(start, start + len(new)))

    def _special_ids(self) -> frozenset[int]:
        """Ids that `skip_special_tokens` skips: all special ones except `<unk>`."""
        cached = self.__dict__.get("_special_ids_cache")
        if cached is None:
            tokens = self._tokenizer.get_added_tokens_decoder()
            cached = frozenset(index for index, token in tokens.items() if token.special)
            self.__dict__["_special_ids_cache"] = cached
        return cached

    def _speech_ids(self) -> frozenset[int]:
        """Ids of the speech tokens."""
        first = self._tokenizer.token_to_id(speech_token(0))
        if first is None:
            return frozenset()
        last = first
        while self._tokenizer.token_to_id(speech_token(last - first)) == last:
            last += 1
        return frozenset(range(first, last))

    def _add_tokens(self, new_tokens: list[str | AddedToken], special_tokens: bool = False) -> int:
        self.__dict__.pop("_special_ids_cache", None)
        return super()._add_tokens(new_tokens, special_tokens=special_tokens)

    def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._encode_plus(text, *args, **kwargs)
        except TypeError as error:
            for index, item in enumerate([text] if isinstance(text, str) else text):
                if isinstance(item, str) and any("\ud800" <= character <= "\udfff" for character in item):
                    raise ValueError(
                        f"text[{index}] contains a lone surrogate, which is not valid Unicode: read the file with its "
                        "correct encoding, or with errors='replace'."
                    ) from error
            raise

    def _decode(self, token_ids: int | list[int], skip_special_tokens: bool = False, **kwargs: Any) -> str:
        if isinstance(token_ids, int):
            token_ids = [token_ids]
        if skip_special_tokens:
            # Not done by the backend, which would also skip `<unk>`.
            hidden = self._special_ids() - {self.unk_token_id}
            token_ids = [index for index in token_ids if index not in hidden]
        if self.has_bytes:
            return "".join(self.spell(token_ids))
        return super()._decode(token_ids, skip_special_tokens=False, **kwargs)


class Mu2SLAMTransducerTokenizer(Mu2SLAMTokenizer):
    """Tokenizer of a transducer: like that of CTC without `</s>`, but its output has no repeated ids to collapse."""

    _ends_with_eos = False


@dataclass
class Mu2SLAMCTCTokenizerOutput(ModelOutput):
    """Decoded text with frame offsets.

    Args:
        text: the decoded text.
        char_offsets: for each token `{"char", "start_offset", "end_offset"}` in encoder frames, end exclusive.
        word_offsets: for each word `{"word", "start_offset", "end_offset"}`.
    """

    text: str | list[str] | None = None
    char_offsets: list[Any] | None = None
    word_offsets: list[Any] | None = None


class Mu2SLAMCTCTokenizer(Mu2SLAMTokenizer):
    """Tokenizer for CTC output: collapses repeated ids; pad is the blank.

    A separate class, because pipelines call `decode` in the same way for both kinds of model, and collapsing repeats
    in other output would turn "hello" into "helo". `tokenizer(text)` returns CTC labels, without `</s>`.
    """

    _ends_with_eos = False
    # Whether `decode` reads one id for each frame.
    collapses_repeats = True
    # The pipeline of transformers passes this to `_get_word_offsets`.
    replace_word_delimiter_char = " "

    @classmethod
    def from_tokenizer(cls, tokenizer: Mu2SLAMTokenizer) -> "Mu2SLAMCTCTokenizer":
        """The same vocabulary for CTC output."""
        return cls.from_backend(tokenizer.backend_tokenizer)

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        **kwargs: Any,
    ) -> list[str] | Mu2SLAMCTCTokenizerOutput:
        """Texts of a batch, or one output with lists if offsets are requested."""
        decoded = [
            self.decode(
                sequence,
                skip_special_tokens=skip_special_tokens,
                output_char_offsets=output_char_offsets,
                output_word_offsets=output_word_offsets,
                **kwargs,
            )
            for sequence in sequences
        ]
        if not (output_char_offsets or output_word_offsets):
            return decoded
        return Mu2SLAMCTCTokenizerOutput(
            text=[item.text for item in decoded],
            char_offsets=[item.char_offsets for item in decoded] if output_char_offsets else None,
            word_offsets=[item.word_offsets for item in decoded] if output_word_offsets else None,
        )

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        group_tokens: bool = True,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        **kwargs: Any,
    ) -> str | Mu2SLAMCTCTokenizerOutput:
        """Text of one sequence of best ids per frame.

        Args:
            token_ids: id of each encoder frame.
            skip_special_tokens: skip special tokens except `<unk>`; the blank is always skipped.
            group_tokens: whether to collapse repeats; blanks are removed in any case.
            output_char_offsets: whether to return the frames of each token.
            output_word_offsets: whether to return the frames of each word.
            **kwargs: as in the base class.
        """
        if isinstance(token_ids, int):
            token_ids = [token_ids]
        runs = [(index, 1) for index in token_ids]
        if group_tokens:
            runs = [(index, len(list(run))) for index, run in groupby(token_ids)]
        hidden = self._special_ids() - {self.unk_token_id} if skip_special_tokens else frozenset()
        kept, start = [], 0
        for index, length in runs:
            if index != self.pad_token_id and index not in hidden:
                kept.append((index, start, start + length))
            start += length
        text = super()._decode([index for index, _, _ in kept], skip_special_tokens=False, **kwargs)
        if not (output_char_offsets or output_word_offsets):
            return text
        offsets = self._compute_offsets(kept)
        words = self._get_word_offsets(offsets) if output_word_offsets else None
        return Mu2SLAMCTCTokenizerOutput(
            text=text, char_offsets=offsets if output_char_offsets else None, word_offsets=words
        )

    def _compute_offsets(self, kept: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
        """Frames of each token, or character of several bytes; a piece that begins a word includes its space."""
        offsets, first = [], None
        for token, (_, start, end) in zip(self.spell([index for index, _, _ in kept]), kept, strict=True):
            first = start if first is None else first
            if token or not self.has_bytes:
                shown = token.replace(WORD_BOUNDARY, " ") if self._has_pieces else token
                offsets.append({"char": shown, "start_offset": first, "end_offset": end})
                first = None
        if offsets and self._has_pieces:
            offsets[0]["char"] = offsets[0]["char"].removeprefix(" ")
        return offsets

    @staticmethod
    def _get_word_offsets(offsets: list[dict[str, Any]], word_delimiter_char: str = " ") -> list[dict[str, Any]]:
        """Frames of each word, from the frames of its tokens; the pipeline of transformers calls this method."""
        words: list[dict[str, Any]] = []
        inside = False
        for offset in offsets:
            token, start, end = offset["char"], offset["start_offset"], offset["end_offset"]
            inside = inside and not token.startswith(word_delimiter_char)
            token = token.strip(word_delimiter_char)
            if not token:
                inside = False
            elif inside:
                words[-1] = {"word": words[-1]["word"] + token, "start_offset": words[-1]["start_offset"]}
                words[-1]["end_offset"] = end
            else:
                words.append({"word": token, "start_offset": start, "end_offset": end})
                inside = True
        return words


__all__ = ["Mu2SLAMCTCTokenizer", "Mu2SLAMTokenizer", "Mu2SLAMTransducerTokenizer"]
