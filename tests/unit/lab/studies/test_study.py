# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Studies: what is shared, what is run again, the records, the verdicts and the page."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from helpers import REPOSITORY_ROOT
from tiny_trainers import recipe_arguments

pytest.importorskip("scipy", reason="needs the extra lab")

from lab import commands
from lab.recipe_files import CONFIGURATION, find_study
from lab.studies.job_pool import LOG_FILE
from lab.studies.study import FINISHED_FILE, plan_study
from lab.studies.study_execution import run_study
from lab.studies.study_report import format_report, save_study
from mu2slam_hf.cli import main
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.selection import part_of
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.recipes.schema.loader import RecipeError

QUICK = {"training.max_steps": 2, "training.save_steps": 2, "evaluation.corpora": {}}
# Variant -> CER by seed; `test_seed_comparison` has the intervals.
CER = {"pretrained": (10.0, 12.0, 14.0), "scratch": (13.0, 16.0, 16.0), "slower": (9.0, 8.0, 13.0)}


@pytest.fixture
def tree(tones):
    """Two findings with three variants on tones; the first variants of both are the same."""
    values = dict(item.split("=", 1) for item in recipe_arguments("supervised", tones, Path("run"))[1:])
    places = {key: value for key, value in values.items() if key.startswith("data.")}
    pretrained = {"steps": ["pretrain", "recognize"]}
    slower = {"steps": ["pretrain", {"step": "recognize", "set": {"optim.learning_rate": 1e-4}}]}
    finding = {"task": "asr", "metric": "cer", "reference": "pretrained"}
    return {
        "title": "Tones",
        "notes": "Chosen on nothing.",
        "seeds": [1, 2, 3],
        "evaluation": {"manifest": str(tones), "part": None},
        "steps": {
            "pretrain": {"recipe": "mu2slam/pretrain_tiny_test", "set": {**places, **QUICK}},
            "recognize": {"recipe": "mu2slam/finetune_tiny_test", "set": {**places, **QUICK, "data.curriculum": []}},
        },
        "findings": {
            "pretraining": {
                **finding,
                "hypothesis": "It helps.",
                "variants": {"pretrained": pretrained, "scratch": {"steps": ["recognize"], "expected": "worse"}},
            },
            "rate": {**finding, "hypothesis": "Slow.", "variants": {"pretrained": pretrained, "slower": slower}},
        },
    }


@pytest.fixture
def plan(tree, tmp_path):
    def plan_one(**changes):
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(tree | changes), encoding="utf-8")
        return plan_study(path, tmp_path / "out")

    return plan_one


class Commands:
    """Stands in for the commands: writes what they write, with planted scores."""

    def __init__(self, study, fails_at=()):
        self.study, self.fails_at, self.seen = study, fails_at, []

    def __call__(self, arguments, log):
        values = dict(zip(arguments[1::2], arguments[2::2], strict=False))
        model = Path(values["--model"]) if arguments[0] == "evaluate" else log.parent / "final"
        self.seen.append(f"{arguments[0]} {model.parent.name}")
        if any(name in model.parent.name for name in self.fails_at):
            raise RuntimeError("killed")
        if arguments[0] == "train":
            model.mkdir(parents=True)
            return
        assert model.is_dir() and values["--tasks"] == "asr" and "--part" not in values
        variant, seed = next(
            (variant, seed) for (_, variant, seed), run in self.study.runs.items() if run.steps[-1].output == model
        )
        assert values["--seed"] == str(seed)
        save_record(values["--results"], CER[variant][seed - 1], seed)


def save_record(path, cer, seed):
    shared = {"task": "asr", "source_lang": "mean", "target_lang": "mean", "source_lang_given": True, "num_items": 2}
    scores = [
        Score(metric=name, value=value, signature=name, **shared) for name, value in (("wer", 50.0), ("cer", cer))
    ]
    empty = {"machine": {}, "versions": {}, "model": {}, "data": {}, "settings": {}}
    EvaluationResults(
        command="test", created="", git_commit=None, seed=seed, duration_seconds=0.0, scores=scores, **empty
    ).save(path)


