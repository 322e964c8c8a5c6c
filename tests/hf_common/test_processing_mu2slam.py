# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of processors, applied to ours."""

import unittest

from hf_common.source import import_common

processing_common = import_common("test_processing_common")

from mu2slam_hf import Mu2SLAMFeatureExtractor, Mu2SLAMProcessor, Mu2SLAMTokenizer  # noqa: E402


class Mu2SLAMProcessorTest(processing_common.ProcessorTesterMixin, unittest.TestCase):
    processor_class = Mu2SLAMProcessor
    # Text beside audio is the target: the model takes one source only.
    text_input_name = "labels"

    @classmethod
    def _setup_feature_extractor(cls):
        return Mu2SLAMFeatureExtractor()

    @classmethod
    def _setup_tokenizer(cls):
        return Mu2SLAMTokenizer.train_from_iterator(["lower newer upper older longer string"])

    @staticmethod
    def prepare_processor_dict():
        return {"languages": ["und", "en", "fr"]}
