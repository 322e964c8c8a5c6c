# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Two texts as one sequence of two segments, `first </s> second </s>`, and the heads that read them.

The segments are found by `</s>`, which a text never contains (special tokens within a text are encoded as text), so
that the plain output of `tokenizer(first, second)` is sufficient.
Shapes: B batch, L tokens, D width, C classes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from .modules_capabilities import Capabilities, ClassifierInferenceMixin, InferenceMixin
from .modules_layers import apply_dropout, at_least_float32, linear
from .modules_losses import cross_entropy_mean
from .modules_pooling import masked_max, masked_mean


@dataclass(frozen=True)
class TextSegments:
    """The segments of rows of tokens.

    Attributes:
        is_second: `(B, L)` bool, True after the first `</s>` (also on padding).
        is_first_end: `(B, L)` bool, True on the first `</s>`.
        position_ids: `(B, L)` int64, restarting with the second segment.
    """

    is_second: Tensor
    is_first_end: Tensor
    position_ids: Tensor


def find_segments(input_ids: Tensor, eos_token_id: int) -> TextSegments:
    """The segments of `input_ids` `(B, L)` int64; a row without `</s>` is one segment."""
    is_end = input_ids == eos_token_id
    indices = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
    first_end = torch.where(is_end, indices, input_ids.shape[1]).amin(dim=1, keepdim=True)
    is_second = indices > first_end
    return TextSegments(is_second, indices == first_end, torch.where(is_second, indices - first_end - 1, indices))


class TextPairMixin:
    """Inputs of the encoder for one text or a pair of texts; a base class of models with a head on an encoder.

    Paper: section 2.3, a pair is the concatenation of its segments. The positions of each segment start at 0, as in
    pre-training.
    Choice: with `config.use_segment_embedding`, a learned vector is added to the tokens of the second segment. In
    pre-training, segments differ in language or modality; two texts of one language with restarting positions would
    otherwise be distinguished by the tokens next to `</s>` only.
    """

    def build_segment_embedding(self, config: Any) -> None:
        """Create the embedding of second segments, if the configuration has one; called by `__init__`."""
        width = config.encoder_config.hidden_size
        self.segment_embedding = nn.Embedding(1, width) if config.use_segment_embedding else None

    def embed_pair_tokens(self, input_ids: Tensor) -> Tensor:
        """Token embeddings `(B, L, D)` that the encoder accepts as `inputs_embeds`."""
        return self.base_model.embed_tokens(input_ids)

    def prepare_text(self, input_ids: Tensor | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments of the encoder for `input_ids` `(B, L)`, with positions unless they are given; none for None.

        Packed rows (`sequence_ids`) are passed on as they are: their sequences are single texts.
        """
        if input_ids is None:
            return {}
        if kwargs.get("sequence_ids") is not None:
            return {"input_ids": input_ids}
        segments = find_segments(input_ids, self.config.eos_token_id)
        given = {} if kwargs.get("position_ids") is not None else {"position_ids": segments.position_ids}
        if self.segment_embedding is None:
            return {"input_ids": input_ids, **given}
        embeds = self.embed_pair_tokens(input_ids)
        second = segments.is_second[..., None].to(embeds.dtype) * self.segment_embedding.weight[0]
        return {"inputs_embeds": embeds + second.to(embeds.dtype), **given}


class SequenceClassifierMixin(ClassifierInferenceMixin, TextPairMixin):
    """The classifier on the pooled states of an encoder."""

    # The loss is a mean over the items of a batch. Because of the **kwargs of `forward`, transformers' Trainer would
    # assume that the model divides by the number of items of the whole update, and not divide by the accumulation
    # steps.
    accepts_loss_kwargs = False

    def build_classifier(self, config: Any, width: int) -> None:
        """Create the head on states of a width; called by `__init__`."""
        self.num_labels = config.num_labels
        self.projector = nn.Linear(width, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, config.num_labels)
        self.loss_type = "ForSequenceClassification"

    def classify(self, states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Logits `(B, C)`, at least float32, of `states` `(B, L, D)` with the encoder's mask `(B, L)`."""
        pool = masked_max if self.config.classifier_pooling == "max" else masked_mean
        # Projected before pooling, as in the speech classifiers of transformers.
        pooled = pool(linear(self.projector, states), attention_mask)
        pooled = apply_dropout(pooled, self.config.classifier_dropout, self.training)
        return at_least_float32(linear(self.classifier, pooled))

    def classifier_output(self, logits: Tensor, labels: Tensor | None, **states: Any) -> SequenceClassifierOutput:
        """The output with its loss, if labels are given."""
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, **states)


class QuestionAnsweringMixin(InferenceMixin, TextPairMixin):
    """A span head: the first and last token of the answer to a question in a passage.

    The `</s>` of the question means that the passage has no answer, which is the case for most windows of a long
    passage. All other tokens outside of the passage are masked.
    """

    capabilities = Capabilities(tasks=("qa",), embeds=True)
    accepts_loss_kwargs = False
    input_modalities = ("text",)
    main_input_name = "input_ids"

    def build_span_head(self, width: int) -> None:
        """Create the head on states of a width; called by `__init__`."""
        self.qa_outputs = nn.Linear(width, 2)

    def encode_text(self, input_ids: Tensor | None, attention_mask: Tensor | None, **kwargs: Any) -> Any:
        """Output of the encoder for pairs of texts."""
        inputs = self.prepare_text(input_ids, kwargs)
        return self.base_model(attention_mask=attention_mask, **inputs, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> QuestionAnsweringModelOutput:
        """Compute the logits of the first and the last token of the answer.

        Args:
            input_ids: `(B, L)` int64, `question </s> passage </s>`, as of `tokenizer(question, passage)`.
            attention_mask: `(B, L)`, 1 on real tokens; all real by default.
            start_positions: `(B,)` int64 index of the first token of the answer; that of the question's `</s>` if the
                passage has no answer; -100 is ignored.
            end_positions: `(B,)` int64 index of its last token, likewise.
            **kwargs: further arguments of the encoder.

        Returns:
            `start_logits` and `end_logits` `(B, L)`, at least float32; the lowest value outside of the passage. `loss`
            is the mean of both cross entropies, if both positions are given.

        Raises:
            ValueError: no `input_ids`; the segments are found by them.
        """
        if input_ids is None:
            raise ValueError("question answering expects input_ids of tokenizer(question, passage); got none.")
        outputs = self.encode_text(input_ids, attention_mask, **kwargs)
        logits = at_least_float32(linear(self.qa_outputs, outputs.last_hidden_state))
        segments = find_segments(input_ids, self.config.eos_token_id)
        allowed = (segments.is_second & (input_ids != self.config.eos_token_id)) | segments.is_first_end
        if attention_mask is not None:
            allowed = allowed & attention_mask.bool()
        # (B, L, 2) -> twice (B, L)
        start, end = logits.masked_fill(~allowed[..., None], torch.finfo(logits.dtype).min).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (cross_entropy_mean(start, start_positions) + cross_entropy_mean(end, end_positions)) / 2
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start,
            end_logits=end,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
