# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fails if the package has more lines of code than `.ci/code_size.txt` allows.

The last line of that file is the number of lines that are allowed, and every change of it has its reason:

    31800  what it was made for

python .ci/code_size.py            # compare
python .ci/code_size.py --lower    # write the present number, if it is lower
"""

import argparse
import sys
from pathlib import Path

from code_lines import count_code_lines

ROOT = Path(__file__).resolve().parents[1]
LIMITS = Path(__file__).with_name("code_size.txt")


def main() -> int:
    """Compare, or lower the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lower", action="store_true", help="write the present number, if it is lower")
    options = parser.parse_args()
    files = sorted((ROOT / "mu2slam_hf").rglob("*.py"))
    lines = sum(count_code_lines(file.read_text(encoding="utf-8")) for file in files)
    history = LIMITS.read_text(encoding="utf-8").strip().splitlines()
    limit = int(history[-1].split()[0])
    print(f"{lines} lines of code in {len(files)} files of mu2slam_hf; {limit} are allowed")
    if options.lower and lines < limit:
        LIMITS.write_text("\n".join([*history, f"{lines:6}  less"]) + "\n", encoding="utf-8")
    if lines > limit:
        print(f"Take out {lines - limit} lines, or add a line with the new number and its reason to {LIMITS.name}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
