# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training: named losses, schedules, exact resume. It knows models and data, and nothing of evaluation or recipes."""
