# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A Space on the Hub: the page of `mu2slam serve --page`, with the checkpoint in the package."""

import os

from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.server import open_socket, serve
from mu2slam_hf.serving.settings import ServingSettings

# All visitors of a Space have the address of its proxy.
limits = ServingLimits(audio_seconds=600, upload_megabytes=50, client_requests=ServingLimits.requests)
# For another model: ModelChoice(name="organisation/name").
settings = ServingSettings(choices={"default": ModelChoice()}, limits=limits, page=True)
serve(settings.build_app(), open_socket("0.0.0.0", int(os.environ.get("GRADIO_SERVER_PORT", "7860"))))
