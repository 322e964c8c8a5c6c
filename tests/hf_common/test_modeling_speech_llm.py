# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of configurations and models, applied to a speech encoder with a text model."""

import copy
import unittest

import torch
from hf_common.model_tests import CommonModelTests, SpeechModelTester, modeling_common
from transformers import LlamaConfig, T5Config
from transformers.testing_utils import torch_device

from mu2slam_hf import SpeechLLMConfig, SpeechLLMForConditionalGeneration
from mu2slam_hf.models.modules_lengths import audio_embedding_length

VOCAB_SIZE = 40


class SpeechLLMTester(SpeechModelTester):
    """Prompts of one recording each, and targets."""

    def get_text_config(self):
        return LlamaConfig(**self.get_sizes(), vocab_size=VOCAB_SIZE, pad_token_id=0, max_position_embeddings=64)

    def get_config(self) -> SpeechLLMConfig:
        encoder = {"model_type": "mu2slam_conformer", **self.get_encoder_options()}
        return SpeechLLMConfig(
            encoder_config=encoder, text_config=self.get_text_config().to_dict(), audio_token_id=VOCAB_SIZE
        )

    def prepare_config_and_inputs_for_common(self):
        config = self.get_config()
        count = audio_embedding_length(self.seq_length, config.audio_lengths)
        text = modeling_common.ids_tensor([self.batch_size, 5], VOCAB_SIZE - 3) + 3
        audio = torch.full((self.batch_size, count), VOCAB_SIZE, device=torch_device)
        ids = torch.cat([audio, text], dim=1)
        shape = [self.batch_size, self.seq_length, 80]
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "input_features": modeling_common.floats_tensor(shape),
            "input_features_mask": torch.ones(shape[:2], dtype=torch.int64, device=torch_device),
        }
        self.encoder_seq_length = self.key_length = ids.shape[1]
        return config, inputs


class SpeechLLMWithT5Tester(SpeechLLMTester):
    def get_text_config(self):
        sizes = {"d_model": self.hidden_size, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
        return T5Config(vocab_size=VOCAB_SIZE, pad_token_id=0, decoder_start_token_id=0, **sizes)

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        inputs["decoder_input_ids"] = modeling_common.ids_tensor([self.batch_size, 4], VOCAB_SIZE - 3) + 3
        return config, inputs


class SpeechLLMModelTest(CommonModelTests, unittest.TestCase):
    all_model_classes = (SpeechLLMForConditionalGeneration,)
    model_tester_class = SpeechLLMTester

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = copy.deepcopy(inputs_dict)
        if return_labels:
            inputs["labels"] = inputs["input_ids"].masked_fill(inputs["input_ids"] == VOCAB_SIZE, -100)
        return inputs


class SpeechLLMWithT5ModelTest(SpeechLLMModelTest):
    model_tester_class = SpeechLLMWithT5Tester

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = copy.deepcopy(inputs_dict)
        if return_labels:
            inputs["labels"] = inputs.pop("decoder_input_ids")
        return inputs
