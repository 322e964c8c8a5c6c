# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What is scored, and the score: a text of a system with its reference, and one figure of a record."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A generated text with its reference.

    Attributes:
        key: unique name of the request within an evaluation.
        id: id of the source record.
        task: asr, ast, mt, or lid, whose texts are codes of languages.
        source_lang: language of the source.
        target_lang: language of the text.
        source_lang_given: whether the source language was given to the model.
        source_text: text of the source record, if it has one.
        reference: the reference text.
        hypothesis: the generated text.
    """

    key: str
    id: str
    task: str
    source_lang: str
    target_lang: str
    source_lang_given: bool
    source_text: str | None
    reference: str
    hypothesis: str


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score of an evaluation.

    Attributes:
        task: asr, ast, mt, lid (the language predicted from speech), nli (inference), or qa (question answering).
        metric: wer, cer, unseen_word_rate, unseen_word_recall, bleu, chrf, ter, accuracy, f1, exact_match,
            language_accuracy.
        value: value in percent.
        source_lang: language of the input; "mean" for a mean over languages or directions.
        target_lang: language of the output; "mean" likewise.
        source_lang_given: whether the source language was given to the model.
        system: "model", the name of a baseline, or "reference" for the reference texts.
        group: None for all utterances; "seen words" for those whose words all occur in the training texts, "unseen
            words" for the others; for means over languages with many, some or few training data: "high-resource",
            "mid-resource", "low-resource"; "right language" for texts in their target language; "transliterated" for
            texts in Latin letters; "plain" for translations in lower case without punctuation; "seen languages" and
            the like for means over languages that the user has grouped.
        num_items: number of utterances scored; for means, the number of scores averaged.
        signature: how it was computed.
        interval_low: lower bound of the 95 % confidence interval; None if it was not computed.
        interval_high: upper bound likewise.
    """

    task: str
    metric: str
    value: float
    source_lang: str
    target_lang: str
    source_lang_given: bool
    system: str = "model"
    group: str | None = None
    num_items: int
    signature: str
    interval_low: float | None = None
    interval_high: float | None = None
