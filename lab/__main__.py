# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab COMMAND`, from a clone."""

import sys

from lab.commands import main

if __name__ == "__main__":
    sys.exit(main())
