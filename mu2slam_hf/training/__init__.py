# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training: named losses, schedules, exact resume. It depends on models and data, not on evaluation or recipes."""
