# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""One of two processes that evaluate together: `torch.distributed.run ... evaluation_worker.py FOLDER`."""

import json
import sys
from pathlib import Path

from mu2slam_hf.cli import main

if __name__ == "__main__":
    for command in json.loads((Path(sys.argv[1]) / "commands.json").read_text(encoding="utf-8")):
        assert main(command) == 0, command
