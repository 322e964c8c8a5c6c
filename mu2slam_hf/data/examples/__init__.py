# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples: what is made of records, what is drawn of them, and the data set that loads them."""
