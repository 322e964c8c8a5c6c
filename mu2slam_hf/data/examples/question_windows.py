# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples of question answering: one for each window of a passage."""

from collections.abc import Iterator, Mapping
from typing import Any

from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.processing_question_answering import split_into_windows

QUESTION_ANSWERING = "question_answering"


def has_answer(record: SpeechTextRecord) -> bool:
    """Whether a record is a question with a passage and at least one known answer."""
    return bool(record.text and record.extra.get("context") and record.extra.get("answers"))


def build_question_examples(
    record: SpeechTextRecord, tokenizer: Any, *, max_tokens: int, overlap_tokens: int
) -> Iterator[Example]:
    """Examples of a question: its passage in windows, each with the first answer if it is completely in the window.

    Args:
        record: a question with `extra["context"]` and `extra["answers"]`.
        tokenizer: the model's tokenizer.
        max_tokens: maximum length of a window with its question.
        overlap_tokens: tokens shared by two windows.
    """
    passage = record.extra["context"]
    answer: Mapping[str, Any] = record.extra["answers"][0]
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    assert record.text is not None  # checked by `has_answer`
    windows = split_into_windows(record.text, passage, tokenizer, max_tokens=max_tokens, overlap_tokens=overlap_tokens)
    for number, window in enumerate(windows):
        left, right = window.spans[0][0], window.spans[-1][1]
        is_inside = left <= start and end <= right
        text = answer["text"] if is_inside else ""
        yield Example(
            id=f"{record.key}#{number}",
            source_modality="text",
            source_lang=record.lang,
            targets=(Target(task=QUESTION_ANSWERING, lang=record.lang, text=text, num_tokens=len(text) + 1),),
            corpus=record.corpus,
            record=record,
            source_text=record.text,
            second_text=passage[left:right],
            answer_span=(start - left, end - left) if is_inside else None,
            num_source_tokens=len(window.input_ids),
        )
