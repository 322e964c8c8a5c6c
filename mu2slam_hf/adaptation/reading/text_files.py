# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text files of unknown origin: their encoding, and the oddities that cleaning removes from their texts."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mu2slam_hf.data.text import clean_text

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# Control characters and halves of surrogate pairs, which no record may have.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SHOWN_CHARACTERS = 24


class TextFileError(ValueError):
    """A text file that cannot be read; the message has the file, and the line where it is known."""


def read_text_file(path: Path, encoding: str | None = None) -> str:
    """The content of a text file.

    Args:
        path: the file.
        encoding: encoding of files without a byte order mark; None means UTF-8.

    Returns:
        the text, with line feeds as line ends.

    Raises:
        TextFileError: the file cannot be read, or is in another encoding. The message has the line, how it would
            read in the encoding of Western Windows programs, and what to do.

    Choice: an encoding is never guessed. A wrong guess changes letters without a trace, and in the languages that
    this is for, no statistics tell which letters are likely.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TextFileError(f"{path}: cannot be read ({error.strerror})") from error
    used = find_encoding(content, encoding) or "utf-8"
    try:
        text = content.decode(used)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = content[max(0, error.start - _SHOWN_CHARACTERS // 2) : error.start + _SHOWN_CHARACTERS // 2]
        shown = bad.decode("cp1252", errors="replace").replace("\n", " ").strip()
        raise TextFileError(
            f"{path}:{line}: the text is not in {used.upper()}. In the encoding cp1252 (Western Windows) the place "
            f"reads {shown!r}. If that is right, give --encoding cp1252; else save the file as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def find_encoding(content: bytes, encoding: str | None = None) -> str | None:
    """The encoding that the byte order mark at the start of a file says, else the given one.

    Args:
        content: the file, or its first three bytes.
        encoding: encoding of a file without a byte order mark; None means UTF-8.
    """
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), encoding)


@dataclass(kw_only=True)
class TextCleaner:
    """Cleans texts as every corpus is cleaned, and counts what is not visible afterwards.

    Attributes:
        num_texts: number of texts so far.
        removed: invisible or control character -> number of texts that had it.
        num_decomposed: number of texts whose accents were separate characters (not NFC).
        places: invisible character -> the first place that had it.
    """

    num_texts: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    num_decomposed: int = 0
    places: dict[str, str] = field(default_factory=dict)

    def clean(self, text: str | None, place: str) -> str | None:
        """The text as `clean_text` leaves it, without control characters; None if nothing is left.

        Args:
            text: the text as it is in the file; may be None.
            place: where it is, for the report.
        """
        if text is None:
            return None
        self.count(text, place)
        return clean_text(_UNUSABLE.sub(" ", text)) or None

    def count(self, text: str, place: str) -> None:
        """Count the oddities of a text that is cleaned elsewhere."""
        self.num_texts += 1
        self.num_decomposed += not unicodedata.is_normalized("NFC", text)
        kept = set(clean_text(_UNUSABLE.sub(" ", text)))
        for char in sorted(set(text) - kept):
            if unicodedata.category(char) in ("Cf", "Cc") and not char.isspace():
                self.removed[char] += 1
                self.places.setdefault(char, place)
