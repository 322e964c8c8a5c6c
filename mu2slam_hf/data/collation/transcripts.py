# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcripts as labels of CTC."""

import logging

from mu2slam_hf.data.shared_counts import LogOnce, SharedCounts

logger = logging.getLogger(__name__)


class TranscriptCheck:
    """Finds transcripts without a CTC path, counts them over all loader processes and logs the first few.

    Choice: only a few, because such a transcript is no error: dense text is common, and the trainer logs the number.
    """

    def __init__(self) -> None:
        self._counts = SharedCounts("ctc_too_long")
        self._log = LogOnce(logger, max_lines=3)

    @property
    def num_too_long(self) -> int:
        """Number of transcripts so far that did not fit."""
        return self._counts["ctc_too_long"]

    def keep_fitting(self, token_ids: list[int], num_frames: int, example_id: str) -> list[int]:
        """The labels, or none if they need more than `num_frames` encoder frames, so that CTC has no path."""
        # CTC requires a blank between two equal labels.
        repeats = sum(first == second for first, second in zip(token_ids, token_ids[1:], strict=False))
        needed = len(token_ids) + repeats
        if needed <= num_frames:
            return token_ids
        self._counts.add("ctc_too_long")
        self._log.warning(
            example_id,
            f"{example_id}: the transcript needs {needed} encoder frames, got {num_frames}; it has no CTC loss",
        )
        return []
