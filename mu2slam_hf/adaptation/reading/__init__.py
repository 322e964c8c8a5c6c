# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a user's folder to records: tables, annotations, subtitles and text files."""
