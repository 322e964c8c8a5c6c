# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Python's garbage collection during start-up: it would take a fifth of the time in which torch is imported."""

import gc

# Importing torch and transformers makes about 10 million objects and hardly any garbage.
_STARTUP_THRESHOLD = 1_000_000


def postpone_collection() -> None:
    """Collects rarely until `resume_collection`. For programs, not for libraries: it holds for the whole process."""
    gc.set_threshold(_STARTUP_THRESHOLD, *gc.get_threshold()[1:])


def resume_collection() -> None:
    """Collects as usual again, but never looks at what exists now; without `postpone_collection`, no effect."""
    if gc.get_threshold()[0] == _STARTUP_THRESHOLD:
        gc.freeze()
        gc.set_threshold(700, *gc.get_threshold()[1:])