def test_equal_beginnings_are_trained_once_for_each_seed(plan):
    study = plan()
    assert len(study.runs) == 12 and len(study.unique_runs) == 9
    assert [run.seed for run in study.unique_runs] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    steps = {step for run in study.unique_runs for step in run.steps}
    assert sorted(step.name for step in steps) == ["pretrain"] * 3 + ["recognize"] * 9
    commands = Commands(study)
    assert run_study(study, command=commands) == {}
    assert len(commands.seen) == len(set(commands.seen)) == 3 + 9 + 9
    # The second step starts from the result of the first one; new weights have no start.
    pretrained, scratch = (study.runs["pretraining", variant, 2].steps for variant in ("pretrained", "scratch"))
    assert f'model.init_from="{pretrained[0].output}"' in pretrained[1].arguments
    assert "model.config=null" in pretrained[1].arguments and "training.seed=2" in pretrained[1].arguments
    assert scratch[0].start is None and not any("init_from" in one for one in scratch[0].arguments)


def test_what_was_interrupted_is_done_and_nothing_else(plan):
    study = plan()
    errors = run_study(study, command=Commands(study, fails_at=["pretrain_seed2", "recognize_seed3"]))
    assert {name.split("_")[1] for name in errors} == {"seed2", "seed3"} and len(errors) == 4
    assert all(str(error) == "killed" for error in errors.values())
    left = [run for run in study.unique_runs if run.load_record() is None]
    assert [run.seed for run in left] == [2, 2, 3, 3, 3]
    again = Commands(study)
    assert run_study(plan(), command=again) == {}
    # Seed 2: pre-training, both runs from it, their evaluations; seed 3: three runs and their evaluations.
    assert sum("pretrain" in one for one in again.seen) == 1 and len(again.seen) == 5 + 6
    assert run_study(plan(), command=again) == {} and len(again.seen) == 11
    # Records suffice: the models of a finished study may be deleted.
    shutil.rmtree(study.runs_folder)
    assert run_study(plan(), command=again) == {} and len(again.seen) == 11


def test_a_model_that_is_trained_is_only_evaluated(plan):
    study = plan()
    run_study(study, command=Commands(study))
    run = study.runs["rate", "slower", 1]
    run.record_path.unlink()
    shutil.rmtree(run.steps[0].folder)
    again = Commands(study)
    run_study(plan(), command=again)
    assert again.seen == [f"evaluate {run.steps[-1].folder.name}"]


def test_a_changed_recipe_is_another_run_and_another_place_is_not(plan, tree, tmp_path, tones):
    study = plan()
    run_study(study, command=Commands(study))
    assert all(run.load_record() for run in plan(notes="Other words.").unique_runs)
    other = plan(evaluation={"manifest": str(tones), "part": None, "limit": 2})
    assert not any(run.load_record() for run in other.unique_runs)
    tree["steps"]["pretrain"]["set"]["optim.noam_factor"] = 2
    done = [run.load_record() is not None for run in plan().unique_runs]
    assert done == [False, True, False] * 3
    # A finding of another task needs its scores too.
    tree["steps"]["pretrain"]["set"].pop("optim.noam_factor")
    tree["findings"]["rate"].update(task="ast", metric="chrf")
    assert [run.load_record() is not None for run in plan().unique_runs] == [False, True, False] * 3


def test_some_findings_and_seeds(plan):
    study = plan()
    runs = study.runs_of(["rate"], [2])
    assert [(run.name, run.seed) for run in runs] == [("pretraining-pretrained", 2), ("rate-slower", 2)]
    commands = Commands(study)
    run_study(study, runs, command=commands)
    assert len(commands.seen) == 5
    with pytest.raises(ValueError, match=r"'noise' is not in .*; it has pretraining, rate"):
        study.runs_of(["noise"])


