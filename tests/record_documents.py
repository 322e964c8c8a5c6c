# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Executes the code blocks of the documentation and writes their outputs into it.

    python tests/record_documents.py                       # all documents
    python tests/record_documents.py docs/how_to/align.md  # some

Only outputs that differ are written. An output with one line `...` keeps as many lines before and after it as it had;
several lines `...` are lost and have to be put in again.
"""

import os
import sys
import tempfile
from pathlib import Path

from document_blocks import Block, execute_page, explain_difference, find_documents, make_folder, read_blocks
from helpers import REPOSITORY_ROOT


def shorten(output: str, before: str) -> str:
    """`output` with the line `...` that the output written before had, if it had one."""
    lines, old = output.splitlines(), before.rstrip().splitlines()
    if old.count("...") != 1:
        return output
    first, last = old.index("..."), len(old) - old.index("...") - 1
    return "\n".join([*lines[:first], "...", *lines[len(lines) - last :]]) if first + last < len(lines) else output


def record(document: str) -> None:
    """Rewrites the outputs of one document."""
    path = REPOSITORY_ROOT / document
    content = path.read_text(encoding="utf-8")
    written: list[tuple[Block, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(make_folder(Path(folder)))
        try:
            for block, output in execute_page(read_blocks(document, content)):
                if block.output is not None and explain_difference(block.output.text, output):
                    written.append((block.output, shorten(output.rstrip(), block.output.text) + "\n"))
        finally:
            os.chdir(REPOSITORY_ROOT)
    for block, output in reversed(written):
        start, end = block.span
        content = content[:start] + output + content[end:]
        print(f"{block.place}: recorded")
    path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    for document in sys.argv[1:] or find_documents():
        record(document)
