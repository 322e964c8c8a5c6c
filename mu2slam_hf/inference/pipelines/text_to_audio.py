# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("text-to-audio", model=...)` for encoder-decoders with a speech synthesizer."""

from typing import Any

from transformers.pipelines.text_to_audio import TextToAudioPipeline

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.inference.pipelines.base import OurModelsMixin
from mu2slam_hf.inference.speech_output import speak
from mu2slam_hf.models.modules_capabilities import Capabilities


class Mu2SLAMTextToAudioPipeline(OurModelsMixin, TextToAudioPipeline):
    """Speech of texts: `{"audio": (n,) float32, "sampling_rate": 16000}` for each.

    Arguments of a call, among those of `generate` in `generate_kwargs` or `forward_params`: `source_lang`,
    `target_lang`, `speaker` and `seed` of `speak`.
    """

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return "tts" in capabilities.tasks

    def preprocess(self, text: str, **kwargs: Any) -> dict[str, Any]:
        """The text as it is: it is prepared by `speak`."""
        return {"text": text}

    def _forward(self, model_inputs: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        options = {**kwargs["forward_params"], **kwargs["generate_kwargs"]}
        return {"waveform": speak(self.model, self.processor, model_inputs["text"], **options)}

    def postprocess(self, audio: dict[str, Any]) -> dict[str, Any]:
        """The samples with their rate."""
        return {"audio": audio["waveform"], "sampling_rate": SAMPLING_RATE}
