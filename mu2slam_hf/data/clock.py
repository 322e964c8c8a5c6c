# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Times in recordings for people and players."""


def clock(seconds: float) -> str:
    """`00:01:02.345`, the form in which ELAN, WebVTT and video players have a time."""
    milliseconds = round(1000 * max(seconds, 0.0))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
