# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Search in recordings: clips with their vectors in Parquet files, and indices that are derived from them."""
