# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of speech tokenizers: k-means, codebooks, and schedules of learned quantisers."""
