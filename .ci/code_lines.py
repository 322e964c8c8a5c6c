# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Counts lines of Python code without docstrings, comments and blank lines.

python .ci/code_lines.py mu2slam_hf tests              # one total for each folder or file
python .ci/code_lines.py --files mu2slam_hf/training   # and one line for each file
"""

import argparse
import ast
import io
import tokenize
from pathlib import Path

_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def count_code_lines(source: str) -> int:
    """Lines that hold a token of code; a string that stands alone as a statement counts as documentation."""
    documentation = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - documentation)


def main() -> None:
    """Print the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="folders or files")
    parser.add_argument("--files", action="store_true", help="also print each file")
    options = parser.parse_args()
    for path in options.paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        counts = {file: count_code_lines(file.read_text(encoding="utf-8")) for file in files}
        if options.files:
            print("\n".join(f"{number:7}  {file}" for file, number in counts.items()))
        print(f"{sum(counts.values()):7}  {path} ({len(files)} files)")


if __name__ == "__main__":
    main()
