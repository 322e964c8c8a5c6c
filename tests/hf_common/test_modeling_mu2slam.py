# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of configurations and models, applied to ours.

Every override and every skip states its reason. Skipped beyond what the in-tree Canary skips: nothing but tests whose
subject (an input, a kernel) the model does not have.
"""

import copy
import unittest
from unittest import mock

from hf_common.source import import_common

modeling_common = import_common("test_modeling_common")
configuration_common = import_common("test_configuration_common")

import torch  # noqa: E402
from transformers.testing_utils import torch_device  # noqa: E402
from transformers_tests.generation.test_utils import GenerationTesterMixin  # noqa: E402

from mu2slam_hf import (  # noqa: E402
    ConformerEncoder,
    ConformerEncoderConfig,
    Mu2SLAMConfig,
    Mu2SLAMCTCConfig,
    Mu2SLAMDecoderConfig,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMModel,
)
from mu2slam_hf.models.modules_lengths import encoder_length  # noqa: E402

floats_tensor, ids_tensor = modeling_common.floats_tensor, modeling_common.ids_tensor

NUM_SPEECH_TOKENS = 16
TEXT_TOKEN_OFFSET = 64 + NUM_SPEECH_TOKENS


class Mu2SLAMModelTester:
    """Tiny configurations and inputs; the attributes are those that the common tests look for."""

    def __init__(self, parent, is_training: bool = True, **encoder_kwargs):
        self.parent = parent
        self.is_training = is_training
        self.batch_size = 3  # other than the number of layers
        self.seq_length = 81  # feature frames; odd on purpose
        self.encoder_seq_length = self.key_length = encoder_length(self.seq_length)
        self.decoder_seq_length = self.decoder_key_length = 5
        self.num_mel_bins = 80
        self.hidden_size = 16
        self.num_hidden_layers = 2
        self.num_attention_heads = 2
        self.intermediate_size = 32
        self.vocab_size = TEXT_TOKEN_OFFSET + 40
        self.encoder_kwargs = encoder_kwargs

    def get_encoder_config(self) -> ConformerEncoderConfig:
        return ConformerEncoderConfig(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            num_mel_bins=self.num_mel_bins,
            subsampling_conv_channels=[4, 2],
            **self.encoder_kwargs,
        )

    def get_config(self) -> Mu2SLAMConfig:
        decoder_config = Mu2SLAMDecoderConfig(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            hidden_dropout=0.0,
        )
        return Mu2SLAMConfig(
            encoder_config=self.get_encoder_config(),
            decoder_config=decoder_config,
            vocab_size=self.vocab_size,
            num_speech_tokens=NUM_SPEECH_TOKENS,
            text_token_offset=TEXT_TOKEN_OFFSET,
            languages=["und", "en", "fr"],
        )

    def prepare_config_and_inputs_for_common(self):
        inputs = {
            "input_features": floats_tensor([self.batch_size, self.seq_length, self.num_mel_bins]),
            "attention_mask": torch.ones(self.batch_size, self.seq_length, dtype=torch.int64, device=torch_device),
            "decoder_input_ids": ids_tensor([self.batch_size, self.decoder_seq_length], self.vocab_size - 2) + 2,
        }
        inputs["decoder_attention_mask"] = torch.ones_like(inputs["decoder_input_ids"])
        return self.get_config(), inputs


class CommonModelTests(modeling_common.ModelTesterMixin):
    """What all testers below share: the tables of names that an in-tree model stands in, and labels."""

    def setUp(self):
        for table, names in (
            (
                modeling_common.MODEL_MAPPING_NAMES,
                {"mu2slam": "Mu2SLAMModel", "mu2slam_conformer": "ConformerEncoder"},
            ),
            (modeling_common.MODEL_FOR_CTC_MAPPING_NAMES, {"mu2slam_ctc": "Mu2SLAMForCTC"}),
        ):
            patch = mock.patch.dict(table, names)
            patch.start()
            self.addCleanup(patch.stop)

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
        return inputs


class Mu2SLAMTextSourceTester(Mu2SLAMModelTester):
    """The same models reading text, for the tests whose subject is the token embeddings of the source."""

    def __init__(self, parent):
        super().__init__(parent)
        self.seq_length = self.encoder_seq_length = self.key_length = 7

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        inputs["input_ids"] = ids_tensor([self.batch_size, self.seq_length], self.vocab_size - 2) + 2
        del inputs["input_features"]
        return config, inputs


class Mu2SLAMModelTest(CommonModelTests, GenerationTesterMixin, unittest.TestCase):
    all_model_classes = (Mu2SLAMModel, Mu2SLAMForConditionalGeneration)
    is_encoder_decoder = True

    def setUp(self):
        super().setUp()
        self.model_tester = Mu2SLAMModelTester(self)
        self.config_tester = configuration_common.ConfigTester(
            self, config_class=Mu2SLAMConfig, has_text_modality=False, common_properties=["hidden_size", "vocab_size"]
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_inputs_embeds(self):
        self.model_tester = Mu2SLAMTextSourceTester(self)
        super().test_inputs_embeds()

    def test_inputs_embeds_matches_input_ids(self):
        self.model_tester = Mu2SLAMTextSourceTester(self)
        super().test_inputs_embeds_matches_input_ids()

    def test_resize_tokens_embeddings(self):
        self.model_tester = Mu2SLAMTextSourceTester(self)
        super().test_resize_tokens_embeddings()

    def test_resize_embeddings_untied(self):
        self.model_tester = Mu2SLAMTextSourceTester(self)
        super().test_resize_embeddings_untied()

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


class Mu2SLAMForCTCTester(Mu2SLAMModelTester):
    def get_config(self) -> Mu2SLAMCTCConfig:
        return Mu2SLAMCTCConfig(
            encoder_config=self.get_encoder_config(),
            vocab_size=self.vocab_size,
            num_speech_tokens=NUM_SPEECH_TOKENS,
            text_token_offset=TEXT_TOKEN_OFFSET,
            languages=["und", "en", "fr"],
        )

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        return config, {name: inputs[name] for name in ("input_features", "attention_mask")}


class Mu2SLAMForCTCTest(CommonModelTests, unittest.TestCase):
    all_model_classes = (Mu2SLAMForCTC,)

    def setUp(self):
        super().setUp()
        self.model_tester = Mu2SLAMForCTCTester(self)
        self.config_tester = configuration_common.ConfigTester(
            self,
            config_class=Mu2SLAMCTCConfig,
            has_text_modality=False,
            common_properties=["hidden_size", "vocab_size"],
        )

    def test_config(self):
        self.config_tester.run_common_tests()

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


class ConformerEncoderTester(Mu2SLAMModelTester):
    """The encoder alone, in the variants that the other testers do not use."""

    def __init__(self, parent):
        super().__init__(parent, conv_norm="layer", position_embeddings_type="rotary", conv_causal=True)
        self.seq_length = self.encoder_seq_length

    def get_config(self) -> ConformerEncoderConfig:
        return self.get_encoder_config()

    def prepare_config_and_inputs_for_common(self):
        inputs = {
            "inputs_embeds": floats_tensor([self.batch_size, self.seq_length, self.hidden_size]),
            "attention_mask": torch.ones(self.batch_size, self.seq_length, dtype=torch.int64, device=torch_device),
        }
        return self.get_config(), inputs


class ConformerEncoderTest(CommonModelTests, unittest.TestCase):
    all_model_classes = (ConformerEncoder,)
    test_resize_embeddings = False  # it has no token embeddings

    def setUp(self):
        super().setUp()
        self.model_tester = ConformerEncoderTester(self)
        self.config_tester = configuration_common.ConfigTester(
            self, config_class=ConformerEncoderConfig, has_text_modality=False
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def _prepare_config_and_inputs_for_retain_grad_hidden_states_attentions(self):
        # Its first hidden state is its input, which has a gradient only where one is asked for.
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        inputs["inputs_embeds"].requires_grad_()
        return config, inputs

    @unittest.skip("ConformerEncoder reads inputs_embeds only; it has no token embeddings")
    def test_inputs_embeds(self):
        pass

    @unittest.skip("ConformerEncoder reads inputs_embeds only; it has no token embeddings")
    def test_inputs_embeds_matches_input_ids(self):
        pass

    @unittest.skip("ConformerEncoder reads inputs_embeds only; it has no token embeddings")
    def test_model_get_set_embeddings(self):
        pass