def test_the_records_say_how_the_model_was_trained(plan):
    study = plan()
    run_study(study, command=Commands(study), num_processes=2)
    run = study.runs["rate", "slower", 3]
    record = run.load_record()
    assert record.seed == 3 and record.settings["study"]["file"] == "tiny.yaml"
    pretrain, recognize = record.settings["study"]["steps"]
    assert pretrain["recipe"] == "pretrain_tiny_test" and "optim.learning_rate=0.0001" in recognize["set"]
    finished = json.loads((run.steps[0].folder / FINISHED_FILE).read_text())
    assert finished["seconds"] >= 0 and finished["arguments"][0] == "train"


def test_the_page_its_verdicts_and_its_plots(plan):
    study = plan()
    assert "0 of 9 runs are done" in format_report(study) and "| not run |" in format_report(study)
    run_study(study, command=Commands(study))
    written = {path.name: path.read_text() for path in save_study(study)}
    assert set(written) == {"README.md", "values.json", "pretraining.svg", "rate.svg"}
    slower = json.loads(written["values.json"])["rate"]["variants"]["slower"]
    assert slower == {"expected": None, "values": {"1": 9.0, "2": 8.0, "3": 13.0}}
    page = written["README.md"]
    assert page.startswith("# Tones\n\nChosen on nothing.\n\n9 of 9 runs are done (seeds 1, 2, 3)")
    assert "| [pretraining](#pretraining) | scratch | +3.0 CER | worse | same sign |" in page
    assert "| [rate](#rate) | slower | -2.0 CER |  | no effect |" in page
    assert "| pretrained | 10.0 12.0 14.0 | 12.0 | 2.0 |  |  |  |  |  |" in page
    assert "| scratch | 13.0 16.0 16.0 | 15.0 | 1.7 | +3.0 | [+0.5, +5.5] | 0 of 3 | worse | same sign |" in page
    assert "| slower | 9.0 8.0 13.0 | 10.0 | 2.6 | -2.0 | [-6.3, +2.3] | 3 of 3 |  | no effect |" in page
    assert "](rate.svg)" in page and "<svg" in written["rate.svg"]
    # The same records give the same files, so that they can be committed.
    assert {path.name: path.read_text() for path in save_study(plan())} == written


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda tree: tree["findings"]["rate"].update(reference="fast"), "'fast' is not among the variants"),
        (
            lambda tree: tree["findings"]["rate"].update(group="seen"),
            r"rate\.group: 'seen' is not in evaluation\.groups",
        ),
        (lambda tree: tree["findings"]["rate"]["variants"]["slower"]["steps"].append("test"), "no such step: 'test'"),
        (
            lambda tree: tree["findings"]["rate"]["variants"]["slower"].update(steps=["pretrain", "recognize"]),
            "the same",
        ),
        (lambda tree: tree["findings"]["rate"]["variants"]["slower"].update(steps=[]), r"slower\.steps: is required"),
        (lambda tree: tree["steps"]["recognize"]["set"].update({"optim.rate": 1}), r"optim\.rate: unknown key"),
        (lambda tree: tree["steps"]["recognize"].update(recipe="recognise"), "no such recipe"),
        (lambda tree: tree.update(seeds=[1, 1]), "expected different seeds"),
        (lambda tree: tree["evaluation"].update(name="prompts5"), "give either a corpus"),
        (lambda tree: tree["evaluation"].update(part="dev"), r"evaluation\.part: expected one of choosing, reporting"),
    ],
)
def test_a_study_that_is_wrong_is_an_error_before_anything_runs(plan, tree, change, message):
    change(tree)
    with pytest.raises(RecipeError, match=message):
        plan()


