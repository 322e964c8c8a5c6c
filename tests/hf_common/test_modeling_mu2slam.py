# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of configurations and models, applied to the Mu2SLAM family; overrides say why."""

import copy
import unittest

import torch
from hf_common.model_tests import (
    TEXT_TOKEN_OFFSET,
    CommonModelTests,
    SpeechModelTester,
    TextInputs,
    TextModelTests,
    modeling_common,
)
from transformers.testing_utils import torch_device

from mu2slam_hf import (
    ConformerEncoder,
    ConformerEncoderConfig,
    Mu2SLAMConfig,
    Mu2SLAMCTCConfig,
    Mu2SLAMForAudioClassification,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMModel,
)


class Mu2SLAMModelTester(SpeechModelTester):
    def __init__(self, parent, is_training: bool = True, **encoder_options):
        super().__init__(parent, is_training, **encoder_options)
        self.decoder_seq_length = self.decoder_key_length = 5

    def get_config(self) -> Mu2SLAMConfig:
        return Mu2SLAMConfig(
            encoder_config=self.get_encoder_options(),
            decoder_config={**self.get_sizes(), "hidden_dropout": 0.0},
            languages=["und", "en", "fr"],
            **self.get_vocabulary(),
        )

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        shape = [self.batch_size, self.decoder_seq_length]
        inputs["decoder_input_ids"] = modeling_common.ids_tensor(shape, self.vocab_size - 2) + 2
        inputs["decoder_attention_mask"] = torch.ones_like(inputs["decoder_input_ids"])
        return config, inputs


class Mu2SLAMLabels:
    """Labels for the heads."""

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = copy.deepcopy(inputs_dict)
        if return_labels and model_class in (Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC):
            shape = [self.model_tester.batch_size, self.model_tester.decoder_seq_length]
            # The same at every call, as some tests compare two; no equal neighbours, so that CTC can align them.
            labels = TEXT_TOKEN_OFFSET + torch.arange(shape[0] * shape[1], device=torch_device).reshape(shape)
            inputs["labels"] = labels
            if model_class is Mu2SLAMForConditionalGeneration:
                # All heads, so that every parameter must get a gradient.
                inputs["ctc_labels"] = labels
                inputs["source_language_labels"] = torch.arange(shape[0], device=torch_device) % 3
        if return_labels and model_class is Mu2SLAMForAudioClassification:
            inputs["labels"] = torch.arange(self.model_tester.batch_size, device=torch_device) % 2
        return inputs


class Mu2SLAMTextTester(TextInputs, Mu2SLAMModelTester):
    """The same models with text."""


class Mu2SLAMModelTest(Mu2SLAMLabels, TextModelTests, unittest.TestCase):
    all_model_classes = (Mu2SLAMModel, Mu2SLAMForConditionalGeneration)
    text_model_classes = embeds_model_classes = all_model_classes
    model_tester_class, text_tester_class = Mu2SLAMModelTester, Mu2SLAMTextTester
    is_encoder_decoder = True

    # Overridden because the stock test counts the fields of an output, and ours has more: the mask of the encoder,
    # and the logits of the heads on the encoder.
    def test_attention_outputs(self):
        tester = self.model_tester
        shapes = {
            "encoder_attentions": (tester.encoder_seq_length, tester.encoder_seq_length),
            "decoder_attentions": (tester.decoder_seq_length, tester.decoder_seq_length),
            "cross_attentions": (tester.decoder_seq_length, tester.encoder_seq_length),
        }
        for model_class in self.all_model_classes:
            for asked_by_config in (False, True):
                config, inputs = tester.prepare_config_and_inputs_for_common()
                model = model_class._from_config(config, attn_implementation="eager").eval()
                with torch.no_grad():
                    plain = model(**inputs)
                self.assertFalse(shapes.keys() & plain.keys())
                if asked_by_config:
                    model.config.output_attentions = True
                    self._set_subconfig_attributes(model.config, "output_attentions", True)
                with torch.no_grad():
                    outputs = model(**inputs) if asked_by_config else model(**inputs, output_attentions=True)
                self.assertEqual(set(outputs.keys()), set(plain.keys()) | shapes.keys())
                for name, (queries, keys) in shapes.items():
                    self.assertEqual(len(outputs[name]), tester.num_hidden_layers)
                    for weights in outputs[name]:
                        expected = (tester.batch_size, tester.num_attention_heads, queries, keys)
                        self.assertEqual(tuple(weights.shape), expected)


