# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples: what is made of a record, and what is drawn of it."""