def test_speech_ids_are_trained_first(plan, tree, tones):
    corpora = {"corpora": {"train": {"manifest": str(tones)}}, "codebook.num_codevectors": 16}
    tree["steps"]["kmeans"] = {"recipe": "study_kmeans", "set": corpora}
    tree["findings"]["rate"]["variants"]["slower"]["steps"] = ["kmeans", "pretrain", "recognize"]
    kmeans, pretrain, _ = plan().runs["rate", "slower", 2].steps
    assert kmeans.arguments[0] == "train" and "kmeans.seed=2" in kmeans.arguments
    assert f'output="{kmeans.output}"' in kmeans.arguments
    assert f'speech_tokenizer.init_from="{kmeans.output}"' in pretrain.arguments
    tree["findings"]["rate"]["variants"]["slower"]["steps"] = ["kmeans"]
    with pytest.raises(RecipeError, match="the last one must train a model"):
        plan()


def test_two_findings_from_the_first_update_to_the_page(plan, tree, tmp_path, capsys):
    """With the commands themselves, in this process: pre-training, fine-tuning from it and without it, evaluation."""
    study = plan(seeds=[1], evaluation=tree["evaluation"] | {"part": "reporting"})
    assert run_study(study, command=in_this_process) == {}
    for variant in ("pretrained", "scratch"):
        assert study.values_of("pretraining", variant)[1] > 0  # nothing is learned in two updates
    # Every variant has weights of its own.
    records = [run.load_record() for run in study.unique_runs]
    assert len({record.model["weights_sha256"] for record in records}) == 3
    ids = {record.id for record in read_manifest(tree["evaluation"]["manifest"])}
    reported = [one for one in ids if part_of(one) == "reporting"]
    assert records[0].data["part"] == "reporting" and records[0].data["num_records"] == 2 * len(reported) > 0
    capsys.readouterr()
    # The command finds everything done, and writes the page.
    assert commands.main(["study", str(tmp_path / "tiny.yaml"), "--output", str(tmp_path / "out")]) == 0
    assert "3 runs in" in capsys.readouterr().out
    assert "| too few seeds |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "part"), [("findings", "reporting"), ("mboshi", None), ("equal_time", "reporting"), ("data", "reporting")]
)
def test_the_studies_of_the_laboratory_are_valid(tmp_path, data_root, monkeypatch, name, part):
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    monkeypatch.setenv("MU2SLAM_SYNTHETIC", str(tmp_path))
    (tmp_path / "short_sentences").mkdir()
    (tmp_path / "short_sentences/manifest.tsv").touch()
    study = plan_study(name, tmp_path)
    assert find_study(name) == study.path and len(study.file.seeds) >= 2
    assert study.file.evaluation.part == part
    # Nothing that is trained reads what is reported.
    assert "dev" not in json.dumps([list(step.overrides) for run in study.unique_runs for step in run.steps])


def test_findings_about_groups_of_languages(plan, tree):
    """The evaluation gets the groups, and the finding reads the mean over one of them."""
    tree["evaluation"] |= {"groups": {"seen": ["en", "fr"]}, "directions": ["fr-en"], "language_accuracy": True}
    tree["findings"]["rate"]["group"] = "seen"
    study = plan(**tree)
    given = []

    def command(arguments, log):
        given.append(list(arguments))
        Commands(study)([one for one in arguments if one != "--language-accuracy"], log)

    run_study(study, command=command)
    evaluations = [arguments for arguments in given if arguments[0] == "evaluate"]
    assert all(
        {"seen=en,fr", "--language-accuracy"} <= set(arguments) and "--directions" not in arguments
        for arguments in evaluations
    )
    run = study.runs["rate", "slower", 1]
    record = EvaluationResults.load(run.record_path)
    own = replace(record.scores[1], value=7.0, group="seen languages")
    replace(record, scores=(*record.scores, own)).save(run.record_path)
    with pytest.raises(ValueError, match="has no cer"):
        study.values_of("rate", "pretrained")
    study.file.seeds[1:] = []
    assert study.values_of("rate", "slower") == {1: 7.0}


