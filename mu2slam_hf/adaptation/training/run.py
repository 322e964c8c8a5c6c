# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From recordings to a model: the function behind `mu2slam adapt`."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mu2slam_hf.adaptation.reading.options import TEXT_FORMS
from mu2slam_hf.adaptation.report.prepared_data import PreparedData
from mu2slam_hf.adaptation.training.calibration import calibrate_adaptation, measure_clip_seconds
from mu2slam_hf.adaptation.training.pace import ClosingPace, Pace, TimeBudget, measure_pace
from mu2slam_hf.adaptation.training.plan import Plan, choose_plan, choose_steps
from mu2slam_hf.adaptation.training.pretraining import (
    build_pretraining_tree,
    choose_pretraining,
    choose_pretraining_steps,
    hours_of,
    spoken_hours,
    start_from_pretrained,
)
from mu2slam_hf.adaptation.training.progress import TrainingProgress
from mu2slam_hf.adaptation.training.recipe_runs import remaining_runs
from mu2slam_hf.adaptation.training.recipes import TrainingFiles, build_recipe_tree
from mu2slam_hf.adaptation.training.results import read_curves, render_adapted_card, render_result
from mu2slam_hf.adaptation.training.scores import (
    is_better,
    main_scores,
    read_samples,
    score_model,
    scored_records,
)
from mu2slam_hf.adaptation.training.settings import AdaptationSettings
from mu2slam_hf.adaptation.training.start import Start, find_start, load_untrained
from mu2slam_hf.adaptation.training.workspace import Workspace, copy_adapter, fingerprint_records
from mu2slam_hf.atomic_files import write_text
from mu2slam_hf.checkpoints import load_checkpoint
from mu2slam_hf.data.manifests import read_manifest, write_manifest
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.hub.bundle import add_custom_code
from mu2slam_hf.locks import locked_folder
from mu2slam_hf.recipes.schema.loader import read_tree

RECIPE_FILE, PLAN_FILE, RESULT_PAGE = "recipe.yaml", "plan.json", "results.html"
START_RECIPE, PRETRAINING_RECIPE_FILE = "start", "pretraining_recipe.yaml"
PRETRAINING_FOLDER, UNTRANSCRIBED_FILE = "pretraining", "untranscribed.jsonl"
"""Folder of the run of pre-training, beside that of fine-tuning, and manifest of the speech without text."""
_KEPT = "the model of before is better on the development recordings and was kept; this training is not used"
# Development recordings by which the time of scores is estimated for a start that is not scored.
_TRIAL_RECORDS = 8
# Choice: training that has become slower than it was measured may exceed the time by this share.
_TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class AdaptationResult:
    """A finished adaptation.

    Attributes:
        folder: the model; `from_pretrained` and `pipeline` load it.
        plan: what was chosen, and why.
        before: scores of the start on the development recordings; empty if it could not be scored.
        after: scores of the trained model.
        page: curves, scores and samples as an HTML file.
        kept_start: whether the model that was continued has better scores, and stays in the folder.
    """

    folder: Path
    plan: Plan
    before: dict[str, float]
    after: dict[str, float]
    page: Path
    kept_start: bool = False


def adapt(
    prepared: PreparedData,
    output_dir: str | os.PathLike[str],
    settings: AdaptationSettings | None = None,
    *,
    continue_changed: bool = False,
    started: float | None = None,
    say: Callable[[str], None] = print,
) -> AdaptationResult:
    """Train a model on recordings, and leave it calibrated, scored and described in a folder.

    Called again with the same data and settings, an interrupted adaptation continues where it was and ends with the
    same weights; a finished one is only reported.

    Args:
        prepared: from `prepare_data`.
        output_dir: folder of the model; everything else is in its subfolder `adaptation`.
        settings: what the user has decided; default: `AdaptationSettings()`.
        continue_changed: train on from the model in `output_dir`, with data or settings that may have changed. It is
            replaced only by a model with better scores, see `mean_error`.
        started: `time.monotonic()` of the beginning, from which `settings.time_seconds` counts; None: now.
        say: receives lines for the user.

    Raises:
        ValueError: nothing to train on, a start that is no model, characters that cannot be added, a short time, other
            data or settings than those of an adaptation begun in the folder, or another process that adapts there.
    """
    settings = settings or AdaptationSettings()
    if not prepared.split.train:
        raise ValueError("there is no recording with text to train on")
    workspace, records = Workspace(output_dir), fingerprint_records(prepared)
    with locked_folder(workspace.folder):
        if continue_changed:
            settings = workspace.continue_round(settings, records)
        workspace.check_identity(settings, records)
        adaptation = _Adaptation(prepared, workspace, settings, time.monotonic() if started is None else started, say)
        if not workspace.is_finished:
            adaptation.run()
        else:
            say(f"{workspace.output_dir} is finished")
        return adaptation.result()


