# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of texts and classes: metrics, their intervals, tables, and views under which texts are scored again."""
