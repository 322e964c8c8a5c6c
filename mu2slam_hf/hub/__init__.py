# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Upload folders that work without this package, their self-check, and model cards."""
