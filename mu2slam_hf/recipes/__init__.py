# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes: YAML files that describe training runs; `loader` reads them, `runs` builds the run of each kind."""
