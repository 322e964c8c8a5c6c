# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own pipeline tests, applied to our models.

The mixin finds tiny checkpoints by a table and runs a test class per task. The source distribution carries neither
the table nor these classes: both are made here (`stand_ins.py`). Tasks without a model of ours are deselected.
"""

import os
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from helpers import make_tiny_pair
from hf_common.source import import_common
from hf_common.stand_ins import describe_tiny_models

TASK = "automatic-speech-recognition"
MODELS = {
    "Mu2SLAMForConditionalGeneration": ("mu2slam", "Mu2SLAMTokenizer"),
    "Mu2SLAMForCTC": ("mu2slam_ctc", "Mu2SLAMCTCTokenizer"),
}

# The mixin reads the table once, when it is imported.
with tempfile.TemporaryDirectory() as table, mock.patch.dict(os.environ, TRANSFORMERS_TINY_MODEL_PATH=table):
    describe_tiny_models(
        Path(table),
        {
            name: {"tokenizer_classes": [tokenizer], "processor_classes": ["Mu2SLAMFeatureExtractor"]}
            for name, (_, tokenizer) in MODELS.items()
        },
    )
    pipeline_mixin = import_common("test_pipeline_mixin")

import mu2slam_hf  # noqa: E402
from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC, Mu2SLAMProcessor  # noqa: E402


def save_tiny_models(folder: Path) -> None:
    """Checkpoints where the mixin looks for them: `<folder>/<model type>/<class name>`."""
    model, processor = make_tiny_pair()
    ctc_tokenizer = mu2slam_hf.Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer)
    ctc_processor = Mu2SLAMProcessor(processor.feature_extractor, ctc_tokenizer, languages=processor.languages)
    for saved, its_processor in (
        (model, processor),
        (Mu2SLAMForCTC.from_conditional_generation(model), ctc_processor),
    ):
        name = type(saved).__name__
        path = folder / MODELS[name][0] / name
        saved.save_pretrained(path)
        its_processor.save_pretrained(path)


@pytest.fixture(scope="class")
def tiny_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny_models")
    save_tiny_models(folder)
    with mock.patch.object(pipeline_mixin, "TRANSFORMERS_TINY_MODEL_PATH", str(folder)):
        yield


@pytest.mark.usefixtures("tiny_models")
class Mu2SLAMPipelineTest(pipeline_mixin.PipelineTesterMixin, unittest.TestCase):
    pipeline_model_mapping = {TASK: (Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC)}

    def setUp(self):
        names = [*(tokenizer for _, tokenizer in MODELS.values()), "Mu2SLAMFeatureExtractor", "Mu2SLAMProcessor"]
        ours = SimpleNamespace(**{name: getattr(mu2slam_hf, name) for name in names})
        test_class = "hf_common.stand_ins.AutomaticSpeechRecognitionPipelineTests"
        for patch in (
            # The places where an in-tree model would be known by name.
            mock.patch.object(pipeline_mixin, "transformers_module", ours),
            mock.patch.dict(pipeline_mixin.pipeline_test_mapping, {TASK: {"test": test_class}}),
            mock.patch.dict(
                pipeline_mixin.PROCESSOR_MAPPING_NAMES,
                {model_type: "Mu2SLAMProcessor" for model_type, _ in MODELS.values()},
            ),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def is_pipeline_test_to_skip(self, *args, **kwargs):
        return False

    def is_pipeline_test_to_skip_more(self, *args, **kwargs):
        return False
