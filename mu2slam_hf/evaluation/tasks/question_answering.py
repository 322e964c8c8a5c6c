# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Answers of a model to the questions of a corpus, their scores by language, and those of a baseline.

F1 and exact match are those of SQuAD 1.1, which TyDiQA-GoldP uses for all languages. The baseline is not trained: it
answers with the sentence of the passage that matches the question best.
"""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import torch

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.examples.question_windows import has_answer
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.records.processes import Processes
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import MetricValue, add_interval
from mu2slam_hf.evaluation.scores.tables import format_tsv
from mu2slam_hf.inference.pipelines.question_answering import Mu2SLAMQuestionAnsweringPipeline

BEST_SENTENCE = "best sentence"
# Full stops of the scripts of TyDiQA: Latin, Devanagari and Bengali, Arabic, Chinese.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u0964\u06d4\u061f\u3002])\s*|\n+")
_GRAM = 4
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, kw_only=True)
class AnsweredQuestion:
    """A question with the answers of a model and of the baseline.

    Attributes:
        id: id of the record.
        lang: its language.
        question: the question.
        answers: the correct answers.
        predictions: system ("model" or the name of the baseline) -> answer.
    """

    id: str
    lang: str
    question: str
    answers: list[str]
    predictions: dict[str, str]


@torch.no_grad()
def answer_questions(
    model: Any,
    tokenizer: Any,
    records: Sequence[SpeechTextRecord],
    *,
    processes: Processes | None = None,
    **options: Any,
) -> list[AnsweredQuestion]:
    """Answer every question that has a known answer, by the model and by the baseline.

    Args:
        model: a model with a span head, or an encoder-decoder trained to write answers.
        tokenizer: its tokenizer.
        records: questions; those without a known answer are left out.
        processes: processes that share the questions; each returns all answers.
        options: arguments of `Mu2SLAMQuestionAnsweringPipeline`.

    Raises:
        ValueError: no question has a known answer.
    """
    processes = processes or Processes()
    asked = [record for record in records if has_answer(record)]
    if not asked:
        raise ValueError(
            f"none of the {len(records)} questions has a known answer: the answers of a public test set are often "
            "blank; use a split with answers, for example a part of train (options folds and num_folds)."
        )
    pipe = Mu2SLAMQuestionAnsweringPipeline(model=model.eval(), tokenizer=tokenizer, device=model.device, **options)
    answered = []
    for number, record in processes.share(list(enumerate(asked))):
        question, passage = str(record.text), record.extra["context"]
        answer = AnsweredQuestion(
            id=record.id,
            lang=record.lang,
            question=question,
            answers=[answer["text"] for answer in record.extra["answers"]],
            predictions={
                "model": pipe({"question": question, "context": passage})["answer"],
                BEST_SENTENCE: find_best_sentence(question, passage),
            },
        )
        answered.append((number, answer))
    return [answer for _, answer in sorted(processes.gather(answered), key=lambda pair: pair[0])]


def score_answers(
    answered: Sequence[AnsweredQuestion], *, bootstrap: Bootstrap | None = None
) -> dict[tuple[str, str], dict[str, MetricValue]]:
    """(language, system) -> `f1` and `exact_match`, with 95 % confidence intervals if a bootstrap is given."""
    groups: Mapping[str, list[AnsweredQuestion]] = defaultdict(list)
    for item in answered:
        groups[item.lang].append(item)
    return {
        (lang, system): compute_answer_metrics(
            [item.predictions[system] for item in group], [item.answers for item in group], bootstrap=bootstrap
        )
        for lang, group in sorted(groups.items())
        for system in group[0].predictions
    }


@dataclass(frozen=True, kw_only=True)
class AnswerReport:
    """Results of a model on the questions of one corpus.

    Attributes:
        answered: questions with all answers.
    """

    answered: list[AnsweredQuestion]

    @property
    def figures(self) -> dict[str, float]:
        """`f1` and `exact_match`, means and by language; those of the baseline end with `_best_sentence`."""
        figures: dict[str, float] = {}
        scores = score_answers(self.answered)
        for system, suffix in (("model", ""), (BEST_SENTENCE, "_best_sentence")):
            by_language = {lang: values for (lang, name), values in scores.items() if name == system}
            for metric in ("f1", "exact_match"):
                values = {lang: results[metric].value for lang, results in by_language.items()}
                figures[f"{metric}{suffix}"] = sum(values.values()) / len(values)
                figures |= {f"{metric}{suffix}_{lang}": value for lang, value in values.items()}
        return figures

    def save(self, name: str, folder: Path) -> None:
        """Write `answers_<name>.tsv`: id, language, question, correct answers, and the answer of every system."""
        systems = list(self.answered[0].predictions)
        rows = [["id", "language", "question", "answers", *systems]]
        for item in self.answered:
            given = [item.predictions[system] for system in systems]
            rows.append([item.id, item.lang, item.question, " | ".join(item.answers), *given])
        with atomic_path(folder / f"answers_{name}.tsv") as temporary:
            temporary.write_text(format_tsv(rows), encoding="utf-8")


def normalize_answer(text: str) -> str:
    """Lower case without ASCII punctuation and English articles, with single spaces.

    The definition is the same for every language: other punctuation is kept, and languages that are written without
    spaces have long words.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """1 if both texts are equal after normalisation, else 0."""
    return float(normalize_answer(prediction) == normalize_answer(answer))