def test_the_speech_llm_study_is_valid(tmp_path, monkeypatch):
    """Its data and base are made by hand: stand-ins."""
    for part in ("seen", "test"):
        write_tone_corpus(tmp_path / "spoken" / part).rename(tmp_path / "spoken" / part / "manifest.tsv")
    monkeypatch.setenv("MU2SLAM_SPOKEN", str(tmp_path / "spoken"))
    monkeypatch.setenv("MU2SLAM_BASE", str(tmp_path))
    study = plan_study("speech_llm", tmp_path / "out")
    assert len(study.unique_runs) == 3 * 4
    steps = {step.folder.name for run in study.unique_runs for step in run.steps}
    assert len(steps) == 3 * 5, "the first stage is shared by two variants"


def test_the_study_of_dual_encoders_is_valid(tmp_path, data_root, monkeypatch):
    for name in ("all", "seen_a", "seen_b"):
        (tmp_path / "lm" / name).mkdir(parents=True)
    (tmp_path / "dual_encoder").mkdir()
    (tmp_path / "dual_encoder/manifest.tsv").touch()
    variables = {"DATA": data_root, "SYNTHETIC": tmp_path, "LANGUAGE_MODELS": tmp_path / "lm"}
    for name, value in {**variables, "SPEECH_TOKENIZER": tmp_path}.items():
        monkeypatch.setenv(f"MU2SLAM_{name}", str(value))
    study = plan_study("dual_encoder", tmp_path)
    # In each fold three variants for transcripts, in the first also new text rows, and two for translations.
    assert len(study.runs_of(seeds=[1])) == 9 and len({run.text_lang for run in study.unique_runs}) == 2
    assert {step.kind for run in study.unique_runs for step in run.steps} == {"dual_encoder"}


def test_findings_of_retrieval_are_measured_within_languages(tree, tmp_path):
    finding = {"task": "retrieval_speech_to_text", "metric": "recall@1", "reference": "a", "hypothesis": "x"}
    variants = {"a": {"steps": ["recognize"]}, "b": {"steps": ["pretrain", "recognize"]}}
    tree["findings"] = {
        "unseen": {**finding, "languages": ["es", "fr"], "variants": variants},
        "all": {**finding, "variants": variants},
        "translations": {**finding, "text_lang": "en", "variants": variants},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree | {"seeds": [1]}), encoding="utf-8")
    study, seen = plan_study(path, tmp_path / "out"), []

    def command(arguments, log):
        seen.append(arguments)
        if arguments[0] == "train":
            (log.parent / "final").mkdir(parents=True)
            return
        values = {"es": 10.0, "fr": 30.0, "it": 90.0, "mean": 43.0}
        shared = {"task": "retrieval_speech_to_text", "metric": "recall@1", "source_lang_given": False, "num_items": 2}
        scores = [
            Score(**shared, value=value, source_lang=lang, target_lang=lang, signature="", system="dot")
            for lang, value in values.items()
        ]
        empty = {"machine": {}, "versions": {}, "model": {}, "data": {}, "settings": {}}
        results = Path(arguments[arguments.index("--results") + 1])
        EvaluationResults(
            command="test", created="", git_commit=None, seed=1, duration_seconds=0.0, scores=scores, **empty
        ).save(results)

    assert run_study(study, command=command) == {}
    retrieved = [arguments for arguments in seen if arguments[0] == "retrieve"]
    assert len(retrieved) == 4 and sum("--text-lang" in arguments for arguments in retrieved) == 2
    assert all("--within" in arguments for arguments in retrieved)
    assert study.values_of("unseen", "a") == {1: 20.0} and study.values_of("all", "a") == {1: 43.0}
    assert "R@1 of texts for recordings" in format_report(study)
    tree["findings"]["unseen"]["task"] = "asr"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(RecipeError, match="belong to tasks of retrieval"):
        plan_study(path, tmp_path / "out")