class _Adaptation:
    """The steps of an adaptation; each is skipped if its file exists."""

    def __init__(
        self,
        prepared: PreparedData,
        workspace: Workspace,
        settings: AdaptationSettings,
        started: float,
        say: Callable[[str], None],
    ) -> None:
        self.prepared, self.workspace, self.settings = prepared, workspace, settings
        self.started, self.say = started, say
        report = prepared.report
        self.parallel = [record for record in prepared.texts if record.translations]
        paired = {lang for record in self.parallel for lang in record.translations}
        translated = [lang for lang in report.target_langs if report.translated[lang]["train"] or lang in paired]
        self.languages = (report.lang, *translated)
        self.scored = scored_records(prepared.split, self.languages)
        # Values of recipes by the names of their files.
        self.trees: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """All steps.

        Raises:
            ValueError: no plan can be made; nothing of the adaptation is left then.
        """
        try:
            plan = self.make_plan(find_start(self.settings.start, self.texts()), self.write_data())
        except ValueError:
            self.workspace.discard_round()
            raise
        for title, text in plan.reasons.items():
            self.report(title, text)
        if plan.start.kind == "checkpoint" and self.scored and not self.workspace.path("before.json").is_file():
            self.score(*load_untrained(self.trees[START_RECIPE]), self.settings.start, "before")
        self.train(plan)
        self.complete(plan)

    def report(self, title: str, text: str) -> None:
        """A line for the user."""
        self.say(f"{title:12} {text}")

    def texts(self) -> dict[str, list[str]]:
        """Texts of the training data by language, the spoken one first."""
        texts: dict[str, list[str]] = {lang: [] for lang in self.languages}
        alone = self.parallel if self.settings.pretrain is None else self.prepared.texts
        for record in (*self.prepared.split.train, *alone):
            for lang, text in ((record.lang, record.text), *record.translations.items()):
                if lang in texts and text is not None:
                    texts[lang].append(text)
        return texts

    def write_data(self) -> TrainingFiles:
        """Manifests of training and development data."""
        split, path = self.prepared.split, self.workspace.path
        # The text of a recording without transcript is no task.
        tasks = ["asr"] if any(record.text for record in split.train) else []
        if any(record.translations for record in split.train):
            tasks += ["ast", "mt"] if tasks else ["ast"]
        replayed = read_manifest(self.settings.replay) if self.settings.replay is not None else []
        parts = {"train": split.train, "dev": split.dev, "texts": self.prepared.texts, "parallel": self.parallel}
        parts["replay"] = replayed
        files = {name: path(f"{name}.jsonl") for name, records in parts.items() if records}
        for name, file in files.items():
            write_manifest(parts[name], file)
        return TrainingFiles(
            train=files["train"],
            dev=files.get("dev"),
            texts=files.get("texts"),
            parallel=files.get("parallel"),
            replay=files.get("replay"),
            tasks=tuple(tasks),
            languages=self.languages,
            replay_languages=tuple(sorted({lang for r in replayed for lang in (r.lang, *r.translations)})),
            replay_hours=hours_of(replayed),
        )

    def make_plan(self, start: Start, files: TrainingFiles) -> Plan:
        """The stored plan; or a new one, for which the speed is measured."""
        file = self.workspace.path(PLAN_FILE)
        hours = hours_of(self.prepared.split.train)
        plan = choose_plan(
            self.settings,
            start,
            train_hours=hours,
            replay_hours=files.replay_hours,
            continued=self.workspace.continues_model(self.settings.start),
        )

        if texts := self.prepared.texts:
            reason = f"{len(self.parallel):,} sentences with translations"
            if alone := len(texts) - len(self.parallel):
                reason += f", {alone:,} without" + (
                    ", which only --pretrain uses" if self.settings.pretrain is None else ""
                )
            plan = replace(plan, reasons={**plan.reasons, "more texts": reason})
        if (form := self.prepared.report.text_form) != "written":
            reason = f"changed to {TEXT_FORMS[form]} in training and development; the model writes such texts"
            plan = replace(plan, reasons={**plan.reasons, "texts": reason})

        def tree_of(plan: Plan) -> dict[str, Any]:
            return build_recipe_tree(plan, self.settings, files, self.workspace.run_dir)

        trial = self.trees[START_RECIPE] = tree_of(replace(plan, max_steps=1, eval_steps=1))
        if file.is_file():
            return Plan.load(file)
        choice = choose_pretraining(
            self.settings,
            train_hours=hours,
            untranscribed_hours=hours_of(self.prepared.untranscribed),
            text_hours=spoken_hours(self.prepared.texts),
        )
        if choice.reason is not None:
            plan = replace(plan, reasons={**plan.reasons, "pre-training": choice.reason})
        self.report("speed", "measured with a few updates")
        pace = measure_pace(trial)
        pretraining_pace = self.measure_pretraining(plan, files) if choice.share else None
        budget = None
        if self.settings.time_seconds is not None:
            closing = self.measure_closing(plan)
            budget = TimeBudget(
                total_seconds=self.settings.time_seconds,
                spent_seconds=time.monotonic() - self.started,
                closing=closing,
                pretraining_share=choice.share,
            )
        plan = choose_steps(plan, self.settings, pace, train_hours=hours, budget=budget)
        tree = tree_of(plan)
        if pretraining_pace is not None:
            left = None if budget is None else budget.update_seconds
            steps = choose_pretraining_steps(choice.share, plan.max_steps, left, pretraining_pace.seconds_per_step)
            plan = self.plan_pretraining(plan, files, pretraining_pace, steps)
            tree = start_from_pretrained(tree, self.workspace.path(PRETRAINING_FOLDER) / "final")
        self.write_recipe(RECIPE_FILE, tree)
        plan.save(file)
        return plan

    def measure_pretraining(self, plan: Plan, files: TrainingFiles) -> Pace:
        """The speed of pre-training, whose data is written."""
        if self.prepared.untranscribed:
            write_manifest(self.prepared.untranscribed, self.workspace.path(UNTRANSCRIBED_FILE))
        return measure_pace(self.pretraining_tree(plan, files, max_steps=1))

    def plan_pretraining(self, plan: Plan, files: TrainingFiles, pace: Pace, steps: int) -> Plan:
        """The plan with its updates of pre-training; writes their recipe."""
        self.write_recipe(PRETRAINING_RECIPE_FILE, self.pretraining_tree(plan, files, max_steps=steps, bf16=pace.bf16))
        reason = f"{plan.reasons['pre-training']}; {steps:,} updates at {pace.seconds_per_step:.2f} s"
        return replace(plan, pretraining_steps=steps, reasons={**plan.reasons, "pre-training": reason})

    def pretraining_tree(self, plan: Plan, files: TrainingFiles, **options: Any) -> dict[str, Any]:
        """Values of the recipe of pre-training."""
        output = self.workspace.path(PRETRAINING_FOLDER)
        manifest = self.workspace.path(UNTRANSCRIBED_FILE) if self.prepared.untranscribed else None
        return build_pretraining_tree(plan, self.settings, files, manifest, output, **options)

    def write_recipe(self, name: str, tree: dict[str, Any]) -> None:
        """Keep the values of a recipe, and write them for the user and for a resumed adaptation."""
        self.trees[name] = tree
        write_text(self.workspace.path(name), yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))

    def measure_closing(self, plan: Plan) -> ClosingPace:
        """The time of scores and calibration, measured with the start."""
        model, processor = load_untrained(self.trees[START_RECIPE])
        if not self.scored:
            score_seconds = 0.0
        elif plan.start.kind == "checkpoint":
            score_seconds = self.score(model, processor, self.settings.start, "before").duration_seconds
        else:
            with tempfile.TemporaryDirectory(prefix="mu2slam-scores-") as folder:
                few = spread_evenly(self.scored, _TRIAL_RECORDS)
                results = score_model(model, processor, few, name="start", folder=Path(folder), stem="start")
            score_seconds = results.duration_seconds * len(self.scored) / len(few)
        train = self.prepared.split.train
        clip_seconds = measure_clip_seconds(model, processor, train, seed=self.settings.seed)
        return ClosingPace(score_seconds=score_seconds, clip_seconds=clip_seconds)

    def train(self, plan: Plan) -> None:
        """The runs of the recipes, from their newest checkpoints."""
        if self.workspace.trained.is_dir():
            return
        deadline = None
        if self.settings.time_seconds is not None:
            deadline = self.started + (1 + _TOLERANCE) * self.settings.time_seconds - plan.closing_seconds
        pretrained = self.workspace.path(PRETRAINING_FOLDER) / "final"
        if plan.pretraining_steps and not pretrained.is_dir():
            self.run_recipe(PRETRAINING_RECIPE_FILE, TrainingProgress(self.say, "pre-training"))
        self.run_recipe(RECIPE_FILE, TrainingProgress(self.say, "training", deadline))

    def run_recipe(self, name: str, progress: TrainingProgress) -> None:
        """The remaining runs of a recipe; a resumed adaptation reads its file."""
        tree = self.trees.get(name) or read_tree(self.workspace.path(name))
        for run in remaining_runs(tree):
            run.run(progress)

    def complete(self, plan: Plan) -> None:
        """Score, calibrate_adaptation and describe a copy of the trained model, then move it into the output folder.

        A model that was continued and has better scores stays there.
        """
        finished = self.workspace.path("model")
        shutil.rmtree(finished, ignore_errors=True)
        trained = self.workspace.trained
        merged = trained / "merged"
        shutil.copytree(merged if merged.is_dir() else trained, finished)
        model, processor = load_checkpoint(str(finished))
        results = []
        if self.scored:
            results = [self.score(model, processor, self.workspace.output_dir.name, "after")]
        result = self.result()
        kept_start = self.workspace.continues_model(self.settings.start) and is_better(result.before, result.after)
        if kept_start:
            plan = replace(plan, reasons={**plan.reasons, "result": _KEPT})
            plan.save(self.workspace.path(PLAN_FILE))
        else:
            self.report("calibration", "recalibrating speech detection for the new model")
            calibrate_adaptation(
                finished,
                self.prepared.split.train,
                plan.calibration_clips,
                seed=self.settings.seed,
                say=partial(self.report, "calibration"),
            )
            self.write_card(finished, model, plan, results)
            if plan.method == "lora":
                copy_adapter(trained, finished)
            self.workspace.publish(finished)
        shutil.rmtree(finished, ignore_errors=True)
        self.write_page(self.result())
        self.workspace.finish({"before": result.before, "after": result.after, "kept_start": kept_start})

    def score(self, model: Any, processor: Any, name: str, stem: str) -> EvaluationResults:
        """Scores on the development recordings, in files of a given name."""
        self.report("scores", f"{len(self.scored)} development recordings, {stem} training")
        return score_model(model, processor, self.scored, name=name, folder=self.workspace.folder, stem=stem)

    def result(self) -> AdaptationResult:
        """Plan and scores of a finished adaptation."""
        scores = {}
        for stem in ("before", "after"):
            file = self.workspace.path(f"{stem}.json")
            scores[stem] = main_scores(EvaluationResults.load(file), self.languages) if file.is_file() else {}
        work = self.workspace
        plan, page = Plan.load(work.path(PLAN_FILE)), work.path(RESULT_PAGE)
        return AdaptationResult(folder=work.output_dir, plan=plan, page=page, kept_start=work.kept_start, **scores)

    def write_card(self, folder: Path, model: Any, plan: Plan, results: list[EvaluationResults]) -> None:
        """`README.md` of the model, and the code that it says the folder has."""
        card = render_adapted_card(
            model,
            self.prepared.report,
            plan,
            name=self.workspace.output_dir.name,
            target_langs=self.languages[1:],
            num_scored=len(self.scored),
            seed=self.settings.seed,
            results=results,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        add_custom_code(folder)

    def write_page(self, result: AdaptationResult) -> None:
        """Curves, scores and samples as one HTML file."""
        page = render_result(
            title=self.workspace.output_dir.name,
            reasons=result.plan.reasons,
            before=result.before,
            after=result.after,
            samples_before=read_samples(self.workspace.path("before.hypotheses.jsonl")),
            samples_after=read_samples(self.workspace.path("after.hypotheses.jsonl")),
            curves=read_curves(self.workspace.run_dir),
        )
        write_text(result.page, page)
