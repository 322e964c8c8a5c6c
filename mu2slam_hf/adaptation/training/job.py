# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""An adaptation job: recordings, model and settings in one object, for a command, a server or a page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mu2slam_hf.adaptation.report.prepared_data import InspectionJob, PreparedData
from mu2slam_hf.adaptation.training.pretraining import add_untranscribed
from mu2slam_hf.adaptation.training.run import AdaptationResult, adapt
from mu2slam_hf.adaptation.training.settings import AdaptationSettings


@dataclass(frozen=True, kw_only=True)
class AdaptationJob:
    """What to train on, from which model, and how.

    Attributes:
        inspection: the recordings; its report is in the folder of the adaptation.
        output_dir: folder of the model; None if the data are only checked.
        settings: what the user has decided.
        continue_changed: whether to train on from the model in `output_dir`, see `adapt`.
    """

    inspection: InspectionJob
    output_dir: Path | None
    settings: AdaptationSettings = field(default_factory=AdaptationSettings)
    continue_changed: bool = False

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> PreparedData:
        """Read the recordings, and those of a further folder for pre-training; see `InspectionJob.prepare`."""
        prepared = self.inspection.prepare(progress)
        if not self.settings.pretrain:
            return prepared
        return add_untranscribed(prepared, self.settings.pretrain, self.inspection.options, self.inspection.limits)

    def run(self, prepared: PreparedData, *, started: float, say: Callable[[str], None]) -> AdaptationResult:
        """Train; see `adapt`.

        Raises:
            ValueError: there is no folder for the model.
        """
        if self.output_dir is None:
            raise ValueError("expected a folder for the model, got none: the job only checks data")
        return adapt(
            prepared,
            self.output_dir,
            self.settings,
            continue_changed=self.continue_changed,
            started=started,
            say=say,
        )
