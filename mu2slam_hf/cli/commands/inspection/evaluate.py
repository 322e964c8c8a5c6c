# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam evaluate`: error rates, BLEU, chrF, TER, accuracy or F1 of a checkpoint on a corpus."""

import argparse
import sys
from typing import Any

from mu2slam_hf.cli.directions import direction_list, select_directions
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    Joined,
    add_batch_seconds_option,
    add_batch_size_option,
    add_bootstrap_option,
    add_corpus_options,
    add_generation_options,
    add_json_option,
    add_results_option,
    add_seed_option,
    check_source,
    generation_arguments,
)
from mu2slam_hf.cli.records import describe_data, load_corpus_records, print_scores, save_results
from mu2slam_hf.cli.training_texts import read_training_words
from mu2slam_hf.models.task_types import SCORED_TASKS

_UNDERSTANDING_TASKS = {"nli": "classification", "qa": "qa"}
"""Tasks of text understanding, with the capability that each needs."""
_CONDITIONS = {"given": (True,), "guessed": (False,), "both": (True, False)}


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="WER, CER, BLEU, chrF, TER, accuracy or F1 of a checkpoint on a corpus",
        description="Transcribes and translates a corpus and prints scores per language and direction, with their "
        "means (also from and into English, and by resources as in the paper for covost2) and sacreBLEU "
        "signatures. On a corpus of text understanding (xnli, tydiqa), scores the classes or answers of a checkpoint "
        "with that head beside a baseline.",
    )
    add_corpus_options(parser, required=True)
    tasks = (*SCORED_TASKS, *_UNDERSTANDING_TASKS)
    text = "transcription, translation of speech, translation of text (these three), or one of nli and qa (the "
    text += "default for xnli and tydiqa)"
    parser.add_argument("--tasks", nargs="+", choices=tasks, help=text)
    parser.add_argument(
        "--directions",
        nargs="+",
        type=direction_list,
        action=Joined,
        metavar="FROM-TO",
        help="translate only in these directions, as en-fr,fr-en or en-fr fr-en (all)",
    )
    parser.add_argument(
        "--condition",
        choices=tuple(_CONDITIONS),
        default="given",
        help="whether the model receives the source language; both: one table each (given)",
    )
    _add_further_scores(parser)
    add_bootstrap_option(parser, 0)
    add_results_option(parser)
    add_json_option(parser)
    parser.add_argument("--hypotheses", metavar="FILE", help="JSONL of all hypotheses; interrupted runs are resumed")
    add_batch_seconds_option(parser)
    add_batch_size_option(parser, 32)
    add_seed_option(parser, "of the bootstrap")
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def _add_further_scores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--baseline-split",
        metavar="SPLIT",
        help="also score a baseline: the translation of the nearest sentence in this split",
    )
    parser.add_argument(
        "--training-texts",
        nargs="+",
        metavar="SOURCE",
        help="training data (manifests, corpora as NAME=DIR, recipes): also score transcription of recordings with "
        "and without words that do not occur in its texts",
    )
    parser.add_argument(
        "--language-accuracy",
        action="store_true",
        help="also score the share of texts in their target language, and those texts alone, and show the languages "
        "that texts are in (extra: langid)",
    )
    parser.add_argument(
        "--confusable-languages",
        default="",
        metavar="LANGS",
        help="languages that texts may be in besides those of the model, as af,gl, for --language-accuracy",
    )
    parser.add_argument(
        "--group",
        action="append",
        type=language_group,
        default=[],
        metavar="NAME=LANGS",
        help="also print means over these source languages, as seen=de,es; repeatable",
    )
    parser.add_argument(
        "--transliterate",
        action="store_true",
        help="also score transcription in Latin letters, for speech that switches languages (extra: transliterate)",
    )
    parser.add_argument(
        "--plain-translations",
        action="store_true",
        help="also score translations in lower case and without punctuation",
    )