def test_the_help_names_every_study(capsys):
    names = sorted(path.stem for path in (CONFIGURATION / "studies").glob("*.yaml"))
    with pytest.raises(SystemExit):
        commands.main(["study", "--help"])
    assert f"({', '.join(names)})" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_study_that_is_killed_ends_with_the_same_weights(tree, tmp_path):
    """The command and the run that it has started die in the middle of a run; the study goes on."""
    longer = {"training.max_steps": 30, "training.save_steps": 5, "training.logging_steps": 5}
    tree["steps"]["recognize"]["set"].update(longer)
    finding = tree["findings"]["rate"]
    finding["variants"]["slower"]["steps"].remove("pretrain")
    finding["variants"]["pretrained"]["steps"] = ["recognize"]
    tree |= {"seeds": [1], "findings": {"rate": finding}}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    whole, killed = (plan_study(path, tmp_path / name) for name in ("whole", "killed"))
    run_study(whole, command=in_this_process)
    command = [sys.executable, "-m", "lab", "study", str(path), "--output", str(killed.folder)]
    process = subprocess.Popen(command, cwd=REPOSITORY_ROOT, start_new_session=True)
    wait_for(lambda: list(killed.runs_folder.glob("recognize_*/checkpoint-5/trainer_state.json")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert all(run.load_record() is None for run in killed.unique_runs)
    run_study(killed, command=in_this_process)
    for one, other in zip(whole.unique_runs, killed.unique_runs, strict=True):
        assert one.load_record().model["weights_sha256"] == other.load_record().model["weights_sha256"]
    # The first run has not done its first updates twice.
    first = killed.unique_runs[0].steps[-1].folder / LOG_FILE
    assert len(re.findall(r"^ *5/30  loss", first.read_text(), re.MULTILINE)) == 1


def in_this_process(arguments, log):
    """The command itself, its output appended to a file as that of a process."""
    with log.open("a") as file, contextlib.redirect_stdout(file):
        assert main(arguments) == 0


def wait_for(condition, seconds=600.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.05)


SMALL = {"max_steps": 2, "save_steps": 2, "logging_steps": 1}


@pytest.mark.slow
def test_every_variant_of_the_findings_runs(tmp_path, data_root, monkeypatch):
    """With two updates on a few recordings."""
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    tree = yaml.safe_load(find_study("findings").read_text(encoding="utf-8"))
    for name, step in tree["steps"].items():
        corpora, training = "data.corpora", "training"
        values = {"processor.feature_statistics_utterances": 4}
        if name in ("kmeans", "contrastive"):
            corpora, training, values = "corpora", "contrastive.training", {"kmeans.passes": 1}
        values |= {f"{training}.{key}": value for key, value in SMALL.items()} | {f"{corpora}.prompts5.limit": 150}
        values |= {f"{corpora}.interfaces.limit": 100} if name == "pretrain" else {}
        step.setdefault("set", {}).update(values)
    long = tree["findings"]["pretraining"]["variants"]["scratch, as long in all"]["steps"][0]["set"]
    long["training.max_steps"] = 3
    assert_every_variant_runs(tree, tmp_path)


@pytest.mark.slow
def test_every_variant_of_the_mboshi_study_runs(tmp_path, data_root, monkeypatch):
    """With two updates on a few recordings, three where a variant has a number of its own."""
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    tree = yaml.safe_load(find_study("mboshi").read_text(encoding="utf-8"))
    for step in tree["steps"].values():
        step["set"] |= {f"training.{key}": value for key, value in SMALL.items()} | {"data.corpora.mboshi.limit": 60}
    for variant in [variant for finding in tree["findings"].values() for variant in finding["variants"].values()]:
        for use in variant["steps"]:
            if isinstance(use, dict) and "training.max_steps" in use["set"]:
                use["set"]["training.max_steps"] = 3
    assert_every_variant_runs(tree, tmp_path)


def assert_every_variant_runs(tree, folder):
    tree |= {"seeds": [1], "evaluation": tree["evaluation"] | {"limit": 2}}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    study = plan_study(path, folder / "out")
    assert run_study(study, command=in_this_process) == {}
    for finding, section in tree["findings"].items():
        for variant in section["variants"]:
            assert study.values_of(finding, variant).keys() == {1}
    save_study(study)
