# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m mu2slam_hf`, equivalent to the command `mu2slam`."""

import sys

from mu2slam_hf.cli import main

if __name__ == "__main__":
    sys.exit(main())
