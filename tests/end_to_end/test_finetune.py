# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The training script from a folder of recordings to a saved model: it learns, resumes bit for bit, and reloads."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import peft
import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT
from safetensors.torch import load_file
from training_runs import (
    RECIPES,
    TWO_PROCESSES,
    assert_equal_weights,
    assert_same_figures,
    kill_with_children,
    make_launcher,
    read_log,
)
from transformers import AutoModelForSpeechSeq2Seq

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPE = RECIPES / "finetune_tiny_test.yaml"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    return write_tone_corpus(folder, num_sentences=10, max_words=3)


@pytest.fixture(scope="module")
def launch(tones):
    return make_launcher("finetune_mu2slam.py", RECIPE, tones)


@pytest.fixture(scope="module")
def finished(launch, tmp_path_factory) -> Path:
    """A run without interruption: 8 updates, checkpoints after 4 and 8."""
    output = tmp_path_factory.mktemp("finished") / "run"
    launch(output)
    return output


def test_what_a_run_leaves_behind(finished):
    assert [path.name for path in list_checkpoints(finished)] == ["checkpoint-4", "checkpoint-8"]
    final = finished / "final"
    assert yaml.safe_load((final / "recipe.yaml").read_text())["training"]["max_steps"] == 8
    assert "commit" in json.loads((final / "run.json").read_text())
    results = json.loads((final / "results.json").read_text())
    assert {"eval_loss", "eval_ctc_cer", "eval_loss_mt_decoder"} <= results.keys()
    assert_equal_weights(final, finished / "checkpoint-8")


def test_the_result_loads_and_generates(finished):
    model = Mu2SLAMForConditionalGeneration.from_pretrained(finished / "final")
    processor = Mu2SLAMProcessor.from_pretrained(finished / "final")
    assert list(model.config.languages) == list(processor.languages) == ["und", "en", "fr"]
    inputs = processor(audio=torch.randn(8000).numpy() * 0.1, sampling_rate=16000, return_tensors="pt")
    ids = model.generate(**inputs, source_lang="en", target_lang="fr", max_new_tokens=3)
    assert ids.shape[0] == 1


def test_resumed_from_a_checkpoint_equals_uninterrupted_bit_for_bit(launch, finished, tmp_path):
    """The phase changes at update 4, right where the first run stops."""
    output = tmp_path / "run"
    launch(output)
    for path in ("checkpoint-8", "final"):
        subprocess.run(["rm", "-r", str(output / path)], check=True)
    launch(output)
    assert_equal_weights(output / "final", finished / "final")
    first, second = read_log(finished)[-1], read_log(output)[-1]
    assert first.keys() == second.keys()


def test_gradual_and_noisy_fine_tuning(launch, tmp_path):
    """Two stages on the tones, killed between them: all tasks with noise, then recognition, the best checkpoint."""
    tree = yaml.safe_load(RECIPE.read_text())
    tree["model"]["config"] = str(REPOSITORY_ROOT / tree["model"]["config"])
    tree["decoder_noise"] = {"ratio": 0.2, "k": 4}
    tree["data"]["curriculum"] = []
    tree["optim"]["learning_rate"] = 0.05  # soon too large, so that the best checkpoint is not the last one
    only_recognition = {"data.corpora.train.tasks": ["asr"], "objective.ctc": 0.5}
    best = {
        "training.load_best_model_at_end": True,
        "training.metric_for_best_model": "loss_asr_decoder",
        "training.eval_steps": 2,
    }
    tree["stages"] = [
        {"name": "multitask"},
        {"name": "asr", "set": {**only_recognition, **best, "training.max_steps": 6, "decoder_noise.ratio": 0.4}},
    ]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    launch(whole, recipe=recipe)
    first, second = whole / "1_multitask", whole / "2_asr"
    assert_equal_weights(first / "final", first / "checkpoint-8")
    figures = {logs["step"]: logs["eval_loss_asr_decoder"] for logs in read_log(second) if "eval_loss" in logs}
    best_step = min(figures, key=figures.get)
    assert sorted(figures) == [2, 4, 6]
    assert_equal_weights(whole / "final", second / f"checkpoint-{best_step}")
    saved = [yaml.safe_load((folder / "recipe.yaml").read_text()) for folder in (first, second, whole / "final")]
    assert [tree["decoder_noise"]["ratio"] for tree in saved] == [0.2, 0.4, 0.4]
    assert saved[1]["model"]["init_from"] == str(first / "final") and saved[1]["model"]["config"] is None
    trained = [{name for logs in read_log(folder) for name in logs} for folder in (first, second)]
    assert "loss_mt_decoder" in trained[0] and "loss_mt_decoder" not in trained[1]

    # The second stage in a process of its own, from the middle, ends with the same weights.
    shutil.copytree(first, stopped / "1_multitask")
    shutil.copytree(second, stopped / "2_asr")
    for path in list_checkpoints(stopped / "2_asr")[1:]:
        shutil.rmtree(path)
    modified = (stopped / "1_multitask" / "final" / "model.safetensors").stat().st_mtime_ns
    launch(stopped, recipe=recipe)
    assert_equal_weights(stopped / "final", whole / "final")
    assert (stopped / "1_multitask" / "final" / "model.safetensors").stat().st_mtime_ns == modified


