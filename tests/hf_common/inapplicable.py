# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which of transformers' common tests cannot apply to which of our classes, and why.

`tests/conftest.py` deselects them, so that a skip means that the machine lacks something. `test_inapplicable.py` runs
every one of them and fails if one passes.
"""

from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import NamedTuple


class Inapplicable(NamedTuple):
    """Tests that cannot apply to some classes.

    Attributes:
        classes: patterns of the names of test classes, separated by spaces.
        tests: patterns of the names of their tests, separated by spaces.
        reason: why the tests cannot apply.
        package: if set, the tests apply where this package is installed; no dependency of ours installs it.
    """

    classes: str
    tests: str
    reason: str
    package: str | None = None

    def matches(self, test_class: str, test: str) -> bool:
        """Whether the test of the class is one of these."""
        if self.package is not None and find_spec(self.package) is not None:
            return False
        names = ((test_class, self.classes), (test, self.tests))
        return all(any(fnmatchcase(name, pattern) for pattern in patterns.split()) for name, patterns in names)


ENCODER, CTC, TEXT = "ConformerEncoderTest", "*ForCTCTest *ForAudioClassificationTest", "*TokenizationTest"
OURS, SPEECH = f"{ENCODER} {CTC} M*ModelTest SpeechLLMWithT5ModelTest", "Mu2SLAMProcessorTest"
MODELS = f"{OURS} SpeechLLMModelTest"
GROWN = "the id of audio is behind the vocabulary: the text model is resized before it is given ears"
SPEECH_LLM, OF_T5 = "SpeechLLM*ModelTest", "the states are those of the text model, whose tests are in transformers"

TABLE = (
    # What the source distribution does not carry; tests/contract/test_generation.py tests generation.
    Inapplicable("Mu2SLAMModelTest", "test_generation_tester_mixin_inheritance", "there is no GenerationTesterMixin"),
    # Models.
    Inapplicable(MODELS, "test_causal_lm_loss_*", "no model consists of a decoder only"),
    Inapplicable(f"{ENCODER} {CTC} MSLAMModelTest", "test_encoder_decoder_*", "these models have no decoder"),
    Inapplicable(MODELS, "test_*_grouped_inference* test_moe_* test_output_router_*", "no model has experts"),
    Inapplicable(OURS, "test_*tp_plan*", "no model has a plan for tensor parallelism"),
    Inapplicable(f"{ENCODER} {CTC} MSLAMModelTest", "test_keep_in_fp32_modules*", "none keeps a module in float32"),
    Inapplicable(MODELS, "test_reverse_loading_* test_can_load_from_already_*", "no model converts saved weights"),
    Inapplicable(MODELS, "test_sliding_window_mask", "attention has no sliding window"),
    Inapplicable(MODELS, "test_model_rope_* test_vision_axial_rope", "no position embeddings can be scaled"),
    Inapplicable(MODELS, "test_resize_position_vector_embeddings", "no position embeddings can be resized"),
    Inapplicable(MODELS, "test_sdpa_can_dispatch_composite_models", "no model has a vision or audio tower"),
    Inapplicable(ENCODER, "test_attn_*_composite_* test_*_dynamically_composite_* test_internal_*", "has no parts"),
    Inapplicable(ENCODER, "test_inputs_embeds* test_*_set_embeddings test_resize_*", "has no token embeddings"),
    Inapplicable(ENCODER, "test_enable_input_require_grads_with_*", "has no token embeddings"),
    Inapplicable(CTC, "test_inputs_embeds", "the heads take speech only"),
    Inapplicable("Mu2SLAMForAudioClassificationTest", "test_resize_*", "the classes are languages"),
    Inapplicable("Mu2SLAMForAudioClassificationTest", "test_enable_input_require_grads_with_*", "takes speech only"),
    Inapplicable("MSLAMForCTCTest", "test_resize_*", "the tests need input_ids; tests/unit/models resizes it"),
    Inapplicable("Mu2SLAMModelTest", "test_can_capture_specific_*", "the output has no field hidden_states"),
    Inapplicable(MODELS, "test_*deepspeed*", "needs DeepSpeed", package="deepspeed"),
    Inapplicable(MODELS, "test_flash_attn_*", "needs FlashAttention", package="flash_attn"),
    Inapplicable(MODELS, "test_kernels_*", "needs kernels of the Hub", package="kernels"),
    # A speech encoder with a text model.
    Inapplicable(SPEECH_LLM, "test_generation_tester_mixin_inheritance", "there is no GenerationTesterMixin"),
    Inapplicable(SPEECH_LLM, "test_inputs_embeds", "the ids of audio have no embedding"),
    Inapplicable(SPEECH_LLM, "test_model_base_model_prefix", "encoder, adapter and text model are side by side"),
    Inapplicable(SPEECH_LLM, "test_resize_tokens_embeddings test_resize_embeddings_untied", GROWN),
    Inapplicable(SPEECH_LLM, "test_training_gradient_checkpointing*", "encoder and text model are frozen"),
    Inapplicable(SPEECH_LLM, "test_eager_matches_sdpa_*", "masks of prompts and of speech have different lengths"),
    Inapplicable(SPEECH_LLM, "test_get_audio_features_attentions", "attention of the encoder is not returned"),
    Inapplicable("SpeechLLMModelTest", "test_model_forward_default_*", "Llama's configuration has no id of padding"),
    Inapplicable("SpeechLLMWithT5ModelTest", "test_can_init_all_missing_weights", "T5 initialises them as a whole"),
    Inapplicable("SpeechLLMWithT5ModelTest", "test_attention_outputs test_hidden_states_output", OF_T5),
    Inapplicable("SpeechLLMWithT5ModelTest", "test_retain_grad_*", OF_T5),
    # Tokenizers, processors, pipelines.
    Inapplicable(TEXT, "test_chat_template_save_loading", "the tokenizers have no chat template"),
    Inapplicable(TEXT, "test_integration*", "the tokenizers are trained by the test: no ids to compare with"),
    Inapplicable("C*TokenizationTest", "test_alignment_methods", "a token is one character, spaces included"),
    Inapplicable(SPEECH, "test_apply_chat_* test_chat_template_audio* test_*_jinja_kwargs", "has no chat template"),
    Inapplicable(SPEECH, "test_*_images test_*_videos test_args_* test_*_no_visual", "takes no images and no videos"),
    Inapplicable(SPEECH, "test_get_num_multimodal_* test_replacement_*", "no text has placeholders for speech"),
    Inapplicable("Mu2SLAMPipelineTest", "test_pipeline_[!a]* test_pipeline_a[!u]*", "the models recognize speech"),
    Inapplicable("Mu2SLAMPipelineTest", "test_pipeline_audio_*", "the models recognize speech"),
)


def is_inapplicable(test_class: str, test: str) -> bool:
    """Whether the table has an entry for the test of the class."""
    return any(entry.matches(test_class, test) for entry in TABLE)
