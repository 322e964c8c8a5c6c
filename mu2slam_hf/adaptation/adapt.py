# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From recordings to a model: the function behind `mu2slam adapt`."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mu2slam_hf.adaptation.card import render_adapted_card
from mu2slam_hf.adaptation.fingerprints import fingerprint_records
from mu2slam_hf.adaptation.pace import measure_pace
from mu2slam_hf.adaptation.plan import Pace, Plan, choose_plan, choose_steps
from mu2slam_hf.adaptation.prepared_data import PreparedData
from mu2slam_hf.adaptation.pretraining import (
    build_pretraining_tree,
    choose_pretraining,
    choose_pretraining_steps,
    hours_of,
    start_from_pretrained,
)
from mu2slam_hf.adaptation.recipe_tree import TrainingFiles, build_recipe_tree
from mu2slam_hf.adaptation.result_page import Outcome, read_curves, render_result
from mu2slam_hf.adaptation.scores import Sample, main_scores, read_samples, score_model, scored_records
from mu2slam_hf.adaptation.settings import AdaptationSettings
from mu2slam_hf.adaptation.start import FoundStart, find_start
from mu2slam_hf.adaptation.training_manifest import write_manifest
from mu2slam_hf.adaptation.workspace import Workspace
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.checkpoints import load_checkpoint
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.evaluation.no_speech_calibration import SoundClip, calibrate_checkpoint, speech_clips
from mu2slam_hf.evaluation.results import EvaluationResults
from mu2slam_hf.hub.bundle import add_custom_code
from mu2slam_hf.recipes.runs import load_runs

RECIPE_FILE, PLAN_FILE, RESULT_PAGE = "recipe.yaml", "plan.json", "results.html"
START_RECIPE_FILE, PRETRAINING_RECIPE_FILE = "start_recipe.yaml", "pretraining_recipe.yaml"
PRETRAINING_FOLDER, UNTRANSCRIBED_FILE = "pretraining", "untranscribed.jsonl"
"""Folder of the run of pre-training, beside that of fine-tuning, and manifest of the speech without text."""
ADAPTER_FOLDER = "adapter"
"""Folder inside the model with its low-rank adapters, for the method "lora"."""
# Share of the time that is kept for scores, calibration and the card after training.
_AFTERWARDS = 0.12
_NUM_SPEECH_CLIPS, _NUM_SOUNDS = 100, 300