@pytest.mark.slow
def test_killed_in_the_middle_of_a_step_and_resumed(launch, tmp_path):
    settings = (
        "training.max_steps=40",
        "training.save_steps=5",
        "training.eval_steps=0",
        "training.save_total_limit=20",
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    launch(whole, *settings)
    process = launch(killed, *settings, wait=False)
    deadline = time.monotonic() + 120
    while len(list_checkpoints(killed)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    kill_with_children(process)
    assert 2 <= len(list_checkpoints(killed)) < 8
    launch(killed, *settings)
    assert_equal_weights(whole / "final", killed / "final")


@pytest.mark.slow
def test_two_processes_do_what_one_does(launch, tmp_path):
    """The global batch is formed first and shared: same losses, dropout 0, 20 updates of speech and text."""
    tree = yaml.safe_load(RECIPE.read_text())
    dropouts = ("encoder_config.hidden_dropout", "encoder_config.embedding_dropout", "decoder_config.hidden_dropout")
    tree["model"]["overrides"].update(dict.fromkeys(dropouts, 0.0))
    tree["model"]["config"] = str(REPOSITORY_ROOT / tree["model"]["config"])
    tree["training"].update(max_steps=20, logging_steps=1, eval_steps=10, save_steps=20)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    alone, together = tmp_path / "alone", tmp_path / "together"
    launch(alone, "training.gradient_accumulation_steps=2", recipe=recipe)
    launch(together, recipe=recipe, launcher=TWO_PROCESSES)
    assert assert_same_figures(alone, together, ("loss", "cer"), rel=1e-4) > 80


def test_adapters_train_save_load_and_merge(launch, finished, tmp_path):
    tree = yaml.safe_load(RECIPE.read_text())
    tree["model"] = {"init_from": str(finished / "final")}
    tree["lora"] = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]}
    tree["data"]["curriculum"] = []
    tree["optim"]["learning_rate"] = 0.05
    recipe = tmp_path / "lora.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    output = tmp_path / "run"
    launch(output, "training.max_steps=4", recipe=recipe)
    base = Mu2SLAMForConditionalGeneration.from_pretrained(finished / "final")
    inputs = {
        "input_features": torch.randn(1, 30, 80),
        "decoder_input_ids": torch.tensor([[1, 70, 71]]),
    }
    with torch.no_grad():
        before = base(**inputs).logits
        adapted = peft.PeftModel.from_pretrained(base, output / "final").eval()(**inputs).logits
        merged = Mu2SLAMForConditionalGeneration.from_pretrained(output / "final" / "merged")(**inputs).logits
    assert not torch.allclose(before, adapted, atol=1e-4)
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-5)
    adapter = load_file(output / "final" / "adapter_model.safetensors")
    assert all("lora_" in name for name in adapter)
    for folder in (output / "final" / "merged", output / "final", output / "checkpoint-4"):
        assert Mu2SLAMProcessor.from_pretrained(folder).languages == ["und", "en", "fr"]
    # The base model is found from any working directory, so that the folder is a model for transformers.
    loaded = AutoModelForSpeechSeq2Seq.from_pretrained(output / "final")(**inputs).logits
    torch.testing.assert_close(loaded, adapted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_learns_the_tones(launch, tmp_path):
    output = tmp_path / "run"
    launch(
        output,
        "training.max_steps=150",
        "training.eval_steps=150",
        "training.save_steps=150",
        "optim.learning_rate=5e-3",
        "data.curriculum=[]",
        "objective.label_smoothing=0",
    )
    logs = [logs for logs in read_log(output) if "loss_ctc" in logs]
    last = [logs for logs in read_log(output) if "loss_asr_decoder" in logs][-1]
    first = next(logs for logs in read_log(output) if "loss_asr_decoder" in logs)
    for name in ("loss_asr_decoder", "loss_ast_decoder", "loss_ctc"):
        assert last[name] < 0.7 * first[name], (name, first[name], last[name])
    assert logs[-1]["loss_ctc"] < logs[0]["loss_ctc"]


def test_losses_fall_within_eight_updates(finished):
    evaluations = [logs for logs in read_log(finished) if "eval_loss" in logs]
    assert evaluations[-1]["eval_loss"] < evaluations[0]["eval_loss"]
