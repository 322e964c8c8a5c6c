# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Models, processors and their modules, in one flat folder that transformers can upload as custom code.

Importing this package imports none of them; `model_types.py` holds the table that is registered with the Auto classes.
"""
