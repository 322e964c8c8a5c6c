# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Damaged files for hypothesis: edits of bytes, of lines of text, and of values of JSON."""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

_OPERATIONS = ("overwrite", "insert", "delete", "truncate", "repeat", "zero")
# What files are that are not what their name says.
_IMPOSTORS = (
    b"",
    b"\0" * 4096,
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 53170000\n",
    b"<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>",
    b"\xff\xfe" + "other".encode("utf-16-le"),
    b"\x1f\x8b\x08\x00not gzip",
    b"null",
    b"[]",
    b"{",
)
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**63, 1e308, float("nan"), "", "text", [], {}, [[]], {"a": {}}, "\0", "9" * 400),
)
_ODD_LINES = (
    *(
        "",
        "\t" * 50,
        "-->",
        "1",
        "00:00:00,000 --> 99:99:99,999",
        "- ",
        "a: [",
        "<<: *x",
        "&a [*a, *a]",
        "!!python/object:x {}",
    ),
    *(
        "\ufeff",
        "\u202eoediv",
        "\x1b]0;title\x07",
        "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "ignore"),
    ),
    *("a" * 5000, "<v " * 400, "{" * 300, "9" * 400, "1e400", "nan", "null"),
)


class Edit(NamedTuple):
    """One change of the bytes of a file: `place` and `length` are shares of the length of the file."""

    operation: str
    place: float
    length: float
    content: bytes


# Half of the places are among the first hundredth, where headers are.
_PLACES = st.one_of(st.floats(0, 0.01), st.floats(0, 1))
_EDITS = st.builds(Edit, st.sampled_from(_OPERATIONS), _PLACES, st.floats(0, 0.3), st.binary(min_size=1, max_size=8))


def apply_edit(content: bytes, edit: Edit) -> bytes:
    """The content of a file after an edit."""
    start = round(edit.place * len(content))
    end = min(len(content), start + round(edit.length * len(content)))
    head, middle, tail = content[:start], content[start:end], content[end:]
    match edit.operation:
        case "overwrite":
            return head + edit.content + content[start + len(edit.content) :]
        case "insert":
            return head + edit.content + middle + tail
        case "delete":
            return head + tail
        case "truncate":
            return head
        case "repeat":
            return head + middle + middle + tail
        case _:
            return head + bytes(len(middle)) + tail


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The content of a file after one to four edits, or that of an impostor."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(_IMPOSTORS))
    for edit in draw(st.lists(_EDITS, min_size=1, max_size=4)):
        content = apply_edit(content, edit)
    return content


@st.composite
def damaged_text(draw: st.DrawFn, text: str) -> bytes:
    """A text of lines after one to five changes of lines, sometimes with damaged bytes too."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 5)):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, draw(st.sampled_from(_ODD_LINES)))
            case 2:
                lines[place] = lines[place] + draw(st.sampled_from(_ODD_LINES))
            case 3:
                other = draw(st.integers(0, len(lines) - 1))
                lines[place], lines[other] = lines[other], lines[place]
            case 4:
                lines.insert(place, lines[place])
            case _:
                cut = draw(st.integers(0, len(lines[place])))
                lines[place] = lines[place][:cut] + draw(st.text(max_size=4)) + lines[place][cut + 1 :]
        lines = lines or [""]
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    return draw(damaged_bytes(content)) if draw(st.integers(0, 4)) == 0 else content


@st.composite
def damaged_json(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON file one of whose values is another one, is missing, or whose bytes are damaged."""
    if draw(st.booleans()):
        return draw(damaged_bytes(content))
    tree = json.loads(content)
    node, key = tree, None
    for _ in range(draw(st.integers(1, 4))):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))[:50]
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], (dict, list)) or not node[key]:
            break
        parent, node = node, node[key]
    else:
        node = parent
    if key is not None and draw(st.integers(0, 3)) == 0:
        del node[key]
    elif key is not None:
        node[key] = draw(st.sampled_from(_ODD_VALUES))
    return json.dumps(tree).encode()
