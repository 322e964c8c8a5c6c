# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A grid of runs over keys of a recipe, resumable, with one record of all results."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lab.recipe_files import find_recipe
from lab.studies.job_pool import LOG_FILE, Job, override_arguments, run_command, run_jobs
from mu2slam_hf.recipes.runs.registry import load_recipe, load_recipes
from mu2slam_hf.recipes.runs.run import final_folder
from mu2slam_hf.recipes.schema.loader import RecipeError, dump_recipe


@dataclass(frozen=True)
class SweepAxis:
    """One dimension of the grid.

    Attributes:
        keys: keys of the recipe, by dotted names, that have the same value in a run.
        values: plain values, as YAML reads them.
    """

    keys: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The last parts of the keys."""
        return "+".join(dict.fromkeys(key.rsplit(".", 1)[-1] for key in self.keys))


def parse_axis(text: str) -> SweepAxis:
    """Read `key=v1,v2`, or `key1,key2=v1,v2` for keys that change together.

    Raises:
        RecipeError: no key, no value, values that are not YAML, a value that occurs twice, or a key of `output`.
    """
    names, separator, listed = text.partition("=")
    keys = tuple(name.strip() for name in names.split(","))
    example = "expected KEY=VALUE,VALUE, for example --over optim.noam_factor=1,2,5"
    if not separator or not all(keys):
        raise RecipeError(f"--over {text!r}: {example}")
    try:
        values = yaml.safe_load(f"[{listed}]")
    except yaml.YAMLError as error:
        raise RecipeError(f"--over {text!r}: the values are not valid YAML; {example}") from error
    if not values:
        raise RecipeError(f"--over {text!r}: no value; {example}")
    shown = [json.dumps(value) for value in values]
    if len(set(shown)) < len(shown):
        raise RecipeError(f"--over {text!r}: a value occurs twice")
    if any(key.split(".")[0] in ("output", "kind") for key in keys):
        raise RecipeError(f"--over {text!r}: output and kind are the same for all runs of a sweep")
    return SweepAxis(keys, tuple(values))


@dataclass
class SweepRun:
    """One point of the grid.

    Attributes:
        values: name of the axis -> value.
        overrides: `a.b=c` of this run, besides those of all runs.
        fingerprint: hash of the whole recipe with these values, without its output folders.
        folder: output folder of the run.
        results: metrics of its evaluation; None before it is finished.
        error: why it failed; None if it did not.
    """

    values: dict[str, Any]
    overrides: list[str]
    fingerprint: str
    folder: str
    results: dict[str, float] | None = None
    error: str | None = None


@dataclass
class Sweep:
    """The runs of a grid and the metric that they are compared by.

    Attributes:
        recipe: file of the recipe.
        axes: dimensions of the grid.
        overrides: `a.b=c` for all runs.
        folder: folder of the sweep.
        metric: name of a metric in the results of a run.
        greater_is_better: whether a larger metric is better.
        runs: all points of the grid, the last axis changing fastest.
        replicates: name of an axis whose values repeat a run, such as seeds or folds; results are averaged over it.
    """

    recipe: str
    axes: list[SweepAxis]
    overrides: list[str]
    folder: str
    metric: str
    greater_is_better: bool
    runs: list[SweepRun] = field(default_factory=list)
    replicates: str | None = None

    @property
    def groups(self) -> list[list[SweepRun]]:
        """The runs that differ in the axis of `replicates` only, in the order of the grid; single runs without it."""
        groups: dict[str, list[SweepRun]] = {}
        for run in self.runs:
            shared = {name: value for name, value in run.values.items() if name != self.replicates}
            groups.setdefault(json.dumps(shared), []).append(run)
        return list(groups.values())

    def value_of(self, run: SweepRun) -> float | None:
        """The metric of a run, None if it is not finished.

        Raises:
            ValueError: the results of a finished run do not have the metric.
        """
        if run.results is None:
            return None
        for name in (self.metric, f"eval_{self.metric}"):
            if name in run.results:
                return float(run.results[name])
        known = ", ".join(sorted(run.results)) or "none; does the recipe have evaluation.corpora?"
        raise ValueError(f"--metric {self.metric}: not among the metrics of {run.folder}: {known}")

    @property
    def best(self) -> SweepRun | None:
        """The finished run with the best metric, the first of equal ones; None if there is none or with replicates."""
        if self.replicates is not None:
            return None
        # NaN is no result: it compares as neither better nor worse.
        scored = [(run, value) for run in self.runs if (value := self.value_of(run)) is not None and value == value]
        if not scored:
            return None
        sign = -1.0 if self.greater_is_better else 1.0
        return min(scored, key=lambda pair: sign * pair[1])[0]

    def to_dict(self) -> dict[str, Any]:
        """Everything, and the fingerprint of the best run, as plain values."""
        best = self.best
        return {**asdict(self), "best": None if best is None else best.fingerprint}


def plan_sweep(
    recipe: str | os.PathLike[str],
    axes: Sequence[SweepAxis],
    *,
    overrides: Sequence[str] = (),
    folder: str | os.PathLike[str] | None = None,
    metric: str | None = None,
    greater_is_better: bool | None = None,
    replicates: str | None = None,
) -> Sweep:
    """The runs of a grid, with the results of those that are finished. All recipes are checked before one starts.

    Args:
        recipe: YAML file, or the name of one of the laboratory or the package.
        axes: dimensions of the grid.
        overrides: `a.b=c` for all runs.
        folder: folder of the sweep; default: the output folder of the recipe with `_sweep` appended.
        metric: metric to compare runs by; default: `training.metric_for_best_model` of the recipe.
        greater_is_better: whether a larger metric is better; default: as the recipe says of its own metric.
        replicates: name of the axis to average over (last part of its key), such as `seed`.

    Raises:
        RecipeError: an invalid recipe, a key that makes no difference, or `replicates` is not an axis.
    """
    recipe = find_recipe(recipe)
    base = load_recipe(recipe, overrides)
    training = base.training
    sweep = Sweep(
        recipe=str(recipe),
        axes=list(axes),
        overrides=list(overrides),
        folder=str(folder or f"{base.output.dir}_sweep"),
        metric=metric or getattr(base, "best_figure", training.metric_for_best_model),
        greater_is_better=training.greater_is_better if greater_is_better is None else greater_is_better,
    )
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        names = ["+".join(axis.keys) for axis in axes]
    if replicates is not None and replicates not in names:
        raise RecipeError(f"--replicates {replicates}: expected one of {', '.join(names)}, the axes of --over")
    sweep.replicates = replicates
    planned: dict[str, SweepRun] = {}
    for values in product(*(axis.values for axis in axes)):
        run = _plan_run(sweep, dict(zip(names, values, strict=True)), values)
        if run.fingerprint in planned:
            raise RecipeError(
                f"--over: {run.values} and {planned[run.fingerprint].values} are the same recipe; is the key set by "
                "a stage or phase, or named twice?"
            )
        planned[run.fingerprint] = run
    sweep.runs = list(planned.values())
    return sweep


def run_sweep(
    sweep: Sweep,
    *,
    train: Callable[[str, Sequence[str], Path], None] | None = None,
    num_processes: int = 1,
    report: Callable[[Sweep, SweepRun], None] = lambda sweep, run: None,
) -> Sweep:
    """Run what is not finished. A run that fails does not end the sweep.

    Args:
        sweep: of `plan_sweep`.
        train: trains a recipe with overrides, given its folder; default: `train_in_subprocess`.
        num_processes: number of runs at a time.
        report: called after each run, finished before or now.

    Returns:
        The sweep with all results.
    """
    runs = {run.fingerprint: run for run in sweep.runs}

    def work(run: SweepRun) -> None:
        if run.results is not None:
            return
        folder = Path(run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (train or train_in_subprocess)(sweep.recipe, _all_overrides(sweep, run), folder)
        run.results = read_results(_final_of(sweep, run))
        if run.results is None:
            raise RuntimeError("ended without results")

    def finish(name: str, error: Exception | None) -> None:
        runs[name].error = None if error is None else str(error)
        report(sweep, runs[name])

    run_jobs([Job(name, partial(work, run)) for name, run in runs.items()], num_processes, finish)
    return sweep


def train_in_subprocess(recipe: str, overrides: Sequence[str], folder: Path) -> None:
    """Train in a process of its own; its output is in `train.log` of the folder.

    Raises:
        RuntimeError: the process failed; the message has the last line of its output.
    """
    run_command(["train", "--recipe", recipe, *override_arguments(overrides)], folder / LOG_FILE)


def read_results(final: Path) -> dict[str, float] | None:
    """The metrics of a final model; None if there is none yet."""
    path = final / "results.json"
    if not path.is_file():
        return None
    results: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return results


def _plan_run(sweep: Sweep, named: Mapping[str, Any], values: Sequence[Any]) -> SweepRun:
    overrides = [
        f"{key}={json.dumps(value)}" for axis, value in zip(sweep.axes, values, strict=True) for key in axis.keys
    ]
    recipes = load_recipes(sweep.recipe, [*sweep.overrides, *overrides])
    dumped = [dump_recipe(replace(recipe, output=replace(recipe.output, dir="", final=None))) for recipe in recipes]
    fingerprint = blake2b("\0".join(dumped).encode(), digest_size=8).hexdigest()
    shown = "_".join(f"{name}-{value}" for name, value in named.items())
    # The fingerprint makes it unique; the values are for people.
    name = f"{re.sub('[^A-Za-z0-9.+_-]+', '-', shown)[:100]}_{fingerprint}"
    run = SweepRun(dict(named), overrides, fingerprint, os.path.join(sweep.folder, name))
    run.results = read_results(_final_of(sweep, run))
    return run


def _all_overrides(sweep: Sweep, run: SweepRun) -> list[str]:
    return [*sweep.overrides, *run.overrides, f"output.dir={json.dumps(run.folder)}", "output.final=null"]


def _final_of(sweep: Sweep, run: SweepRun) -> Path:
    """Final folder of a run, of its last stage if it has stages."""
    return final_folder(load_recipes(sweep.recipe, _all_overrides(sweep, run))[-1])
