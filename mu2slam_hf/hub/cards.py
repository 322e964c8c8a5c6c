# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Model cards from facts written by the author and scores of evaluation records."""

import ast
import inspect
import io
import os
import re
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCardData

from mu2slam_hf.checkpoints.model_types import ModelType
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.hub.auto_names import find_auto_name
from mu2slam_hf.hub.card_examples import CardExample
from mu2slam_hf.models.task_types import TASK_TABLE
from mu2slam_hf.recipes.schema.loader import build_section
from mu2slam_hf.recipes.schema.shipped import shipped_path

HUB_WORK: dict[str, tuple[str, tuple[str, ...]]] = {
    "AutoModelForSpeechSeq2Seq": ("automatic-speech-recognition", ("speech-translation", "translation")),
    "AutoModelForCTC": ("automatic-speech-recognition", ()),
    "AutoModelForRNNT": ("automatic-speech-recognition", ()),
    "AutoModelForAudioClassification": ("audio-classification", ()),
    "AutoModelForSequenceClassification": ("text-classification", ("audio-classification",)),
    "AutoModelForQuestionAnswering": ("question-answering", ()),
    "AutoModelForPreTraining": ("feature-extraction", ("pretraining",)),
    "AutoModel": ("feature-extraction", ("sentence-transformers", "sentence-similarity")),
}
"""Auto class -> task on the Hub, and further tags."""
# Maps prefixes of model types to papers.
_PAPERS = {
    "mu2slam": "Mu2SLAM (Cheng et al., 2022)",
    "mslam": "mSLAM (Bapna et al., 2022)",
    "maestro": "Maestro (Chen et al., 2022)",
    "speech": "PaLM 2 DE (Palma Gomez et al., 2024)",
}
METRIC_TITLES = {
    "wer": "WER",
    "cer": "CER",
    "bleu": "BLEU",
    "chrf": "chrF",
    "ter": "TER",
    "accuracy": "accuracy",
    "language_accuracy": "language accuracy",
    "f1": "F1",
    "exact_match": "exact match",
    "unseen_word_rate": "unseen word rate",
    "unseen_word_recall": "unseen word recall",
}
# A remark ends where an argument or a section of a docstring begins.
_END_OF_REMARK = re.compile(r"(Paper|Args|Returns|Raises|Shape|Attributes)\b.*:|\w+ \(`|\w+: ")


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A source of training data.

    Attributes:
        name: name of the data.
        use: how it was used, and its amount.
        licence: its licence, with attribution.
        hours: hours of audio; None for text.
        url: source of the data.
    """

    name: str
    use: str
    licence: str
    hours: float | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """Facts about a checkpoint written by its author; everything else on the card is generated.

    Attributes:
        name: title of the card.
        summary: one paragraph on the model and its capabilities.
        licence: identifier of the Hub, for example `cc-by-sa-3.0`.
        licence_note: scope of that licence and attribution.
        data: training data.
        command: command line of the training.
        recipe: recipe file of that command.
        seed: seed of the training.
        intended_use: intended uses.
        limits: limitations.
        tried: negative results, or notes on the scores.
    """

    name: str
    summary: str
    licence: str
    licence_note: str
    data: list[DataSource]
    command: str
    recipe: str
    seed: int
    intended_use: str
    limits: list[str]
    tried: list[str] = field(default_factory=list)


def load_card_facts(path: str | os.PathLike[str]) -> CardFacts:
    """Read the facts of a card from YAML, with strict checks.

    Raises:
        RecipeError: unknown or missing keys, or wrong types; the message contains their dotted path.
        ValueError: the file does not exist, or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the facts of a model card.")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: expected a mapping with the facts of a model card, got {type(tree).__name__}.")
    return build_section(CardFacts, tree, "")


def card_template(name: str = "template") -> Path:
    """Path of a template of the package: `template`, or `adapted` for models of `mu2slam adapt`."""
    return shipped_path(f"model_cards/{name}.md")


def render_card(
    template: str | os.PathLike[str],
    facts: CardFacts,
    *,
    model: Any,
    model_type: ModelType,
    has_code: bool,
    languages: Sequence[str] = (),
    results: Sequence[EvaluationResults] = (),
    examples: Sequence[CardExample] = (),
) -> str:
    """Fill the template of a card.

    Args:
        template: Jinja2 file, which may extend others in its folder; undefined names are an error.
        facts: the facts of the card.
        model: the model, for its size and languages.
        model_type: its model type; the `Choice:` remarks in the code of its classes may be listed.
        has_code: whether the folder of the card has the code of the classes, see `bundle.add_custom_code`. Only then
            does the card show how to load the folder without this package.
        languages: what the model is for; the calls that are shown transcribe the first one and translate into the
            second one. Default: all languages of the model.
        results: evaluations of this model, the source of all scores.
        examples: outputs of this model, see `make_card_examples`.

    Returns:
        Content of `README.md`: metadata for the Hub, then Markdown.
    """
    template = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # A dual encoder is described by the languages of its texts, which are all that it was trained on.
    known = getattr(model.config, "languages", None) or getattr(model.config, "text_languages", None) or ()
    languages = languages or [code for code in known if code != "und"]
    auto_name = find_auto_name(model, model_type)
    kind = model.config.model_type.split("_")[0]
    tags = [kind, *HUB_WORK[auto_name][1], *(["custom_code"] if has_code else [])]
    return environment.get_template(template.name).render(
        metadata=render_metadata(facts, languages, results, pipeline_tag=HUB_WORK[auto_name][0], tags=tags),
        has_code=has_code,
        facts=facts,
        languages=languages,
        model_class=type(model).__name__,
        auto_name=auto_name,
        # The encoder is the base model or a part of it.
        encoder="model.encoder" if hasattr(model.base_model, "encoder") else "model",
        paper=_PAPERS[kind],
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        results=[describe_results(record) for record in results],
        examples=examples,
        choices=lambda: collect_choices(model_type),
    )


