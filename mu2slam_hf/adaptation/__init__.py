# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a folder of recordings to a fine-tuned model: reading, inspection and split of the data."""