def token_f1(prediction: str, answer: str) -> float:
    """Harmonic mean of precision and recall of the words of a prediction; 0 without a common word."""
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(answer).split()
    common = sum((Counter(predicted) & Counter(expected)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def compute_answer_metrics(
    predictions: Sequence[str], answers: Sequence[Sequence[str]], *, bootstrap: Bootstrap | None = None
) -> dict[str, MetricValue]:
    """`f1` and `exact_match` in percent, a mean over questions; of several answers the best one counts.

    Args:
        predictions: one answer for each question.
        answers: the correct answers to each question, at least one.
        bootstrap: if given, both have 95 % confidence intervals over questions.

    Raises:
        ValueError: the lists differ in length or are empty, or a question has no answer.
    """
    if len(predictions) != len(answers) or not answers:
        raise ValueError(f"expected one prediction for each question, got {len(predictions)} and {len(answers)}")
    if not all(answers):
        raise ValueError("every question needs at least one answer to be scored")

    def mean(name: str, compare: Callable[[str, str], float]) -> MetricValue:
        best = [
            max(compare(text, answer) for answer in given) for text, given in zip(predictions, answers, strict=True)
        ]
        value = MetricValue(
            value=100.0 * sum(best) / len(best), signature=f"{name}|squad-1.1|best of answers", num_items=len(best)
        )
        if bootstrap is None:
            return value
        return add_interval(value, bootstrap.resample([[share] for share in best], lambda s: 100.0 * s[0] / len(best)))

    return {"f1": mean("f1", token_f1), "exact_match": mean("exact_match", exact_match)}


def find_best_sentence(question: str, passage: str) -> str:
    """The sentence of a passage that shares most with a question.

    Sentences are compared by their runs of 4 characters, which needs no knowledge of the words of a language; each run
    counts by its rarity in the passage, and a sentence by the mean over the square root of its number of runs, so that
    long sentences are not preferred. The first of equally good sentences is returned.
    """
    sentences = [sentence.strip() for sentence in _SENTENCE_END.split(passage) if sentence.strip()]
    if not sentences:
        return passage.strip()
    grams = [_grams(sentence) for sentence in sentences]
    asked = _grams(question)
    scores = [_match(asked, own, grams) for own in grams]
    return sentences[scores.index(max(scores))]


def _match(asked: set[str], own: set[str], everything: Sequence[set[str]]) -> float:
    rarity = [log(1 + len(everything) / sum(gram in other for other in everything)) for gram in sorted(asked & own)]
    return sum(rarity) / max(1, len(own)) ** 0.5


def _grams(text: str) -> set[str]:
    padded = f" {normalize_for_scoring(text)} "
    return {padded[i : i + _GRAM] for i in range(max(1, len(padded) - _GRAM + 1))}