def render_metadata(
    facts: CardFacts,
    languages: Sequence[str],
    results: Sequence[EvaluationResults],
    *,
    pipeline_tag: str,
    tags: Sequence[str],
) -> str:
    """YAML metadata for the Hub, at the top of a card.

    Args:
        facts: the facts of the card.
        languages: language codes.
        results: evaluations of the model.
        pipeline_tag: task on the Hub.
        tags: further tags.
    """
    scores = [result for record in results for result in _hub_scores(record)]
    data = ModelCardData(
        language=list(languages),
        license=facts.licence,
        library_name="transformers",
        pipeline_tag=pipeline_tag,
        tags=list(tags),
        metrics=sorted({score.metric_type for score in scores}) or None,
        model_name=facts.name,
        eval_results=scores or None,
    )
    return str(data.to_yaml())


def _hub_scores(record: EvaluationResults) -> list[EvalResult]:
    # The Hub shows one score per task, data set and metric: the means with given source language.
    means = record.find(system="model", source_lang="mean", target_lang="mean", source_lang_given=True, group=None)
    corpus, split = str(record.data.get("corpus", "evaluation data")), record.data.get("split")
    return [
        EvalResult(
            task_type=TASK_TABLE[score.task].hub_task,
            task_name=_title_of(score.task),
            dataset_type=re.sub(r"\W+", "-", corpus.lower()),
            dataset_name=corpus,
            dataset_split=split,
            dataset_config=score.task,
            metric_type=score.metric,
            metric_name=f"mean {METRIC_TITLES[score.metric]}",
            metric_value=round(score.value, 2),
        )
        for score in means
    ]


def describe_results(record: EvaluationResults) -> dict[str, Any]:
    """An evaluation record for the template: tables per task, and everything needed to reproduce the scores."""
    tasks = dict.fromkeys(score.task for score in record.scores)
    return {
        "record": record,
        "tables": [
            {"title": _title_of(task), "table": render_table(record.find(task=task)), "task": task} for task in tasks
        ],
        "signatures": list(dict.fromkeys(f"{s.metric}: {s.signature}" for s in record.scores if s.system == "model")),
    }


def render_table(scores: Iterable[Score]) -> str:
    """Markdown table of the scores of one task: a row per language or direction and group, a column per metric."""
    cells: dict[tuple[str, str, str | None], dict[str, Score]] = {}
    for score in scores:
        cells.setdefault((score.source_lang, score.target_lang, score.group), {})[_column(score)] = score
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    lines = ["| |" + "".join(f" {column} |" for column in columns), "|---|" + "---:|" * len(columns)]
    for (source, target, group), row in cells.items():
        name = (source if source == target else f"{source} to {target}") + (f", {group}" if group else "")
        values = (f"{row[column].value:.1f}" if column in row else "" for column in columns)
        lines.append(f"| {name} |" + "".join(f" {value} |" for value in values))
    return "\n".join(lines)


def _column(score: Score) -> str:
    title = METRIC_TITLES.get(score.metric, score.metric)
    if score.system == "reference":
        title += " of the references"
    elif score.system != "model":
        title += f", baseline {score.system}"
    return title if score.source_lang_given else f"{title}, language not given"


def collect_choices(model_type: ModelType) -> dict[str, list[str]]:
    """The `Choice:` remarks in the code of a model type: a dictionary from file names to remarks, in order.

    They document details that the paper does not specify, and deviations from it.
    """
    folder = Path(inspect.getfile(model_type.config)).parent
    names = {Path(inspect.getfile(cls)).name for cls in model_type.classes}
    names |= {path.name for path in folder.glob("modules_*.py")}
    results = {name: _choices_of(folder / name) for name in sorted(names)}
    return {name: remarks for name, remarks in results.items() if remarks}


def _choices_of(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    blocks: list[tuple[int, list[str]]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            docstring = ast.get_docstring(node) or ""
            blocks.append((getattr(node, "lineno", 0), docstring.splitlines()))
    last_line = -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last_line + 1:
                blocks.append((token.start[0], []))
            blocks[-1][1].append(token.string.removeprefix("#"))
            last_line = token.start[0]
    return [remark for _, lines in sorted(blocks) for remark in _remarks(lines)]


def _remarks(lines: Sequence[str]) -> list[str]:
    """Every `Choice:` in a block of text, up to the next remark, argument, section or empty line."""
    remarks: list[list[str]] = []
    is_open = False
    for line in map(str.strip, lines):
        _, separator, after = line.partition("Choice:")
        if separator:
            remarks.append([after.strip()])
            is_open = True
        elif not line or _END_OF_REMARK.match(line):
            is_open = False
        elif is_open:
            remarks[-1].append(line)
    return [" ".join(parts) for parts in remarks]


def _title_of(task: str) -> str:
    title = TASK_TABLE[task].title
    return title[0].upper() + title[1:]
