# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("audio-classification", model=...)` for the models of this package."""

from typing import Any

from transformers.pipelines.audio_classification import AudioClassificationPipeline

from mu2slam_hf.data.audio_sources import read_audio_source
from mu2slam_hf.inference.pipelines.base import OurModelsMixin
from mu2slam_hf.models.modeling_mu2slam_classification import Mu2SLAMForAudioClassification
from mu2slam_hf.models.modules_capabilities import Capabilities, capabilities_of
from mu2slam_hf.models.modules_speech_inputs import extract_speech


class Mu2SLAMAudioClassificationPipeline(OurModelsMixin, AudioClassificationPipeline):
    """Classification of recordings; see the pipeline of transformers for further arguments and results.

    An encoder-decoder is a classifier of the spoken language: the labels are the codes of its languages, the scores
    the probabilities of its language head. An input is anything that the speech recognition pipeline of this package
    accepts (paths and URLs without ffmpeg, bytes, arrays, rows of `datasets.Audio` at any rate), or a list, a data set
    or a generator of inputs. Results do not depend on the batch.
    """

    _stock = AudioClassificationPipeline

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return capabilities.identifies_languages

    def __init__(self, model: Any, *args: Any, **kwargs: Any):
        if capabilities_of(model).generates:
            model = Mu2SLAMForAudioClassification.from_conditional_generation(model)
        super().__init__(model, *args, **kwargs)

    def check_model_type(self, supported_models: Any) -> None:
        """Not needed: the class is used for its own model types only."""

    def preprocess(self, inputs: Any) -> Any:
        """The inputs of the front end, for a recording in any form."""
        rate = self.feature_extractor.sampling_rate
        waveform = read_audio_source(inputs, rate)
        return extract_speech(self.feature_extractor, [waveform], sampling_rate=rate, return_tensors="pt")


__all__ = ["Mu2SLAMAudioClassificationPipeline"]
