# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam corpora`: the corpora supported by name in recipes and commands."""

import argparse
import json
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "corpora",
        help="list the supported corpora, or describe one",
        description="Lists the names of corpora for recipes (`data.corpora`) and the option `--corpus`, with tasks, "
        "number of languages, hours, licence and source; or prints the declaration of one corpus. The "
        "package does not include their data.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print languages, layout, licence, ... of this corpus")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints a table of all corpora, or the declaration of one."""
    from mu2slam_hf.data.corpora.registry import CORPORA, find_corpus
    from mu2slam_hf.evaluation.scores.tables import align_columns

    if args.name is not None:
        for title, value in describe(find_corpus(args.name)).items():
            print(f"{title}: {value}")
        return 0
    rows = [("corpus", "tasks", "languages", "hours", "licence", "source")]
    for corpus in CORPORA.values():
        hours = f"{sum(corpus.hours.values()):,.0f}" if corpus.hours else "-"
        licence = corpus.licence if len(corpus.licence) <= 40 else f"{corpus.licence[:36]} ..."
        tasks = " ".join(corpus.tasks)
        rows.append((corpus.name, tasks, str(len(corpus.languages)), hours, licence, corpus.source))
    print("\n".join(align_columns(rows, num_left=len(rows[0]))))
    return 0


def describe(corpus: Any) -> dict[str, str]:
    """The declaration of a corpus by title, without unknown values."""
    sizes = {lang: f"{lang} {size:,.0f}" for lang, size in {**corpus.documents, **corpus.hours}.items()}
    unit = f"documents ({corpus.sizes_source})" if corpus.documents else f"hours ({corpus.sizes_source})"
    weights = {True: "yes", False: "no", None: "unknown"}[corpus.redistributable_weights]
    facts = {
        "name": corpus.name,
        "tasks": ", ".join(corpus.tasks),
        "languages": ", ".join(corpus.languages),
        unit: ", ".join(sizes.values()),
        "splits": ", ".join(corpus.splits),
        "licence": corpus.licence,
        "trained weights may be distributed": weights,
        "citation": corpus.citation,
        "source": corpus.source,
        "on the Hub": ", ".join(corpus.identifiers),
        "how to get it": corpus.how_to_get,
        "options": ", ".join(f"{name} ({_shown(default)})" for name, default in corpus.options.items()),
        "files": corpus.layout,
        "columns": ", ".join(corpus.columns),
        "use in the paper": corpus.paper_use,
        "hours in the paper": ", ".join(f"{task} {hours:,.0f}" for task, hours in corpus.paper_hours.items()),
    }
    return {title: value for title, value in facts.items() if value}


def _shown(value: Any) -> str:
    """A default as it is written in `--option NAME=VALUE`."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
