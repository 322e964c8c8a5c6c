# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checks of a model card without a network, in place of those that the Hub makes when it is uploaded."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData
from transformers.pipelines import SUPPORTED_TASKS

from mu2slam_hf.hub.cards import HUB_WORK
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.models.task_types import TASK_TABLE

_METADATA = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_NEEDED_KEYS = ("language", "library_name", "license", "pipeline_tag")
# Of the Hub's documentation of model cards.
_KNOWN_KEYS = frozenset(
    """
    base_model base_model_relation co2_eq_emissions datasets extra_gated_button_content extra_gated_description
    extra_gated_fields extra_gated_heading extra_gated_prompt inference language library_name license license_link
    license_name metrics model-index model_name new_version pipeline_tag tags thumbnail widget
    """.split()
)
# Identifiers of licences on the Hub, without those of single models of companies.
_LICENCES = frozenset(
    """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
    cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
    gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
    openrail openrail++ osl-3.0 other pddl postgresql unlicense wtfpl zlib
    """.split()
)
_LOCAL_PATH = re.compile(
    r"(?<![\w:/.$}-])(?:~/|file://|[A-Za-z]:\\|/(?:home|root|Users|tmp|work|mnt|media|opt|srv|scratch)/)[^\s`'\")]*"
)


def check_card(file: Path) -> list[str]:
    """The problems of a card; none if it can be uploaded."""
    text = file.read_text(encoding="utf-8")
    match = _METADATA.match(text)
    if match is None:
        return [f"{file.name} does not begin with metadata between lines of ---"]
    try:
        metadata = yaml.safe_load(match[1])
        data = read_card_data(text)
    except (ValueError, yaml.YAMLError, AttributeError) as error:
        return [f"{file.name}: the metadata cannot be read ({str(error).splitlines()[0]})"]
    problems = [f"has no {key!r} in its metadata" for key in _NEEDED_KEYS if not metadata.get(key)]
    problems += [f"has an unknown key {key!r} in its metadata" for key in sorted(set(metadata) - _KNOWN_KEYS)]
    problems += [*_check_terms(metadata), *_check_languages(metadata), *_check_scores(data)]
    return [f"{file.name} {problem}" for problem in problems]


def read_card_data(text: str) -> ModelCardData:
    """The metadata of a card, as the Hub's client reads it.

    Raises:
        ValueError: it cannot be read.
    """
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    return data


def check_public_card(file: Path) -> list[str]:
    """The problems of a valid card that only matter once others read it: names of folders, and an unstated licence."""
    text = file.read_text(encoding="utf-8")
    problems = [f"{file.name} has the local path {found[0]!r}" for found in _LOCAL_PATH.finditer(text)]
    data = read_card_data(text)
    if data.license == "other" and not (data.license_name and data.license_link):
        problems.append(f"{file.name} has the license 'other'; state it, or license_name and license_link")
    return problems


def _check_terms(metadata: dict[str, Any]) -> Iterator[str]:
    """Task, library and licence, if they are given."""
    own_tasks = {task.hub_task for task in TASK_TABLE.values()} | {work for work, _ in HUB_WORK.values()}
    tasks = own_tasks | set(SUPPORTED_TASKS)
    task, library, licence = (metadata.get(key) for key in ("pipeline_tag", "library_name", "license"))
    if task and task not in tasks:
        yield f"has the pipeline_tag {task!r}; expected one of {', '.join(sorted(tasks))}"
    if library and library != "transformers":
        yield f"has the library_name {library!r}; expected transformers"
    if licence and licence not in _LICENCES:
        yield f"has the license {licence!r}, which the Hub does not know; expected an identifier such as cc-by-sa-4.0"


def _check_languages(metadata: dict[str, Any]) -> Iterator[str]:
    languages = metadata.get("language") or []
    for code in [languages] if isinstance(languages, str) else languages:
        try:
            is_canonical = canonical_language(code) == code
        except ValueError:
            is_canonical = False
        if not is_canonical:  # `no` is read as false by YAML
            yield f"has the language {code!r}; expected a code such as es, and 'no' in quotation marks"


def _check_scores(data: ModelCardData) -> Iterator[str]:
    if data.eval_results and not data.model_name:
        yield "has scores in model-index without a name of the model"
    for result in data.eval_results or []:
        value = result.metric_value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            yield f"has the score {value!r} of {result.metric_type} on {result.dataset_name}; expected a number"
