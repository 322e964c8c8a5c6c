# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Number of unreadable records over all loader processes, with a maximum share."""

import logging

from mu2slam_hf.data.shared_counts import LogOnce, SharedCounts

logger = logging.getLogger(__name__)


class TooManyBadRecordsError(ValueError):
    """The share of unreadable records is too large; the message contains the latest one."""


class FailureCount:
    """Counts attempts and failures over all loader processes.

    Args:
        max_share: largest share of failures at which training continues.
        min_failures: number of failures below which training always continues.
    """

    def __init__(self, max_share: float, min_failures: int = 10) -> None:
        self.max_share, self.min_failures = max_share, min_failures
        self._counts = SharedCounts("attempts", "failures")
        self._log = LogOnce(logger)

    @property
    def attempts(self) -> int:
        """Number of records that the loaders tried to read."""
        return self._counts["attempts"]

    @property
    def failures(self) -> int:
        """Number of records that could not be read."""
        return self._counts["failures"]

    def add(self, reason: str | None) -> None:
        """Count one attempt; `reason` is the reason of a failure, or None.

        Raises:
            TooManyBadRecordsError: at least `min_failures` failures, and a share above `max_share`.
        """
        self._counts.add("attempts")
        if reason is None:
            return
        self._counts.add("failures")
        self._log.warning(reason, f"record left out: {reason}")
        if self.failures >= self.min_failures and self.failures > self.max_share * self.attempts:
            raise TooManyBadRecordsError(
                f"{self.failures} of {self.attempts} records could not be read, which exceeds the "
                f"maximum share of {self.max_share:g}; the latest: {reason}"
            )
