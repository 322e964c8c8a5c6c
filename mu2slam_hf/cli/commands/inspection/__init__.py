# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Commands that inspect results, data and recipes."""
