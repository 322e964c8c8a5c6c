# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a folder of recordings to a model by one command, which may be killed at any moment."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from document_blocks import command_lines, make_program, read_blocks
from field_recordings import write_clips, write_tape
from helpers import REPOSITORY_ROOT, run_python, save_tiny_checkpoint
from safetensors.torch import load_file
from training_runs import assert_equal_weights, kill_with_children
from transformers import pipeline

from mu2slam_hf.adaptation.training.workspace import Workspace
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.cli import main
from mu2slam_hf.hub.bundle import build_auto_map
from mu2slam_hf.hub.bundle_check import WITHOUT_PACKAGE, check_bundle
from mu2slam_hf.training.checkpoints import list_checkpoints

NUM_STEPS = 8


@pytest.fixture(scope="module")
def field(tmp_path_factory) -> Path:
    """Clips of noise with texts of characters that the tiny model knows, translated, and a tiny model."""
    folder = tmp_path_factory.mktemp("field")
    texts = {f"clip_{n}": f"press one {'abcdefghijklmnopqrst'[n]}" for n in range(20)}
    french = {name: text.replace("press one", "appuyez un") for name, text in texts.items()}
    write_clips(folder / "recordings", texts, **french)
    (folder / "recordings" / "broken.wav").write_bytes(b"RIFF")
    save_tiny_checkpoint(folder / "tiny")
    (folder / "tiny" / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n# Tiny\n")
    (folder / "tiny" / "LICENSE").write_text("Spoken by somebody.")
    return folder


def command(field: Path, output: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "mu2slam_hf.cli", "adapt", str(field / "recordings"), "--lang", "es", "--to", "fr"),
        *("--model", str(field / "tiny"), "--output", str(output), "--max-steps", str(NUM_STEPS), *options),
    ]


