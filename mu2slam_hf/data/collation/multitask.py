# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Collation of supervised batches that hold speech and text together."""

from collections.abc import Sequence
from typing import Any

from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.models.task_types import MODALITIES


class MultitaskCollator:
    """Collates recognition, speech translation and text translation into one batch.

    A batch has up to two parts, `speech` and `text`, each a batch of `SupervisedCollator`, since the encoder reads
    either features or tokens; and `record_ids` of both.

    Args:
        collator: the collator of the parts.
    """

    def __init__(self, collator: SupervisedCollator) -> None:
        self.collator = collator

    @property
    def num_ctc_too_long(self) -> int:
        """See `SpeechTextCollator`."""
        return self.collator.num_ctc_too_long

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items of any modality.

        Raises:
            ValueError: no items.
        """
        if not items:
            raise ValueError("expected at least one example in a batch, got none")
        batch: dict[str, Any] = {}
        for modality in MODALITIES:
            own = [item for item in items if item.drawn.example.source_modality == modality]
            if own:
                batch[modality] = self.collator(own)
        record_ids = [record for part in batch.values() for record in part["record_ids"]]
        return {**batch, "record_ids": record_ids}
