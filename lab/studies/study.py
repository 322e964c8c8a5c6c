# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plans the runs of a study and collects existing results."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lab.recipe_files import find_recipe, find_study
from lab.studies.job_pool import override_arguments
from lab.studies.seed_comparison import SeedComparison, compare_seeds
from lab.studies.study_sections import FindingSection, StepSection, StepUse, StudyFile
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.metrics import ERROR_METRICS, compute_mean
from mu2slam_hf.evaluation.scores.scoring import MEAN, MODEL
from mu2slam_hf.recipes.runs.registry import load_recipes
from mu2slam_hf.recipes.schema.loader import (
    DEFAULT_KIND,
    RecipeError,
    apply_override,
    build_section,
    errors_of,
    read_tree,
)
from mu2slam_hf.recipes.schema.shipped import search_folders

FINISHED_FILE = "finished.json"
"""File in the folder of a step, written when it is finished."""

RECORDS_FOLDER = "records"
_TOKENIZER = "speech_tokenizer"


@dataclass(frozen=True)
class StudyStep:
    """One run, the same for all variants that begin alike.

    Attributes:
        name: name of the step.
        kind: kind of its recipe.
        recipe: file of its recipe.
        overrides: `a.b=c` of the study, with the seed.
        start: the step whose result it starts from.
        fingerprint: hash of what the recipe says with these values, and of `start`.
        folder: folder of the run.
    """

    name: str
    kind: str
    recipe: Path
    overrides: tuple[str, ...]
    start: "StudyStep | None"
    fingerprint: str
    folder: Path

    @property
    def output(self) -> Path:
        """Folder of the result."""
        return self.folder / "final"

    @property
    def is_finished(self) -> bool:
        """Whether its result is there."""
        return (self.folder / FINISHED_FILE).is_file()

    @property
    def arguments(self) -> list[str]:
        """The command line of the run."""
        recipe = ["--recipe", str(self.recipe)]
        if self.kind == _TOKENIZER:
            return ["train", *recipe, *override_arguments([*self.overrides, _set("output", self.output)])]
        places = [_set("output.dir", self.folder), "output.final=null"]
        return ["train", *recipe, *override_arguments([*self.overrides, *self._start_overrides, *places])]

    @property
    def _start_overrides(self) -> list[str]:
        if self.start is None:
            return []
        if self.start.kind == _TOKENIZER:
            return ["speech_tokenizer={}", _set("speech_tokenizer.init_from", self.start.output)]
        return ["model.config=null", "processor.init_from=null", _set("model.init_from", self.start.output)]


@dataclass
class StudyRun:
    """A variant with a seed: its steps and the record of its evaluation.

    Attributes:
        name: of the first finding and variant that need it.
        seed: the seed.
        steps: all steps.
        fingerprint: hash of the last step and of the data of the evaluation.
        folder: folder of the records.
        tasks: tasks of all findings that need it.
        text_lang: of retrieval: see `FindingSection`.
    """

    name: str
    seed: int
    steps: tuple[StudyStep, ...]
    fingerprint: str
    folder: Path
    tasks: list[str] = field(default_factory=list)
    text_lang: str | None = None

    @property
    def record_path(self) -> Path:
        """File of the record: the one that has the fingerprint, whatever its name; else a new one."""
        found = sorted(self.folder.glob(f"*_{self.fingerprint}.json"))
        name = re.sub("[^A-Za-z0-9.+_-]+", "-", self.name)
        return found[0] if found else self.folder / f"{name}_seed{self.seed}_{self.fingerprint}.json"

    def load_record(self) -> EvaluationResults | None:
        """The record; None if there is none yet, or if it lacks a task.

        Raises:
            ResultsError: the file is not a record.
        """
        if not self.record_path.is_file():
            return None
        record = EvaluationResults.load(self.record_path)
        return record if set(self.tasks) <= {score.task for score in record.scores} else None


