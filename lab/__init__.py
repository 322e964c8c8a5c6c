# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The laboratory of the package's authors: speech synthesis, studies, sweeps, comparison of speech tokenizers.

It is run from a clone as `python -m lab COMMAND` (README.md beside this file) and is not part of the wheel. It imports
the package; the package never imports it.
"""
