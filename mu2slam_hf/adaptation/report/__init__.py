# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Inspection of a user's records, their division, and the report about them."""