@dataclass(frozen=True, kw_only=True)
class AdaptationResult:
    """A finished adaptation.

    Attributes:
        folder: the model; `from_pretrained` and `pipeline` load it.
        plan: what was chosen, and why.
        before: scores of the start on the development recordings; empty if it could not be scored.
        after: scores of the model.
    """

    folder: Path
    plan: Plan
    before: dict[str, float]
    after: dict[str, float]


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
        continue_changed: train on from the model in `output_dir`, with data or settings that may have changed.
        started: `time.monotonic()` of the beginning, from which `settings.time_seconds` counts; None: now.
        say: receives lines for the user.

    Raises:
        ValueError: nothing to train on, a start that is no model, characters that cannot be added, or data or settings
            that differ from those of an adaptation that was begun in the folder.
    """
    settings = settings or AdaptationSettings()
    if not prepared.split.train:
        raise ValueError("there is no recording with text to train on")
    workspace = Workspace(output_dir)
    if continue_changed:
        previous = workspace.begin_next_round()
        if previous is not None:
            settings = replace(settings, start=str(previous))
    workspace.check_identity(settings, fingerprint_records(prepared))
    adaptation = _Adaptation(prepared, workspace, settings, time.monotonic() if started is None else started, say)
    if not workspace.is_finished:
        adaptation.run()
    else:
        say(f"{workspace.output_dir} is finished")
    return adaptation.result()


class _Adaptation:
    """The steps of an adaptation; each is skipped if its file is there."""

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
        translated = [lang for lang in report.target_langs if report.translated[lang]["train"]]
        self.languages = (report.lang, *translated)
        self.scored = scored_records(prepared.split, self.languages)

    def run(self) -> None:
        """All steps."""
        found = find_start(self.settings.start, self.texts())
        files = self.write_data()
        plan = self.make_plan(found, files)
        for title, text in plan.reasons.items():
            self.say(f"{title:12} {text}")
        self.train()
        self.complete(plan)

    def texts(self) -> dict[str, list[str]]:
        """Texts of the training recordings by language, the spoken one first."""
        found: dict[str, list[str]] = {lang: [] for lang in self.languages}
        for record in self.prepared.split.train:
            for lang, text in ((record.lang, record.text), *record.translations.items()):
                if lang in found and text is not None:
                    found[lang].append(text)
        return found

    def write_data(self) -> TrainingFiles:
        """Manifests of training and development data."""
        split, path = self.prepared.split, self.workspace.path
        # The text of a recording without transcript is no task.
        tasks = ["asr"] if any(record.text for record in split.train) else []
        if self.languages[1:]:
            tasks += ["ast", "mt"] if tasks else ["ast"]
        replay = None if self.settings.replay is None else Path(self.settings.replay)
        replayed = [] if replay is None else read_manifest(replay)
        for name, records in (("train", split.train), ("dev", split.dev)):
            write_manifest(records, path(f"{name}.jsonl"))
        if replayed:
            write_manifest(replayed, path("replay.jsonl"))
        return TrainingFiles(
            train=path("train.jsonl"),
            dev=path("dev.jsonl") if split.dev else None,
            tasks=tuple(tasks),
            languages=self.languages,
            replay=path("replay.jsonl") if replayed else None,
            replay_languages=tuple(sorted({one for record in replayed for one in _languages_of(record)})),
            replay_hours=hours_of(replayed),
        )

    def make_plan(self, found: FoundStart, files: TrainingFiles) -> Plan:
        """The stored plan; or a new one, for which the speed is measured."""
        file = self.workspace.path(PLAN_FILE)
        if file.is_file():
            return Plan.load(file)
        hours = hours_of(self.prepared.split.train)
        plan = choose_plan(self.settings, found.start, train_hours=hours, replay_hours=files.replay_hours)
        choice = choose_pretraining(
            self.settings, train_hours=hours, untranscribed_hours=hours_of(self.prepared.untranscribed)
        )
        if choice.reason is not None:
            plan = replace(plan, reasons={**plan.reasons, "pre-training": choice.reason})

        def tree_of(plan: Plan) -> dict[str, Any]:
            return build_recipe_tree(
                plan, self.settings, files, self.workspace.run_dir, num_encoder_layers=found.num_encoder_layers
            )

        pace = measure_pace(tree_of(replace(plan, max_steps=1, eval_steps=1)))
        pretraining_pace = self.measure_pretraining(plan, files) if choice.share else None
        time_seconds = self.settings.time_seconds
        left = None
        if time_seconds is not None:
            left = time_seconds * (1 - _AFTERWARDS) - (time.monotonic() - self.started)
        # Pre-training leaves its own share of the time.
        left_after = None if left is None else left * (1 - choice.share)
        plan = choose_steps(plan, self.settings, pace, train_hours=hours, seconds_left=left_after)
        tree = tree_of(plan)
        if pretraining_pace is not None:
            self.write_recipe(START_RECIPE_FILE, tree)
            steps = choose_pretraining_steps(choice.share, plan.max_steps, left, pretraining_pace.seconds_per_step)
            plan = self.plan_pretraining(plan, files, pretraining_pace, steps)
            tree = start_from_pretrained(tree, self.workspace.path(PRETRAINING_FOLDER) / "final")
        self.write_recipe(RECIPE_FILE, tree)
        plan.save(file)
        return plan

    def measure_pretraining(self, plan: Plan, files: TrainingFiles) -> Pace:
        """The speed of pre-training, whose data is written."""
        write_manifest(self.prepared.untranscribed, self.workspace.path(UNTRANSCRIBED_FILE))
        return measure_pace(self.pretraining_tree(plan, files, max_steps=1))

    def plan_pretraining(self, plan: Plan, files: TrainingFiles, pace: Pace, steps: int) -> Plan:
        """The plan with its updates of pre-training; writes their recipe."""
        self.write_recipe(PRETRAINING_RECIPE_FILE, self.pretraining_tree(plan, files, max_steps=steps, bf16=pace.bf16))
        reason = f"{plan.reasons['pre-training']}; {steps:,} updates at {pace.seconds_per_step:.2f} s"
        return replace(plan, pretraining_steps=steps, reasons={**plan.reasons, "pre-training": reason})

    def pretraining_tree(self, plan: Plan, files: TrainingFiles, **options: Any) -> dict[str, Any]:
        """Values of the recipe of pre-training."""
        manifest, output = self.workspace.path(UNTRANSCRIBED_FILE), self.workspace.path(PRETRAINING_FOLDER)
        return build_pretraining_tree(plan, self.settings, files, manifest, output, **options)

    def write_recipe(self, name: str, tree: dict[str, Any]) -> None:
        """Write the values of a recipe."""
        with atomic_path(self.workspace.path(name)) as temporary:
            Path(temporary).write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def score_start(self) -> None:
        """Scores of the start, with the new languages and characters, as it was before training."""
        overrides = ["training.resume=false", "stages=[]"]
        file = self.workspace.path(START_RECIPE_FILE)
        (run,) = load_runs(file if file.is_file() else self.workspace.path(RECIPE_FILE), overrides)
        data = run.load_data()
        processor = run.build_processor(data)
        self.score(run.build_model(processor, data).eval(), processor, self.settings.start, "before")

    def train(self) -> None:
        """The runs of the recipe, from their newest checkpoints."""
        if self.workspace.trained.is_dir():
            return
        pretraining = self.workspace.path(PRETRAINING_RECIPE_FILE)
        if pretraining.is_file() and not (self.workspace.path(PRETRAINING_FOLDER) / "final").is_dir():
            for run in load_runs(pretraining):
                run.run()
        for run in load_runs(self.workspace.path(RECIPE_FILE)):
            run.run()

    def complete(self, plan: Plan) -> None:
        """Calibrate, score and describe a copy of the trained model, then move it into the output folder."""
        finished = self.workspace.path("model")
        shutil.rmtree(finished, ignore_errors=True)
        trained = self.workspace.trained
        merged = trained / "merged"
        shutil.copytree(merged if merged.is_dir() else trained, finished)
        self.say(f"{'calibration':12} the decision whether anybody speaks is fitted to the new model and recordings")
        calibrate_checkpoint(finished, self.speech_clips(), num_sounds=_NUM_SOUNDS, seed=self.settings.seed)
        if self.scored and plan.start.kind == "checkpoint":
            self.score_start()
        model, processor = load_checkpoint(str(finished))
        results = []
        if self.scored:
            results = [self.score(model, processor, self.workspace.output_dir.name, "after")]
        self.write_card(finished, model, plan, results)
        if plan.method == "lora":
            copy_adapter(trained, finished)
        self.workspace.publish(finished)
        shutil.rmtree(finished, ignore_errors=True)
        result = self.result()
        self.write_page(result)
        self.workspace.finish({"before": result.before, "after": result.after})

    def speech_clips(self) -> Iterator[SoundClip]:
        """Training recordings, some of them with noise."""
        chosen = spread_evenly(self.prepared.split.train, _NUM_SPEECH_CLIPS)
        return speech_clips(chosen, "recordings", noisy_share=0.35, seed=self.settings.seed)

    def score(self, model: Any, processor: Any, name: str, stem: str) -> EvaluationResults:
        """Scores on the development recordings, in files of a given name."""
        return score_model(model, processor, self.scored, name=name, folder=self.workspace.folder, stem=stem)

    def result(self) -> AdaptationResult:
        """Plan and scores of a finished adaptation."""
        scores = {}
        for stem in ("before", "after"):
            file = self.workspace.path(f"{stem}.json")
            found = EvaluationResults.load(file) if file.is_file() else None
            scores[stem] = {} if found is None else main_scores(found, self.languages)
        return AdaptationResult(
            folder=self.workspace.output_dir, plan=Plan.load(self.workspace.path(PLAN_FILE)), **scores
        )

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
        outcome = Outcome(
            title=self.workspace.output_dir.name,
            reasons=result.plan.reasons,
            before=result.before,
            after=result.after,
            samples_before=self.samples("before"),
            samples_after=self.samples("after"),
            curves=read_curves(self.workspace.run_dir),
        )
        with atomic_path(self.workspace.path(RESULT_PAGE)) as temporary:
            Path(temporary).write_text(render_result(outcome), encoding="utf-8")

    def samples(self, stem: str) -> list[Sample]:
        """Outputs of an evaluation; none if there was no evaluation."""
        file = self.workspace.path(f"{stem}.hypotheses.jsonl")
        return read_samples(file) if file.is_file() else []


def copy_adapter(trained: Path, model: Path) -> None:
    """Put the adapters of a run into the subfolder `adapter` of its merged, calibrated model.

    Args:
        trained: final folder of the run.
        model: folder of the merged model.
    """
    shutil.copytree(trained, model / ADAPTER_FOLDER, ignore=shutil.ignore_patterns("merged", "README.md"))
    shutil.copyfile(model / "generation_config.json", model / ADAPTER_FOLDER / "generation_config.json")


def _languages_of(record: SpeechTextRecord) -> tuple[str, ...]:
    return (record.lang, *record.translations)
