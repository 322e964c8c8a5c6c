# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The size of an example in a batch, and bounds on the size of a batch."""

from dataclasses import dataclass
from typing import NamedTuple

from huggingface_hub.dataclasses import strict


class ExampleCost(NamedTuple):
    """Size of one draw of an example in a batch."""

    seconds: float = 0.0
    source_tokens: int = 0
    target_tokens: int = 0


@strict
@dataclass(kw_only=True)
class BatchLimits:
    """Bounds on one batch, padding included: the longest example times the number of examples.

    Attributes:
        max_seconds: maximum speech of a batch in seconds.
        max_source_tokens: maximum number of source tokens of a text batch.
        max_target_tokens: maximum number of decoder positions of a batch.
        max_examples: maximum number of examples of a batch.
    """

    max_seconds: float | int = 40.0
    max_source_tokens: int = 4000
    max_target_tokens: int = 8000
    max_examples: int = 64

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_source_tokens", "max_target_tokens", "max_examples"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)}")

    def hold(self, longest: ExampleCost, num_examples: int) -> bool:
        """Whether `num_examples` examples, padded to `longest`, are within all bounds."""
        return (
            num_examples <= self.max_examples
            and longest.seconds * num_examples <= self.max_seconds
            and longest.source_tokens * num_examples <= self.max_source_tokens
            and longest.target_tokens * num_examples <= self.max_target_tokens
        )