@dataclass
class Study:
    """All runs of a study.

    Attributes:
        file: the file of the study.
        path: its path.
        folder: folder of records, report and plots.
        runs_folder: folder of the models.
        runs: runs by finding, variant and seed; variants that are equal share them.
    """

    file: StudyFile
    path: Path
    folder: Path
    runs_folder: Path
    runs: dict[tuple[str, str, int], StudyRun]

    @property
    def unique_runs(self) -> list[StudyRun]:
        """Each run once, all those of a seed before those of the next one."""
        return self.runs_of()

    def runs_of(self, findings: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[StudyRun]:
        """The runs of some findings and seeds, each once; of all if none are named.

        Raises:
            ValueError: an unknown finding or seed.
        """
        for given, known in ((findings, list(self.file.findings)), (seeds, self.file.seeds)):
            for one in given:
                if one not in known:
                    raise ValueError(f"{one!r} is not in {self.path}; it has {', '.join(map(str, known))}")
        found = {
            run.fingerprint: run
            for (finding, _, seed), run in self.runs.items()
            if (not findings or finding in findings) and (not seeds or seed in seeds)
        }
        return sorted(found.values(), key=lambda run: self.file.seeds.index(run.seed))

    def values_of(self, finding: str, variant: str) -> dict[int, float]:
        """Seed -> metric, of the seeds that have a record.

        Raises:
            ValueError: a record does not have the metric.
        """
        section = self.file.findings[finding]
        values = {}
        for seed in self.file.seeds:
            run = self.runs[finding, variant, seed]
            record = run.load_record()
            if record is None:
                continue
            is_retrieval = section.is_retrieval
            group = None if section.group is None else f"{section.group} languages"
            wanted: dict[str, Any] = {"task": section.task, "metric": section.metric, "group": group}
            wanted |= {"system": "dot" if is_retrieval else MODEL, "source_lang_given": not is_retrieval}
            languages = section.languages or [MEAN]
            scores = [score for lang in languages for score in record.find(**wanted, source_lang=lang)]
            if languages == [MEAN]:
                scores = [score for score in scores if score.target_lang == MEAN]
            if len(scores) != len(languages):
                known = ", ".join(sorted({f"{score.task} {score.metric}" for score in record.scores}))
                raise ValueError(f"findings.{finding}.metric: {run.record_path} has no {section.metric}, but {known}")
            values[seed] = compute_mean([score.value for score in scores])
        return values

    def compare(self, finding: str, variant: str) -> SeedComparison | None:
        """A variant with the reference; None without common seeds."""
        section = self.file.findings[finding]
        reference, values = self.values_of(finding, section.reference), self.values_of(finding, variant)
        return compare_seeds(reference, values, lower_is_better=section.metric in ERROR_METRICS)


def plan_study(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    runs_folder: str | os.PathLike[str] | None = None,
) -> Study:
    """The runs of a study. All recipes are checked before one starts.

    Args:
        path: YAML file, or the name of one of the laboratory.
        folder: folder of records, report and plots.
        runs_folder: folder of the models; default: `runs` in `folder`.

    Raises:
        RecipeError: an invalid study or recipe, or two variants of a finding that are the same.
    """
    path, folder = find_study(path), Path(folder)
    tree = read_tree(path)
    file: StudyFile = build_section(StudyFile, tree, "", search_folders(path))
    runs_folder = Path(runs_folder or folder / "runs")
    planner = _Planner(file, path, runs_folder)
    records = folder / RECORDS_FOLDER
    # What the file says of the data, not where it is on this machine.
    evaluation = json.dumps(tree["evaluation"], sort_keys=True)
    shared: dict[str, StudyRun] = {}
    runs = {}
    for name, finding in file.findings.items():
        for seed in file.seeds:
            for variant, section in finding.variants.items():
                with errors_of(f"findings.{name}.variants.{variant}"):
                    steps = planner.plan(section.steps, seed)
                fingerprint = _hash(steps[-1].fingerprint, evaluation)
                if finding.is_retrieval:
                    fingerprint = _hash(steps[-1].fingerprint, evaluation, finding.text_lang or "transcripts")
                new = StudyRun(f"{name}-{variant}", seed, steps, fingerprint, records, text_lang=finding.text_lang)
                run = runs[name, variant, seed] = shared.setdefault(fingerprint, new)
                run.tasks += [finding.task] if finding.task not in run.tasks else []
            _check_different(name, finding, {v: runs[name, v, seed].fingerprint for v in finding.variants})
    return Study(file, path, folder, runs_folder, runs)


class _Planner:
    """Makes the steps of variants, each distinct one once."""

    def __init__(self, file: StudyFile, path: Path, folder: Path) -> None:
        self.file, self.path, self.folder = file, path, folder
        self.steps: dict[str, StudyStep] = {}

    def plan(self, uses: Sequence[StepUse | str], seed: int) -> tuple[StudyStep, ...]:
        steps: list[StudyStep] = []
        for use in uses:
            name, values = (use, {}) if isinstance(use, str) else (use.step, use.set)
            steps.append(self._plan_step(name, self.file.steps[name], values, seed, steps[-1] if steps else None))
        if steps[-1].kind == _TOKENIZER:
            raise RecipeError("steps: the last one must train a model")
        return tuple(steps)

    def _plan_step(
        self, name: str, section: StepSection, values: Mapping[str, Any], seed: int, start: StudyStep | None
    ) -> StudyStep:
        beside = self.path.parent / section.recipe
        recipe = beside if beside.is_file() else find_recipe(section.recipe)
        tree = read_tree(recipe)
        kind = tree.get("kind", DEFAULT_KIND)
        seeds = ("kmeans.seed", "contrastive.training.seed") if kind == _TOKENIZER else ("training.seed",)
        settings = {**section.set, **values, **dict.fromkeys(seeds, seed)}
        overrides = tuple(_set(key, value) for key, value in settings.items())
        for override in overrides:
            apply_override(tree, override)
        tree.pop("output", None)
        # What the recipe says, not what it is resolved to: records are valid on other machines.
        fingerprint = _hash(json.dumps(tree, sort_keys=True), start.fingerprint if start else "")
        if fingerprint not in self.steps:
            load_recipes(recipe, overrides)
            folder = self.folder / f"{name}_seed{seed}_{fingerprint}"
            self.steps[fingerprint] = StudyStep(name, kind, recipe.resolve(), overrides, start, fingerprint, folder)
        return self.steps[fingerprint]


def _check_different(name: str, finding: FindingSection, fingerprints: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for variant, fingerprint in fingerprints.items():
        if fingerprint in seen:
            raise RecipeError(
                f"findings.{name}: the variants {seen[fingerprint]} and {variant} are the same; does a value repeat "
                "that of the recipe?"
            )
        seen[fingerprint] = variant


def _set(key: str, value: Any) -> str:
    return f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"


def _hash(*parts: str) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=6).hexdigest()
