# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of configurations and models, applied to the mSLAM family."""

import copy
import unittest

import torch
from hf_common.model_tests import TEXT_TOKEN_OFFSET, CommonModelTests, SpeechModelTester, TextInputs, TextModelTests
from transformers.testing_utils import torch_device

from mu2slam_hf import (
    MSLAMConfig,
    MSLAMCTCConfig,
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForSequenceClassification,
    MSLAMModel,
)


class MSLAMModelTester(SpeechModelTester):
    config_class = MSLAMConfig

    def get_config(self) -> MSLAMConfig:
        return self.config_class(
            encoder_config=self.get_encoder_options(),
            num_speech_layers=1,
            codevector_dim=8,
            classifier_proj_size=8,
            **self.get_vocabulary(),
        )


class MSLAMTextTester(TextInputs, MSLAMModelTester):
    """The same models with text."""


class MSLAMCTCTester(MSLAMModelTester):
    config_class = MSLAMCTCConfig


class MSLAMLabels:
    """Labels for the heads."""

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = copy.deepcopy(inputs_dict)
        rows = self.model_tester.batch_size
        if return_labels and model_class is MSLAMForCTC:
            # The same at every call, as some tests compare two; no equal neighbours, so that CTC can align them.
            labels = TEXT_TOKEN_OFFSET + torch.arange(rows * 5, device=torch_device).reshape(rows, 5)
            inputs["labels"] = labels
        elif return_labels and model_class is not MSLAMModel:
            inputs["labels"] = torch.arange(rows, device=torch_device) % 2
        return inputs


class MSLAMModelTest(MSLAMLabels, TextModelTests, unittest.TestCase):
    all_model_classes = (MSLAMModel, MSLAMForSequenceClassification, MSLAMForAudioClassification)
    text_model_classes = (MSLAMModel, MSLAMForSequenceClassification)
    embeds_model_classes = (MSLAMModel,)
    model_tester_class, text_tester_class = MSLAMModelTester, MSLAMTextTester

    def check_training_gradient_checkpointing(self, gradient_checkpointing_kwargs=None):
        """Without the head of speech and text: what only text goes through has no gradient from speech."""
        self.all_model_classes = (MSLAMModel, MSLAMForAudioClassification)
        super().check_training_gradient_checkpointing(gradient_checkpointing_kwargs)


class MSLAMForCTCTest(MSLAMLabels, CommonModelTests, unittest.TestCase):
    all_model_classes = (MSLAMForCTC,)
    test_resize_embeddings = False
    model_tester_class = MSLAMCTCTester
