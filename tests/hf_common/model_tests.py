# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of configurations and models, with the set-up that all our models share."""

from unittest import mock

import torch
from hf_common.source import import_common
from transformers.testing_utils import torch_device

from mu2slam_hf.models.modules_lengths import encoder_length

modeling_common = import_common("test_modeling_common")
configuration_common = import_common("test_configuration_common")
NUM_SPEECH_TOKENS, TEXT_TOKEN_OFFSET = 16, 80


class SpeechModelTester:
    """Tiny sizes and speech inputs; the attributes are those that the common tests look for."""

    def __init__(self, parent, is_training: bool = True, **encoder_options):
        self.parent = parent
        self.is_training = is_training
        self.batch_size = 3  # other than the number of layers
        self.seq_length = 81  # feature frames; odd on purpose
        self.encoder_seq_length = self.key_length = encoder_length(self.seq_length)
        self.hidden_size = 16
        self.num_hidden_layers = self.num_attention_heads = 2
        self.vocab_size = TEXT_TOKEN_OFFSET + 40
        self.encoder_options = encoder_options

    def get_sizes(self) -> dict:
        """Arguments of an encoder or decoder configuration."""
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads")
        return {**{name: getattr(self, name) for name in names}, "intermediate_size": 32}

    def get_encoder_options(self) -> dict:
        """Arguments of the encoder configuration."""
        return {**self.get_sizes(), "subsampling_conv_channels": [4, 2], **self.encoder_options}

    def get_vocabulary(self) -> dict:
        """Arguments of a configuration with text and speech tokens."""
        offsets = {"num_speech_tokens": NUM_SPEECH_TOKENS, "text_token_offset": TEXT_TOKEN_OFFSET}
        return {"vocab_size": self.vocab_size, **offsets}

    def prepare_config_and_inputs_for_common(self):
        inputs = {
            "input_features": modeling_common.floats_tensor([self.batch_size, self.seq_length, 80]),
            "attention_mask": torch.ones(self.batch_size, self.seq_length, dtype=torch.int64, device=torch_device),
        }
        return self.get_config(), inputs


class TextInputs:
    """Makes a tester give text, for the tests whose subject is the token embeddings of the source."""

    def __init__(self, parent):
        super().__init__(parent)
        self.seq_length = self.encoder_seq_length = self.key_length = 7

    def prepare_config_and_inputs_for_common(self):
        config, inputs = super().prepare_config_and_inputs_for_common()
        del inputs["input_features"]
        inputs["input_ids"] = modeling_common.ids_tensor([self.batch_size, self.seq_length], self.vocab_size - 2) + 2
        return config, inputs


class CommonModelTests(modeling_common.ModelTesterMixin):
    """Sets up the tester, and the tables of names that list the models inside transformers.

    Attributes:
        model_tester_class: makes configurations and inputs.
        common_properties: of the configuration, or None for the default of the common tests.
    """

    _is_composite = True
    model_tester_class: type
    common_properties: list[str] | None = ["hidden_size", "vocab_size"]

    def setUp(self):
        models = {"mu2slam": "Mu2SLAMModel", "mu2slam_conformer": "ConformerEncoder", "mslam": "MSLAMModel"}
        ctc_models = {"mu2slam_ctc": "Mu2SLAMForCTC", "mslam_ctc": "MSLAMForCTC"}
        for table, names in (
            (modeling_common.MODEL_MAPPING_NAMES, models),
            (modeling_common.MODEL_FOR_CTC_MAPPING_NAMES, ctc_models),
        ):
            patch = mock.patch.dict(table, names)
            patch.start()
            self.addCleanup(patch.stop)
        self.model_tester = self.model_tester_class(self)
        self.config_tester = configuration_common.ConfigTester(
            self,
            config_class=type(self.model_tester.get_config()),
            has_text_modality=False,
            common_properties=self.common_properties,
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_sdpa_can_dispatch_non_composite_models(self):
        self._is_composite = False  # holds for the parts, too
        super().test_sdpa_can_dispatch_non_composite_models()


class TextModelTests(CommonModelTests):
    """The tests whose subject is token embeddings give text to the models.

    Attributes:
        text_tester_class: a tester whose inputs are `input_ids`.
        text_model_classes: models that take text.
        embeds_model_classes: models that take `inputs_embeds`.
    """

    text_tester_class: type
    text_model_classes: tuple[type, ...]
    embeds_model_classes: tuple[type, ...]

    def read_text(self, model_classes=None):
        """Replaces inputs and models for the rest of the test."""
        self.model_tester = self.text_tester_class(self)
        self.all_model_classes = model_classes or self.text_model_classes

    def test_inputs_embeds(self):
        self.read_text(self.embeds_model_classes)
        super().test_inputs_embeds()

    def test_inputs_embeds_matches_input_ids(self):
        self.read_text(self.embeds_model_classes)
        super().test_inputs_embeds_matches_input_ids()

    def test_resize_tokens_embeddings(self):
        self.read_text()
        super().test_resize_tokens_embeddings()

    def test_resize_embeddings_untied(self):
        self.read_text()
        super().test_resize_embeddings_untied()

    def test_enable_input_require_grads_with_gradient_checkpointing(self):
        self.read_text()
        super().test_enable_input_require_grads_with_gradient_checkpointing()
