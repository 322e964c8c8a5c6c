# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text understanding by the encoder of Mu2SLAM: classes of texts and pairs of texts, and answers in passages.

Shapes: B batch, T feature frames (100 Hz), M mel bins, L tokens, D width, C classes.
"""

import copy

from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs, can_return_tuple

from .configuration_mu2slam import Mu2SLAMConfig
from .modeling_mu2slam import EncoderHeadMixin, Mu2SLAMEncoder, Mu2SLAMPreTrainedModel
from .modules_base import EncoderFreezingMixin
from .modules_text_pairs import QuestionAnsweringMixin, SequenceClassifierMixin

_OTHER_HEADS = r"^(lm_head|mlm_head|ctc_head|language_head)\."


class _EncoderUnderstandingModel(EncoderFreezingMixin, EncoderHeadMixin, Mu2SLAMPreTrainedModel):
    """The encoder without a head; weights of the decoder and of other heads are left out when they are loaded."""

    base_model_prefix = "encoder"
    _no_split_modules = ["ConformerLayer"]
    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?decoder\.", _OTHER_HEADS]

    def __init__(self, config: Mu2SLAMConfig):
        config = copy.deepcopy(config)
        config.is_encoder_decoder = False
        super().__init__(config)
        self.encoder = Mu2SLAMEncoder(config)
        self.build_segment_embedding(config)

    def embed_pair_tokens(self, input_ids: Tensor) -> Tensor:
        """As in the base class, in the width of the encoder's layers."""
        return self.encoder.embed_text(input_ids)


class Mu2SLAMForSequenceClassification(SequenceClassifierMixin, _EncoderUnderstandingModel):
    """The Mu2SLAM encoder with a classifier on its pooled states: for a text, a pair of texts, or speech.

    Paper: section 3.4 fine-tunes on XNLI and does not describe the head.
    Choice: the mean of the last states and the head of [`MSLAMForSequenceClassification`]. Without `language_ids` the
    language is `und` everywhere, so that a head trained on one language applies to others, also to those that the
    model has no embedding of. Parameters that only speech uses have no gradient in training on text.
    """

    def __init__(self, config: Mu2SLAMConfig):
        super().__init__(config)
        self.build_classifier(config, config.d_model)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """Encode, pool, classify.

        Args:
            input_features: `(B, T, M)` float, speech; `input_values` `(B, samples)` for the front end `waveform`.
            attention_mask: `(B, T)` with speech, else `(B, L)`; 1 on real positions.
            input_ids: `(B, L)` int64, a text or a pair of texts, as of `tokenizer(text)` or
                `tokenizer(premise, hypothesis)`.
            labels: `(B,)` int64 classes, or `(B,)` or `(B, C)` float, depending on `config.problem_type`.
            **kwargs: further arguments of [`Mu2SLAMEncoder`].

        Returns:
            `logits` `(B, C)` float32; `loss` if labels are given.
        """
        text = self.prepare_text(input_ids, kwargs)
        outputs = self.encoder(input_features, attention_mask=attention_mask, **text, **kwargs)
        logits = self.classify(outputs.last_hidden_state, outputs.attention_mask)
        return self.classifier_output(
            logits, labels, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class Mu2SLAMForQuestionAnswering(QuestionAnsweringMixin, _EncoderUnderstandingModel):
    """The Mu2SLAM encoder with a span head, for questions about a passage.

    Choice: the paper generates answers by the decoder, as [`Mu2SLAMForConditionalGeneration`] does with the same
    inputs; the span head is the usual one of extractive question answering.
    """

    def __init__(self, config: Mu2SLAMConfig):
        super().__init__(config)
        self.build_span_head(config.d_model)
        self.post_init()


__all__ = ["Mu2SLAMForQuestionAnswering", "Mu2SLAMForSequenceClassification"]
