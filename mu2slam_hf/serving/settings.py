# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Everything that makes the application of a server, which another process can build from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.inference.transcription import TranscriptionOptions
from mu2slam_hf.serving.app import ServingApp
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.served_models import load_models


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """A server.

    Attributes:
        choices: models by name, see `load_models`.
        options: how all of them transcribe.
        limits: what is accepted.
        api_keys: see `RequestGate`.
        strict: see `ServedModels`.
        threads: threads of the models; None: those of torch.
        page: whether it has a page for people.
    """

    choices: Mapping[str, ModelChoice]
    options: TranscriptionOptions = field(default_factory=lambda: TranscriptionOptions(timestamps="word"))
    limits: ServingLimits = field(default_factory=ServingLimits)
    api_keys: Sequence[str] = ()
    strict: bool = False
    threads: int | None = None
    page: bool = False

    def build_app(self) -> ServingApp:
        """Load the models, and build the application; raises the errors of `load_models` and `ServingApp.add_page`."""
        if self.threads:
            torch.set_num_threads(self.threads)
        app = ServingApp(
            load_models(self.choices, self.options, strict=self.strict), self.limits, api_keys=self.api_keys
        )
        if self.page:
            app.add_page()
        return app
