# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples: their construction from records, their random draws, and the data set that loads them."""
