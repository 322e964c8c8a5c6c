# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Experiments of many runs: studies of hypotheses over seeds, sweeps over keys of a recipe."""