class Mu2SLAMForCTCTester(SpeechModelTester):
    decoder_seq_length = 5  # of the labels

    def get_config(self) -> Mu2SLAMCTCConfig:
        languages = ["und", "en", "fr"]
        return Mu2SLAMCTCConfig(
            encoder_config=self.get_encoder_options(), languages=languages, **self.get_vocabulary()
        )


class Mu2SLAMForCTCTest(Mu2SLAMLabels, CommonModelTests, unittest.TestCase):
    all_model_classes = (Mu2SLAMForCTC,)
    model_tester_class = Mu2SLAMForCTCTester

    # The two tests of resizing are overridden because the stock ones look up `input_ids`.
    def check_resizing(self, tie_word_embeddings):
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        config.tie_word_embeddings = tie_word_embeddings
        model = Mu2SLAMForCTC(copy.deepcopy(config)).eval()
        before = model(**inputs).logits
        model.resize_token_embeddings(config.vocab_size + 10)
        self.assertEqual(model.config.vocab_size, config.vocab_size + 10)
        after = model(**inputs).logits
        self.assertEqual(after.shape[-1], config.vocab_size + 10)
        torch.testing.assert_close(after[..., : config.vocab_size], before)
        model.resize_token_embeddings(config.vocab_size - 15)
        torch.testing.assert_close(model(**inputs).logits, before[..., :-15])

    def test_resize_tokens_embeddings(self):
        self.check_resizing(tie_word_embeddings=True)

    def test_resize_embeddings_untied(self):
        self.check_resizing(tie_word_embeddings=False)


class Mu2SLAMForAudioClassificationTester(SpeechModelTester):
    def get_config(self) -> Mu2SLAMConfig:
        return Mu2SLAMConfig(
            encoder_config=self.get_encoder_options(),
            decoder_config={**self.get_sizes(), "hidden_dropout": 0.0},
            languages=["und", "en", "fr"],
            is_encoder_decoder=False,
            **self.get_vocabulary(),
        )


class Mu2SLAMForAudioClassificationTest(Mu2SLAMLabels, CommonModelTests, unittest.TestCase):
    all_model_classes = (Mu2SLAMForAudioClassification,)
    test_resize_embeddings = False
    model_tester_class = Mu2SLAMForAudioClassificationTester


class ConformerEncoderTester(SpeechModelTester):
    """The encoder alone, in the variants that the other testers do not use."""

    def __init__(self, parent):
        super().__init__(parent, conv_norm="layer", position_embeddings_type="rotary", conv_causal=True)
        self.seq_length = self.encoder_seq_length

    def get_config(self) -> ConformerEncoderConfig:
        return ConformerEncoderConfig(**self.get_encoder_options())

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        del inputs["input_features"]
        shape = [self.batch_size, self.seq_length, self.hidden_size]
        return config, {"inputs_embeds": modeling_common.floats_tensor(shape), **inputs}


class ConformerEncoderTest(Mu2SLAMLabels, CommonModelTests, unittest.TestCase):
    all_model_classes = (ConformerEncoder,)
    model_tester_class = ConformerEncoderTester
    common_properties = None
    _is_composite = False
    test_resize_embeddings = False

    def _prepare_config_and_inputs_for_retain_grad_hidden_states_attentions(self):
        # Its first hidden state is its input, which has a gradient only where one is asked for.
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        inputs["inputs_embeds"].requires_grad_()
        return config, inputs
