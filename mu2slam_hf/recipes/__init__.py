# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes: one YAML file describes one training run; `loader` reads it, `builders` make the objects it names."""
