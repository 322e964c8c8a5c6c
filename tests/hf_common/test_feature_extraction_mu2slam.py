# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of sequence feature extractors, applied to ours; nothing skipped."""

import unittest

import numpy as np
from hf_common.source import import_common

sequence_common = import_common("test_sequence_feature_extraction_common")

from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor  # noqa: E402


class Mu2SLAMFeatureExtractionTester:
    """Settings and inputs; the attributes are those that the common tests look for."""

    batch_size = 7
    min_seq_length = 400
    max_seq_length = 2000
    seq_length_diff = (max_seq_length - min_seq_length) // (batch_size - 1)
    feature_size = 24

    def prepare_feat_extract_dict(self):
        return {
            "feature_size": self.feature_size,
            "sampling_rate": 16000,
            "padding_value": 0.0,
            "mel_floor": 1e-7,
            "return_attention_mask": True,
        }

    def prepare_inputs_for_common(self, equal_length=False, numpify=False):
        """Feature matrices `(T, M)`, of equal or of rising length."""
        random = np.random.default_rng(0)
        lengths = [self.max_seq_length] * self.batch_size
        if not equal_length:
            lengths = range(self.min_seq_length, self.max_seq_length, self.seq_length_diff)
        inputs = [random.random((length, self.feature_size)) for length in lengths]
        return inputs if numpify else [matrix.tolist() for matrix in inputs]


class Mu2SLAMFeatureExtractionTest(sequence_common.SequenceFeatureExtractionTestMixin, unittest.TestCase):
    feature_extraction_class = Mu2SLAMFeatureExtractor

    def setUp(self):
        self.feat_extract_tester = Mu2SLAMFeatureExtractionTester()
