# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Prints the set-up commands of README.md, one per line, so that CI runs what the reader runs."""

import re
import sys
from pathlib import Path


def read_setup_commands(readme: str) -> list[str]:
    """Returns the commands of the section "Set up": one fenced block holds one command."""
    section = re.search(r"^## Set up\n(.*?)(?=^## )", readme, re.MULTILINE | re.DOTALL)
    if section is None:
        raise SystemExit('README.md has no section "## Set up"')
    blocks = re.findall(r"^```bash\n(.*?)^```", section.group(1), re.MULTILINE | re.DOTALL)
    commands = [" ".join(block.replace("\\\n", " ").split()) for block in blocks]
    if len(commands) != 2:
        raise SystemExit(f'README.md must have exactly two set-up commands in "## Set up", found {len(commands)}')
    return commands


if __name__ == "__main__":
    print("\n".join(read_setup_commands(Path(sys.argv[1]).read_text(encoding="utf-8"))))
