# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The page of results, RESULTS.md: a template with figures from the records of evaluations and measurements."""

import json
from pathlib import Path
from typing import Any

import jinja2
import yaml

from lab.studies.seed_comparison import compare_seeds
from lab.studies.study_report import VALUES_FILE
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.metrics import ERROR_METRICS
from mu2slam_hf.evaluation.scores.scoring import MEAN, MODEL

TEMPLATE = Path(__file__).parent / "configuration" / "results.md"
MEASUREMENTS_FILE = "measurements.yaml"


class ResultsPageError(ValueError):
    """A figure that no record has."""


class ResultsRecords:
    """The records of a folder, as the template of the page reads them.

    Args:
        folder: `results/`, with records of evaluations (JSON), folders of studies, and `measurements.yaml`, which has
            what has been measured by other commands: name -> `figures`, `command`, `git_commit`, `machine`, `seed`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        measurements = yaml.safe_load((folder / MEASUREMENTS_FILE).read_text(encoding="utf-8"))
        self._measurements: dict[str, dict[str, Any]] = measurements

    def score(self, record: str, task: str, metric: str, **wanted: Any) -> str:
        """A score of a record with its 95 % interval where it has one, e.g. `21.3 [19.8, 22.9]`.

        Args:
            record: path of the record in the folder, without `.json`.
            task: task of the score.
            metric: metric of the score.
            **wanted: other fields of `Score`; default: the mean over the languages of the model.

        Raises:
            ResultsPageError: the record does not have exactly one such score.
        """
        fields = {"source_lang": MEAN, "target_lang": MEAN, "system": MODEL, "group": None} | wanted
        scores = EvaluationResults.load(self.folder / f"{record}.json").find(task=task, metric=metric, **fields)
        if len(scores) != 1:
            raise ResultsPageError(f"{record}: expected one score {metric} of {task} with {fields}, got {len(scores)}")
        low, high = scores[0].interval_low, scores[0].interval_high
        interval = "" if low is None or high is None else f" [{low:.1f}, {high:.1f}]"
        return f"{scores[0].value:.1f}{interval}"

    def measured(self, name: str, figure: str) -> str:
        """A figure of `measurements.yaml`, as it is written there.

        Raises:
            ResultsPageError: there is no such measurement or figure.
        """
        figures = self._measurements.get(name, {}).get("figures", {})
        if figure not in figures:
            raise ResultsPageError(f"{MEASUREMENTS_FILE}: no figure {figure!r} of {name!r}")
        return str(figures[figure])

    def difference(self, study: str, finding: str, variant: str) -> str:
        """Two cells: difference of a variant from its reference with Student's 95 % interval over the seeds; verdict.

        Raises:
            ResultsPageError: the study has no values of the variant, or of a single seed only.
        """
        section = self._finding(study, finding)
        reference, values = (self._values(study, finding, name) for name in (section["reference"], variant))
        comparison = compare_seeds(reference, values, lower_is_better=section["metric"] in ERROR_METRICS)
        if comparison is None or comparison.interval_low is None:
            raise ResultsPageError(f"{study}: fewer than two seeds of {variant!r} in {finding!r}")
        interval = f"[{comparison.interval_low:+.1f}, {comparison.interval_high:+.1f}]"
        verdict = comparison.verdict(section["variants"][variant]["expected"])
        return f"{comparison.difference:+.1f} {interval} | {verdict}"

    def _finding(self, study: str, finding: str) -> dict[str, Any]:
        path = self.folder / study / VALUES_FILE
        section: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get(finding)
        if section is None:
            raise ResultsPageError(f"{path}: no values of {finding!r}")
        return section

    def _values(self, study: str, finding: str, variant: str) -> dict[int, float]:
        variants = self._finding(study, finding)["variants"]
        if variant not in variants:
            raise ResultsPageError(f"{study}: no values of {variant!r} in {finding!r}")
        return {int(seed): value for seed, value in variants[variant]["values"].items()}


def format_results_page(folder: Path) -> str:
    """The page, with the figures of the records in a folder.

    Raises:
        ResultsPageError: the template names a figure that no record has.
    """
    records = ResultsRecords(folder)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.globals.update(score=records.score, measured=records.measured, difference=records.difference)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render()
