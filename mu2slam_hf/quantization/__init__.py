# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech tokenizers: k-means, codebooks, the treatment of learned quantisers during training."""
