# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of configurations and models, applied to the mSLAM family.

Every override and every skip states its reason.
"""

import copy
import unittest
from unittest import mock

from hf_common.source import import_common

modeling_common = import_common("test_modeling_common")
configuration_common = import_common("test_configuration_common")

import torch  # noqa: E402
from transformers.testing_utils import torch_device  # noqa: E402

from mu2slam_hf import (  # noqa: E402
    MSLAMConfig,
    MSLAMCTCConfig,
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForSequenceClassification,
    MSLAMModel,
)
from mu2slam_hf.models.modules_lengths import encoder_length  # noqa: E402

floats_tensor, ids_tensor = modeling_common.floats_tensor, modeling_common.ids_tensor
NUM_SPEECH_TOKENS, TEXT_TOKEN_OFFSET = 16, 80


class MSLAMModelTester:
    """Tiny configurations and speech; the attributes are those that the common tests look for."""

    config_class = MSLAMConfig

    def __init__(self, parent, is_training: bool = True):
        self.parent = parent
        self.is_training = is_training
        self.batch_size = 3  # other than the number of layers
        self.seq_length = 81  # feature frames; odd on purpose
        self.encoder_seq_length = self.key_length = encoder_length(self.seq_length)
        self.hidden_size = 16
        self.num_hidden_layers = 2
        self.num_attention_heads = 2
        self.vocab_size = TEXT_TOKEN_OFFSET + 40

    def get_config(self) -> MSLAMConfig:
        return self.config_class(
            encoder_config={
                "hidden_size": self.hidden_size,
                "num_hidden_layers": self.num_hidden_layers,
                "num_attention_heads": self.num_attention_heads,
                "intermediate_size": 32,
                "subsampling_conv_channels": [4, 2],
            },
            num_speech_layers=1,
            vocab_size=self.vocab_size,
            num_speech_tokens=NUM_SPEECH_TOKENS,
            text_token_offset=TEXT_TOKEN_OFFSET,
            codevector_dim=8,
            classifier_proj_size=8,
        )

    def prepare_config_and_inputs_for_common(self):
        inputs = {
            "input_features": floats_tensor([self.batch_size, self.seq_length, 80]),
            "attention_mask": torch.ones(self.batch_size, self.seq_length, dtype=torch.int64, device=torch_device),
        }
        return self.get_config(), inputs


class MSLAMTextTester(MSLAMModelTester):
    """The same models reading text, for the tests whose subject is the token embeddings."""

    def __init__(self, parent):
        super().__init__(parent)
        self.seq_length = self.encoder_seq_length = self.key_length = 7

    def prepare_config_and_inputs_for_common(self):
        return self.get_config(), {
            "input_ids": ids_tensor([self.batch_size, self.seq_length], self.vocab_size - 2) + 2
        }


class MSLAMCTCTester(MSLAMModelTester):
    config_class = MSLAMCTCConfig


class CommonMSLAMTests(modeling_common.ModelTesterMixin):
    """What the testers below share: the tables of names that an in-tree model stands in, and labels."""

    def setUp(self):
        for table, names in (
            (modeling_common.MODEL_MAPPING_NAMES, {"mslam": "MSLAMModel"}),
            (modeling_common.MODEL_FOR_CTC_MAPPING_NAMES, {"mslam_ctc": "MSLAMForCTC"}),
        ):
            patch = mock.patch.dict(table, names)
            patch.start()
            self.addCleanup(patch.stop)

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


class MSLAMModelTest(CommonMSLAMTests, unittest.TestCase):
    all_model_classes = (MSLAMModel, MSLAMForSequenceClassification, MSLAMForAudioClassification)

    def setUp(self):
        super().setUp()
        self.model_tester = MSLAMModelTester(self)
        self.config_tester = configuration_common.ConfigTester(
            self, config_class=MSLAMConfig, has_text_modality=False, common_properties=["hidden_size", "vocab_size"]
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def check_training_gradient_checkpointing(self, gradient_checkpointing_kwargs=None):
        """Without the head of speech and text: what only text goes through has no gradient from speech."""
        self.all_model_classes = (MSLAMModel, MSLAMForAudioClassification)
        super().check_training_gradient_checkpointing(gradient_checkpointing_kwargs)

    def read_text(self):
        """Text is read by all of these but the head of speech."""
        self.model_tester = MSLAMTextTester(self)
        self.all_model_classes = (MSLAMModel, MSLAMForSequenceClassification)

    def test_inputs_embeds(self):
        self.read_text()
        super().test_inputs_embeds()

    def test_inputs_embeds_matches_input_ids(self):
        self.read_text()
        super().test_inputs_embeds_matches_input_ids()

    def test_resize_tokens_embeddings(self):
        self.read_text()
        super().test_resize_tokens_embeddings()

    def test_resize_embeddings_untied(self):
        self.read_text()
        super().test_resize_embeddings_untied()


class MSLAMForCTCTest(CommonMSLAMTests, unittest.TestCase):
    all_model_classes = (MSLAMForCTC,)
    test_resize_embeddings = False  # the stock tests look up `input_ids`; resizing is tested in tests/unit/models

    def setUp(self):
        super().setUp()
        self.model_tester = MSLAMCTCTester(self)
        self.config_tester = configuration_common.ConfigTester(
            self, config_class=MSLAMCTCConfig, has_text_modality=False, common_properties=["hidden_size", "vocab_size"]
        )

    def test_config(self):
        self.config_tester.run_common_tests()