def language_group(text: str) -> tuple[str, list[str]]:
    """Name and languages of `seen=de,es`."""
    name, _, languages = text.partition("=")
    codes = [code for code in languages.split(",") if code]
    if not name or not codes:
        raise argparse.ArgumentTypeError(f"expected a name and languages, as seen=de,es; got {text!r}")
    return name, [language_code(code) for code in codes]


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints the tables, writes the record; with several processes, only the first prints and writes."""
    from mu2slam_hf.evaluation.records.processes import start_processes

    check_source(args)
    args.tasks = args.tasks or _default_tasks(args.corpus)
    processes = start_processes(use_cpu=args.device == "cpu")
    if processes.count > 1 and args.device == "cuda":
        args.device = f"cuda:{processes.local_index}"
    understands = set(args.tasks) & set(_UNDERSTANDING_TASKS)
    results, table = (_run_understanding if understands else _run_speech_text)(args, processes)
    if processes.is_main:
        print_scores(results, table, as_json=args.json)
        save_results(results, args.results)
    return 0


def _run_speech_text(args: argparse.Namespace, processes: Any) -> tuple[Any, str]:
    """Scores of transcription and translation."""
    from mu2slam_hf.data.corpora.registry import CORPORA
    from mu2slam_hf.evaluation.scores.confusion import ConfusionMatrix, format_confusion
    from mu2slam_hf.evaluation.scores.scoring import format_scores
    from mu2slam_hf.evaluation.tasks.corpora import EvaluationSettings, evaluate_corpus

    def select(found: list[Any]) -> list[Any]:
        return select_directions(found, args.directions, args.tasks) if args.directions else found

    records = load_corpus_records(args, args.split, args.limit, select, args.part)
    training_words = read_training_words(args.training_texts) if args.training_texts else None
    model, processor = load_model(args, *args.tasks)
    results = evaluate_corpus(
        model,
        processor,
        records,
        EvaluationSettings(
            tasks=args.tasks,
            source_lang_given=_CONDITIONS[args.condition],
            batch_seconds=args.batch_seconds,
            batch_size=args.batch_size,
            seed=args.seed,
            bootstrap_samples=args.bootstrap,
            language_accuracy=args.language_accuracy,
            confusable_languages=[language_code(code) for code in args.confusable_languages.split(",") if code],
            language_groups=dict(args.group),
            transliterate=args.transliterate,
            plain_translations=args.plain_translations,
            generate=generation_arguments(args),
        ),
        train_records=load_corpus_records(args, args.baseline_split, None) if args.baseline_split else None,
        training_words=training_words,
        resource_groups=CORPORA[args.corpus].resource_groups if args.corpus in CORPORA else None,
        model_name=args.model,
        data=describe_data(args),
        hypotheses_path=args.hypotheses,
        progress=sys.stderr.isatty(),
        processes=processes,
    )
    matrices = [
        f"languages of {task}\n{format_confusion(ConfusionMatrix(**matrix))}"
        for task, matrix in results.output_languages.items()
    ]
    return results, "\n\n".join([format_scores(results.scores), *matrices])


def _default_tasks(corpus: str | None) -> list[str]:
    """The task of a corpus of text understanding, else transcription and translation."""
    from mu2slam_hf.data.corpora.registry import CORPORA

    tasks = CORPORA[corpus].tasks if corpus in CORPORA else ()
    return [task for task in tasks if task in _UNDERSTANDING_TASKS] or ["asr", "ast", "mt"]


def _run_understanding(args: argparse.Namespace, processes: Any) -> tuple[Any, str]:
    """Scores of classes of pairs of texts, or of answers to questions."""
    from mu2slam_hf.evaluation.scores.scoring import format_scores
    from mu2slam_hf.evaluation.tasks.text_understanding import evaluate_understanding

    if len(args.tasks) > 1:
        raise ValueError(f"--tasks: {' and '.join(_UNDERSTANDING_TASKS)} have heads of their own; give one task alone")
    records = load_corpus_records(args, args.split, args.limit, part=args.part)
    model, processor = load_model(args, _UNDERSTANDING_TASKS[args.tasks[0]])
    results = evaluate_understanding(
        args.tasks[0],
        model,
        processor,
        records,
        batch_size=args.batch_size,
        seed=args.seed,
        bootstrap_samples=args.bootstrap,
        model_name=args.model,
        data=describe_data(args),
        processes=processes,
    )
    return results, format_scores(results.scores)
