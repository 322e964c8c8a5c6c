# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Question answering: windows of a passage, their examples, and the best span of their answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.records import SpeechTextRecord

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


DEFAULT_MAX_TOKENS = 512
DEFAULT_OVERLAP_TOKENS = 128
DEFAULT_MAX_ANSWER_TOKENS = 128


def fold_capitals(text: str, tokenizer: Any) -> str:
    """Lower case for a vocabulary without capitals, character by character, so that places in the text are kept.

    Choice: decided by the vocabulary, so that training and use of a model agree without a setting. A character whose
    lower case has several characters is left as it is.
    """
    if _knows(tokenizer, "A") or not _knows(tokenizer, "a"):
        return text
    return "".join(lower if len(lower := char.lower()) == 1 else char for char in text)


def _knows(tokenizer: Any, char: str) -> bool:
    ids = tokenizer(char, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return tokenizer.unk_token_id not in ids


@dataclass(frozen=True)
class PassageTokens:
    """Tokens of a text and their places in it.

    Attributes:
        ids: token ids.
        spans: start and end character of each token.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


def tokenize_with_places(text: str, tokenizer: Any) -> PassageTokens:
    """Tokens of a text, without `</s>`, with their places in the text as it is given."""
    encoded = tokenizer(
        fold_capitals(text, tokenizer),
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
    )
    return PassageTokens(list(encoded["input_ids"]), [tuple(span) for span in encoded["offset_mapping"]])


@dataclass(frozen=True)
class QuestionWindow:
    """A question with a window of its passage, as one input of a model.

    Attributes:
        input_ids: `question </s> window </s>`.
        first_token: index of the first token of the window in `input_ids`; the `</s>` of the question precedes it.
        spans: start and end character in the passage of each token of the window.
    """

    input_ids: list[int]
    first_token: int
    spans: list[tuple[int, int]]

    def find_answer(self, start: int, end: int) -> tuple[int, int]:
        """Indices in `input_ids` of the first and last token of the characters `[start, end)`.

        An answer that is not completely in the window is at the `</s>` of the question.
        """
        inside = [index for index, (left, right) in enumerate(self.spans) if left < end and right > start]
        if not inside or self.spans[inside[0]][0] > start or self.spans[inside[-1]][1] < end:
            return self.first_token - 1, self.first_token - 1
        return self.first_token + inside[0], self.first_token + inside[-1]


def split_into_windows(
    question: str,
    passage: str,
    tokenizer: Any,
    *,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    overlap_tokens: int = DEFAULT_OVERLAP_TOKENS,
) -> list[QuestionWindow]:
    """Windows of a passage that overlap, each after the question; one window for a passage that fits.

    Args:
        question: the question; cut at the end to half of `max_tokens`.
        passage: the passage.
        tokenizer: the model's tokenizer.
        max_tokens: maximum length of an input, including both `</s>`.
        overlap_tokens: tokens that a window shares with the next one; an answer of at most `overlap_tokens + 1` tokens
            is completely in one of them.

    Raises:
        ValueError: an empty passage, or an overlap that leaves no room for new tokens.
    """
    question_ids = tokenize_with_places(question, tokenizer).ids[: max_tokens // 2 - 1]
    tokens = tokenize_with_places(passage, tokenizer)
    if not tokens.ids:
        raise ValueError("the passage of a question is empty.")
    room = max_tokens - len(question_ids) - 2
    step = room - overlap_tokens
    if len(tokens.ids) > room and (step < 1 or overlap_tokens < 0):
        raise ValueError(
            f"overlap_tokens must be at least 0 and below {room}, the tokens that max_tokens={max_tokens} leaves for "
            f"the passage after this question; got {overlap_tokens}."
        )
    eos = tokenizer.eos_token_id
    windows = []
    start = 0
    while True:
        ids, spans = tokens.ids[start : start + room], tokens.spans[start : start + room]
        windows.append(QuestionWindow([*question_ids, eos, *ids, eos], len(question_ids) + 1, spans))
        if start + room >= len(tokens.ids):
            return windows
        start += step


def pad_windows(windows: Sequence[QuestionWindow], pad_token_id: int) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` `(W, L)` int64 of windows."""
    length = max(len(window.input_ids) for window in windows)
    ids = torch.full((len(windows), length), pad_token_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, window in enumerate(windows):
        ids[row, : len(window.input_ids)] = torch.tensor(window.input_ids)
        mask[row, : len(window.input_ids)] = 1
    return {"input_ids": ids, "attention_mask": mask}


@dataclass(frozen=True)
class Answer:
    """An answer of a model.

    Attributes:
        text: the answer.
        score: comparable between the windows of a passage; higher is better.
        start: first character in the passage; None for generated answers.
        end: character after the last one; None for generated answers.
    """

    text: str
    score: float
    start: int | None = None
    end: int | None = None


def find_best_span(
    windows: Sequence[QuestionWindow],
    start_logits: Tensor,
    end_logits: Tensor,
    passage: str,
    max_answer_tokens: int = DEFAULT_MAX_ANSWER_TOKENS,
) -> Answer:
    """The span with the highest score over all windows of a passage.

    The score is the sum of the logits of first and last token, minus those of "no answer" in the same window: logits
    of different windows cannot be compared, their ratios to "no answer" can.

    Args:
        windows: the windows.
        start_logits: `(W, L)`.
        end_logits: `(W, L)`.
        passage: the passage of the windows.
        max_answer_tokens: maximum number of tokens of an answer.
    """
    best: Answer | None = None
    for window, starts, ends in zip(windows, start_logits.float(), end_logits.float(), strict=True):
        position = slice(window.first_token, window.first_token + len(window.spans))
        # (n, n): row is the first token, column the last one
        sums = starts[position, None] + ends[None, position]
        ones = torch.ones_like(sums, dtype=torch.bool)
        allowed = ones.triu() & ones.tril(max_answer_tokens - 1)
        value, index = sums.masked_fill(~allowed, -torch.inf).flatten().max(dim=0)
        null = window.first_token - 1
        score = float(value - starts[null] - ends[null])
        if best is None or score > best.score:
            first, last = divmod(int(index), len(window.spans))
            start, end = window.spans[first][0], window.spans[last][1]
            best = Answer(passage[start:end], score, start, end)
    assert best is not None  # there is at least one window
    return best
