# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Answers of a model to the questions of a corpus, their scores by language, and those of a baseline."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.examples.question_windows import has_answer
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.answer_baseline import BEST_SENTENCE, find_best_sentence
from mu2slam_hf.evaluation.answer_metrics import compute_answer_metrics
from mu2slam_hf.evaluation.bootstrap import Bootstrap
from mu2slam_hf.evaluation.metrics import MetricValue
from mu2slam_hf.evaluation.processes import Processes
from mu2slam_hf.evaluation.tables import format_tsv
from mu2slam_hf.inference.pipelines.question_answering import Mu2SLAMQuestionAnsweringPipeline


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
    for one in answered:
        groups[one.lang].append(one)
    return {
        (lang, system): compute_answer_metrics(
            [one.predictions[system] for one in group], [one.answers for one in group], bootstrap=bootstrap
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
                values = {lang: found[metric].value for lang, found in by_language.items()}
                figures[f"{metric}{suffix}"] = sum(values.values()) / len(values)
                figures |= {f"{metric}{suffix}_{lang}": value for lang, value in values.items()}
        return figures

    def save(self, name: str, folder: Path) -> None:
        """Write `answers_<name>.tsv`: id, language, question, correct answers, and the answer of every system."""
        systems = list(self.answered[0].predictions)
        rows = [["id", "language", "question", "answers", *systems]]
        for one in self.answered:
            given = [one.predictions[system] for system in systems]
            rows.append([one.id, one.lang, one.question, " | ".join(one.answers), *given])
        with atomic_path(folder / f"answers_{name}.tsv") as temporary:
            temporary.write_text(format_tsv(rows), encoding="utf-8")
