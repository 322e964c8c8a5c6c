# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("question-answering", model=...)`, a task that transformers removed in version 5."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.pipelines.base import Pipeline

from mu2slam_hf.data.examples.question_windows import (
    DEFAULT_MAX_ANSWER_TOKENS,
    Answer,
    QuestionWindow,
    find_best_span,
    pad_windows,
    split_into_windows,
)
from mu2slam_hf.inference.pipelines.base import OurModelsMixin
from mu2slam_hf.models.modules_capabilities import Capabilities, capabilities_of
from mu2slam_hf.models.modules_text_pairs import find_segments


class Mu2SLAMQuestionAnsweringPipeline(OurModelsMixin, Pipeline):
    """Answers to questions about passages, with the results of the pipeline that transformers used to have.

    An input is a mapping with `question` and `context`, or a list of them; `pipe(question=..., context=...)` works
    too. A result is `{"answer": ..., "score": ..., "start": ..., "end": ...}`. A model with a span head
    (`...ForQuestionAnswering`) finds the answer in the passage; an encoder-decoder writes it, and `start` and `end`
    are those of its first occurrence in the passage, or None. The score compares the answer with "no answer" (a
    difference of logarithms, no probability).

    Arguments of the pipeline or of a call: `max_tokens` and `overlap_tokens` of the windows of a long passage,
    `max_answer_tokens`, and for encoder-decoders those of `generate`. All windows of a question are one batch.
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return "qa" in capabilities.tasks

    @staticmethod
    def _stock(model: Any, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(
            "transformers has no pipeline for question answering any more; this one is for the models of mu2slam_hf, "
            f"got {type(model).__name__}."
        )

    def __call__(self, *args: Any, question: Any = None, context: Any = None, **kwargs: Any) -> Any:
        """Answer one or more questions; see the class.

        Raises:
            ValueError: an input without a question or a passage.
        """
        if question is not None or context is not None:
            if args or not isinstance(question, str) or not isinstance(context, str):
                raise ValueError(
                    "expected question= and context= as one text each; for several questions pass a list of mappings "
                    "with `question` and `context`."
                )
            args = ({"question": question, "context": context},)
        return super().__call__(*args, **kwargs)

    def _sanitize_parameters(
        self,
        max_tokens: int | None = None,
        overlap_tokens: int | None = None,
        max_answer_tokens: int | None = None,
        **options: Any,
    ) -> tuple[dict, dict, dict]:
        windows = {"max_tokens": max_tokens, "overlap_tokens": overlap_tokens}
        preprocess = {name: value for name, value in windows.items() if value is not None}
        forward = dict(options)
        if max_answer_tokens is not None:
            forward["max_answer_tokens"] = max_answer_tokens
        return preprocess, forward, {}

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        """Windows of a passage."""
        if not isinstance(inputs, Mapping) or not all(isinstance(inputs.get(k), str) for k in ("question", "context")):
            raise ValueError("expected a mapping with the texts `question` and `context`.")
        windows = split_into_windows(inputs["question"], inputs["context"], self.tokenizer, **options)
        return {**pad_windows(windows, self.tokenizer.pad_token_id), "windows": windows, "passage": inputs["context"]}

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        windows: list[QuestionWindow] = model_inputs["windows"]
        tensors = {name: model_inputs[name] for name in ("input_ids", "attention_mask")}
        max_tokens = options.pop("max_answer_tokens", DEFAULT_MAX_ANSWER_TOKENS)
        if capabilities_of(self.model).generates:
            answer = self._generate(tensors, model_inputs["passage"], max_tokens, options)
        else:
            outputs = self.model(**tensors)
            logits = outputs.start_logits.cpu(), outputs.end_logits.cpu()
            answer = find_best_span(windows, *logits, model_inputs["passage"], max_tokens)
        return {"answer": answer}

    def _generate(self, tensors: dict[str, Tensor], passage: str, max_tokens: int, options: dict[str, Any]) -> Answer:
        """The text that an encoder-decoder writes for the window that most likely has the answer."""
        ids, mask = tensors["input_ids"], tensors["attention_mask"]
        positions = find_segments(ids, self.model.config.eos_token_id).position_ids
        encoded = self.model.model.encoder(input_ids=ids, attention_mask=mask, position_ids=positions)
        # Without languages, as in training.
        options = {"decoder_language_ids": torch.zeros(len(ids), dtype=torch.int64, device=ids.device), **options}
        outputs = self.model.generate(
            encoder_outputs=encoded,
            attention_mask=mask,
            max_new_tokens=max_tokens,
            return_dict_in_generate=True,
            output_logits=True,
            **options,
        )
        sequences = outputs.sequences.view(len(ids), -1, outputs.sequences.shape[-1])[:, 0]
        first = outputs.logits[0].view(len(ids), -1, outputs.logits[0].shape[-1])[:, 0].float()
        # An empty answer is `</s>` alone: "no answer in this window".
        null = first.log_softmax(dim=-1)[:, self.model.config.eos_token_id]
        scores = torch.log1p(-null.exp().clamp(max=1 - 1e-7)) - null
        row = int(scores.argmax())
        text = self.tokenizer.decode(sequences[row], skip_special_tokens=True).strip()
        results = passage.casefold().find(text.casefold()) if text else -1
        # Case folding may change lengths; a place is reported only if it is exact.
        is_exact = results >= 0 and passage[results : results + len(text)].casefold() == text.casefold()
        index = (results, results + len(text)) if is_exact else (None, None)
        return Answer(text, float(scores[row]), *index)

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """`answer`, `score`, `start` and `end`."""
        answer: Answer = model_outputs["answer"]
        return {"answer": answer.text, "score": answer.score, "start": answer.start, "end": answer.end}


__all__ = ["Mu2SLAMQuestionAnsweringPipeline"]