def start(arguments: list[str]) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY_ROOT)}
    return subprocess.Popen(
        arguments, cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(arguments: list[str], status: int = 0) -> tuple[str, str]:
    process = start(arguments)
    printed, errors = process.communicate(timeout=500)
    assert process.returncode == status, errors
    return printed, errors


@pytest.fixture(scope="module")
def finished(field) -> Path:
    """The folder that the command leaves, and what it printed."""
    output = field / "model"
    printed, errors = run(command(field, output))
    (field / "printed.txt").write_text(printed)
    (field / "errors.txt").write_text(errors)
    return output


def test_the_command_says_what_it_does_and_leaves_a_model(field, finished):
    printed = (field / "printed.txt").read_text()
    assert "broken.wav: " in printed
    assert "training     all weights, because the model is small (0 M parameters)" in printed
    assert "CER of transcription" in printed and "BLEU of translation into fr" in printed
    for line in (
        "speed        measured with a few updates",
        r"scores       \d+ development recordings, before training",
        rf"training     update {NUM_STEPS} of {NUM_STEPS}, .*% of the characters wrong",
        r"scores       \d+ development recordings, after training",
        r"calibration  (3\d\d) of \1 recordings and sounds",
    ):
        assert re.search(rf"^{line}", printed, re.MULTILINE), line
    assert "grad_norm" not in printed and "ctc_cer" not in printed
    assert "Writing model shards" not in (field / "errors.txt").read_text()
    work = finished / "adaptation"
    for name in ("report.html", "data.json", "recipe.yaml", "plan.json", "results.html", "before.json", "after.json"):
        assert (work / name).is_file(), name
    page = (work / "results.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2 and page.count('class="sample"') >= 5
    card = (finished / "README.md").read_text(encoding="utf-8")
    assert "Transcribes Spanish (es) and translates it into French (fr)" in card
    assert "differs from the paper" not in card and "modeling_" not in card
    assert "license: cc-by-sa-4.0" in card and (finished / "LICENSE").read_text() == "Spoken by somebody."
    assert "no_speech" in json.loads((finished / "generation_config.json").read_text())
    assert not (work / "model").exists()
    transcriber = pipeline("automatic-speech-recognition", model=str(finished))
    assert isinstance(transcriber(str(field / "recordings" / "clip_0.wav"))["text"], str)


def test_the_card_says_how_the_folder_loads(field, finished, tmp_path, capsys):
    """The commands and calls of the card with the package, and its last block without the package, moved elsewhere."""
    blocks = read_blocks("README.md", (finished / "README.md").read_text(encoding="utf-8"))
    (commands,) = (block for block in blocks if block.language == "bash")
    with_package, without_package = (block for block in blocks if block.language == "python")
    moved = shutil.copytree(finished, tmp_path / "moved", ignore=shutil.ignore_patterns("adaptation"))
    check_bundle(moved, build_auto_map(MODEL_TYPES["mu2slam"]))

    def fill_in(text: str) -> str:
        return text.replace("recording.wav", str(field / "recordings" / "clip_0.wav")).replace(
            "PATH_OR_NAME", str(moved)
        )

    for command in command_lines(fill_in(commands.text)):
        assert main(shlex.split(command)[1:]) == 0, command
    exec(fill_in(with_package.text), {})
    program = WITHOUT_PACKAGE + make_program(without_package.text, moved)
    done = run_python(program, HF_HOME=str(tmp_path / "home"))
    assert isinstance(ast.literal_eval(done.stdout.splitlines()[-1])[0], str)


def test_the_same_command_again_only_reports_and_another_one_is_refused(field, finished):
    before = (finished / "model.safetensors").stat().st_mtime_ns
    printed, _ = run(command(field, finished))
    assert f"{finished} is finished" in printed and "CER of transcription" in printed
    assert (finished / "model.safetensors").stat().st_mtime_ns == before
    _, errors = run(command(field, finished, "--seed", "5"), status=1)
    assert "began with seed 0, not 5" in errors and "--continue" in errors


def test_changed_data_continues_on_purpose(field, finished, tmp_path):
    copy = shutil.copytree(field, tmp_path / "field")
    write_clips(copy / "recordings", {"clip_x": "press two"})
    _, errors = run(command(copy, copy / "model"), status=1)
    assert "the data has changed since this adaptation began" in errors and "1 added" in errors
    printed, _ = run(command(copy, copy / "model", "--continue"))
    assert f"the checkpoint {copy / 'model' / 'adaptation_1' / 'run' / 'final'}" in printed
    assert (copy / "model" / "adaptation" / "finished.json").is_file()


def test_a_better_model_is_not_replaced(field, finished, tmp_path, monkeypatch, capsys):
    """The scores of before are called the better ones; then they are compared as they are."""
    copy = shutil.copytree(field, tmp_path / "field")
    write_clips(copy / "recordings", {"clip_x": "press two"})
    weights = (finished / "model.safetensors").read_bytes()
    arguments = command(copy, copy / "model", "--continue")[3:]
    monkeypatch.setattr("mu2slam_hf.adaptation.training.run.is_better", lambda first, second: bool(first and second))
    assert main(arguments) == 0
    assert "The model of before is better on the development recordings and was kept" in capsys.readouterr().out
    work = copy / "model" / "adaptation"
    assert (copy / "model" / "model.safetensors").read_bytes() == weights
    assert (copy / "model" / "README.md").read_bytes() == (finished / "README.md").read_bytes()
    assert json.loads((work / "finished.json").read_text())["kept_start"]
    assert "was kept" in (work / "results.html").read_text(encoding="utf-8")

    monkeypatch.setattr("mu2slam_hf.adaptation.training.run.is_better", lambda first, second: False)
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"the checkpoint {copy / 'model' / 'adaptation_1' / 'run' / 'final'}" in printed, "not the rejected one"
    assert "was kept" not in printed
    assert (copy / "model" / "model.safetensors").read_bytes() != weights


def test_a_time_that_is_too_short_is_refused_and_leaves_nothing_begun(field, tmp_path, capsys):
    output = tmp_path / "model"
    arguments = command(field, output)[3:]
    place = arguments.index("--max-steps")
    assert main([*arguments[:place], "--time", "1s"]) == 1
    message = capsys.readouterr().err
    assert re.search(r"--time 1 s is too short: .* give at least \d+ min", message), message
    assert not (output / "config.json").exists() and not (output / "adaptation" / "identity.json").exists()
    with pytest.raises(SystemExit):
        main([*arguments, "--time", "8min"])
    assert "--time: not allowed with argument --max-steps" in capsys.readouterr().err


def test_adapters_are_left_for_the_model_that_they_started_from(field, tmp_path, capsys):
    """The start with the adapter writes what the merged model writes."""
    texts = {f"clip_{n}": f"press \u0254 {'abcdefghijklmnopqrst'[n]}" for n in range(20)}
    write_clips(tmp_path / "recordings", texts)
    output = tmp_path / "model"
    options = ("--lang", "mdw", "--method", "lora", "--max-steps", "2")
    printed, _ = run(
        [
            *(sys.executable, "-m", "mu2slam_hf.cli", "adapt", str(tmp_path / "recordings"), *options),
            *("--model", str(field / "tiny"), "--output", str(output)),
        ]
    )
    assert "low-rank adapters, as asked for" in printed
    transcribe = ["transcribe", str(tmp_path / "recordings" / "clip_0.wav"), "--from", "mdw", "--json"]
    capsys.readouterr()
    assert main([*transcribe, "--model", str(output)]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert main([*transcribe, "--model", str(field / "tiny"), "--adapter", f"mdw={output}/adapter"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == alone["text"]


def test_recordings_without_text_are_used_before(field, tmp_path):
    """Pre-training on them, then fine-tuning from its result; an interrupted command continues after both."""
    copy = shutil.copytree(field / "recordings", tmp_path / "recordings")
    for number in range(3):
        write_tape(copy / f"tape_{number}.wav", 20.0, seed=number)
    write_tape(tmp_path / "more" / "tape.wav", 12.0, seed=9)
    output = tmp_path / "model"
    arguments = command(field, output, "--pretrain", str(tmp_path / "more"), "--max-steps", "4")
    arguments[arguments.index(str(field / "recordings"))] = str(copy)
    printed, _ = run(arguments)
    assert re.search(r"pre-training +\d+% of the time, for 0.0 h without text", printed)
    work = output / "adaptation"
    manifest = (work / "untranscribed.jsonl").read_text(encoding="utf-8")
    seconds = sum(json.loads(line)["duration_s"] for line in manifest.splitlines())
    assert seconds == pytest.approx(72.0, abs=1.0) and '"text"' not in manifest
    plan = json.loads((work / "plan.json").read_text(encoding="utf-8"))
    assert plan["pretraining_steps"] >= 1
    pretrained = work / "pretraining" / "final"
    assert list_checkpoints(work / "pretraining")[-1].name == f"checkpoint-{plan['pretraining_steps']}"
    recipe = yaml.safe_load((work / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["model"]["init_from"] == str(pretrained) and recipe["processor"] == {}
    kept = load_file(output / "model.safetensors")
    (work / "finished.json").unlink()
    shutil.rmtree(work / "run")
    shutil.rmtree(pretrained)
    run(arguments)
    again = load_file(output / "model.safetensors")
    assert kept.keys() == again.keys() and all(torch.equal(kept[name], again[name]) for name in kept)
    write_tape(tmp_path / "more" / "another.wav", 12.0, seed=10)
    _, errors = run(arguments, status=1)
    assert "the data has changed since this adaptation began" in errors


def test_texts_without_recordings_are_used_in_both_trainings(field, tmp_path):
    (tmp_path / "more.es").write_text("Press TWO!\npress three\npress one a\n")
    (tmp_path / "more.fr").write_text("Appuyez deux.\n\nappuyez un a\n")
    output = tmp_path / "model"
    options = ("--texts", str(tmp_path / "more.es"), "--pretrain", "--normalize", "--max-steps", "2")
    arguments = command(field, output, *options)
    printed, _ = run(arguments)
    assert "changed to lower case without punctuation (--normalize) in training and development" in printed
    assert re.search(
        r"pre-training +.* for 0.0 h without text beside .*, and texts of 0.0 h if they were spoken", printed
    )
    work = output / "adaptation"
    rows = [json.loads(line) for line in (work / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows][:2] == ["press two", "press three"]
    (pair, *others) = [json.loads(line) for line in (work / "parallel.jsonl").read_text(encoding="utf-8").splitlines()]
    assert pair["translations"] == {"fr": "appuyez deux"} and len(others) == len(rows) - 2
    recipe = yaml.safe_load((work / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["data"]["corpora"]["texts"] == {"manifest": str(work / "parallel.jsonl"), "tasks": ["mt"]}
    before = yaml.safe_load((work / "pretraining_recipe.yaml").read_text(encoding="utf-8"))["data"]
    assert set(before["corpora"]) == {"recordings", "texts"}
    assert before["tasks"]["text"]["corpus_weights"] == before["tasks"]["mt"]["corpus_weights"]
    assert "lower case without punctuation (--normalize)" in (output / "README.md").read_text(encoding="utf-8")
    # The form of the texts is kept with the data.
    arguments.remove("--normalize")
    assert "is finished" in run(arguments)[0]


@pytest.mark.slow
def test_killed_five_times_the_weights_are_those_of_an_uninterrupted_adaptation(field, finished):
    """The plan is kept, because the choice between bfloat16 and float32 depends on a measurement of the speed."""
    whole = field / "whole"
    os.replace(finished, whole)
    work = Workspace(finished)
    for name in ("identity.json", "plan.json", "recipe.yaml"):
        shutil.copyfile(whole / "adaptation" / name, work.path(name))
    moments = (
        lambda: (work.folder / "train.jsonl").is_file(),
        lambda: bool(list_checkpoints(work.run_dir)),
        lambda: len(list_checkpoints(work.run_dir)) > 1,
        lambda: work.trained.is_dir(),
        lambda: (work.folder / "after.json").is_file(),
    )
    for reached in moments:
        process = start(command(field, finished))
        while process.poll() is None and not reached():
            time.sleep(0.02)
        assert process.poll() is None, "the command ended before it was killed"
        kill_with_children(process)
        assert not work.is_finished
    run(command(field, finished))
    assert_equal_weights(whole, finished)
