# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sampling: which examples a batch contains, from tables and from streams."""
