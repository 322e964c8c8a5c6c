# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Classification of the spoken language by the language head of Mu2SLAM.

Shapes: B batch, T feature frames (100 Hz), M mel bins, C languages without `und`.
"""

import copy

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs, can_return_tuple

from .configuration_mu2slam import Mu2SLAMConfig
from .modeling_mu2slam import (
    EncoderHeadMixin,
    Mu2SLAMEncoder,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMPreTrainedModel,
)
from .modules_base import touch_parameters
from .modules_capabilities import ClassifierInferenceMixin
from .modules_layers import linear
from .modules_losses import cross_entropy_mean
from .modules_pooling import masked_mean


class Mu2SLAMForAudioClassification(EncoderHeadMixin, ClassifierInferenceMixin, Mu2SLAMPreTrainedModel):
    """The Mu2SLAM encoder with the language head, as a classifier of recordings (or texts) by language.

    All weights are those of an encoder-decoder: `from_pretrained` of its folder initialises nothing. The classes are
    the codes of `config.languages` without `und`, which is never predicted.
    """

    base_model_prefix = "encoder"
    _no_split_modules = ["ConformerLayer"]
    # Parts of an encoder-decoder.
    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?decoder\.", r"^(lm_head|mlm_head|ctc_head)\."]
    # The loss is a mean over the items of a batch.
    accepts_loss_kwargs = False

    def __init__(self, config: Mu2SLAMConfig):
        config = copy.deepcopy(config)
        # A model without a language list has the class `und`.
        config.id2label = dict(enumerate(config.languages[1:] or config.languages))
        config.label2id = {label: index for index, label in config.id2label.items()}
        config.is_encoder_decoder = False
        super().__init__(config)
        self.encoder = Mu2SLAMEncoder(config)
        self.language_head = nn.Linear(config.d_model, config.num_languages)
        self.post_init()

    @classmethod
    def from_conditional_generation(cls, model: Mu2SLAMForConditionalGeneration) -> "Mu2SLAMForAudioClassification":
        """A classifier that shares the encoder and the language head of an encoder-decoder."""
        with torch.device("meta"):
            classifier = cls(model.config)
        classifier.encoder, classifier.language_head = model.model.encoder, model.language_head
        return classifier.train(model.training)

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """Compute the logits of all languages.

        Args:
            input_features: `(B, T, M)` float; `input_values` `(B, samples)` for the front end `waveform`, or
                `input_ids` `(B, L)` int64 for texts.
            attention_mask: `(B, T)`, 1 on real frames.
            labels: `(B,)` int64 indices of `config.id2label`, -100 if unknown.
            **kwargs: further arguments of [`Mu2SLAMEncoder`].

        Returns:
            `logits` `(B, C)` float32; `loss` if labels are given.
        """
        outputs = self.encoder(input_features, attention_mask=attention_mask, **kwargs)
        states = touch_parameters(outputs.last_hidden_state, [self.encoder.embed_tokens.weight])
        logits = linear(self.language_head, masked_mean(states, outputs.attention_mask)).float()
        logits = logits[:, self.config.num_languages - self.config.num_labels :]
        return SequenceClassifierOutput(
            loss=None if labels is None else cross_entropy_mean(logits, labels),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["Mu2SLAMForAudioClassification"]
