# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From recipe to scores: heads for text understanding learn, are saved, loaded and evaluated."""

import json
from types import SimpleNamespace

import pytest
import yaml
from helpers import make_tiny_processor, save_tiny_checkpoint
from mslam_batches import make_config
from understanding_corpora import write_tydiqa, write_xnli

from mu2slam_hf import MSLAMForPreTraining, load_any_checkpoint
from mu2slam_hf.cli import main
from mu2slam_hf.recipes.runs.head_finetuning import find_model_class
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError


@pytest.fixture
def folder(tmp_path):
    write_xnli(tmp_path / "xnli")
    write_tydiqa(tmp_path / "tydiqa")
    return tmp_path


def save_tiny_mslam(folder) -> str:
    processor = make_tiny_processor()
    tokenizer = processor.tokenizer
    MSLAMForPreTraining(
        make_config(
            vocab_size=len(tokenizer),
            text_token_offset=tokenizer.text_token_offset,
            num_speech_tokens=tokenizer.num_speech_tokens,
            languages=processor.languages,
        )
    ).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def run_recipe(folder, model: str, corpus: str, max_steps: int = 30, evaluation=None, **head):
    source = {"name": corpus, "root": str(folder / corpus), "modality": "text"}
    recipe = {
        "kind": "head_finetuning",
        "model": {"init_from": model, "overrides": {"use_segment_embedding": True}},
        "head": head,
        "data": {
            "corpora": {"train": {**source, "split": "train", "options": {"languages": ["en"]}}},
            "per_device_train_batch_size": 12,
        },
        "optim": {"learning_rate": 0.02, "schedule": "warmup_constant", "warmup_steps": 2},
        "training": {
            **{"max_steps": max_steps, "logging_steps": 1, "eval_steps": max_steps, "save_steps": max_steps},
            **{"use_cpu": True, "disable_tqdm": True, "report_to": [], "dataloader_num_workers": 0},
        },
        "evaluation": {"corpora": {"dev": {**source, "split": "dev", **(evaluation or {})}}},
        "output": {"dir": str(folder / "run")},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    results = build_run(load_recipe(path)).run()
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    return results, [entry["loss"] for entry in log if "loss" in entry]


def evaluate(folder, corpus: str) -> list[dict]:
    record = folder / "record.json"
    source = ["--corpus", corpus, "--root", str(folder / corpus), "--split", "dev"]
    assert main(["evaluate", *source, "--model", str(folder / "run" / "final"), "--results", str(record)]) == 0
    return json.loads(record.read_text(encoding="utf-8"))["scores"]


@pytest.mark.parametrize("family", ("mu2slam", "mslam"))
def test_inference(family, folder, capsys):
    model = {"mu2slam": save_tiny_checkpoint, "mslam": save_tiny_mslam}[family](folder / "model")
    head = {"kind": "sequence_classification", "label": "gold_label", "second_text": "hypothesis"}
    labels = ["entailment", "neutral", "contradiction"]
    results, losses = run_recipe(folder, model, "xnli", **head, labels=labels)
    assert losses[-1] < 0.8 * losses[0]
    assert list(load_any_checkpoint(str(folder / "run" / "final"))[0].config.id2label.values()) == labels
    scores = {(s["system"], s["source_lang"]): s["value"] for s in evaluate(folder, "xnli")}
    assert scores["model", "en"] == pytest.approx(results["dev_accuracy_en"])
    assert scores["model", "es"] == pytest.approx(results["dev_accuracy_es"])
    assert scores["chance", "mean"] == pytest.approx(100 / 3)
    assert "accuracy (chance)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("family", "kind"),
    [("mu2slam", "question_answering"), ("mslam", "question_answering"), ("mu2slam", "answer_generation")],
)
def test_questions(family, kind, folder, capsys):
    model = {"mu2slam": save_tiny_checkpoint, "mslam": save_tiny_mslam}[family](folder / "model")
    results, losses = run_recipe(folder, model, "tydiqa", kind=kind, max_tokens=40, overlap_tokens=12)
    assert losses[-1] < 0.9 * losses[0]
    table = (folder / "run" / "final" / "answers_dev.tsv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 9 and table[0].split("\t") == [*"id language question answers model".split(), "best sentence"]
    scores = {(s["system"], s["metric"], s["source_lang"]): s["value"] for s in evaluate(folder, "tydiqa")}
    # One window, as the command reads whole passages of this length, instead of several.
    assert scores["best sentence", "f1", "en"] == pytest.approx(results["dev_f1_best_sentence_en"])
    assert ("model", "exact_match", "mean") in scores
    assert "exact match (best sentence)" in capsys.readouterr().out


def test_blank_answers_are_refused(folder):
    write_tydiqa(folder / "tydiqa", is_blank=True)
    model = save_tiny_checkpoint(folder / "model")
    with pytest.raises(RecipeError, match="evaluation.corpora.dev: none of 8 records is a question"):
        run_recipe(folder, model, "tydiqa", kind="question_answering")
    command = ["evaluate", "--corpus", "tydiqa", "--root", str(folder / "tydiqa"), "--split", "dev"]
    assert main([*command, "--model", model]) != 0


def test_heads_that_a_family_does_not_have_are_refused(folder):
    model = save_tiny_checkpoint(folder / "model")
    section = SimpleNamespace(init_from=model, config=None)
    with pytest.raises(RecipeError, match="head.kind: a mu2slam has the heads ctc, rnnt, sequence_classification"):
        find_model_class(SimpleNamespace(model=section, head=SimpleNamespace(kind="audio_classification")))
    with pytest.raises(RecipeError, match="modality: ctc supports speech only"):
        run_recipe(folder, model, "xnli", kind="ctc")
    with pytest.raises(RecipeError, match="head.kind: a mslam has the heads"):
        run_recipe(folder, save_tiny_mslam(folder / "mslam"), "tydiqa", kind="answer_generation")
    with pytest.raises(RecipeError, match="evaluation.corpora.dev.modality: question_answering supports text only"):
        run_recipe(folder, model, "tydiqa", kind="question_answering", evaluation={"modality": "speech"})
