# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("feature-extraction", model=...)` for the models of this package."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoFeatureExtractor, AutoProcessor
from transformers.pipelines.feature_extraction import FeatureExtractionPipeline

from mu2slam_hf.data.audio_sources import read_audio_source
from mu2slam_hf.inference.pipelines.base import OurModelsMixin
from mu2slam_hf.models.language_codes import language_index
from mu2slam_hf.models.modules_capabilities import Capabilities, capabilities_of
from mu2slam_hf.models.modules_speech_inputs import extract_speech


class Mu2SLAMFeatureExtractionPipeline(OurModelsMixin, FeatureExtractionPipeline):
    """States of the shared encoder, for texts and for recordings; see also the pipeline of transformers.

    A `str` is a text, unless it is the path of an existing file. Recordings are paths, bytes, arrays or mappings, as
    in the speech recognition pipeline; `{"text": ...}` is always a text, `{"path": ...}` always a recording. A list, a
    data set or a generator may contain both, but not in one batch. `source_lang` (or `language`) is the language of
    the inputs, unknown by default.

    Each result has the shape `(1, N, D)`: 25 frames per second, or one position for each token including `</s>`.
    Padding of batches is removed. Of a model that pools by itself, it is the embedding, `(1, P)`.
    """

    _stock = FeatureExtractionPipeline

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return capabilities.embeds

    def __init__(self, model: Any, *args: Any, feature_extractor: Any = None, **kwargs: Any):
        if feature_extractor is None:
            # `pipeline` loads components by class before the model is known, and other models need none.
            name = getattr(model, "name_or_path", None) or None
            feature_extractor = None if name is None else _load_feature_extractor(name)
        super().__init__(model, *args, feature_extractor=feature_extractor, **kwargs)
        self.pools = capabilities_of(model).pools
        if self.pools and getattr(self, "processor", None) is None:
            # Its inputs are made by the whole processor, which `pipeline` does not load for this task.
            self.processor = AutoProcessor.from_pretrained(model.name_or_path)

    def _sanitize_parameters(
        self, source_lang: str | None = None, language: str | None = None, **kwargs: Any
    ) -> tuple[dict, dict, dict]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        given = language if source_lang is None else source_lang
        if given is not None and capabilities_of(self.model).pools:
            preprocess["language"] = given
        elif given is not None:
            forward["language_row"] = language_index(given, self.model.config.languages)
        return preprocess, forward, postprocess

    def preprocess(self, inputs: Any, language: str | None = None, **tokenize_kwargs: Any) -> Any:
        """Inputs of the encoder, for a text or a recording; the language is that of a model that pools by itself."""
        is_text = isinstance(inputs, str) and not os.path.isfile(inputs)
        if isinstance(inputs, Mapping) and isinstance(inputs.get("text"), str):
            is_text, inputs = True, inputs["text"]
        if self.pools and is_text:
            return self.processor(text=[inputs], language=language)
        if is_text:
            return super().preprocess(inputs, **tokenize_kwargs)
        if self.feature_extractor is None:
            raise ValueError("Recordings require a feature extractor: pass feature_extractor= to the pipeline.")
        rate = self.feature_extractor.sampling_rate
        waveform = read_audio_source(inputs, rate)
        if self.pools:
            return self.processor(audio=[waveform], sampling_rate=rate, language=language)
        return extract_speech(self.feature_extractor, [waveform], sampling_rate=rate, return_tensors="pt")

    def _forward(self, model_inputs: Any, language_row: int | None = None) -> dict[str, Any]:
        if self.pools:
            return {"pooler_output": self.model(**model_inputs).pooler_output}
        base = self.model.base_model
        encoder = getattr(base, "encoder", base)
        inputs = dict(model_inputs)
        if language_row is not None:
            rows = len(inputs["attention_mask"])
            inputs["language_ids"] = torch.full((rows,), language_row, device=self.device)
        outputs = encoder(**inputs)
        mask = outputs.attention_mask
        if mask is None:
            mask = torch.ones(outputs.last_hidden_state.shape[:2], dtype=torch.int64, device=self.device)
        return {"last_hidden_state": outputs.last_hidden_state, "attention_mask": mask}

    def postprocess(self, model_outputs: dict[str, Any], return_tensors: bool = False) -> Any:
        """States `(1, N, D)` without padding, as nested lists or as a tensor."""
        if self.pools:
            embedding = model_outputs["pooler_output"]
            return embedding if return_tensors else embedding.tolist()
        length = int(model_outputs["attention_mask"].sum())
        states = model_outputs["last_hidden_state"][:, :length]
        return states if return_tensors else states.tolist()


def _load_feature_extractor(name_or_path: str) -> Any:
    try:
        return AutoFeatureExtractor.from_pretrained(name_or_path)
    except (OSError, ValueError):  # a model for texts only, or saved without its processor
        return None


__all__ = ["Mu2SLAMFeatureExtractionPipeline"]
